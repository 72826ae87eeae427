import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { ramp, SimStore, tableOf } from '../../sim/sim-store.ts';
import { assertRight, CHUNK, idOf, noteOf, write } from '../../sim/staged-writes.ts';
import { isForebayError } from '../core/errors.ts';
import { MiB } from '../core/limits.ts';
import { inspectDirectory } from './inspect.ts';
import type { Sealed, Staging } from './staging.ts';
import type { Store } from './store.ts';

const SIZES = [0, 1, 900, 32 * 1024 - 1, 32 * 1024, MiB - 1, MiB, MiB + 1, 4 * MiB, 9 * MiB + 5];

test('S-3, S-14: what was sealed is dirty, whole and right after kill -9 and after a power cut', async () => {
  for (const kind of ['process', 'machine'] as const) {
    const bench = new SimStore();
    let store = await bench.open();
    for (const [n, sizeBytes] of SIZES.entries()) await bench.run(write(store, idOf(n), sizeBytes));
    bench.crash(kind);
    store = await bench.open();
    assert.equal(Array.from(store.dirtyContents()).length, SIZES.length);
    for (const [n, sizeBytes] of SIZES.entries()) {
      const dirty = store.dirty(idOf(n));
      assert.equal(dirty?.sizeBytes, sizeBytes);
      assert.equal(dirty.key, idOf(n));
      assert.equal(Buffer.from(dirty.record).toString(), `{"record":"${idOf(n)}"}`);
      await bench.run(assertRight(store, idOf(n), sizeBytes));
    }
    assert.equal(
      store.status.dirtyBytes,
      SIZES.reduce((sum, size) => sum + size, 0),
    );
    assert.ok(!bench.events.some((event) => event.kind === 'store.corrupt'));
  }
});

test('S-3, S-14: at whatever operation of the disk the crash comes, a content is whole and dirty, or nothing of it is left', async () => {
  let crashes = 0;
  for (const kind of ['process', 'machine'] as const) {
    for (const sizeBytes of [700, 2 * MiB + 3]) {
      for (let operation = 1, came = true; came; operation += 1) {
        const bench = new SimStore({ seed: operation });
        let store = await bench.open({ snapshotAfterBytes: 200 });
        await bench.run(write(store, idOf(1), MiB));
        await bench.rest();
        let isSealed = false;
        came = await bench.crashAt(operation, kind, async () => {
          await write(store, idOf(2), sizeBytes);
          isSealed = true;
        });
        if (!came) break;
        crashes += 1;
        store = await bench.open();
        await bench.rest();
        await bench.run(assertRight(store, idOf(1), MiB));
        assert.ok(!isSealed || store.dirty(idOf(2)) !== undefined, 'what was sealed is there');
        if (store.dirty(idOf(2)) !== undefined) await bench.run(assertRight(store, idOf(2), sizeBytes));
        else assert.equal(store.presentBytes({ id: idOf(2), sizeBytes }), 0, `operation ${operation}`);
        await bench.run(store.reserve(60 * MiB)).then((reservation) => reservation?.release());
        if (store.dirty(idOf(2)) === undefined)
          assert.equal(await bench.run(bench.io.stat(store.dataPath(idOf(2)))), undefined, 'its space is free');
        await bench.run(store.close());
      }
    }
  }
  assert.ok(crashes > 40, `${crashes} crashes`);
});

test('S-14: staged contents vanish with their daemon, and their space is free', async () => {
  const bench = new SimStore();
  let store = await bench.open();
  await bench.run(write(store, idOf(1), 9 * MiB, { until: 'written' }));
  await bench.run(write(store, idOf(2), 5 * MiB, { until: 'summed' }));
  await bench.run(write(store, idOf(3), 500, { until: 'summed' }));
  assert.ok(store.status.stagedBytes >= 14 * MiB);
  await bench.rest();
  bench.crash('process');
  const inspection = await bench.run(inspectDirectory(bench.io, bench.directory));
  assert.equal(inspection.unsealed, 3);
  store = await bench.open();
  await bench.rest();
  assert.equal(store.status.usedBytes, 0);
  assert.deepEqual(Array.from(store.dirtyContents()), []);
  for (const n of [1, 2]) assert.equal(await bench.run(bench.io.stat(store.dataPath(idOf(n)))), undefined);
});

