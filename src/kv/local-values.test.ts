import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodyOf, bytesOf, NEVER, readAll, SimValues, same } from '../../sim/sim-values.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { KiB, MiB } from '../core/limits.ts';
import type { ValueBody } from './kv.ts';
import type { LocalValues } from './values.ts';

const SIZES = [0, 1, 1000, 32 * KiB - 1, 32 * KiB, MiB, 3 * MiB + 5, 17 * MiB];

test('values of every size come back as they were put, before and after a restart', async () => {
  const bench = new SimValues({ capacityBytes: 128 * MiB });
  await bench.open();
  for (const [at, size] of SIZES.entries()) assert.equal(await bench.put(`k${at}`, bytesOf(at, size)), 'stored');
  for (const [at, size] of SIZES.entries()) same(await bench.get(`k${at}`), bytesOf(at, size));
  assert.equal(bench.values.status.values, SIZES.length);
  await bench.run(bench.values.written());
  bench.crash('process');
  await bench.open();
  for (const [at, size] of SIZES.entries()) same(await bench.get(`k${at}`), bytesOf(at, size));
  assert.equal(await bench.get('other'), undefined);
});

test('puts of one large key at once, some of equal bytes, all end well, and one of them is there', async () => {
  const bench = new SimValues();
  await bench.open();
  const [old, other] = [bytesOf(1, 3 * MiB), bytesOf(2, 3 * MiB)];
  await bench.put('k', old);
  const puts = [old, other, old, other, old].map((bytes) => bench.values.put('k', bodyOf(bytes), { signal: NEVER }));
  const outcomes = (await bench.run(Promise.all(puts))).map(({ outcome }) => outcome);
  assert.ok(outcomes.includes('stored'), outcomes.join(' '));
  const now = await bench.get('k');
  assert.ok(now !== undefined && [old, other].some((bytes) => Buffer.compare(bytes, now) === 0));
});

test('equal bytes write nothing, others replace', async () => {
  const bench = new SimValues();
  await bench.open();
  for (const size of [0, 700, 2 * MiB + 1]) {
    const key = `k${size}`;
    await bench.put(key, bytesOf(1, size));
    const content = bench.values.find(key)?.content;
    assert.equal(await bench.put(key, bytesOf(1, size)), 'same');
    assert.equal(bench.values.find(key)?.content, content);
    if (size === 0) continue;
    const changed = bytesOf(1, size);
    changed[size - 1] = 255;
    assert.equal(await bench.put(key, changed), 'stored');
    assert.notEqual(bench.values.find(key)?.content, content);
    same(await bench.get(key), changed);
  }
  assert.equal(bench.values.status.values, 3);
});

test('a body of another length than it says is refused, and leaves nothing', async () => {
  const bench = new SimValues();
  await bench.open();
  for (const [declared, given] of [
    [3 * MiB, 2 * MiB],
    [2 * MiB, 2 * MiB + 1],
    [900, 899],
    [900, 901],
  ] as const) {
    const body = { ...bodyOf(bytesOf(1, given)), lengthBytes: declared };
    await assert.rejects(bench.run(bench.values.put('k', body, { signal: NEVER })), (error) =>
      isForebayError(error, 'invalidArgument'),
    );
  }
  assert.equal(bench.values.find('k'), undefined);
  await bench.sleep(1000);
  assert.equal(bench.values.status.footprintBytes, 0);
  assert.equal(bench.store.status.reservedBytes, 0);
});

test('what a key had stays readable for those who have it open when it is replaced or deleted', async () => {
  const bench = new SimValues();
  await bench.open({}, { hotBytes: 0 });
  for (const size of [900, 3 * MiB]) {
    await bench.put('k', bytesOf(1, size));
    await bench.run(bench.values.written());
    const opened = bench.values.open('k');
    assert.ok(opened);
    await bench.put('k', bytesOf(2, size));
    same(await bench.run(readAll(opened)), bytesOf(1, size));
    assert.equal(bench.values.drop('k'), true);
    assert.equal(await bench.get('k'), undefined);
    same(await bench.run(readAll(opened)), bytesOf(1, size));
    opened.close();
  }
  await bench.sleep(1000);
  assert.ok(bench.values.status.footprintBytes < MiB, 'their space came back');
  assert.equal(bench.values.status.bytes, 0);
});

