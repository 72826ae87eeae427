import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Event } from '../observe/events.ts';
import { type DeadlineDisk, withDeadline } from './deadline-disk.ts';
import { type Clock, type Disk, DiskError, type File } from './io.ts';
import { isEjected, reportStuck, unwrapFile } from './wrapped-file.ts';

/** A clock that goes on only when told. */
class HandClock implements Clock {
  readonly bootId = 'test';
  #nowMs = 1000;
  #sleepers: { readonly dueMs: number; readonly wake: () => void }[] = [];

  boottimeMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return this.#nowMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      signal?.addEventListener('abort', () => reject(new Error('aborted')));
      this.#sleepers.push({ dueMs: this.#nowMs + ms, wake: resolve });
    });
  }

  /** Lets `ms` pass in steps, and everything that follows from each happen. */
  async pass(ms: number): Promise<void> {
    for (let step = 0; step < ms; step += 10) {
      this.#nowMs += 10;
      const due = this.#sleepers.filter(({ dueMs }) => dueMs <= this.#nowMs);
      this.#sleepers = this.#sleepers.filter(({ dueMs }) => dueMs > this.#nowMs);
      for (const { wake } of due) wake();
      await new Promise<void>((resolve) => setImmediate(resolve));
    }
  }

  /** The process stood still: time has passed at once. */
  jump(ms: number): void {
    this.#nowMs += ms - 10;
  }
}

interface Held {
  readonly what: string;
  settle(): void;
  fail(error: Error): void;
}

/** A disk of which every operation ends only when the test says so. */
function heldDisk() {
  const held: Held[] = [];
  const closed: string[] = [];
  const wait = <T>(what: string, value: T): Promise<T> =>
    new Promise((resolve, reject) => held.push({ what, settle: () => resolve(value), fail: reject }));
  const fileOf = (path: string) =>
    ({
      path,
      write: () => wait(`write ${path}`, undefined),
      sync: () => wait(`sync ${path}`, undefined),
      checksums: ({ start, end }: { start: number; end: number }) => wait(`checksums ${start}-${end}`, [1]),
      close: async () => {
        closed.push(path);
      },
    }) as unknown as File;
  const disk = {
    open: (path: string) => wait(`open ${path}`, fileOf(path)),
    stat: (path: string) => wait(`stat ${path}`, undefined),
    space: (path: string) => wait(`space ${path}`, { totalBytes: 1, freeBytes: 1 }),
    unlink: (path: string) => wait(`unlink ${path}`, undefined),
    lock: (path: string) => wait(`lock ${path}`, { release: async () => void closed.push(`lock ${path}`) }),
  } as unknown as Disk;
  const take = (what: string): Held => {
    const at = held.findIndex((one) => one.what === what);
    assert.ok(at >= 0, `${what} is under way; under way are: ${held.map((one) => one.what).join(', ')}`);
    return held.splice(at, 1)[0] as Held;
  };
  return { disk, held, closed, take };
}

const timedOut = (error: unknown) => error instanceof DiskError && error.code === 'ETIMEDOUT';

function setUp(options: { probe?: 'read' } = {}) {
  const clock = new HandClock();
  const inner = heldDisk();
  const events: Event['kind'][] = [];
  const emit = (event: Event) => void events.push(event.kind);
  const disk: DeadlineDisk = withDeadline(inner.disk, { clock, deadlineMs: 1000, path: '/cache', emit, ...options });
  return { clock, inner, events, disk };
}

test('an operation within the deadline gives its result', async () => {
  const { clock, inner, events, disk } = setUp();
  const stat = disk.stat('/cache/a');
  await clock.pass(990);
  inner.take('stat /cache/a').settle();
  assert.equal(await stat, undefined);
  await clock.pass(5000);
  assert.deepEqual(events, []);
});

test('S-12: an operation past the deadline fails, and everything after it at once', async () => {
  const { clock, inner, events, disk } = setUp();
  const stat = assert.rejects(disk.stat('/cache/a'), timedOut);
  await clock.pass(1010);
  await stat;
  assert.equal(disk.ejected, true);
  await assert.rejects(disk.open('/cache/b'), timedOut);
  assert.ok(!inner.held.some(({ what }) => what === 'open /cache/b'), 'the hung disk is not asked');
  assert.deepEqual(events, ['disk.ejected']);
});

test('the disk is readmitted when what hung completes, also with an error that is an answer', async () => {
  for (const end of ['settle', 'ENOENT'] as const) {
    const { clock, inner, events, disk } = setUp();
    const stat = assert.rejects(disk.stat('/cache/a'), timedOut);
    await clock.pass(1010);
    await stat;
    const hung = inner.take('stat /cache/a');
    if (end === 'settle') hung.settle();
    else hung.fail(new DiskError(end, 'late'));
    await clock.pass(10);
    assert.equal(disk.ejected, false);
    assert.deepEqual(events, ['disk.ejected', 'disk.readmitted']);
  }
});

test('an I/O error of what hung is no answer', async () => {
  const { clock, inner, disk } = setUp();
  const stat = assert.rejects(disk.stat('/cache/a'), timedOut);
  await clock.pass(1010);
  await stat;
  inner.take('stat /cache/a').fail(new DiskError('EIO', 'gone'));
  await clock.pass(10);
  assert.equal(disk.ejected, true);
});