test('S-4: what is dirty is not evicted, evicted by hand, dropped as stale, or moved; cleaned, it is cache like any other', async () => {
  const bench = new SimStore();
  const store = await bench.open({ capacityBytes: 24 * MiB });
  await bench.run(write(store, idOf(1), 10 * MiB));
  await bench.run(write(store, idOf(2), 1000));
  for (const n of [1, 2]) {
    store.drop(idOf(n), 'stale');
    assert.equal(await bench.run(store.evict(idOf(n))), 0);
  }
  for (let n = 10; n < 20; n += 1) {
    await bench.run(write(store, idOf(n), 6 * MiB));
    await bench.run(write(store, idOf(100 + n), 900));
    store.cleaned(idOf(n));
    store.cleaned(idOf(100 + n));
    assert.ok(store.status.usedBytes <= 24 * MiB);
  }
  await bench.run(assertRight(store, idOf(1), 10 * MiB));
  await bench.run(assertRight(store, idOf(2), 1000));
  store.cleaned(idOf(1));
  assert.equal(store.dirty(idOf(1)), undefined);
  await bench.rest();
  assert.equal(await bench.run(bench.io.stat(store.dataPath(idOf(1)).replace('.data', '.table'))), undefined);
  assert.equal(await bench.run(store.evict(idOf(1))), 10 * MiB);
});

test('S-4: a write waits for room, first come first served, and fails with diskFull when none comes in time', async () => {
  const bench = new SimStore();
  const store = await bench.open({ capacityBytes: 32 * MiB });
  await bench.run(write(store, idOf(1), 20 * MiB));
  const refused = store.stage({ id: idOf(2), chunkSizeBytes: CHUNK, lengthBytes: 16 * MiB, onFull: 'fail' });
  await assert.rejects(bench.run(refused), (error) => isForebayError(error, 'diskFull'));
  const late = store.stage({ id: idOf(3), chunkSizeBytes: CHUNK, lengthBytes: 30 * MiB });
  await assert.rejects(bench.run(late), (error) => isForebayError(error, 'diskFull'));
  const order: number[] = [];
  const both = [4, 5].map(async (n) => {
    await write(store, idOf(n), 18 * MiB);
    order.push(n);
    store.discard(idOf(n));
  });
  const abort = new AbortController();
  const given = store.stage({ id: idOf(6), chunkSizeBytes: CHUNK, lengthBytes: 14 * MiB, signal: abort.signal });
  const left = assert.rejects(given, /enough/);
  await bench.rest(5000);
  abort.abort(new Error('enough'));
  assert.deepEqual(order, []);
  store.discard(idOf(1));
  await bench.run(Promise.all(both));
  await bench.run(left);
  assert.deepEqual(order, [4, 5]);
  await bench.rest();
  assert.equal(store.status.usedBytes, 0);
  assert.equal(store.status.reservedBytes, 0);
});

test('eight writers of unknown length on a disk for five all end, when what is done is drained', async () => {
  const bench = new SimStore();
  const store = await bench.open({ capacityBytes: 40 * MiB });
  const work = Array.from({ length: 8 }, async (_, n) => {
    await write(store, idOf(n), 8 * MiB, { isDeclared: false });
    store.cleaned(idOf(n));
  });
  await bench.run(Promise.all(work));
  assert.equal(store.status.reservedBytes, 0);
  assert.ok(store.status.usedBytes <= 40 * MiB);
});

test('a disk that is fuller than configured makes a write wait, and gives up in time', async () => {
  const bench = new SimStore({ diskBytes: 24 * MiB });
  const store = await bench.open({ capacityBytes: 256 * MiB });
  await bench.run(write(store, idOf(1), 12 * MiB));
  const staging = await bench.run(write(store, idOf(2), 4 * MiB, { until: 'written', isDeclared: false }));
  const more = staging.write(4 * MiB, ramp(idOf(2), 4 * MiB, 12 * MiB));
  await assert.rejects(bench.run(more), (error) => isForebayError(error, 'diskFull'));
  staging.abandon();
  await bench.rest();
  await bench.run(assertRight(store, idOf(1), 12 * MiB));
  const other = write(store, idOf(3), 9 * MiB);
  await bench.rest(2000);
  store.discard(idOf(1));
  await bench.run(other);
  await bench.run(assertRight(store, idOf(3), 9 * MiB));
});