test('keys are listed in byte order, a page at a time', async () => {
  const bench = new SimValues();
  await bench.open();
  const keys = ['a', 'b/1', 'b/\u0001', 'b/\u00ff', 'b/2', 'c'];
  for (const key of keys) await bench.put(key, bytesOf(1, 10));
  const names = (request: Parameters<LocalValues['page']>[0]) => bench.values.page(request).map(({ key }) => key);
  assert.deepEqual(names({ prefix: 'b/', limit: 10 }), ['b/\u0001', 'b/1', 'b/2', 'b/\u00ff']);
  assert.deepEqual(names({ prefix: '', after: 'b/1', limit: 2 }), ['b/2', 'b/\u00ff']);
  assert.deepEqual(names({ prefix: 'b/', limit: 0 }), []);
  for (let n = 0; n < 500; n += 1) await bench.put(`n${(n * 37) % 500}`, bytesOf(1, 10));
  const seen: string[] = [];
  for (let after: string | undefined; ; after = seen.at(-1)) {
    const page = names({ prefix: 'n', limit: 7, ...(after === undefined ? {} : { after }) });
    if (page.length === 0) break;
    seen.push(...page);
  }
  assert.deepEqual(seen, Array.from({ length: 500 }, (_, n) => `n${n}`).sort());
});

test('keys of no byte and of more than 1,024, and values of more than 512 MiB, are refused', async () => {
  const bench = new SimValues();
  await bench.open();
  const refusal = (code: 'invalidArgument' | 'tooLarge') => (error: unknown) => isForebayError(error, code);
  await assert.rejects(bench.put('', bytesOf(1, 10)), refusal('invalidArgument'));
  await assert.rejects(bench.put('k'.repeat(1025), bytesOf(1, 10)), refusal('invalidArgument'));
  assert.equal(await bench.put('k'.repeat(1024), bytesOf(1, 10)), 'stored');
  const huge = { ...bodyOf(bytesOf(1, 10)), lengthBytes: 512 * MiB + 1 };
  await assert.rejects(bench.run(bench.values.put('k', huge, { signal: NEVER })), refusal('tooLarge'));
});

test('a body that is received into the file by its door is a value like others; one that breaks off leaves nothing', async () => {
  const bench = new SimValues();
  await bench.open();
  const bytes = bytesOf(3, 2 * MiB + 77);
  const body = (length: number): ValueBody => ({
    ...bodyOf(bytes),
    receive: async (file, onBlock) => {
      for (let at = 0; at < length; at += MiB)
        onBlock(at / MiB, await file.writeSummed(at, bytes.subarray(at, Math.min(at + MiB, length))));
      if (length < bytes.length) throw new ForebayError('incompleteBody', 'the client went away');
    },
  });
  await assert.rejects(bench.run(bench.values.put('k', body(MiB), { signal: NEVER })), (error) =>
    isForebayError(error, 'incompleteBody'),
  );
  await bench.sleep(1000);
  assert.equal(bench.values.status.footprintBytes, 0);
  assert.equal((await bench.run(bench.values.put('k', body(bytes.length), { signal: NEVER }))).outcome, 'stored');
  same(await bench.get('k'), bytes);
  assert.equal((await bench.run(bench.values.put('k', body(bytes.length), { signal: NEVER }))).outcome, 'same');
});

test('S-10: a lease outlasts the time to live, but is not renewed beyond it, and ends with the time that a client gives', async () => {
  const bench = new SimValues();
  await bench.open();
  await bench.put('k', bytesOf(1, 100), 1000);
  assert.equal(bench.values.lease('k', 3000), true);
  await bench.sleep(2000);
  assert.ok(bench.values.find('k'), 'leased');
  assert.equal(bench.values.lease('k', 3000), false);
  await bench.sleep(2500);
  assert.equal(bench.values.find('k'), undefined);

  await bench.put('l', bytesOf(1, 100));
  assert.equal(bench.values.lease('l', 10_000), true);
  assert.equal(bench.values.expire('l', 200), true);
  await bench.sleep(2000);
  assert.equal(bench.values.find('l'), undefined, 'a client wished it so');
});
