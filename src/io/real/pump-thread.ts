/** One pump as the control thread sees it. */
import { Worker } from 'node:worker_threads';
import type { LibcCalls } from './libc.ts';
import {
  CALLS,
  CURRENT,
  DONE,
  GIVEN,
  type JobTable,
  NOBODY,
  ownedBy,
  POLLING,
  PumpMemory,
  type PumpWorkerData,
  STOPPING,
  TOLD,
} from './pump-memory.ts';

/** Stopping waits this long: a pump that hangs in the kernel can only be left behind. */
const STOP_WAIT_MS = 1000;

export interface PumpOptions {
  readonly pump: number;
  readonly jobs: JobTable;
  readonly libc: LibcCalls;
  readonly onDone: (slot: number) => void;
  readonly onLost: (error: Error) => void;
}

export class PumpThread {
  readonly owner: number;
  /** Slots that this pump has. */
  readonly slots = new Set<number>();
  /** The slot in which it hangs. */
  stuck: number | undefined;
  readonly #options: PumpOptions;
  readonly #memory = new PumpMemory();
  readonly #eventFd: number;
  readonly #worker: Worker;
  #done = 0;
  #calls = 0;
  #callsSinceMs = 0;

  constructor(options: PumpOptions) {
    this.#options = options;
    this.owner = ownedBy(options.pump);
    this.#eventFd = options.libc.eventCounter();
    Atomics.store(this.#memory.words, CURRENT, -1);
    const data: PumpWorkerData = {
      pump: options.pump,
      jobs: options.jobs.memory,
      memory: this.#memory.memory,
      eventFd: this.#eventFd,
    };
    this.#worker = new Worker(new URL('./pump-worker.ts', import.meta.url), {
      name: 'pump',
      workerData: data,
      trackUnmanagedFds: false,
      // Not the flags of the process: some are refused by threads.
      execArgv: ['--disable-warning=ExperimentalWarning'],
      resourceLimits: { maxYoungGenerationSizeMb: 2 },
    });
    this.#worker.on('message', () => this.collect());
    this.#worker.on('error', (error: Error) => options.onLost(error));
    this.#worker.unref();
  }

  give(slot: number): void {
    if (this.slots.size === 0) this.#worker.ref();
    this.slots.add(slot);
    this.#memory.put(GIVEN, slot);
    if (Atomics.load(this.#memory.words, POLLING) === 1) this.#options.libc.signalEvent(this.#eventFd);
    else Atomics.notify(this.#memory.words, GIVEN);
  }

  /** Takes a job back, unless it is in sendfile just now. */
  take(slot: number): boolean {
    if (!this.#options.jobs.hand(slot, this.owner, NOBODY)) return false;
    this.#forget(slot);
    return true;
  }

  #forget(slot: number): void {
    this.slots.delete(slot);
    if (this.slots.size === 0) this.#worker.unref();
  }

  /** Reports the jobs that are done. */
  collect(): void {
    // Cleared before the ring is read: what is done from here on sends a message of its own.
    Atomics.store(this.#memory.words, TOLD, 0);
    const done = Atomics.load(this.#memory.words, DONE);
    for (; this.#done !== done; this.#done = (this.#done + 1) | 0) {
      const slot = this.#memory.at(DONE, this.#done);
      if (this.stuck === slot) this.stuck = undefined;
      this.#forget(slot);
      this.#options.onDone(slot);
    }
  }

  /** The slot that is in sendfile, and since when no call has returned; told by looking again and again. */
  look(nowMs: number, options: { anew: boolean }): { readonly slot: number; readonly sinceMs: number } | undefined {
    const slot = Atomics.load(this.#memory.words, CURRENT);
    const calls = Atomics.load(this.#memory.words, CALLS);
    if (slot < 0 || calls !== this.#calls || options.anew) {
      this.#calls = calls;
      this.#callsSinceMs = nowMs;
      return undefined;
    }
    return { slot, sinceMs: this.#callsSinceMs };
  }

  /** False when it hangs and had to be left behind. */
  async stop(): Promise<boolean> {
    Atomics.store(this.#memory.words, STOPPING, 1);
    this.#memory.put(GIVEN, 0);
    Atomics.notify(this.#memory.words, GIVEN);
    this.#options.libc.signalEvent(this.#eventFd);
    this.#worker.unref();
    const timeout = Promise.withResolvers<'late'>();
    const timer = setTimeout(() => timeout.resolve('late'), STOP_WAIT_MS);
    const ended = await Promise.race([this.#worker.terminate(), timeout.promise]);
    clearTimeout(timer);
    if (ended === 'late') return false;
    this.#options.libc.closeDescriptor(this.#eventFd);
    return true;
  }
}
