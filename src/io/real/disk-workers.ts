/**
 * The threads of one real disk. Each has at most one request in flight; the rest wait here, so a hung thread holds one
 * request and the others serve the queue. Threads start when a request finds none idle, up to `workers`.
 *
 * Bounds:  `workers` requests in flight, `diskQueueMax` waiting (then EAGAIN).
 * Crash:   a thread that dies fails its request with EIO and is replaced by the next one started.
 */
import { Worker } from 'node:worker_threads';
import { diskQueueMax } from '../../core/limits.ts';
import { DiskError } from '../io.ts';
import { type DiskReply, type DiskRequest, type DiskWorkerData, SCRATCH_BYTES } from './disk-request.ts';
import type { FfiChoice } from './libc.ts';

/** Closing waits this long for requests in flight: a hung one can only be left behind. */
const CLOSE_WAIT_MS = 1000;

interface Call {
  readonly request: DiskRequest;
  /** For the error's message. */
  readonly path: string;
  /** Bytes that go through the scratch memory. */
  readonly copied: Uint8Array | undefined;
  readonly resolve: (answer: DiskAnswer) => void;
  readonly reject: (error: Error) => void;
}

export interface DiskThread {
  readonly worker: Worker;
  readonly bell: Int32Array;
  readonly scratch: Uint8Array;
  current: Call | undefined;
  /** Requests that only this thread can serve: it holds the lock that they release. */
  readonly own: Call[];
}

export interface DiskCall {
  readonly path: string;
  readonly copied?: Uint8Array;
  readonly thread?: DiskThread;
}

export interface DiskAnswer {
  readonly value: unknown;
  readonly thread: DiskThread;
}

export class DiskWorkers {
  readonly #options: { readonly workers: number; readonly root: string | undefined; readonly ffi: FfiChoice };
  readonly #threads = new Set<DiskThread>();
  readonly #idle: DiskThread[] = [];
  #queue: Call[] = [];
  #head = 0;
  #closed: Promise<void> | undefined;
  #onQuiet: (() => void) | undefined;

  constructor(options: { workers: number; root: string | undefined; ffi: FfiChoice }) {
    this.#options = options;
  }

  /**
   * The reply's value and the thread that gave it. Rejects with DiskError. A request for a thread that is gone is done:
   * what only that thread held went with it.
   */
  call(request: DiskRequest, call: DiskCall): Promise<DiskAnswer> {
    return new Promise((resolve, reject) => {
      if (call.thread && !this.#threads.has(call.thread)) resolve({ value: undefined, thread: call.thread });
      else if (this.#closed) reject(new DiskError('ECANCELED', `${request.op} ${call.path}: the disk is closed`));
      else this.#dispatch({ request, path: call.path, copied: call.copied, resolve, reject }, call.thread);
    });
  }

  #dispatch(call: Call, only: DiskThread | undefined): void {
    if (only) {
      this.#dispatchTo(only, call);
      return;
    }
    const thread = this.#idle.pop() ?? (this.#threads.size < this.#options.workers ? this.#start() : undefined);
    if (thread) {
      this.#send(thread, call);
    } else if (this.#queue.length - this.#head >= diskQueueMax) {
      const message = `${call.request.op} ${call.path}: ${diskQueueMax} requests wait for the disk`;
      call.reject(new DiskError('EAGAIN', message));
    } else {
      this.#queue.push(call);
    }
  }

  #dispatchTo(thread: DiskThread, call: Call): void {
    thread.own.push(call);
    if (thread.current !== undefined) return;
    this.#idle.splice(this.#idle.indexOf(thread), 1);
    this.#next(thread);
  }

