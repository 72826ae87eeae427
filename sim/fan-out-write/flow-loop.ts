/** Time, transfers over shared links, and disks: what simulated checkpoints run on. Nothing here is random. */
import { FluidLinks } from '../fan-out/fluid-links.ts';
import { TimeHeap } from '../fan-out/time-heap.ts';

/** Ends that one change of rates is followed to. */
const FOLLOWED_MAX = 64;

export class FlowLoop {
  nowMs = 0;
  readonly #links: FluidLinks;
  readonly #ended: (() => void)[] = [];
  readonly #timers = new TimeHeap();
  readonly #timed = new Map<number, () => void>();
  #timerIds = 0;

  /** Ends by number, with bytes per millisecond each way. */
  constructor(ends: readonly { up: number; down: number }[]) {
    this.#links = new FluidLinks(ends, FOLLOWED_MAX);
  }

  after(ms: number, run: () => void): void {
    const id = this.#timerIds++;
    this.#timed.set(id, run);
    this.#timers.set(id, this.nowMs + ms);
  }

  /** `onEnd` runs when all bytes have come. */
  transfer(what: { source: number; reader: number; bytes: number }, onEnd: () => void): void {
    this.#ended[this.#links.begin(this.nowMs, what)] = onEnd;
  }

  /** Until nothing is left to happen. */
  run(): void {
    for (;;) {
      const [flow, timer] = [this.#links.nextMs, this.#timers.time];
      if (flow === Number.POSITIVE_INFINITY && timer === Number.POSITIVE_INFINITY) return;
      if (timer <= flow) this.#runTimer();
      else this.#endFlow();
    }
  }

  #runTimer(): void {
    const id = this.#timers.item;
    this.nowMs = this.#timers.time;
    this.#timers.remove(id);
    const run = this.#timed.get(id);
    this.#timed.delete(id);
    run?.();
  }

  #endFlow(): void {
    const id = this.#links.nextId;
    this.nowMs = this.#links.nextMs;
    this.#links.end(this.nowMs, id);
    this.#ended[id]?.();
  }
}

interface DiskWrite {
  readonly bytes: number;
  readonly onDone: () => void;
}

/** Writes one piece at a time; what this node's own ranks write goes before what it takes in for others. */
export class FlowDisk {
  readonly #loop: FlowLoop;
  readonly #bytesPerMs: number;
  readonly #own: DiskWrite[] = [];
  readonly #others: DiskWrite[] = [];
  #isBusy = false;

  constructor(loop: FlowLoop, bytesPerMs: number) {
    this.#loop = loop;
    this.#bytesPerMs = bytesPerMs;
  }

  write(whose: 'own' | 'others', bytes: number, onDone: () => void): void {
    (whose === 'own' ? this.#own : this.#others).push({ bytes, onDone });
    this.#next();
  }

  #next(): void {
    if (this.#isBusy) return;
    const write = this.#own.shift() ?? this.#others.shift();
    if (write === undefined) return;
    this.#isBusy = true;
    this.#loop.after(write.bytes / this.#bytesPerMs, () => {
      this.#isBusy = false;
      write.onDone();
      this.#next();
    });
  }
}
