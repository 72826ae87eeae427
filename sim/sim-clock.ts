/**
 * Virtual time. Events wait in a queue ordered by time, ties are broken at random from the seed; between two events one
 * real turn of the event loop passes, so that every promise continuation has run before time moves on. Nothing waits
 * for real.
 *
 * Events belong to a life: one run of one simulated process. When a life ends its events never happen, so its
 * promises never settle; while it is paused they wait.
 */
import { abortReason } from '../src/core/errors.ts';
import type { Clock } from '../src/io/io.ts';
import type { SimRandom } from './sim-random.ts';
import type { Trace } from './trace.ts';

/** One run of one simulated process. */
export class Life {
  readonly name: string;
  alive = true;
  pausedUntilMs = 0;

  constructor(name: string) {
    this.name = name;
  }
}

interface Timer {
  atMs: number;
  readonly tie: number;
  readonly sequence: number;
  readonly life: Life | undefined;
  run: (() => void) | undefined;
}

/** Thrown when the queue is empty, or the time limit is reached, before what was waited for came true. */
export class StuckError extends Error {
  override name = 'StuckError';
}

const before = (a: Timer, b: Timer): boolean =>
  a.atMs < b.atMs || (a.atMs === b.atMs && (a.tie < b.tie || (a.tie === b.tie && a.sequence < b.sequence)));

/** Delays are multiples of this, a power of two: sums are exact. */
const TICKS_PER_MS = 1024;

export class SimClock {
  readonly #random: SimRandom;
  readonly #trace: Trace;
  readonly #heap: Timer[] = [];
  #sequence = 0;
  #nowMs = 0;
  events = 0;

  constructor(random: SimRandom, trace: Trace) {
    this.#random = random;
    this.#trace = trace;
  }

  get nowMs(): number {
    return this.#nowMs;
  }

  /** Runs `run` after `delayMs` of virtual time, unless the life has ended by then. Returns what `cancel` takes. */
  schedule(delayMs: number, run: () => void, life?: Life): { run: (() => void) | undefined } {
    const delay = Math.max(0, Math.ceil(delayMs * TICKS_PER_MS) / TICKS_PER_MS);
    const timer: Timer = {
      atMs: this.#nowMs + delay,
      tie: this.#random.word(),
      sequence: this.#sequence++,
      life,
      run,
    };
    this.#push(timer);
    return timer;
  }

  /** Resolves after `ms` of virtual time; rejects with the signal's reason when aborted. */
  sleep(ms: number, options: { signal?: AbortSignal | undefined; life?: Life | undefined } = {}): Promise<void> {
    const { signal, life } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(abortReason(signal));
      if (ms === Number.POSITIVE_INFINITY && !signal) return;
      const aborted = () => {
        if (timer) timer.run = undefined;
        reject(abortReason(signal as AbortSignal));
      };
      const timer = Number.isFinite(ms)
        ? this.schedule(
            ms,
            () => {
              signal?.removeEventListener('abort', aborted);
              resolve();
            },
            life,
          )
        : undefined;
      signal?.addEventListener('abort', aborted, { once: true });
    });
  }

  /**
   * Lets events happen until `done` says so between two of them. Throws StuckError when none is left, or the next
   * lies past `limitMs`.
   */
  async run(done: () => boolean, limitMs = Number.POSITIVE_INFINITY): Promise<void> {
    for (;;) {
      await new Promise<void>((resolve) => setImmediate(resolve));
      if (done()) return;
      if (!this.#step(limitMs)) {
        const why = this.#heap.length === 0 ? 'no event is left' : `nothing came of it until ${limitMs} ms`;
        throw new StuckError(`stuck at ${this.#nowMs} ms: ${why}`);
      }
    }
  }

  /** Runs the events until `promise` settles, and returns or throws what it does. */
  async settle<T>(promise: Promise<T>, limitMs?: number): Promise<T> {
    let settled = false;
    const mark = () => {
      settled = true;
    };
    promise.then(mark, mark);
    await this.run(() => settled, limitMs);
    return await promise;
  }

  /** One event; false when there is none up to `limitMs`. */
  #step(limitMs: number): boolean {
    for (;;) {
      const next = this.#heap[0];
      if (!next || next.atMs > limitMs) return false;
      this.#pop();
      if (!next.run || next.life?.alive === false) continue;
      if (next.life && next.life.pausedUntilMs > next.atMs) {
        next.atMs = next.life.pausedUntilMs;
        this.#push(next);
        continue;
      }
      this.#nowMs = next.atMs;
      this.#trace.nowMs = next.atMs;
      this.events++;
      next.run();
      return true;
    }
  }

  #push(timer: Timer): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(timer);
    while (at > 0) {
      const parent = (at - 1) >> 1;
      const other = heap[parent] as Timer;
      if (!before(timer, other)) break;
      heap[at] = other;
      at = parent;
    }
    heap[at] = timer;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop() as Timer;
    if (heap.length === 0) return;
    let at = 0;
    for (;;) {
      let child = 2 * at + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && before(heap[child + 1] as Timer, heap[child] as Timer)) child++;
      const other = heap[child] as Timer;
      if (!before(other, last)) break;
      heap[at] = other;
      at = child;
    }
    heap[at] = last;
  }
}

/** The clocks of one machine: a reboot starts boottime at zero under a new boot id, and wall time may jump. */
export class SimMachineClock {
  readonly #clock: SimClock;
  readonly #random: SimRandom;
  /** For the canary: a crash of the machine that nobody can tell from one of the process. */
  keepsBootId = false;
  #bootedMs: number;
  #wallOffsetMs: number;
  #bootId: string;

  constructor(clock: SimClock, random: SimRandom) {
    this.#clock = clock;
    this.#random = random;
    this.#bootedMs = clock.nowMs - random.between(1_000, 1_000_000_000);
    this.#wallOffsetMs = 1_800_000_000_000 + random.integer(1_000_000_000);
    this.#bootId = this.#drawBootId();
  }

  #drawBootId(): string {
    return Buffer.from(this.#random.bytes(16)).toString('hex');
  }

  get wallMs(): number {
    return this.#clock.nowMs + this.#wallOffsetMs;
  }

  jumpWall(ms: number): void {
    this.#wallOffsetMs += ms;
  }

  reboot(): void {
    this.#bootedMs = this.#clock.nowMs - this.#random.between(5_000, 60_000);
    if (!this.keepsBootId) this.#bootId = this.#drawBootId();
  }

  /** What a process of this life sees. */
  attach(life: Life): Clock {
    const { bootId, boottimeMs } = { bootId: this.#bootId, boottimeMs: () => this.#clock.nowMs - this.#bootedMs };
    return {
      bootId,
      boottimeMs,
      wallMs: () => this.wallMs,
      sleep: (ms, signal) => this.#clock.sleep(ms, { signal, life }),
    };
  }
}