  #start(): DiskThread {
    const data: DiskWorkerData = {
      bell: new SharedArrayBuffer(4),
      scratch: new SharedArrayBuffer(SCRATCH_BYTES),
      root: this.#options.root,
      ffi: this.#options.ffi,
    };
    const worker = new Worker(new URL('./disk-worker.ts', import.meta.url), {
      name: 'disk',
      workerData: data,
      // Descriptors are opened by one thread, used by all and closed by another.
      trackUnmanagedFds: false,
      // Not the flags of the process: some are refused by threads.
      execArgv: ['--disable-warning=ExperimentalWarning'],
      resourceLimits: { maxYoungGenerationSizeMb: 2 },
    });
    const thread: DiskThread = {
      worker,
      bell: new Int32Array(data.bell),
      scratch: new Uint8Array(data.scratch),
      current: undefined,
      own: [],
    };
    this.#threads.add(thread);
    worker.on('message', (reply: DiskReply) => this.#settle(thread, reply));
    worker.on('error', (error: Error) => this.#lost(thread, error.message));
    worker.on('exit', () => this.#lost(thread, 'it ended'));
    worker.unref();
    return thread;
  }

  #send(thread: DiskThread, call: Call): void {
    if (thread.current === undefined) thread.worker.ref();
    thread.current = call;
    if (call.copied) thread.scratch.set(call.copied);
    thread.worker.postMessage(call.request);
    Atomics.add(thread.bell, 0, 1);
    Atomics.notify(thread.bell, 0);
  }

  #settle(thread: DiskThread, reply: DiskReply): void {
    const call = thread.current;
    if (!call) return;
    if ('failed' in reply) {
      call.reject(new DiskError(reply.failed.code, `${reply.failed.message} ${call.path}`));
    } else if (call.request.op === 'read' && typeof reply.value === 'number') {
      // Copied before the thread gets its next request. A slice of Node's pool would keep 64 KiB alive for it.
      call.resolve({ value: new Uint8Array(thread.scratch.subarray(0, reply.value)), thread });
    } else {
      call.resolve({ value: reply.value, thread });
    }
    this.#next(thread);
  }

  #next(thread: DiskThread): void {
    const call = thread.own.shift() ?? this.#take();
    if (call) {
      this.#send(thread, call);
      return;
    }
    if (thread.current) thread.worker.unref();
    thread.current = undefined;
    this.#idle.push(thread);
    if (this.#onQuiet && this.#idle.length === this.#threads.size) this.#onQuiet();
  }

  #take(): Call | undefined {
    const call = this.#queue[this.#head];
    if (call === undefined) return undefined;
    this.#head++;
    if (this.#head === this.#queue.length || this.#head > 1024) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
    return call;
  }

  #lost(thread: DiskThread, why: string): void {
    if (!this.#threads.delete(thread)) return;
    const at = this.#idle.indexOf(thread);
    if (at >= 0) this.#idle.splice(at, 1);
    const code = this.#closed ? 'ECANCELED' : 'EIO';
    const left = thread.current ? [thread.current, ...thread.own] : thread.own;
    for (const call of left)
      call.reject(new DiskError(code, `${call.request.op} ${call.path}: the disk's thread is gone (${why})`));
    const next = this.#closed ? undefined : this.#take();
    if (next) this.#dispatch(next, undefined);
  }

  /** Refuses further requests, lets those in flight end for a while, then ends the threads. Locks are released. */
  close(): Promise<void> {
    this.#closed ??= this.#end();
    return this.#closed;
  }

  async #end(): Promise<void> {
    for (let call = this.#take(); call; call = this.#take())
      call.reject(new DiskError('ECANCELED', `${call.request.op} ${call.path}: the disk is closed`));
    const wait = (until: Promise<unknown>) => {
      const timeout = Promise.withResolvers<void>();
      const timer = setTimeout(timeout.resolve, CLOSE_WAIT_MS);
      return Promise.race([until, timeout.promise]).finally(() => clearTimeout(timer));
    };
    if (this.#idle.length < this.#threads.size)
      await wait(
        new Promise<void>((resolve) => {
          this.#onQuiet = resolve;
        }),
      );
    const threads = [...this.#threads];
    const ended = Promise.all(threads.map(({ worker }) => worker.terminate()));
    await wait(ended);
    for (const thread of threads) this.#lost(thread, 'the disk is closed');
  }
}
