/**
 * The coordinator of the daemons of one machine: one SQLite file that all of them open, each in a thread of its own, so
 * that a slow disk holds up that thread and nothing else. It has no host that could die.
 *
 * Bounds:  `coordinatorRequestsMax` requests under way, each given up after `coordinatorDeadlineMs`; history for watches
 *          as in core/limits.ts.
 * Crash:   what was answered is on disk (synchronous FULL). Sessions end with their term, and with the boot.
 */

import { randomUUID } from 'node:crypto';
import { setTimeout as after } from 'node:timers/promises';
import { Worker } from 'node:worker_threads';
import { SETTLED } from '../../core/abortable.ts';
import { abortReason, ForebayError } from '../../core/errors.ts';
import { coordinatorDeadlineMs, coordinatorRequestsMax } from '../../core/limits.ts';
import type { Coordinator, Session, Transaction, TransactionResult, WatchEvent } from '../coordinator.ts';
import type { Clock } from '../io.ts';
import { checkKey, checkTransaction, writes } from '../transaction.ts';
import type {
  EmbeddedAnswers,
  EmbeddedRequest,
  EmbeddedWorkerData,
  FromEmbeddedWorker,
  ToEmbeddedWorker,
} from './embedded-request.ts';
import { HeldSession } from './held-session.ts';
import type { FfiChoice } from './libc.ts';
import { beat } from './renewals.ts';

/** Closing waits this long for the thread: one that hangs in the disk can only be left behind. */
const CLOSE_WAIT_MS = 2000;

export interface EmbeddedOptions {
  /** Absolute. The directory exists. */
  readonly path: string;
  readonly clock: Clock;
  readonly ffi?: FfiChoice;
}

/** Opens the file, making it where there is none. Rejects with `coordinatorRefused`, `coordinatorUnavailable`, `formatTooNew`. */
export async function openEmbeddedCoordinator(options: EmbeddedOptions): Promise<EmbeddedCoordinator> {
  const coordinator = new EmbeddedCoordinator(options);
  await coordinator.opened;
  return coordinator;
}

interface Call {
  readonly request: EmbeddedRequest;
  readonly isWrite: boolean;
  readonly resolve: (value: EmbeddedAnswers[keyof EmbeddedAnswers]) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

class EmbeddedCoordinator implements Coordinator {
  readonly description: string;
  readonly opened: Promise<void>;
  readonly #options: EmbeddedOptions;
  readonly #worker: Worker;
  readonly #exited = Promise.withResolvers<void>();
  readonly #opening = Promise.withResolvers<void>();
  readonly #calls = new Map<number, Call>();
  readonly #sessions = new Map<string, HeldSession>();
  readonly #watches = new Set<() => void>();
  readonly #closed = new AbortController();
  readonly #pulse = new SharedArrayBuffer(4);
  readonly #beats = new Map<string, () => void>();
  #revision = 0;
  #nextCall = 0;
  #refusal: ForebayError | undefined;
  #closing: Promise<void> | undefined;

