/** A store on a simulated disk: `crash` ends its life, also in the middle of an operation, and the next `open` begins another. */
import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import type { ContentId } from '../src/core/ids.ts';
import type { Event } from '../src/observe/events.ts';
import { openStore } from '../src/store/open-store.ts';
import type { Store } from '../src/store/store.ts';
import { Life, SimClock, SimMachineClock } from './sim-clock.ts';
import { type Operation, SimDisk } from './sim-disk.ts';
import { SimRandom } from './sim-random.ts';
import { Trace } from './trace.ts';

const MiB = 1 << 20;

/** Says of each operation that it begins. */
class WatchedDisk extends SimDisk {
  onOperation: ((name: string, path: string) => void) | undefined;

  override operate<T>(life: Life, operation: Operation<T>): Promise<T> {
    const done = super.operate(life, operation);
    if (life.alive) this.onOperation?.(operation.name, operation.path);
    return done;
  }
}

export class SimStore {
  readonly clock: SimClock;
  readonly disk: WatchedDisk;
  readonly events: Event[] = [];
  readonly directory = '/cache';
  readonly #machine: SimMachineClock;
  readonly #random: SimRandom;
  #life = new Life('first');

  constructor(options: { diskBytes?: number; seed?: number; canPunch?: boolean } = {}) {
    this.#random = new SimRandom(options.seed ?? 7);
    const trace = new Trace();
    this.clock = new SimClock(this.#random.fork('clock'), trace);
    this.#machine = new SimMachineClock(this.clock, this.#random.fork('machine'));
    this.disk = new WatchedDisk({
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

  /** Lets background work go on. */
  rest(ms = 1000): Promise<void> {
    return this.run(this.clock.sleep(ms));
  }

  open(options: { capacityBytes?: number; hotBytes?: number; snapshotAfterBytes?: number } = {}): Promise<Store> {
    return this.run(
      openStore({
        disk: this.disk.attach(this.#life),
        clock: this.#machine.attach(this.#life),
        random: this.#random,
        directory: this.directory,
        capacityBytes: options.capacityBytes ?? 64 * MiB,
        hotBytes: options.hotBytes ?? 0,
        factBytes: 8 * MiB,
        scrubBytesPerS: 0,
        ...(options.snapshotAfterBytes === undefined ? {} : { snapshotAfterBytes: options.snapshotAfterBytes }),
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

  /** Runs `work` until it settles, or the n-th operation of the disk from now on has begun, at which the crash comes. True when it came. */
  async crashAt(operation: number, kind: 'process' | 'machine', work: () => Promise<unknown>): Promise<boolean> {
    const crashed = Promise.withResolvers<boolean>();
    let count = 0;
    this.disk.onOperation = () => {
      count += 1;
      if (count !== operation) return;
      this.disk.onOperation = undefined;
      this.crash(kind);
      crashed.resolve(true);
    };
    const ended = work().then(() => false);
    const came = await this.run(Promise.race([crashed.promise, ended]));
    this.disk.onOperation = undefined;
    return came;
  }

  get io() {
    return this.disk.attach(this.#life);
  }
}

/** A ramp modulo a prime, so that a misplaced byte shows. */
export function ramp(id: ContentId, start: number, end: number): Uint8Array {
  const seed = Number.parseInt(id.slice(-4), 16);
  const bytes = new Uint8Array(end - start);
  for (let at = 0; at < bytes.length; at += 1) bytes[at] = (seed + start + at) % 251;
  return bytes;
}

/** The hash of the table of a content of such bytes. */
export function tableOf(id: ContentId, sizeBytes: number): string {
  const sums = Buffer.alloc(4 * Math.ceil(sizeBytes / MiB));
  for (let at = 0; at * MiB < sizeBytes; at += 1)
    sums.writeUInt32LE(crc32(ramp(id, at * MiB, Math.min((at + 1) * MiB, sizeBytes))), 4 * at);
  return hash('sha256', sums, 'hex');
}
