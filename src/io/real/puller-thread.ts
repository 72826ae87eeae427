/** One puller, with its writer, as the control thread sees it. */
import { Worker } from 'node:worker_threads';
import { pullsActiveMax } from '../../core/limits.ts';
import type { LibcCalls } from './libc.ts';
import {
  CANCELLED,
  CURRENT,
  GIVEN,
  type JobStart,
  PAUSED,
  POLLING,
  PullerMemory,
  type PullerWorkerData,
  type PullNews,
  SETTLED,
  STOPPING,
  WRITES,
} from './puller-memory.ts';
import { WriteRing } from './write-ring.ts';

/** Stopping waits this long: a puller that hangs in the kernel can only be left behind. */
const STOP_WAIT_MS = 1000;

/** A job that has no place yet. */
export type Unslotted =
  | Omit<Extract<JobStart, { kind: 'pull' }>, 'slot'>
  | Omit<Extract<JobStart, { kind: 'body' }>, 'slot'>;

export interface PullerThreadOptions {
  readonly libc: LibcCalls;
  /** It writes to files: it has a writer. */
  readonly writes: boolean;
  /** As for nice(1). */
  readonly nice: number;
  readonly onNews: (news: PullNews) => void;
  readonly onLost: (error: Error) => void;
}

export class PullerThread {
  /** The slot of the pull whose write hangs. */
  stuck: number | undefined;
  readonly #libc: LibcCalls;
  readonly #memory = new PullerMemory();
  readonly #eventFd: number;
  readonly #ring = new WriteRing();
  readonly #worker: Worker;
  readonly #writer: Worker | undefined;
  readonly #freeSlots = Array.from({ length: pullsActiveMax }, (_, index) => pullsActiveMax - 1 - index);
  #writes = 0;
  #writesSinceMs = 0;

  constructor({ libc, writes, nice, onNews, onLost }: PullerThreadOptions) {
    this.#libc = libc;
    this.#eventFd = libc.eventCounter();
    Atomics.store(this.#memory.words, CURRENT, -1);
    const data: PullerWorkerData = {
      memory: this.#memory.memory,
      eventFd: this.#eventFd,
      ring: this.#ring.memory,
      nice,
    };
    this.#worker = startWorker('puller', new URL('./puller-worker.ts', import.meta.url), data);
    if (writes) {
      this.#writer = startWorker('writer', new URL('./block-writer-worker.ts', import.meta.url), data);
      this.#writer.on('error', onLost);
      this.#writer.unref();
    }
    this.#worker.on('message', (news: PullNews) => {
      if (news.over) this.#free(news.slot);
      onNews(news);
    });
    this.#worker.on('error', onLost);
    this.#worker.unref();
  }

  /** Pulls that it has. */
  get load(): number {
    return pullsActiveMax - this.#freeSlots.length;
  }

  /** Gives it a pull; the slot, or `undefined` when it has as many as it takes. */
  give(start: Unslotted): number | undefined {
    const slot = this.#freeSlots.pop();
    if (slot === undefined) return undefined;
    if (this.load === 1) this.#worker.ref();
    for (const word of [SETTLED, CANCELLED, PAUSED]) this.#memory.set(slot, word, 0);
    this.#worker.postMessage({ ...start, slot } satisfies JobStart);
    this.#wake();
    return slot;
  }

  #free(slot: number): void {
    this.#freeSlots.push(slot);
    if (this.load === 0) this.#worker.unref();
    if (this.stuck === slot) this.stuck = undefined;
  }

  #wake(): void {
    Atomics.add(this.#memory.words, GIVEN, 1);
    if (Atomics.load(this.#memory.words, POLLING) === 1) this.#libc.signalEvent(this.#eventFd);
    else Atomics.notify(this.#memory.words, GIVEN);
  }

  settled(slot: number, reports: number): void {
    this.#memory.set(slot, SETTLED, reports);
    if (this.#memory.get(slot, PAUSED) === 1) this.#wake();
  }

  /** Ends a pull as soon as the puller looks at it; it still says that it is over. */
  cancel(slot: number): void {
    this.#memory.set(slot, CANCELLED, 1);
    this.#wake();
  }

  /** The slot that is in a write, and since when no write has returned; told by looking again and again. */
  look(nowMs: number, options: { anew: boolean }): { readonly slot: number; readonly sinceMs: number } | undefined {
    const slot = Atomics.load(this.#memory.words, CURRENT);
    const writes = Atomics.load(this.#memory.words, WRITES);
    if (slot < 0 || writes !== this.#writes || options.anew) {
      this.#writes = writes;
      this.#writesSinceMs = nowMs;
      return undefined;
    }
    return { slot, sinceMs: this.#writesSinceMs };
  }

  /** False when it hangs and had to be left behind: it may still use what it was given. */
  async stop(): Promise<boolean> {
    // The writer first: the bytes that it writes are the puller's.
    this.#ring.stop();
    if (this.#writer && !(await ended(this.#writer))) {
      this.#worker.unref();
      return false;
    }
    Atomics.store(this.#memory.words, STOPPING, 1);
    Atomics.add(this.#memory.words, GIVEN, 1);
    Atomics.notify(this.#memory.words, GIVEN);
    this.#libc.signalEvent(this.#eventFd);
    if (!(await ended(this.#worker))) return false;
    this.#libc.closeDescriptor(this.#eventFd);
    return true;
  }
}

function startWorker(name: string, file: URL, workerData: PullerWorkerData): Worker {
  return new Worker(file, {
    name,
    workerData,
    trackUnmanagedFds: false,
    // Not the flags of the process: some are refused by threads.
    execArgv: ['--disable-warning=ExperimentalWarning'],
    resourceLimits: { maxYoungGenerationSizeMb: 2 },
  });
}

/** Ends a thread; false when it does not end in time. */
async function ended(worker: Worker): Promise<boolean> {
  worker.unref();
  const timeout = Promise.withResolvers<'late'>();
  const timer = setTimeout(() => timeout.resolve('late'), STOP_WAIT_MS);
  const how = await Promise.race([worker.terminate(), timeout.promise]);
  clearTimeout(timer);
  return how !== 'late';
}