  constructor(options: EmbeddedOptions) {
    this.#options = options;
    this.description = `embedded ${options.path}`;
    this.opened = this.#opening.promise;
    const data: EmbeddedWorkerData = {
      path: options.path,
      bootId: options.clock.bootId,
      ffi: options.ffi ?? 'auto',
      pulse: this.#pulse,
    };
    this.#worker = new Worker(new URL('./embedded-worker.ts', import.meta.url), {
      name: 'coordinator',
      workerData: data,
      // Not the flags of the process: some are refused by threads.
      execArgv: ['--disable-warning=ExperimentalWarning'],
      resourceLimits: { maxYoungGenerationSizeMb: 4 },
    });
    this.#worker.on('message', (message: FromEmbeddedWorker) => this.#hear(message));
    this.#worker.on('error', (error: Error) => this.#gone(error.message));
    this.#worker.on('exit', () => {
      this.#gone('it ended');
      this.#exited.resolve();
    });
  }

  #hear(message: FromEmbeddedWorker): void {
    if ('opened' in message) {
      const { opened: failed } = message;
      this.#worker.unref();
      if (failed) this.#opening.reject(new ForebayError(failed.code, failed.message));
      else this.#opening.resolve();
    } else if ('call' in message) {
      const call = this.#settled(message.call);
      if ('failed' in message) call?.reject(new ForebayError(message.failed.code, message.failed.message));
      else call?.resolve(message.value);
    } else if ('revision' in message) {
      this.#revision = message.revision;
      this.#wake();
    } else if ('refused' in message) {
      this.#refuse(new ForebayError(message.refused.code, message.refused.message));
    } else if ('renewed' in message) {
      this.#sessions.get(message.renewed)?.confirm(message.sentMs);
    } else {
      this.#sessions.get(message.lost)?.end(message.why);
    }
  }

  #settled(number: number): Call | undefined {
    const call = this.#calls.get(number);
    if (!call) return undefined;
    this.#calls.delete(number);
    clearTimeout(call.timer);
    if (this.#calls.size === 0) this.#worker.unref();
    return call;
  }

  #wake(): void {
    for (const wake of Array.from(this.#watches)) wake();
  }

  /** Nothing counts any more: sessions are over, requests fail. */
  #refuse(refusal: ForebayError): void {
    this.#refusal ??= refusal;
    for (const session of this.#sessions.values()) session.end(refusal.message);
    this.#wake();
  }

  #gone(why: string): void {
    const message = `the thread of the coordinator is gone: ${why}`;
    this.#opening.reject(new ForebayError('coordinatorUnavailable', message));
    this.#refuse(new ForebayError(this.#closing ? 'shuttingDown' : 'coordinatorUnavailable', message));
    for (const number of Array.from(this.#calls.keys())) {
      const call = this.#settled(number);
      const code = call?.isWrite ? 'coordinatorUncertain' : 'coordinatorUnavailable';
      call?.reject(new ForebayError(code, message));
    }
  }

  #checkOpen(): void {
    if (this.#closing) throw new ForebayError('shuttingDown', 'the coordinator is closed');
    if (this.#refusal) throw this.#refusal;
  }

  async #call<R extends EmbeddedRequest>(
    request: R,
    { isWrite, signal }: { isWrite: boolean; signal?: AbortSignal | undefined },
  ): Promise<EmbeddedAnswers[R['op']]> {
    if (signal?.aborted) throw abortReason(signal);
    if (this.#calls.size >= coordinatorRequestsMax)
      throw new ForebayError('overloaded', `${coordinatorRequestsMax} requests wait for the coordinator`);
    const number = this.#nextCall++;
    const { promise, resolve, reject } = Promise.withResolvers<EmbeddedAnswers[keyof EmbeddedAnswers]>();
    const timer = setTimeout(() => this.#settled(number)?.reject(this.#late(isWrite)), coordinatorDeadlineMs);
    if (this.#calls.size === 0) this.#worker.ref();
    this.#calls.set(number, { request, isWrite, resolve, reject, timer });
    this.#worker.postMessage({ call: number, request } satisfies ToEmbeddedWorker);
    const aborted = () => this.#settled(number)?.reject(abortReason(signal as AbortSignal));
    signal?.addEventListener('abort', aborted, { once: true });
    try {
      return (await promise) as EmbeddedAnswers[R['op']];
    } finally {
      signal?.removeEventListener('abort', aborted);
    }
  }

  #late(isWrite: boolean): ForebayError {
    const message = `${this.#options.path} does not answer for ${coordinatorDeadlineMs} ms`;
    return new ForebayError(isWrite ? 'coordinatorUncertain' : 'coordinatorUnavailable', message);
  }

  async session({ ttlMs }: { ttlMs: number }): Promise<Session> {
    this.#checkOpen();
    const { clock } = this.#options;
    const id = randomUUID();
    const sentMs = clock.boottimeMs();
    this.#beats.set(id, beat(this.#pulse, ttlMs));
    const session = new HeldSession({ id, ttlMs, sentMs }, { clock, onClose: () => this.#end(id) });
    const forget = () => {
      this.#beats.get(id)?.();
      this.#beats.delete(id);
      this.#sessions.delete(id);
    };
    session.lost.addEventListener('abort', forget, { once: true });
    this.#sessions.set(id, session);
    try {
      await this.#call({ op: 'session', id, ttlMs }, { isWrite: true });
    } catch (error) {
      session.end('it never began');
      this.#worker.postMessage({ call: -1, request: { op: 'end', id } } satisfies ToEmbeddedWorker);
      throw error;
    }
    return session;
  }

  async #end(id: string): Promise<void> {
    if (this.#refusal) return;
    await this.#call({ op: 'end', id }, { isWrite: true });
  }

  async range(prefix: string, options: { limit?: number; after?: string; signal?: AbortSignal } = {}) {
    this.#checkOpen();
    checkKey(prefix, { mayBeEmpty: true });
    const { after: beyond, limit, signal } = options;
    return await this.#call({ op: 'range', prefix, after: beyond, limit }, { isWrite: false, signal });
  }

  async transaction(transaction: Transaction): Promise<TransactionResult> {
    this.#checkOpen();
    checkTransaction(transaction);
    return await this.#call({ op: 'transaction', transaction }, { isWrite: writes(transaction) });
  }

  async *watch(prefix: string, options: { afterRevision: number; signal: AbortSignal }): AsyncIterable<WatchEvent> {
    this.#checkOpen();
    checkKey(prefix, { mayBeEmpty: true });
    const signal = AbortSignal.any([options.signal, this.#closed.signal]);
    let seen = options.afterRevision;
    let looked = -1;
    while (!signal.aborted) {
      if (this.#refusal) throw this.#refusal;
      if (looked >= 0 && this.#revision <= looked) {
        await this.#somethingNew(signal);
        continue;
      }
      const found = await this.#look(prefix, { seen, signal });
      if (!found) continue;
      for (const event of found.events) {
        if (signal.aborted) return;
        yield event;
      }
      seen = looked = Math.max(seen, found.toRevision);
    }
  }

  /** What is new for a watch; `undefined` when the file could not be had, after a while. */
  async #look(prefix: string, { seen, signal }: { seen: number; signal: AbortSignal }) {
    try {
      return await this.#call({ op: 'changes', prefix, afterRevision: seen }, { isWrite: false, signal });
    } catch (error) {
      if (this.#refusal && !signal.aborted) throw this.#refusal;
      if (!signal.aborted && !(error instanceof ForebayError)) throw error;
      await this.#options.clock.sleep(100, signal).catch(() => undefined);
      return undefined;
    }
  }

  #somethingNew(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    this.#watches.add(wake);
    signal.addEventListener('abort', wake, { once: true });
    return promise.finally(() => {
      this.#watches.delete(wake);
      // a watch lives for days: what is left on its signal is looked through with every listener that comes or goes
      signal.removeEventListener('abort', wake);
    });
  }

  /** Forgets the history up to now: watches that are behind get snapshots. */
  async compact(): Promise<void> {
    this.#checkOpen();
    await this.#call({ op: 'compact' }, { isWrite: true });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#closed.abort(new ForebayError('shuttingDown', 'the coordinator is closed'));
    await Promise.allSettled([...this.#sessions.values()].map((session) => session.close()));
    this.#worker.ref();
    this.#worker.postMessage('close' satisfies ToEmbeddedWorker);
    const late = new AbortController();
    await Promise.race([
      this.#exited.promise,
      after(CLOSE_WAIT_MS, undefined, { signal: late.signal }).catch(() => undefined),
    ]);
    late.abort(SETTLED);
    await this.#worker.terminate();
  }
}