test('bytes may come in any order, size and alignment, and twice; every block is summed and told of once it is whole', async () => {
  const bench = new SimStore();
  const store = await bench.open();
  const [id, sizeBytes] = [idOf(1), 3 * MiB + 777];
  const whole: number[] = [];
  const staging = await bench.run(
    store.stage({ id, chunkSizeBytes: CHUNK, onBlock: (block) => void whole.push(block) }),
  );
  const pieces: [number, number][] = [];
  for (let at = 0; at < sizeBytes; at += 100_003) pieces.push([at, Math.min(at + 100_003, sizeBytes)]);
  for (let at = 0; at < pieces.length; at += 1) pieces.push(...pieces.splice((at * 7919) % pieces.length, 1));
  await bench.run(staging.write(10, new Uint8Array(200_000)));
  await bench.run(Promise.all(pieces.map(([start, end]) => staging.write(start, ramp(id, start, end)))));
  await bench.rest();
  assert.deepEqual(
    whole.toSorted((a, b) => a - b),
    [0, 1, 2],
  );
  assert.deepEqual(Array.from(staging.wholeBlocks()), [0, 1, 2]);
  await assert.rejects(bench.run(staging.sum(sizeBytes + 1)), (error) => isForebayError(error, 'incompleteBody'));
  assert.equal((await bench.run(staging.sum(sizeBytes))).table, tableOf(id, sizeBytes));
  await bench.run(staging.seal(noteOf('k')));
  await bench.run(assertRight(store, id, sizeBytes));
  assert.equal(store.status.usedBytes, sizeBytes);
});

test('a length below what was written cuts the rest off, also down to a small content', async () => {
  for (const sizeBytes of [5 * MiB + 9, 2 * MiB, 100]) {
    const bench = new SimStore();
    const store = await bench.open();
    const staging = await bench.run(
      write(store, idOf(1), 9 * MiB, { until: 'written', isDeclared: false, pieceBytes: 3 * MiB }),
    );
    const sealed: Sealed = await bench.run(staging.sum(sizeBytes));
    assert.equal(sealed.table, tableOf(idOf(1), sizeBytes));
    await bench.run(staging.seal(noteOf('k')));
    await bench.rest();
    await bench.run(assertRight(store, idOf(1), sizeBytes));
    const file = await bench.run(bench.io.stat(store.dataPath(idOf(1))));
    assert.equal(file?.sizeBytes, sizeBytes === 100 ? undefined : sizeBytes);
    assert.equal(store.status.usedBytes, sizeBytes === 100 ? 128 : sizeBytes);
  }
});

/** Pulls blocks as a peer does; `undefined` where the holder has none. */
async function pull(from: Store, to: Staging, ask: { first: number; count: number; sizeBytes: number }) {
  const hold = from.holdKnown(to.id, ask.sizeBytes);
  const run = hold && (await from.acquireBlocks(to.id, ask, ask.sizeBytes));
  if (run === undefined) {
    hold?.release();
    return undefined;
  }
  const receiving = await to.receive(run.first);
  for (const [at, checksum] of run.checksums.entries()) {
    const start = (run.first + at) * MiB;
    const length = Math.min(MiB, ask.sizeBytes - start);
    const bytes: Uint8Array =
      run.source.kind === 'file'
        ? await run.source.file.read(start, length)
        : (run.source as { bytes: Uint8Array }).bytes;
    assert.equal(crc32(bytes), checksum);
    assert.equal(bytes.length, length);
    await receiving.file.write(start, bytes);
    receiving.stored(run.first + at, checksum, to.reservation);
  }
  receiving.close();
  run.release();
  hold?.release();
  return run.checksums.length;
}

