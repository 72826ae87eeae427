import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ramp, SimStore, tableOf } from '../../sim/sim-store.ts';
import { isForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { MiB } from '../core/limits.ts';
import { bytesOfPiece } from './piece.ts';
import type { Store } from './store.ts';

const id = '00000000000000000000000000000007' as ContentId;
const note = { volume: 'v', key: 'k', record: Buffer.from('{}') };

async function put(bench: SimStore, path: string, bytes: Uint8Array, at = 0): Promise<void> {
  const file = await bench.io.open(path, { write: true, create: true });
  await file.write(at, bytes);
  await file.close();
}

async function readAll(store: Store, sizeBytes: number): Promise<Buffer | undefined> {
  const hold = store.hold({ id, sizeBytes, chunkSizeBytes: 4 * MiB });
  const slices: Uint8Array[] = [];
  for (let at = 0; at < sizeBytes; ) {
    const piece = await store.acquire(id, { start: at, end: sizeBytes }, { verify: false });
    if (piece === undefined) break;
    const bytes = await bytesOfPiece(piece);
    slices.push(bytes);
    piece.release();
    at += bytes.length;
  }
  hold.release();
  const bytes = Buffer.concat(slices);
  return bytes.length === sizeBytes ? bytes : undefined;
}

const take = async (store: Store) => {
  const blocks: number[] = [];
  const taken = await store.stageFile({
    id,
    chunkSizeBytes: 4 * MiB,
    from: '/job/file',
    onBlock: (block) => void blocks.push(block),
  });
  const sealed = await taken.staging.sum(taken.sizeBytes);
  await taken.staging.seal(note);
  return { ...sealed, blocks };
};

test('S-3: a file that is taken over is linked, costs no second copy, and outlives its own name and a power cut', async () => {
  const bench = new SimStore();
  let store = await bench.open();
  await bench.run(bench.io.makeDirectory('/job'));
  const bytes = ramp(id, 0, 5 * MiB + 9);
  await bench.run(put(bench, '/job/file', bytes));
  const before = bench.disk.usedBytes;
  const sealed = await bench.run(take(store));
  assert.equal(sealed.table, tableOf(id, bytes.length));
  assert.deepEqual(sealed.blocks, [0, 1, 2, 3, 4, 5]);
  assert.ok(bench.disk.usedBytes - before < MiB, 'its blocks are there once');
  assert.equal(store.status.usedBytes, bytes.length);
  await bench.run(bench.io.unlink('/job/file'));
  bench.crash('machine');
  store = await bench.open();
  assert.equal(store.dirty(id)?.key, 'k');
  assert.equal((await bench.run(readAll(store, bytes.length)))?.compare(bytes), 0);
});

test('S-1: of a linked file that is changed in place nothing wrong is given out, and the change is not undone', async () => {
  const bench = new SimStore();
  const store = await bench.open();
  await bench.run(bench.io.makeDirectory('/job'));
  const bytes = ramp(id, 0, 3 * MiB);
  await bench.run(put(bench, '/job/file', bytes));
  await bench.run(take(store));
  assert.equal((await bench.run(readAll(store, bytes.length)))?.compare(bytes), 0);
  await bench.run(put(bench, '/job/file', Buffer.from('changed'), MiB + 5));
  assert.equal(await bench.run(readAll(store, bytes.length)), undefined);
  const file = await bench.run(bench.io.open('/job/file'));
  assert.equal(Buffer.from(await bench.run(file.read(MiB + 5, 7))).toString(), 'changed');
});

test('a file that changes while it is taken over, is none, or is gone, is refused, and nothing is left of it', async () => {
  const bench = new SimStore();
  const store = await bench.open();
  await bench.run(bench.io.makeDirectory('/job'));
  await bench.run(put(bench, '/job/file', ramp(id, 0, 9 * MiB)));
  const taking = take(store);
  const refused = assert.rejects(taking, (error) => isForebayError(error, 'versionChanged'));
  await bench.rest(3);
  await bench.run(put(bench, '/job/file', Buffer.from('later'), 7));
  await bench.run(refused);
  for (const [from, code] of [
    ['/job', 'invalidArgument'],
    ['/job/none', 'noSuchKey'],
  ] as const) {
    const none = store.stageFile({ id, chunkSizeBytes: 4 * MiB, from });
    await assert.rejects(bench.run(none), (error) => isForebayError(error, code));
  }
  await bench.rest();
  assert.equal(store.status.usedBytes, 0);
  assert.equal(store.status.contents, 0);
  await bench.run(take(store));
});

test('a small file is copied, and one that came as a whole goes into a pack', async () => {
  const bench = new SimStore();
  const store = await bench.open();
  await bench.run(bench.io.makeDirectory('/job'));
  await bench.run(put(bench, '/job/file', ramp(id, 0, 700)));
  await bench.run(take(store));
  await bench.run(put(bench, '/job/file', Buffer.from('later')));
  assert.equal((await bench.run(readAll(store, 700)))?.compare(ramp(id, 0, 700)), 0);
});

test('S-3, S-14: at whatever operation of the disk the crash comes, a file is taken over whole or not at all, and stays as it is', async () => {
  let crashes = 0;
  const bytes = ramp(id, 0, 2 * MiB + 9);
  for (const kind of ['process', 'machine'] as const) {
    for (let operation = 1, came = true; came; operation += 1) {
      const bench = new SimStore({ seed: operation });
      let store = await bench.open();
      await bench.run(bench.io.makeDirectory('/job'));
      await bench.run(put(bench, '/job/file', bytes));
      const synced = await bench.run(bench.io.open('/job/file'));
      await bench.run(synced.sync());
      for (const directory of ['/', '/job']) await bench.run(bench.io.syncDirectory(directory));
      let isSealed = false;
      came = await bench.crashAt(operation, kind, async () => {
        await take(store);
        isSealed = true;
      });
      if (!came) break;
      crashes += 1;
      store = await bench.open();
      await bench.rest();
      const dirty = store.dirty(id);
      assert.ok(!isSealed || dirty !== undefined, 'what was sealed is there');
      if (dirty !== undefined) assert.equal((await bench.run(readAll(store, bytes.length)))?.compare(bytes), 0);
      else assert.equal(store.presentBytes({ id, sizeBytes: bytes.length }), 0);
      const file = await bench.run(bench.io.open('/job/file'));
      assert.equal(Buffer.compare(await bench.run(file.read(0, bytes.length + 1)), bytes), 0, 'the file is as it was');
      await bench.run(store.close());
    }
  }
  assert.ok(crashes > 20, `${crashes} crashes`);
});

test('a linked file that its job changed in place is never written, whenever the crash comes after its bytes were found wrong', async () => {
  const bytes = ramp(id, 0, 2 * MiB);
  let crashes = 0;
  for (let operation = 1, came = true; came; operation += 1) {
    const bench = new SimStore({ seed: operation });
    let store = await bench.open();
    await bench.run(bench.io.makeDirectory('/job'));
    await bench.run(put(bench, '/job/file', bytes));
    await bench.run(take(store));
    await bench.run(put(bench, '/job/file', Buffer.from('changed'), 77));
    const theirs = Buffer.from(bytes);
    theirs.write('changed', 77);
    came = await bench.crashAt(operation, 'process', async () => {
      assert.equal(await readAll(store, bytes.length), undefined);
      await bench.clock.sleep(1000);
    });
    if (came) crashes += 1;
    if (came) store = await bench.open();
    await bench.rest();
    // Another node has the bytes: they are fetched again.
    const hold = store.hold({ id, sizeBytes: bytes.length, chunkSizeBytes: 4 * MiB });
    const reservation = await bench.run(store.reserve(4 * MiB));
    assert.ok(reservation);
    await bench.run(store.verify(id, 'check'));
    for (const block of [0, 1])
      if (!store.hasBlock(id, block)) {
        const content = { id, sizeBytes: bytes.length, chunkSizeBytes: 4 * MiB };
        await bench.run(store.putBlock(content, block, bytes.subarray(block * MiB, (block + 1) * MiB), reservation));
      }
    reservation.release();
    hold.release();
    assert.equal((await bench.run(readAll(store, bytes.length)))?.compare(bytes), 0);
    const file = await bench.run(bench.io.open('/job/file'));
    assert.equal(Buffer.compare(await bench.run(file.read(0, bytes.length)), theirs), 0, 'their file is theirs');
  }
  assert.ok(crashes > 3, `${crashes} crashes`);
});
