import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ramp, SimStore, tableOf } from '../../sim/sim-store.ts';
import { assertRight, CHUNK, idOf, noteOf, write } from '../../sim/staged-writes.ts';
import { isForebayError } from '../core/errors.ts';
import { MiB } from '../core/limits.ts';

test('a replica takes over what is here as cache, and a reader that fills it meanwhile pays nothing', async () => {
  const bench = new SimStore();
  let store = await bench.open();
  const content = { id: idOf(1), sizeBytes: 6 * MiB + 5, chunkSizeBytes: CHUNK };
  const hold = store.hold(content);
  const reservation = await bench.run(store.reserve(8 * MiB));
  assert.ok(reservation);
  const put = (block: number) =>
    store.putBlock(
      content,
      block,
      ramp(content.id, block * MiB, Math.min((block + 1) * MiB, content.sizeBytes)),
      reservation,
    );
  for (const block of [0, 6]) await bench.run(put(block));
  const staging = await bench.run(
    store.stage({ id: content.id, chunkSizeBytes: CHUNK, lengthBytes: content.sizeBytes }),
  );
  await assert.rejects(bench.run(store.stage({ id: content.id, chunkSizeBytes: CHUNK })), (error) =>
    isForebayError(error, 'conflict'),
  );
  assert.deepEqual(Array.from(staging.wholeBlocks()), [0, 6]);
  await bench.run(put(3));
  for (const block of [1, 2, 4, 5])
    await bench.run(staging.write(block * MiB, ramp(content.id, block * MiB, (block + 1) * MiB)));
  assert.equal((await bench.run(staging.sum(content.sizeBytes))).table, tableOf(content.id, content.sizeBytes));
  await bench.run(staging.seal(noteOf('k')));
  reservation.release();
  hold.release();
  assert.equal(store.status.usedBytes, content.sizeBytes);
  bench.crash('process');
  store = await bench.open();
  assert.equal(store.dirty(content.id)?.key, 'k');
  await bench.run(assertRight(store, content.id, content.sizeBytes));
});

test('S-3: a copy over cache that is found wrong begins a file of its own, which the removal of the old one does not take', async () => {
  for (const canPunch of [true, false]) {
    const bench = new SimStore({ canPunch });
    let store = await bench.open();
    const content = { id: idOf(1), sizeBytes: MiB, chunkSizeBytes: CHUNK };
    const reservation = await bench.run(store.reserve(MiB));
    assert.ok(reservation);
    const hold = store.hold(content);
    await bench.run(store.putBlock(content, 0, ramp(content.id, 0, MiB), reservation));
    hold.release();
    reservation.release();
    await bench.rest();
    assert.ok(bench.disk.rot((path) => path.endsWith('.data')));
    bench.crash('machine');
    store = await bench.open();
    await bench.run(write(store, content.id, MiB));
    await bench.rest();
    await bench.run(assertRight(store, content.id, MiB));
    bench.crash('machine');
    store = await bench.open();
    assert.equal(store.dirty(content.id)?.key, content.id);
    await bench.run(assertRight(store, content.id, MiB));
  }
});
