import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodyOf, bytesOf, DIRECTORY, NEVER, SimValues, same } from '../../sim/sim-values.ts';
import { isForebayError } from '../core/errors.ts';
import { newContentId } from '../core/ids.ts';
import { KiB, MiB } from '../core/limits.ts';
import { inspectDirectory } from '../store/inspect.ts';

test('S-9: a damaged value is a miss, never wrong bytes', async () => {
  const bench = new SimValues();
  await bench.open({}, { hotBytes: 0 });
  await bench.put('small', bytesOf(1, 5000));
  await bench.put('large', bytesOf(2, 2 * MiB));
  await bench.run(bench.values.written());
  assert.ok(bench.disk.rot((path) => path.endsWith('.pack')));
  assert.equal(await bench.get('small'), undefined);
  assert.deepEqual(bench.gone, ['small']);
  assert.ok(bench.disk.rot((path) => path.endsWith('.data')));
  bench.crash('machine');
  await bench.open({}, { hotBytes: 0 });
  assert.equal(await bench.get('large'), undefined);
  // A power cut may bring back what was not waited for; it is as wrong as before.
  assert.equal(await bench.get('small'), undefined);
  assert.equal(bench.values.status.values, 0);
  await bench.sleep(1000);
  assert.ok(bench.values.status.footprintBytes < MiB);
});

test('S-9: damage in a pack costs what it hit, also when the pack is compacted', async () => {
  const bench = new SimValues({ capacityBytes: 64 * MiB });
  await bench.open({ share: 0.125 }, { hotBytes: 0 });
  for (let n = 0; n < 400; n += 1) await bench.put(`k${n}`, bytesOf(n, 4000));
  await bench.run(bench.values.written());
  for (let n = 0; n < 8; n += 1) bench.disk.rot((path) => path.endsWith('.pack'));
  for (let n = 400; n < 3200; n += 1) {
    await bench.put(`k${n}`, bytesOf(n, 4000));
    if (n % 50 === 0) for (let kept = 0; kept < 400; kept += 40) await bench.get(`k${kept}`);
  }
  for (let n = 0; n < 3200; n += 1) {
    const bytes = await bench.get(`k${n}`);
    if (bytes !== undefined) same(bytes, bytesOf(n, 4000));
  }
});

test('S-14: killed at any point, what is served afterwards is whole and was put under that key', async () => {
  for (let round = 0; round < 12; round += 1) {
    const bench = new SimValues({ capacityBytes: 64 * MiB });
    await bench.open({ share: 0.25 }, { hotBytes: 64 * KiB, snapshotAfterBytes: 16 * KiB });
    const versions = new Map<string, Uint8Array[]>();
    const work = async () => {
      for (let n = 0; n < 80; n += 1) {
        const key = `k${(n * 13 + round) % 40}`;
        const size = n % 9 === 0 ? MiB + 1000 * n : n % 5 === 0 ? 40_000 + n : 200 + 31 * n;
        const bytes = bytesOf(n + round, size);
        versions.set(key, [...(versions.get(key) ?? []), bytes]);
        await bench.values.put(key, bodyOf(bytes), { signal: NEVER });
        if (n % 11 === 0) bench.values.drop(`k${(n * 3) % 40}`);
      }
    };
    const ended = work().catch(() => undefined);
    await bench.sleep(1 + round * 3.7);
    bench.crash(round % 3 === 2 ? 'machine' : 'process');
    void ended;
    await bench.open({ share: 0.25 }, { hotBytes: 64 * KiB });
    for (const { key } of Array.from(bench.values.all())) {
      const bytes = await bench.get(key);
      if (bytes === undefined) continue;
      const isOne = (versions.get(key) ?? []).some((version) => Buffer.compare(version, bytes) === 0);
      assert.ok(isOne, `${key} in round ${round}`);
    }
    await bench.sleep(120_000);
    const { usedBytes, orphans } = bench.store.status;
    const { footprintBytes } = bench.values.status;
    // A power cut leaves files that no record names: they wait for a day, or until room is needed.
    if (orphans === 0) assert.equal(usedBytes, footprintBytes);
  }
});