test('blocks go to a peer while the rest still comes, whole ones only, and the last one when the size is known', async () => {
  const [writer, replica] = [new SimStore(), new SimStore({ seed: 8 })];
  const [from, into] = [await writer.open(), await replica.open()];
  const [id, sizeBytes] = [idOf(1), 6 * MiB + 5];
  const source = await writer.run(write(from, id, 2 * MiB + 100, { until: 'written', isDeclared: false }));
  const target = await replica.run(into.stage({ id, chunkSizeBytes: CHUNK }));
  // each disk has a clock of its own: both run
  const both = async <T>(work: Promise<T>) => {
    let isDone = false;
    const done = work.finally(() => {
      isDone = true;
    });
    done.catch(() => undefined);
    while (!isDone) {
      await writer.rest(1);
      await replica.rest(1);
    }
    return done;
  };
  assert.equal(await both(pull(from, target, { first: 0, count: 4, sizeBytes: 4 * MiB })), 2);
  assert.equal(await both(pull(from, target, { first: 2, count: 1, sizeBytes: 3 * MiB })), undefined);
  await writer.run(source.write(2 * MiB + 100, ramp(id, 2 * MiB + 100, sizeBytes)));
  assert.equal(await both(pull(from, target, { first: 2, count: 2, sizeBytes: 4 * MiB })), 2);
  const sealed = await writer.run(source.sum(sizeBytes));
  await writer.run(source.seal(noteOf('k')));
  assert.equal(
    await both(pull(from, target, { first: 6, count: 1, sizeBytes: 7 * MiB })),
    undefined,
    'not of that length',
  );
  target.sized(sizeBytes);
  for (const first of [4, 6]) await both(pull(from, target, { first, count: 3, sizeBytes }));
  assert.deepEqual(await replica.run(target.sum(sizeBytes)), sealed);
  await replica.run(target.seal(noteOf('k')));
  replica.crash('machine');
  const again = await replica.open();
  await replica.run(assertRight(again, id, sizeBytes));
  assert.equal(again.status.usedBytes, sizeBytes);
});

test('abandoned, a content is gone at once, and may be staged anew', async () => {
  const bench = new SimStore();
  const store = await bench.open();
  for (const [sizeBytes, until] of [
    [9 * MiB, 'written'],
    [9 * MiB, 'summed'],
    [700, 'written'],
    [700, 'summed'],
  ] as const) {
    const staging = await bench.run(write(store, idOf(1), sizeBytes, { until, isDeclared: false }));
    void (until === 'written' && sizeBytes > MiB && staging.write(5, ramp(idOf(1), 5, 2 * MiB)).catch(() => undefined));
    staging.abandon();
    await bench.run(write(store, idOf(1), sizeBytes));
    await bench.run(assertRight(store, idOf(1), sizeBytes));
    store.discard(idOf(1));
    await bench.rest();
  }
  assert.ok(store.status.usedBytes < 4000, 'packs keep a few bytes');
  assert.equal(store.status.contents, 0);
  assert.equal(store.status.reservedBytes, 0);
});

test('discarded, a dirty content is freed when its last reader lets go, and not before', async () => {
  const bench = new SimStore();
  const store = await bench.open();
  await bench.run(write(store, idOf(1), 3 * MiB));
  const hold = store.hold({ id: idOf(1), sizeBytes: 3 * MiB, chunkSizeBytes: CHUNK });
  store.discard(idOf(1));
  assert.equal(store.dirty(idOf(1)), undefined);
  assert.equal(store.presentBytes({ id: idOf(1), sizeBytes: 3 * MiB }), 3 * MiB);
  hold.release();
  await bench.rest();
  assert.equal(store.status.usedBytes, 0);
  bench.crash('process');
  assert.deepEqual(Array.from((await bench.open()).dirtyContents()), []);
});

