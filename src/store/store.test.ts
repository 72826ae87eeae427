import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Life, SimClock, SimMachineClock } from '../../sim/sim-clock.ts';
import { SimDisk } from '../../sim/sim-disk.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { Trace } from '../../sim/trace.ts';
import { isForebayError } from '../core/errors.ts';
import { type ContentId, originContentId } from '../core/ids.ts';
import { MiB } from '../core/limits.ts';
import type { Event } from '../observe/events.ts';
import { inspectDirectory } from './inspect.ts';
import { openStore } from './open-store.ts';
import { bytesOfPiece } from './piece.ts';
import type { ContentShape, Store } from './store.ts';

const CHUNK = 4 * MiB;
const DIRECTORY = '/cache';

/** A store on a simulated disk; `crash` ends its life and the next `open` begins another. */
class Bench {
  readonly clock: SimClock;
  readonly disk: SimDisk;
  readonly events: Event[] = [];
  readonly #machine: SimMachineClock;
  readonly #random = new SimRandom(7);
  #life = new Life('first');

  constructor(options: { diskBytes?: number; canPunch?: boolean } = {}) {
    const trace = new Trace();
    this.clock = new SimClock(this.#random.fork('clock'), trace);
    this.#machine = new SimMachineClock(this.clock, this.#random.fork('machine'));
    this.disk = new SimDisk({
      clock: this.clock,
      machine: this.#machine,
      random: this.#random.fork('disk'),
      trace,
      capacityBytes: options.diskBytes ?? 512 * MiB,
      canPunch: options.canPunch ?? true,
      canClone: false,
      deadlineMs: 3000,
      faults: { latencyMs: 0.1, bytesPerMs: 1 << 20, slowChance: 0, slowMs: 0, errorChance: 0 },
    });
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.clock.settle(work, this.clock.nowMs + 600_000);
  }

  open(capacityBytes = 64 * MiB, more: { hotBytes?: number; snapshotAfterBytes?: number } = {}): Promise<Store> {
    return this.run(
      openStore({
        disk: this.disk.attach(this.#life),
        clock: this.#machine.attach(this.#life),
        random: this.#random,
        directory: DIRECTORY,
        capacityBytes,
        hotBytes: more.hotBytes ?? 0,
        factBytes: 8 * MiB,
        scrubBytesPerS: 0,
        ...(more.snapshotAfterBytes === undefined ? {} : { snapshotAfterBytes: more.snapshotAfterBytes }),
        emit: (event) => this.events.push(event),
      }),
    );
  }

  crash(kind: 'process' | 'machine'): void {
    this.#life.alive = false;
    this.disk.crash(this.#life, kind);
    if (kind === 'machine') this.#machine.reboot();
    this.#life = new Life('next');
  }

  get openPaths(): readonly string[] {
    return this.disk.openPaths(this.#life);
  }

  get io() {
    return this.disk.attach(this.#life);
  }
}

const shapeOf = (name: string, sizeBytes: number): ContentShape => ({
  id: originContentId({ volume: 'v', key: name, etag: '"1"' }),
  sizeBytes,
  chunkSizeBytes: CHUNK,
});

/** A ramp modulo a prime, so that a misplaced byte shows. */
function bytesOf(content: ContentShape, start: number, end: number): Uint8Array {
  const seed = Number.parseInt(content.id.slice(0, 4), 16);
  const bytes = new Uint8Array(end - start);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = (seed + start + at) % 251;
  return bytes;
}

async function fill(store: Store, content: ContentShape, blocks?: readonly number[]): Promise<void> {
  const hold = store.hold(content);
  const small = content.sizeBytes < 32 * 1024;
  for (const block of blocks ?? Array.from({ length: Math.ceil(content.sizeBytes / MiB) }, (_, at) => at)) {
    const bytes = bytesOf(content, block * MiB, Math.min((block + 1) * MiB, content.sizeBytes));
    const reservation = await store.reserve(bytes.length + 28);
    assert.ok(reservation, 'there is room');
    if (small) await store.putSmall(content, bytes, reservation);
    else await store.putBlock(content, block, bytes, reservation);
    reservation.release();
  }
  hold.release();
}

/** What the store gives of a content, whole; `undefined` where it lacks any of it. */
async function readAll(store: Store, content: ContentShape, verify = false): Promise<Uint8Array | undefined> {
  const hold = store.hold(content);
  const slices: Uint8Array[] = [];
  let at = 0;
  try {
    while (at < content.sizeBytes) {
      const piece = await store.acquire(content.id, { start: at, end: content.sizeBytes }, { verify });
      if (piece === undefined) return undefined;
      const bytes = await bytesOfPiece(piece);
      piece.release();
      slices.push(Uint8Array.from(bytes));
      at += bytes.length;
    }
    return Buffer.concat(slices);
  } finally {
    hold.release();
  }
}

const isWhole = async (store: Store, content: ContentShape) => {
  const bytes = await readAll(store, content);
  if (bytes !== undefined)
    assert.ok(Buffer.compare(bytes, bytesOf(content, 0, content.sizeBytes)) === 0, 'right bytes');
  return bytes !== undefined;
};

test('S-14: after kill -9 and a restart everything that was stored is there, and right', async () => {
  const bench = new Bench();
  const contents = [
    shapeOf('large', 9 * MiB + 5),
    shapeOf('small', 900),
    shapeOf('edge', 32 * 1024),
    shapeOf('one', 1),
  ];
  let store = await bench.open();
  for (const content of contents) await bench.run(fill(store, content));
  await bench.run(bench.clock.sleep(1000));
  bench.crash('process');
  store = await bench.open();
  for (const content of contents) assert.ok(await bench.run(isWhole(store, content)), content.id);
  assert.ok(!bench.events.some((event) => event.kind === 'store.corrupt'));
});

test('S-9: after a power cut every block is checked before its first use, and none is wrong', async () => {
  const bench = new Bench();
  const content = shapeOf('large', 30 * MiB);
  let store = await bench.open();
  await bench.run(fill(store, content));
  bench.crash('machine');
  store = await bench.open();
  await bench.run(isWhole(store, content));
  assert.ok(bench.events.some((event) => event.kind === 'store.opened' && event.unclean));
});

test('S-9: a flipped bit is found by a check, dropped, and not served', async () => {
  const bench = new Bench();
  const content = shapeOf('large', 3 * MiB);
  const store = await bench.open();
  await bench.run(fill(store, content));
  assert.ok(bench.disk.rot((path) => path.endsWith('.data')));
  const hold = store.hold(content);
  assert.equal(await bench.run(store.verify(content.id, 'check')), 1);
  hold.release();
  assert.equal(await bench.run(isWhole(store, content)), false);
  assert.equal(store.status.corruptBlocks, 1);
  assert.equal(store.presentBytes(content), 2 * MiB);
});

test('S-9: with verify, a flipped bit is found before the byte leaves', async () => {
  const bench = new Bench();
  const content = shapeOf('large', 2 * MiB);
  const store = await bench.open();
  await bench.run(fill(store, content));
  bench.disk.rot((path) => path.endsWith('.data'));
  assert.equal(await bench.run(readAll(store, content, true)), undefined);
});

test('S-12: space stays within the capacity, what was used lately stays, what was not goes', async () => {
  const bench = new Bench();
  const store = await bench.open(24 * MiB);
  const used = shapeOf('used', 4 * MiB);
  await bench.run(fill(store, used));
  await bench.run(isWhole(store, used));
  for (let n = 0; n < 12; n += 1) {
    await bench.run(fill(store, shapeOf(`scan-${n}`, 4 * MiB)));
    assert.ok(store.status.usedBytes <= 24 * MiB);
    await bench.run(isWhole(store, used));
  }
  assert.ok(await bench.run(isWhole(store, used)), 'a scan does not push out what is used');
  assert.ok(
    bench.disk.usedBytes <= 24 * MiB + 4 * MiB,
    'the disk holds no more than the account says, but the journal',
  );
});

test('S-12: small contents are evicted a pack at a time, and those used lately move', async () => {
  const bench = new Bench();
  const store = await bench.open(8 * MiB);
  const kept = shapeOf('kept', 20_000);
  await bench.run(fill(store, kept));
  for (let n = 0; n < 900; n += 1) {
    await bench.run(fill(store, shapeOf(`small-${n}`, 20_000)));
    if (n % 20 === 0) assert.ok(await bench.run(isWhole(store, kept)));
    assert.ok(store.status.usedBytes <= 9 * MiB);
  }
  assert.ok(await bench.run(isWhole(store, kept)));
  assert.ok(store.status.smallContents < 420, 'most are gone');
});

test('a small content that is only read from memory counts as used on the disk too', async () => {
  const bench = new Bench();
  const store = await bench.open(8 * MiB, { hotBytes: 100_000 });
  const kept = shapeOf('kept', 20_000);
  await bench.run(fill(store, kept));
  for (let n = 0; n < 500; n += 1) {
    await bench.run(fill(store, shapeOf(`small-${n}`, 20_000)));
    assert.ok(store.hot(kept.id));
  }
  assert.equal(store.presentBytes(kept), 20_000);
});

test('S-4: what is pinned, leased or being read is not evicted; what nothing forbids is', async () => {
  const bench = new Bench();
  const store = await bench.open(16 * MiB);
  const [pinned, leased, read, free] = ['pinned', 'leased', 'read', 'free'].map((name) => shapeOf(name, 4 * MiB)) as [
    ContentShape,
    ContentShape,
    ContentShape,
    ContentShape,
  ];
  for (const content of [pinned, leased, read]) await bench.run(fill(store, content));
  store.pin(pinned, true);
  assert.equal(store.lease(leased.id, 60_000), true);
  assert.equal(store.lease('80000000000000000000000000000000' as ContentId, 1), false);
  const hold = store.hold(read);
  const piece = await bench.run(store.acquire(read.id, { start: 0, end: 4 * MiB }, { verify: false }));
  assert.ok(piece);
  assert.equal(await bench.run(store.reserve(8 * MiB)), undefined, 'all 12 MiB are forbidden');
  for (const content of [pinned, leased, read]) assert.equal(await bench.run(store.evict(content.id)), 0);
  piece.release();
  hold.release();
  await bench.run(bench.clock.sleep(60_001));
  await bench.run(fill(store, free));
  store.pin(pinned, false);
  assert.equal(await bench.run(store.evict(pinned.id)), 4 * MiB);
});

test('what was given out stays readable while the store closes, and nothing new is given out', async () => {
  const bench = new Bench();
  const store = await bench.open(16 * MiB);
  const content = shapeOf('read', 2 * MiB);
  await bench.run(fill(store, content));
  const hold = store.hold(content);
  const acquire = (start: number) => store.acquire(content.id, { start, end: 2 * MiB }, { verify: false });
  const piece = await bench.run(acquire(0));
  assert.ok(piece?.kind === 'file');
  let isClosed = false;
  const closing = store.close().then(() => {
    isClosed = true;
  });
  await bench.run(bench.clock.sleep(1000));
  assert.equal(isClosed, false);
  await assert.rejects(bench.run(acquire(MiB)), (error: unknown) => isForebayError(error, 'shuttingDown'));
  const bytes = await bench.run(piece.file.read(0, MiB));
  assert.ok(Buffer.from(bytes).equals(bytesOf(content, 0, MiB)));
  piece.release();
  await bench.run(closing);
  assert.deepEqual(bench.openPaths, []);
  hold.release();
});

test('a piece that is never let go does not keep the store from closing', async () => {
  const bench = new Bench();
  const store = await bench.open(16 * MiB);
  const content = shapeOf('read', 2 * MiB);
  await bench.run(fill(store, content));
  store.hold(content);
  assert.ok(await bench.run(store.acquire(content.id, { start: 0, end: MiB }, { verify: false })));
  const fromMs = bench.clock.nowMs;
  await bench.run(store.close());
  assert.ok(bench.clock.nowMs - fromMs < 6000, `${bench.clock.nowMs - fromMs} ms`);
  const next = await bench.open(16 * MiB);
  await bench.run(next.close());
});

test('S-4: pins outlive a restart', async () => {
  const bench = new Bench();
  const content = shapeOf('pinned', 2 * MiB);
  let store = await bench.open();
  await bench.run(fill(store, content));
  store.pin(content, true);
  await bench.run(store.close());
  bench.crash('process');
  store = await bench.open();
  assert.equal(store.isPinned(content.id), true);
  assert.equal(await bench.run(store.evict(content.id)), 0);
});

test('a lent file is never punched; changed by those who have it, it is checked before its next use and begun anew', async () => {
  const bench = new Bench();
  const content = shapeOf('lent', 8 * MiB);
  const store = await bench.open();
  await bench.run(fill(store, content));
  assert.equal(await bench.run(store.lend(content.id)), true);
  await bench.run(bench.io.link(store.dataPath(content.id), '/elsewhere'));
  assert.ok(await bench.run(isWhole(store, content)));
  const file = await bench.run(bench.io.open('/elsewhere', { write: true }));
  await bench.run(file.write(5 * MiB, new Uint8Array(10)));
  assert.equal(await bench.run(isWhole(store, content)), false, 'the changed block is not served');
  await bench.run(fill(store, content));
  assert.ok(await bench.run(isWhole(store, content)));
  const theirs = await bench.run(file.read(5 * MiB, 10));
  assert.deepEqual([...theirs], [...new Uint8Array(10)], 'their file is theirs: it was not written again');
  assert.equal(await bench.run(store.lend(shapeOf('absent', 1 << 20).id)), false);
});

test('S-1: a replaced content goes when its last holder lets go, and not before', async () => {
  const bench = new Bench();
  const content = shapeOf('old', 3 * MiB);
  const store = await bench.open();
  await bench.run(fill(store, content));
  const hold = store.hold(content);
  store.drop(content.id, 'stale');
  assert.equal(store.presentBytes(content), 3 * MiB);
  hold.release();
  assert.equal(store.presentBytes(content), 0);
  await bench.run(bench.clock.sleep(1000));
  assert.equal(store.status.usedBytes, 0);
  assert.equal(await bench.run(bench.io.stat(store.dataPath(content.id))), undefined);
});

test('without hole punching whole files are evicted', async () => {
  const bench = new Bench({ canPunch: false });
  const store = await bench.open(16 * MiB);
  for (let n = 0; n < 6; n += 1) await bench.run(fill(store, shapeOf(`c${n}`, 6 * MiB)));
  await bench.run(bench.clock.sleep(1000));
  assert.ok(bench.disk.usedBytes <= 20 * MiB);
  const present = Array.from({ length: 6 }, (_, n) => store.presentBytes(shapeOf(`c${n}`, 6 * MiB)));
  assert.ok(
    present.every((bytes) => bytes === 0 || bytes === 6 * MiB),
    present.join(),
  );
});

test('S-12: a disk that is fuller than the capacity says so once, and the store goes on within what there is', async () => {
  const bench = new Bench({ diskBytes: 24 * MiB });
  const store = await bench.open(256 * MiB);
  let full = 0;
  for (let n = 0; n < 20; n += 1) {
    const content = shapeOf(`c${n}`, 3 * MiB);
    const filled = await bench.run(
      fill(store, content).then(
        () => true,
        (error: unknown) => {
          assert.ok(isForebayError(error, 'diskFull'), String(error));
          return false;
        },
      ),
    );
    if (!filled) full += 1;
    await bench.run(bench.clock.sleep(6000));
  }
  assert.ok(full >= 1 && full <= 3, `${full} fills failed`);
  assert.ok(store.status.capacityBytes < 256 * MiB);
});

test('the journal is replayed from a snapshot and the logs after it', async () => {
  const bench = new Bench();
  let store = await bench.open(64 * MiB, { snapshotAfterBytes: 5000 });
  const contents = Array.from({ length: 300 }, (_, n) => shapeOf(`s${n}`, 500 + n));
  for (const content of contents) await bench.run(fill(store, content));
  for (const content of contents.slice(0, 100)) store.drop(content.id, 'stale');
  await bench.run(bench.clock.sleep(5000));
  bench.crash('process');
  const inspection = await bench.run(inspectDirectory(bench.io, DIRECTORY, contents[200]?.id));
  assert.equal(inspection.contents, 200);
  assert.equal(inspection.found[0]?.content?.kind, 'packed');
  assert.ok(inspection.journal.records.end === 1, 'a snapshot was read');
  store = await bench.open();
  assert.equal(store.status.contents, 200);
  for (const content of contents.slice(100)) assert.ok(await bench.run(isWhole(store, content)));
});

test('a newer layout and a directory that is in use are refused, and nothing of them is touched', async () => {
  const bench = new Bench();
  await bench.open();
  await assert.rejects(bench.open(), (error) => isForebayError(error, 'locked'));
  bench.crash('process');
  const file = await bench.run(bench.io.open(`${DIRECTORY}/FORMAT`, { write: true }));
  await bench.run(file.write(0, Buffer.from('forebay-store 5\n')));
  await assert.rejects(bench.open(), (error) => isForebayError(error, 'formatTooNew'));
  await bench.run(file.write(0, Buffer.from('something else!\n')));
  await assert.rejects(bench.open(), (error) => isForebayError(error, 'config'));
});

test('data without a record becomes an orphan, and goes after a day or when room is needed', async () => {
  const bench = new Bench();
  let store = await bench.open(16 * MiB);
  const stray = shapeOf('stray', 4 * MiB);
  const path = store.dataPath(stray.id);
  await bench.run(store.close());
  const file = await bench.run(bench.io.open(path, { write: true, create: true }));
  await bench.run(file.write(0, new Uint8Array(4 * MiB)));
  bench.crash('process');
  store = await bench.open(16 * MiB);
  await bench.run(bench.clock.sleep(60_000));
  assert.equal(store.status.orphans, 1);
  assert.ok(store.status.usedBytes >= 4 * MiB);
  await bench.run(fill(store, shapeOf('other', 14 * MiB)));
  assert.equal(store.status.orphans, 0);
});
