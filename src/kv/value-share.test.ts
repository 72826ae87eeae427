import assert from 'node:assert/strict';
import { test } from 'node:test';
import { bodyOf, bytesOf, NEVER, readAll, SimValues, same } from '../../sim/sim-values.ts';
import { isForebayError } from '../core/errors.ts';
import { MiB } from '../core/limits.ts';
import type { OpenValue } from './kv.ts';

test('S-4: what is leased or open is not evicted; the rest goes, the one used longest ago first', async () => {
  const bench = new SimValues({ capacityBytes: 64 * MiB });
  await bench.open({ share: 0.25 });
  for (let n = 0; n < 7; n += 1) await bench.put(`k${n}`, bytesOf(n, 2 * MiB));
  assert.equal(bench.values.lease('k0', 60_000), true);
  const opened = bench.values.open('k1');
  assert.ok(opened);
  assert.ok(await bench.get('k2'));
  for (let n = 7; n < 10; n += 1) await bench.put(`k${n}`, bytesOf(n, 2 * MiB));
  assert.deepEqual(bench.gone, ['k3', 'k4']);
  for (const key of ['k0', 'k1', 'k2']) assert.ok(bench.values.find(key), key);
  same(await bench.run(readAll(opened)), bytesOf(1, 2 * MiB));
  opened.close();
  await bench.sleep(61_000);
  for (let n = 10; n < 20; n += 1) await bench.put(`k${n}`, bytesOf(n, 2 * MiB));
  assert.equal(bench.values.find('k0'), undefined, 'its lease has ended');
});

test('S-12: leases cover at most half of the share, and a share full of leased and open values refuses at once', async () => {
  const bench = new SimValues({ capacityBytes: 64 * MiB });
  await bench.open({ share: 0.25 });
  for (let n = 0; n < 8; n += 1) await bench.put(`k${n}`, bytesOf(n, 2 * MiB));
  const granted = Array.from({ length: 8 }, (_, n) => bench.values.lease(`k${n}`, 10_000));
  assert.deepEqual(granted, [true, true, true, true, false, false, false, false]);
  assert.equal(bench.values.status.leasedBytes, 8 * MiB);
  const opened = [4, 5, 6, 7].map((n) => bench.values.open(`k${n}`) as OpenValue);
  const before = bench.clock.nowMs;
  await assert.rejects(bench.put('more', bytesOf(1, 2 * MiB)), (error) => isForebayError(error, 'diskFull'));
  await assert.rejects(bench.put('small', bytesOf(1, 100)), (error) => isForebayError(error, 'diskFull'));
  assert.ok(bench.clock.nowMs - before < 10);
  for (const each of opened) each.close();
  await bench.sleep(100);
  assert.equal(await bench.put('more', bytesOf(1, 2 * MiB)), 'stored');
  await bench.sleep(12_000);
  assert.equal(bench.values.status.leasedBytes, 0);
  assert.equal(bench.values.lease('k7', 1000), true);
});

test('S-12: a volume of small values that come and go stays within its share', async () => {
  const bench = new SimValues({ capacityBytes: 64 * MiB });
  await bench.open({ share: 0.0625 }, { hotBytes: MiB });
  const share = bench.values.status.shareBytes;
  let most = 0;
  for (let round = 0; round < 5; round += 1) {
    await bench.run(
      (async () => {
        for (let n = 0; n < 1300; n += 1) {
          const key = `k${(round * 911 + n * 7) % 20_000}`;
          await bench.values.put(key, bodyOf(bytesOf(round + n, 300 + ((n * 37) % 1500))), { signal: NEVER });
          most = Math.max(most, bench.values.status.footprintBytes);
        }
      })(),
    );
  }
  assert.ok(most <= share, `${most} bytes of ${share}`);
  assert.ok(bench.store.status.usedBytes <= share, 'on the disk, too');
  const { bytes, evicted } = bench.values.status;
  assert.ok(bytes > 0.7 * share, `${bytes} bytes of values in ${share}`);
  assert.ok(evicted > 1000, `${evicted} evicted`);
});

test('the cache takes what values do not use, and gives it back', async () => {
  const bench = new SimValues({ capacityBytes: 32 * MiB });
  await bench.open({ share: 0.5 });
  const { store } = bench;
  const fill = async (n: number) => {
    const content = { id: `${'f'.repeat(30)}${n + 10}` as never, sizeBytes: 4 * MiB, chunkSizeBytes: 4 * MiB };
    const hold = store.hold(content);
    for (let block = 0; block < 4; block += 1) {
      const reservation = await store.reserve(MiB);
      assert.ok(reservation);
      await store.putBlock(content, block, bytesOf(n, MiB), reservation);
      reservation.release();
    }
    hold.release();
  };
  for (let n = 0; n < 7; n += 1) await bench.run(fill(n));
  for (let n = 0; n < 8; n += 1) await bench.put(`k${n}`, bytesOf(n, 2 * MiB));
  assert.equal(bench.values.status.values, 8);
  assert.ok(store.status.usedBytes <= 32 * MiB);
  for (let n = 10; n < 17; n += 1) await bench.run(fill(n));
  assert.equal(bench.values.status.values, 8, 'the cache never takes from values');
});