test('a probe every second writes and syncs, and readmits the disk once it succeeds', async () => {
  const { clock, inner, events, disk } = setUp();
  const stat = assert.rejects(disk.stat('/cache/a'), timedOut);
  await clock.pass(1010);
  await stat;
  await clock.pass(1010);
  inner.take('open /cache/.forebay-probe').fail(new DiskError('EIO', 'still bad'));
  await clock.pass(1010);
  inner.take('open /cache/.forebay-probe').settle();
  await clock.pass(5000);
  assert.equal(inner.held.length, 2, 'one probe at a time, beside the operation that hangs');
  inner.take('write /cache/.forebay-probe').settle();
  await clock.pass(10);
  inner.take('sync /cache/.forebay-probe').settle();
  await clock.pass(10);
  assert.equal(disk.ejected, true);
  inner.take('unlink /cache/.forebay-probe').settle();
  await clock.pass(10);
  assert.equal(disk.ejected, false);
  assert.deepEqual(events, ['disk.ejected', 'disk.readmitted']);
});

test('a disk that is not ours is probed by reading', async () => {
  const { clock, inner, disk } = setUp({ probe: 'read' });
  const stat = assert.rejects(disk.stat('/cache/a'), timedOut);
  await clock.pass(1010);
  await stat;
  await clock.pass(1010);
  inner.take('space /cache').settle();
  await clock.pass(10);
  assert.equal(disk.ejected, false);
});

test('closing ends the probing', async () => {
  const { clock, inner, disk } = setUp();
  const stat = assert.rejects(disk.stat('/cache/a'), timedOut);
  await clock.pass(1010);
  await stat;
  disk.close();
  await clock.pass(5000);
  assert.equal(inner.held.length, 1);
});

test('a file or lock that comes after the deadline is given back', async () => {
  const { clock, inner, disk } = setUp();
  const late = [assert.rejects(disk.open('/cache/a'), timedOut), assert.rejects(disk.lock('/cache/L'), timedOut)];
  await clock.pass(1010);
  await Promise.all(late);
  inner.take('open /cache/a').settle();
  inner.take('lock /cache/L').settle();
  await clock.pass(10);
  assert.deepEqual(inner.closed, ['/cache/a', 'lock /cache/L']);
});

test('files are closed even while the disk is ejected', async () => {
  const { clock, inner, disk } = setUp();
  const opening = disk.open('/cache/a');
  inner.take('open /cache/a').settle();
  const file = await opening;
  const write = assert.rejects(file.write(0, new Uint8Array(1)), timedOut);
  await clock.pass(1010);
  await write;
  await assert.rejects(file.read(0, 1), timedOut);
  await file.close();
  assert.deepEqual(inner.closed, ['/cache/a']);
});

test('sync has five deadlines: it waits for all that was written before', async () => {
  const { clock, inner, disk } = setUp();
  const opening = disk.open('/cache/a');
  inner.take('open /cache/a').settle();
  const file = await opening;
  const sync = file.sync();
  await clock.pass(4900);
  assert.equal(disk.ejected, false);
  const write = assert.rejects(file.write(0, new Uint8Array(1)), timedOut);
  const syncFails = assert.rejects(sync, timedOut);
  await clock.pass(200);
  await syncFails;
  assert.equal(disk.ejected, true);
  await clock.pass(1000);
  await write;
});

test('a long checksum is many operations, each with its deadline', async () => {
  const { clock, inner, disk } = setUp();
  const opening = disk.open('/cache/a');
  inner.take('open /cache/a').settle();
  const file = await opening;
  const size = 16 << 20;
  const sums = file.checksums({ start: 0, end: 3 * size }, size);
  for (let piece = 0; piece < 3; piece++) {
    await clock.pass(900);
    inner.take(`checksums ${piece * size}-${(piece + 1) * size}`).settle();
  }
  assert.deepEqual(await sums, [1, 1, 1]);
});

test('a process that stood still does not blame the disk', async () => {
  const { clock, inner, disk } = setUp();
  const stat = disk.stat('/cache/a');
  clock.jump(60_000);
  await clock.pass(10);
  inner.take('stat /cache/a').settle();
  await clock.pass(200);
  assert.equal(await stat, undefined);
  assert.equal(disk.ejected, false);
});

test('an operation made around the wrapper can eject the disk, and its end readmits it', async () => {
  const { clock, inner, events, disk } = setUp();
  const opening = disk.open('/cache/a');
  inner.take('open /cache/a').settle();
  const file = await opening;
  assert.notEqual(unwrapFile(file), file);
  assert.equal(isEjected(file), false);
  const settled = Promise.withResolvers<void>();
  reportStuck(file, 'sendfile /cache/a', settled.promise);
  assert.equal(isEjected(file), true);
  assert.equal(disk.ejected, true);
  settled.resolve();
  await clock.pass(10);
  assert.equal(disk.ejected, false);
  assert.deepEqual(events, ['disk.ejected', 'disk.readmitted']);
});
