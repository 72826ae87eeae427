/** The values of one node on simulated io, for the tests of `kv/`. */

import assert from 'node:assert/strict';
import { valuePackedMaxBytes } from '../src/core/kv-limits.ts';
import { MiB } from '../src/core/limits.ts';
import type { KvPolicy, Volume } from '../src/core/volume.ts';
import type { OpenValue, ValueBody } from '../src/kv/kv.ts';
import { openLocalValues } from '../src/kv/local-values.ts';
import type { LocalValues } from '../src/kv/values.ts';
import type { Event } from '../src/observe/events.ts';
import { openStore } from '../src/store/open-store.ts';
import { bytesOfPiece } from '../src/store/piece.ts';
import type { Store } from '../src/store/store.ts';
import { Life, SimClock, SimMachineClock } from './sim-clock.ts';
import { SimDisk } from './sim-disk.ts';
import { SimRandom } from './sim-random.ts';
import { Trace } from './trace.ts';

export const NEVER = new AbortController().signal;
export const DIRECTORY = '/cache';

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
export class SimValues {
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

  async open(
    kv: Partial<KvPolicy> = {},
    more: { hotBytes?: number; snapshotAfterBytes?: number; keysMax?: number; packedMaxBytes?: number } = {},
  ): Promise<void> {
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
      ...(more.keysMax === undefined ? {} : { keysMax: more.keysMax }),
      // As in a share of gigabytes.
      packedMaxBytes: more.packedMaxBytes ?? valuePackedMaxBytes,
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

  get io() {
    return this.disk.attach(this.#life);
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
export function bodyOf(bytes: Uint8Array): ValueBody {
  return {
    lengthBytes: bytes.length,
    async *stream() {
      for (let at = 0; at < bytes.length; at += 100_003) yield bytes.subarray(at, at + 100_003);
    },
  };
}

/** A ramp modulo a prime, so that a misplaced byte shows. */
export function bytesOf(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let at = 0; at < length; at += 1) bytes[at] = (seed + at + Math.floor(at / 251)) % 251;
  return bytes;
}

export async function readAll(opened: OpenValue): Promise<Uint8Array> {
  const slices: Uint8Array[] = [];
  for await (const piece of opened.pieces({ start: 0, end: opened.fact.sizeBytes }, NEVER)) {
    slices.push(Uint8Array.from(await bytesOfPiece(piece)));
    piece.release();
  }
  return Buffer.concat(slices);
}

export function same(actual: Uint8Array | undefined, expected: Uint8Array): void {
  assert.ok(actual !== undefined, 'a hit');
  assert.equal(Buffer.compare(actual, expected), 0, 'the same bytes');
}