test('a deleted value does not come back after kill -9 once that was waited for', async () => {
  const bench = new SimValues();
  await bench.open();
  await bench.put('k', bytesOf(1, 100));
  await bench.put('l', bytesOf(2, 2 * MiB));
  await bench.run(bench.values.written());
  bench.values.drop('k');
  bench.values.drop('l');
  await bench.run(bench.values.written());
  bench.crash('process');
  await bench.open();
  assert.deepEqual(Array.from(bench.values.all()), []);
  await bench.sleep(1000);
  assert.equal(bench.store.status.usedBytes, 0);
});

test('many keys: found, counted, in their order of use after a restart, and small in memory', async () => {
  const bench = new SimValues({ capacityBytes: 64 * MiB });
  await bench.open({ share: 0.5 }, { snapshotAfterBytes: MiB });
  const count = 20_000;
  const key = (n: number) => `a model@1@0@${n.toString(16).padStart(64, '0')}`;
  const puts = async () => {
    for (let n = 0; n < count; n += 1) {
      const bytes = bytesOf(n, 20);
      if (bench.values.putNow(key(n), bytes, {}) === undefined)
        await bench.values.put(key(n), { ...bodyOf(bytes), whole: bytes }, { signal: NEVER });
    }
  };
  await bench.run(puts());
  await bench.run(bench.values.written());
  const { values, indexBytes } = bench.values.status;
  assert.equal(values, count);
  assert.ok(indexBytes / count < 300, `${indexBytes / count} bytes per key`);
  for (let n = 0; n < count; n += 977) same(await bench.get(key(n)), bytesOf(n, 20));
  for (let n = 0; n < count; n += 2) bench.values.drop(key(n));
  await bench.sleep(10_000);
  await bench.run(bench.values.written());
  bench.crash('process');
  await bench.open({ share: 0.5 });
  assert.equal(bench.values.status.values, count / 2);
  for (let n = 0; n < 400; n += 1) assert.equal(bench.values.find(key(n)) !== undefined, n % 2 === 1, key(n));
  same(await bench.get(key(977)), bytesOf(977, 20));
});

test('a directory without values stays as it was; with the first it needs this Forebay, and says how many there are', async () => {
  const bench = new SimValues();
  await bench.open();
  const format = async () => {
    const inspection = await bench.run(inspectDirectory(bench.io, DIRECTORY));
    return [inspection.format, inspection.values];
  };
  assert.deepEqual(await format(), ['forebay-store 1', {}]);
  await bench.put('k', bytesOf(1, 100));
  await bench.put('l', bytesOf(1, MiB));
  await bench.run(bench.values.written());
  assert.deepEqual(await format(), ['forebay-store 3', { kv1: 2 }]);
  await bench.put('m', bytesOf(2, 100 * KiB));
  await bench.run(bench.values.written());
  assert.deepEqual(await format(), ['forebay-store 4', { kv1: 3 }]);
});