test('time to live: put, changed, not at all, over; a restart and a clock that jumps never lengthen it', async () => {
  const bench = new SimValues();
  await bench.open({ ttlMs: 60_000 });
  await bench.put('default', bytesOf(1, 100));
  await bench.put('short', bytesOf(2, 100), 5000);
  await bench.put('far', bytesOf(3, 100), 1e15);
  await bench.put('never', bytesOf(4, 2 * MiB), Number.POSITIVE_INFINITY);
  await bench.put('changed', bytesOf(5, 100), 5000);
  assert.equal(bench.values.expire('changed', 50_000), true);
  assert.equal(bench.values.expire('absent', 50_000), false);
  await bench.put('zero', bytesOf(6, 100));
  assert.equal(bench.values.expire('zero', 0), true);
  assert.equal(bench.values.find('zero'), undefined);
  await bench.sleep(7000);
  assert.deepEqual(bench.gone, ['short'], 'the sweep found it');
  await bench.run(bench.values.written());
  bench.crash('process');
  bench.machine.jumpWall(-3_600_000);
  await bench.open({ ttlMs: 60_000 });
  assert.ok((bench.values.find('default')?.remainingMs ?? 0) <= 60_000);
  assert.ok((bench.values.find('changed')?.remainingMs ?? 0) <= 50_000);
  assert.equal(bench.values.find('never')?.remainingMs, Number.POSITIVE_INFINITY);
  await bench.run(bench.values.written());
  bench.crash('process');
  bench.machine.jumpWall(7_200_000);
  await bench.open({ ttlMs: 60_000 });
  assert.equal(bench.values.find('default'), undefined, 'its time is over by the wall');
  assert.ok(bench.values.find('far'));
  same(await bench.get('never'), bytesOf(4, 2 * MiB));
});

test('a put that renews or names a time to live of nothing', async () => {
  const bench = new SimValues();
  await bench.open();
  await bench.put('k', bytesOf(1, 100), 5000);
  await bench.sleep(3000);
  assert.equal(await bench.put('k', bytesOf(1, 100), 5000), 'same');
  await bench.sleep(3000);
  same(await bench.get('k'), bytesOf(1, 100));
  await bench.put('k', bytesOf(1, 100), 0);
  assert.equal(await bench.get('k'), undefined);
});

test('the parts of an entry are leased, used and evicted together', async () => {
  const bench = new SimValues({ capacityBytes: 64 * MiB });
  await bench.open({ share: 0.25 });
  await bench.put('ametadata', bytesOf(1, 100));
  await bench.put('akv_bytes', bytesOf(2, 3 * MiB));
  await bench.put('bkv_bytes', bytesOf(3, 3 * MiB));
  await bench.put('bmetadata', bytesOf(4, 100));
  await bench.put('c', bytesOf(5, 3 * MiB));
  assert.equal(bench.values.lease('ametadata', 1000), true);
  assert.equal(bench.values.status.leasedBytes, 3 * MiB + 128, 'both parts');
  await bench.sleep(3000);
  assert.ok(await bench.get('bmetadata'));
  await bench.put('d', bytesOf(6, 3 * MiB));
  await bench.put('e', bytesOf(7, 3 * MiB));
  await bench.put('f', bytesOf(8, 3 * MiB));
  assert.deepEqual(bench.gone, ['c']);
  await bench.put('g', bytesOf(9, 3 * MiB));
  assert.deepEqual(bench.gone.slice(1).sort(), ['akv_bytes', 'ametadata']);
  assert.ok(bench.values.find('bkv_bytes') && bench.values.find('bmetadata'));
  assert.equal(bench.values.drop('bkv_bytes'), true);
  assert.ok(bench.values.find('bmetadata'), 'what a client deletes is the part that it names');
});

test('keys have a bound: at it the entry used longest ago goes', async () => {
  const bench = new SimValues();
  await bench.open({}, { keysMax: 3 });
  for (const key of ['a', 'b', 'c']) await bench.put(key, bytesOf(1, 100));
  await bench.get('a');
  await bench.put('d', bytesOf(1, 100));
  await bench.put('e', bytesOf(1, 2 * MiB));
  assert.deepEqual(bench.gone, ['b', 'c']);
  for (const key of ['a', 'd', 'e']) bench.values.lease(key, 60_000);
  await assert.rejects(bench.put('f', bytesOf(1, 100)), (error) => isForebayError(error, 'diskFull'));
});

test('S-10: a value whose time ends while it is leased stays until the lease does', async () => {
  const bench = new SimValues();
  await bench.open();
  await bench.put('k', bytesOf(1, 100), 2000);
  assert.equal(bench.values.lease('k', 6000), true);
  await bench.sleep(4500);
  same(await bench.get('k'), bytesOf(1, 100));
  assert.equal(bench.values.find('k')?.remainingMs, 0);
  await bench.sleep(3000);
  assert.equal(await bench.get('k'), undefined);
  assert.deepEqual(bench.gone, ['k']);
});