test('S-9: rot in a dirty content is found, and only the wrong block is dropped', async () => {
  const bench = new SimStore();
  const store = await bench.open();
  await bench.run(write(store, idOf(1), 3 * MiB));
  assert.ok(bench.disk.rot((path) => path.endsWith('.data')));
  const hold = store.hold({ id: idOf(1), sizeBytes: 3 * MiB, chunkSizeBytes: CHUNK });
  assert.equal(await bench.run(store.verify(idOf(1), 'scrub')), 1);
  hold.release();
  assert.equal(store.presentBytes({ id: idOf(1), sizeBytes: 3 * MiB }), 2 * MiB);
  assert.equal(store.dirty(idOf(1))?.key, idOf(1));
});

test('a note may be replaced; snapshots keep what is dirty and what is being written', async () => {
  const bench = new SimStore();
  let store = await bench.open({ snapshotAfterBytes: 300 });
  await bench.run(write(store, idOf(1), 3 * MiB));
  await bench.run(write(store, idOf(2), 800));
  const staged = await bench.run(write(store, idOf(3), 2 * MiB, { until: 'summed' }));
  for (let n = 0; n < 50; n += 1) {
    store.renote(idOf(1), noteOf(`renamed-${n}`));
    store.renote(idOf(2), noteOf(`small-${n}`));
    await bench.rest(10);
  }
  await bench.run(staged.seal(noteOf('third')));
  await bench.rest();
  bench.crash('process');
  store = await bench.open();
  assert.equal(store.dirty(idOf(1))?.key, 'renamed-49');
  assert.equal(store.dirty(idOf(2))?.key, 'small-49');
  assert.equal(store.dirty(idOf(3))?.key, 'third');
  for (const [n, sizeBytes] of [3 * MiB, 800, 2 * MiB].entries())
    await bench.run(assertRight(store, idOf(n + 1), sizeBytes));
});

test('after damage inside the journal, tables say what was dirty; a torn table says nothing', async () => {
  const bench = new SimStore();
  let store = await bench.open();
  await bench.run(write(store, idOf(1), 3 * MiB));
  await bench.run(write(store, idOf(2), 2 * MiB));
  const table = store.dataPath(idOf(2)).replace('.data', '.table');
  await bench.run(store.close());
  bench.crash('process');
  store = await bench.open();
  await bench.run(write(store, idOf(3), MiB));
  await bench.run(store.close());
  const [log] = (await bench.run(bench.io.list('/cache/journal')))
    .map(({ name }) => name)
    .filter((name) => name.endsWith('.log'))
    .sort();
  const damage = async (path: string, at: number) => {
    const file = await bench.io.open(path, { write: true });
    await file.write(at, new Uint8Array(9).fill(255));
    await file.close();
  };
  await bench.run(damage(`/cache/journal/${log}`, 20));
  await bench.run(damage(table, 30));
  bench.crash('process');
  store = await bench.open();
  assert.equal(store.dirty(idOf(1))?.key, idOf(1));
  await bench.run(assertRight(store, idOf(1), 3 * MiB));
  assert.equal(store.dirty(idOf(2)), undefined);
  await bench.run(assertRight(store, idOf(3), MiB));
  await bench.run(store.close());
  bench.crash('process');
  assert.equal((await bench.open()).dirty(idOf(1))?.key, idOf(1), 'it is in the journal again');
});

test('a directory stays at layout 1 until something is staged in it, and is then refused by older daemons', async () => {
  const bench = new SimStore();
  const store = await bench.open();
  const format = async () => {
    const file = await bench.io.open('/cache/FORMAT');
    return Buffer.from(await file.read(0, 99)).toString();
  };
  assert.equal(await bench.run(format()), 'forebay-store 1\n');
  await bench.run(write(store, idOf(1), 10));
  assert.equal(await bench.run(format()), 'forebay-store 2\n');
});

test('a thousand small contents share their syncs', async () => {
  const bench = new SimStore();
  const store = await bench.open();
  let syncs = 0;
  bench.disk.onOperation = (name) => {
    if (name === 'sync') syncs += 1;
  };
  await bench.run(Promise.all(Array.from({ length: 1000 }, (_, n) => write(store, idOf(n), 1000))));
  assert.ok(syncs < 100, `${syncs} syncs`);
  assert.equal(store.status.dirtyBytes, 1_000_000);
});
