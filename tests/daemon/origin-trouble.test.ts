import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { OriginFault } from '../../bench/origin-fault.ts';
import { firstWrong } from '../../bench/pattern.ts';
import { eventually, expectWhole, fixture, get, MiB } from './fixture.ts';

const object = (key: string, seed: number, sizeBytes = 20 * MiB) => ({ key, sizeBytes, seed });

test('an origin that refuses (403) or has no such object (404) is passed on as such', async (t) => {
  const { origin, start } = await fixture(t, { generated: [object('a', 1)] });
  const daemon = await start();
  origin.fail({ kind: 'status', status: 403, code: 'AccessDenied' });
  const denied = await get(daemon, 'a');
  assert.equal(denied.status, 403);
  assert.match(denied.bytes.toString(), /AccessDenied/);
  origin.reset();
  assert.equal((await get(daemon, 'b')).status, 404);
  await expectWhole(daemon, object('a', 1));
});

const PASSING: readonly (readonly [string, OriginFault])[] = [
  ['429', { kind: 'status', status: 429, code: 'TooManyRequests', times: 2 }],
  ['500', { kind: 'status', status: 500, times: 2 }],
  ['503', { kind: 'status', status: 503, code: 'SlowDown', retryAfterS: 1, times: 2 }],
  ['a connection closed midway', { kind: 'cut', fraction: 0.4, method: 'GET', times: 2 }],
  ['fewer bytes than asked for', { kind: 'shorter', method: 'GET', times: 1 }],
];

for (const [index, [what, fault]] of PASSING.entries()) {
  test(`a passing trouble of the origin does not reach the reader: ${what}`, async (t) => {
    const { origin, start } = await fixture(t, { generated: [object('a', index)] });
    const daemon = await start();
    origin.fail(fault);
    await expectWhole(daemon, object('a', index));
  });
}

test('an origin that only fails is a clear 503, and the daemon is well again with it', async (t) => {
  const { origin, start } = await fixture(t, { generated: [object('a', 1)] });
  const daemon = await start();
  origin.fail({ kind: 'status', status: 503 });
  const answer = await get(daemon, 'a');
  assert.equal(answer.status, 503);
  assert.match(answer.bytes.toString(), /<Code>(ServiceUnavailable|SlowDown)<\/Code>/);
  origin.reset();
  await eventually('the object is served', async () => (await get(daemon, 'a', { start: 0, end: 10 })).status === 206);
  await expectWhole(daemon, object('a', 1));
});

test('S-13: with an origin that hangs, hits are served as stale, and a cold read goes on when it answers again', async (t) => {
  const warm = object('warm', 1);
  const cold = object('cold', 2);
  const { origin, start } = await fixture(t, { generated: [warm, cold] });
  const daemon = await start({ volume: { revalidate: 'always', staleIfError: 'unlimited' } });
  await expectWhole(daemon, warm);
  origin.fail({ kind: 'hang', key: 'warm' });
  origin.fail({ kind: 'hang', key: 'cold', method: 'GET', times: 1 });
  const coldRead = expectWhole(daemon, cold);
  const from = performance.now();
  const answer = await expectWhole(daemon, warm);
  assert.ok(performance.now() - from < 10_000, 'a hit does not wait for a hung origin');
  assert.ok(answer.headers.has('x-forebay-stale'));
  await coldRead;
});

test('S-13: with an origin that is away, hits are served, cold reads fail clearly, and all is well when it is back', async (t) => {
  const warm = object('warm', 1);
  const { origin, port, start } = await fixture(t, { generated: [warm, object('cold', 2)] });
  const daemon = await start({ volume: { revalidate: '1s' } });
  await expectWhole(daemon, warm);
  await origin.close();
  await eventually('the fact is stale', async () => (await get(daemon, 'warm')).headers.has('x-forebay-stale'));
  await expectWhole(daemon, warm);
  assert.equal((await get(daemon, 'cold')).status, 503);
  await origin.listen(port);
  await eventually('the fact is fresh again', async () => !(await get(daemon, 'warm')).headers.has('x-forebay-stale'));
  await expectWhole(daemon, object('cold', 2));
});

test('S-1: an object replaced between two chunks of one read gives one version or a broken read, never a mixture', async (t) => {
  const old = object('a', 1, 64 * MiB);
  const { origin, start } = await fixture(t, { generated: [old], bytesPerS: 64 * MiB });
  const daemon = await start({ volume: { revalidate: 'always' } });
  let replaced = false;
  const answer = await get(daemon, 'a', undefined, (total) => {
    if (!replaced && total > 4 * MiB) {
      replaced = true;
      origin.put({ ...old, seed: 2 });
    }
  });
  assert.ok(replaced);
  assert.equal(answer.status, 200);
  assert.equal(firstWrong(1, 0, answer.bytes), undefined, 'all bytes are of the version that was opened');
  assert.ok(answer.cut || answer.bytes.length === old.sizeBytes, 'a read that is not whole is broken, not short');
  await expectWhole(daemon, { ...old, seed: 2 });
});