test('upgrade: values that layout 3 kept in files are found there, and packed when they are put anew', async () => {
  const bench = new SimValues({ capacityBytes: 256 * MiB });
  await bench.open();
  const packed = async () => (await bench.run(inspectDirectory(bench.io, DIRECTORY))).smallContents;
  const volume = bench.store.values.volume('kv1');
  const old = bytesOf(1, 100 * KiB);
  for (const key of ['a', 'b']) {
    const id = newContentId({ wallMs: 0, random: Buffer.from(`0123456${key}89`) });
    const reservation = await bench.run(bench.store.values.reserve(MiB));
    assert.ok(reservation !== undefined);
    const content = volume.begin(id, old.length);
    await bench.run(volume.putBlock(content, 0, old, reservation));
    reservation.release();
    volume.commit(key, content, { deadlineMs: 1e9, expiryMs: 1e15, modifiedMs: 0 });
  }
  for (let life = 0; life < 2; life += 1) {
    await bench.run(bench.store.close());
    bench.crash('process');
    await bench.open({}, { snapshotAfterBytes: 1 });
    same(await bench.get('a'), old);
    assert.equal(await bench.put('a', old), 'same');
    assert.equal(await packed(), 0);
  }
  const next = bytesOf(2, 100 * KiB);
  assert.equal(await bench.put('a', next), 'stored');
  await bench.run(bench.values.written());
  await bench.sleep(1000);
  assert.equal(await packed(), 1);
  bench.crash('process');
  await bench.open({}, { hotBytes: 0 });
  same(await bench.get('a'), next);
  same(await bench.get('b'), old);
  assert.equal(bench.values.status.bytes, 200 * KiB);
});

test('values of volumes that are not configured any more go', async () => {
  const bench = new SimValues();
  await bench.open();
  await bench.put('k', bytesOf(1, 100));
  await bench.put('l', bytesOf(1, 2 * MiB));
  bench.store.values.keepOnly(new Set(['kv1']));
  assert.equal(bench.values.status.values, 2);
  bench.store.values.keepOnly(new Set());
  assert.equal(bench.values.status.values, 0);
  await bench.sleep(1000);
  assert.ok(bench.store.status.usedBytes < MiB);
});

test('a full disk costs puts, and nothing that was there', async () => {
  const bench = new SimValues({ capacityBytes: 64 * MiB });
  await bench.open({ share: 0.5 });
  await bench.put('before', bytesOf(1, 5000));
  await bench.run(bench.values.written());
  bench.disk.capacityBytes = bench.disk.usedBytes;
  await assert.rejects(bench.put('large', bytesOf(2, 3 * MiB)), (error) => isForebayError(error, 'diskFull'));
  assert.equal(bench.values.find('large'), undefined);
  same(await bench.get('before'), bytesOf(1, 5000));
});

test('after a store was closed in order every value is there, and the order of use is as it was', async () => {
  const bench = new SimValues({ capacityBytes: 64 * MiB });
  await bench.open({ share: 0.25 });
  for (let n = 0; n < 300; n += 1)
    if (!bench.values.putNow(`small${n}`, bytesOf(n, 300), {})) await bench.put(`small${n}`, bytesOf(n, 300));
  for (let n = 0; n < 6; n += 1) await bench.put(`large${n}`, bytesOf(n, 2 * MiB));
  await bench.run(bench.store.close());
  bench.crash('process');
  await bench.open({ share: 0.25 });
  assert.equal(bench.values.status.values, 306);
  for (let n = 0; n < 300; n += 1) same(await bench.get(`small${n}`), bytesOf(n, 300));
  for (let n = 6; n < 9; n += 1) await bench.put(`large${n}`, bytesOf(n, 2 * MiB));
  assert.deepEqual(bench.gone, ['large0', 'large1']);
});

test('a pack that somebody removed costs its values, and no put', async () => {
  const bench = new SimValues({ capacityBytes: 64 * MiB });
  await bench.open({ share: 0.0625 }, { hotBytes: 0 });
  for (let n = 0; n < 200; n += 1) await bench.put(`k${n}`, bytesOf(n, 4000));
  await bench.run(bench.values.written());
  const packs = await bench.run(bench.io.list(`${DIRECTORY}/small`));
  for (const { name } of packs.slice(0, 3)) await bench.run(bench.io.unlink(`${DIRECTORY}/small/${name}`));
  for (let n = 200; n < 1500; n += 1) await bench.put(`k${n}`, bytesOf(n, 4000));
  for (let n = 1400; n < 1500; n += 1) same(await bench.get(`k${n}`), bytesOf(n, 4000));
});
