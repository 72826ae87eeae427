import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Life, SimClock, SimMachineClock } from '../../sim/sim-clock.ts';
import { SimDisk } from '../../sim/sim-disk.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { Trace } from '../../sim/trace.ts';
import { isForebayError } from '../core/errors.ts';
import { KiB, MiB } from '../core/limits.ts';
import type { KvPolicy, Volume } from '../core/volume.ts';
import type { Event } from '../observe/events.ts';
import { openStore } from '../store/open-store.ts';
import type { Store } from '../store/store.ts';
import type { OpenValue, ValueBody } from './kv.ts';
import { openLocalValues } from './local-values.ts';
import type { LocalValues } from './values.ts';

const NEVER = new AbortController().signal;
const DIRECTORY = '/cache';

function volumeOf(kv: Partial<KvPolicy> = {}): Volume {
  return {
    name: 'kv1',
    origin: 'none',
    write: true,
    revalidateMs: 0,
    staleIfErrorMs: 0,
    chunkSizeBytes: 16 * MiB,
    verify: 'arrival',
    kv: { ttlMs: Number.POSITIVE_INFINITY, share: 0.5, suffixes: ['metadata', 'kv_bytes'], ...kv },
  };
}

/** A store on a simulated disk with one kv volume; `crash` ends its life and the next `open` begins another. */
class Bench {
  readonly clock: SimClock;
  readonly disk: SimDisk;
  readonly events: Event[] = [];
  readonly capacityBytes: number;
  readonly gone: string[] = [];
  readonly machine: SimMachineClock;
  readonly #random = new SimRandom(11);
  #life = new Life('first');
  store!: Store;
  values!: LocalValues;

  constructor(options: { capacityBytes?: number } = {}) {
    this.capacityBytes = options.capacityBytes ?? 64 * MiB;
    const trace = new Trace();
    this.clock = new SimClock(this.#random.fork('clock'), trace);
    this.machine = new SimMachineClock(this.clock, this.#random.fork('machine'));
    this.disk = new SimDisk({
      clock: this.clock,
      machine: this.machine,
      random: this.#random.fork('disk'),
      trace,
      capacityBytes: 8 * this.capacityBytes,
      canPunch: true,
      canClone: false,
      deadlineMs: 3000,
      faults: { latencyMs: 0.1, bytesPerMs: 1 << 20, slowChance: 0, slowMs: 0, errorChance: 0 },
    });
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.clock.settle(work, this.clock.nowMs + 600_000);
  }

  async open(kv: Partial<KvPolicy> = {}, more: { hotBytes?: number; snapshotAfterBytes?: number } = {}): Promise<void> {
    const clock = this.machine.attach(this.#life);
    this.store = await this.run(
      openStore({
        disk: this.disk.attach(this.#life),
        clock,
        random: this.#random,
        directory: DIRECTORY,
        capacityBytes: this.capacityBytes,
        hotBytes: 0,
        valueHotBytes: more.hotBytes ?? 4 * MiB,
        factBytes: 8 * MiB,
        scrubBytesPerS: 0,
        ...(more.snapshotAfterBytes === undefined ? {} : { snapshotAfterBytes: more.snapshotAfterBytes }),
        emit: (event) => this.events.push(event),
      }),
    );
    this.values = openLocalValues({
      store: this.store,
      volume: volumeOf(kv),
      capacityBytes: this.capacityBytes,
      clock,
      random: this.#random,
    });
    this.values.onGone = (key) => this.gone.push(key);
  }

  crash(kind: 'process' | 'machine'): void {
    this.values.close();
    this.#life.alive = false;
    this.disk.crash(this.#life, kind);
    if (kind === 'machine') this.machine.reboot();
    this.#life = new Life('next');
  }

  sleep(ms: number): Promise<void> {
    return this.run(this.clock.sleep(ms));
  }

  async put(key: string, bytes: Uint8Array, ttlMs?: number): Promise<'stored' | 'same'> {
    const options = { signal: NEVER, ...(ttlMs === undefined ? {} : { ttlMs }) };
    return (await this.run(this.values.put(key, bodyOf(bytes), options))).outcome;
  }

  async get(key: string): Promise<Uint8Array | undefined> {
    await this.run(this.values.prepare(key) ?? Promise.resolve());
    const opened = this.values.open(key);
    if (opened === undefined) return undefined;
    try {
      return await this.run(readAll(opened));
    } finally {
      opened.close();
    }
  }
}

/** In slices of an odd length, so that blocks are cut. */
function bodyOf(bytes: Uint8Array): ValueBody {
  return {
    lengthBytes: bytes.length,
    async *stream() {
      for (let at = 0; at < bytes.length; at += 100_003) yield bytes.subarray(at, at + 100_003);
    },
  };
}

/** A ramp modulo a prime, so that a misplaced byte shows. */
function bytesOf(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 1) bytes[at] = (seed + at + Math.floor(at / 251)) % 251;
  return bytes;
}

async function readAll(opened: OpenValue): Promise<Uint8Array> {
  const slices: Uint8Array[] = [];
  for await (const piece of opened.pieces({ start: 0, end: opened.fact.sizeBytes }, NEVER)) {
    slices.push(
      Uint8Array.from(
        piece.kind === 'bytes'
          ? piece.bytes
          : await piece.file.read(piece.range.start, piece.range.end - piece.range.start),
      ),
    );
    piece.release();
  }
  return Buffer.concat(slices);
}

function same(actual: Uint8Array | undefined, expected: Uint8Array): void {
  assert.ok(actual !== undefined, 'a hit');
  assert.equal(Buffer.compare(actual, expected), 0, 'the same bytes');
}

const SIZES = [0, 1, 1000, 32 * KiB - 1, 32 * KiB, MiB, 3 * MiB + 5, 17 * MiB];

test('values of every size come back as they were put, before and after a restart', async () => {
  const bench = new Bench({ capacityBytes: 128 * MiB });
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

test('equal bytes write nothing, others replace', async () => {
  const bench = new Bench();
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
  const bench = new Bench();
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
