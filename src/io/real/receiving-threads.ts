/**
 * The threads that receive (`puller-worker.ts`) as the control thread sees them: which of them takes a job, and what becomes of
 * jobs when a disk hangs. A thread serves one disk, or memory: one whose write hangs holds jobs of no other disk.
 *
 * A job ends from here by a word that its thread looks at; its descriptors are kept until the thread says that it is
 * over. One whose write does not return within `diskDeadlineMs` hangs on its disk: its jobs fail and the disk is ejected.
 *
 * Bounds:  `threads` for each disk, a few more while some hang; pullsActiveMax jobs of each.
 */

import { availableParallelism } from 'node:os';
import { ForebayError } from '../../core/errors.ts';
import { diskDeadlineMs as diskDeadlineDefaultMs, pullersMax } from '../../core/limits.ts';
import { type Clock, DiskError, type File } from '../io.ts';
import { isEjected, reportStuck } from '../wrapped-file.ts';
import { type BlockReport, BlockReports } from './block-reports.ts';
import type { LibcCalls } from './libc.ts';
import { Lookout } from './lookout.ts';
import type { JobEnd, PullNews } from './puller-memory.ts';
import { PullerThread, type Unslotted } from './puller-thread.ts';
import { fdOf, type HeldDescriptor } from './real-file.ts';

/** Threads beyond the usual number, while others hang. */
const SPARE_THREADS = 2;
/** Stands for the disk of jobs into memory. */
const MEMORY = {};

export interface ReceivingThreadsOptions {
  readonly libc: LibcCalls;
  readonly clock: Clock;
  readonly threads: number | undefined;
  /** Of the threads, as for nice(1); 0 by default. */
  readonly nice?: number;
  readonly diskDeadlineMs: number | undefined;
}

/** Without a file the bytes come with the reports. */
export interface ReceptionOptions {
  readonly into: File | undefined;
  readonly start: (fileFd: number) => Unslotted;
  readonly report: (block: BlockReport) => void | Promise<void>;
  /** The thread has let go of the socket; also where `begin` throws. `isWell`: nothing failed on this side. */
  readonly onReleased: (end: JobEnd | undefined, isWell: boolean) => void;
}

/** A job that a thread has, or had. */
export class Reception {
  readonly options: ReceptionOptions;
  readonly thread: PullerThread;
  readonly held: HeldDescriptor | undefined;
  readonly reports: BlockReports;
  slot = -1;
  /** Why it was ended from here. */
  failed: { readonly error: unknown } | undefined;
  /** Resolves when the thread has let go of it, or is given up. */
  readonly over = Promise.withResolvers<JobEnd>();
  /** Resolves when the thread has let go of it. */
  readonly released = Promise.withResolvers<void>();

  constructor(
    options: ReceptionOptions,
    at: { thread: PullerThread; held: HeldDescriptor | undefined },
    onSettled: (reception: Reception, settled: number) => void,
  ) {
    this.options = options;
    this.thread = at.thread;
    this.held = at.held;
    this.reports = new BlockReports(options.report, (settled) => onSettled(this, settled));
  }

  /** How it ended, once everything is reported. Throws what a report threw, or what it was ended with. */
  async outcome(): Promise<JobEnd> {
    const end = await this.over.promise;
    await this.reports.settled().catch((error: unknown) => {
      this.failed ??= { error };
    });
    if (this.failed) throw this.failed.error;
    return end;
  }
}

export class ReceivingThreads {
  readonly #options: ReceivingThreadsOptions;
  readonly #threadsMax: number;
  readonly #diskDeadlineMs: number;
  readonly #threads = new Map<object, Set<PullerThread>>();
  readonly #jobs = new Map<PullerThread, Map<number, Reception>>();
  readonly #lookout: Lookout;
  #closed = false;

  constructor(options: ReceivingThreadsOptions) {
    this.#options = options;
    this.#threadsMax = options.threads ?? Math.min(pullersMax, Math.ceil(availableParallelism() / 2));
    this.#diskDeadlineMs = options.diskDeadlineMs ?? diskDeadlineDefaultMs;
    this.#lookout = new Lookout({
      clock: options.clock,
      termMs: this.#diskDeadlineMs,
      isNeeded: () => this.#jobs.values().some((jobs) => jobs.size > 0),
      look: (nowMs, anew) => {
        for (const [thread, jobs] of this.#jobs) this.#lookAt(thread, jobs, { nowMs, anew });
      },
    });
  }

  /** Throws shuttingDown, overloaded, DiskError. */
  begin(options: ReceptionOptions): Reception {
    try {
      return this.#begin(options);
    } catch (error) {
      options.onReleased(undefined, false);
      throw error;
    }
  }

  #begin(options: ReceptionOptions): Reception {
    const { into } = options;
    if (this.#closed) throw new ForebayError('shuttingDown', 'this node is stopping');
    if (into && isEjected(into)) throw hungDisk(into);
    const held = into && fdOf(into);
    const thread = this.#choose(held?.disk ?? MEMORY);
    const job =
      thread &&
      new Reception(options, { thread, held }, (reception, settled) => {
        if (reception.reports.failed) this.fail(reception, reception.reports.failed.error);
        if (this.#isRunning(reception)) thread.settled(reception.slot, settled);
      });
    const slot = job?.thread.give(options.start(held?.fd ?? -1));
    if (job === undefined || slot === undefined) {
      held?.release();
      throw job ? new ForebayError('overloaded', 'too many bodies and pulls at once') : hungDisk(into);
    }
    job.slot = slot;
    this.#jobsOf(job.thread).set(slot, job);
    this.#lookout.wake();
    return job;
  }

  #jobsOf(thread: PullerThread): Map<number, Reception> {
    const jobs = this.#jobs.get(thread) ?? new Map<number, Reception>();
    this.#jobs.set(thread, jobs);
    return jobs;
  }

  /** The disk's thread with the fewest jobs; a new one while all have some and there may be more. */
  #choose(disk: object): PullerThread | undefined {
    const threads = this.#threads.get(disk) ?? new Set();
    this.#threads.set(disk, threads);
    let best: PullerThread | undefined;
    let sound = 0;
    for (const thread of threads) {
      if (thread.stuck !== undefined) continue;
      sound++;
      if (best === undefined || thread.load < best.load) best = thread;
    }
    if (best?.load === 0) return best;
    const mayStart = sound < this.#threadsMax && threads.size < this.#threadsMax + SPARE_THREADS;
    if (!mayStart) return best;
    const thread: PullerThread = new PullerThread({
      libc: this.#options.libc,
      writes: disk !== MEMORY,
      nice: this.#options.nice ?? 0,
      onNews: (news) => this.#hear(thread, news),
      onLost: (error) => this.#lost(thread, error),
    });
    threads.add(thread);
    return thread;
  }

  /** Whether its thread still has it; a slot that is free may be another's already. */
  #isRunning(job: Reception): boolean {
    return this.#jobs.get(job.thread)?.get(job.slot) === job;
  }

  #hear(thread: PullerThread, { slot, blocks, over }: PullNews): void {
    const job = this.#jobs.get(thread)?.get(slot);
    if (!job) return;
    for (const block of blocks) job.reports.add(block);
    if (over) this.#release(job, over);
  }

  /** Nobody uses the job's descriptors any more. */
  #release(job: Reception, end: JobEnd): void {
    this.#jobs.get(job.thread)?.delete(job.slot);
    job.held?.release();
    job.options.onReleased(end, job.failed === undefined);
    job.over.resolve(end);
    job.released.resolve();
  }

  /** Ends a job from here; its caller hears once the thread has let go, or at once where the thread hangs. */
  fail(job: Reception, error: unknown): void {
    job.failed ??= { error };
    job.reports.drop(error);
    if (!this.#isRunning(job)) return;
    job.thread.cancel(job.slot);
    if (job.thread.stuck !== undefined) job.over.resolve({ kind: 'cancelled' });
  }

  #lookAt(thread: PullerThread, jobs: ReadonlyMap<number, Reception>, now: { nowMs: number; anew: boolean }): void {
    if (thread.stuck !== undefined) return;
    const busy = thread.look(now.nowMs, { anew: now.anew });
    if (busy === undefined || now.nowMs - busy.sinceMs < this.#diskDeadlineMs) return;
    const hung = jobs.get(busy.slot);
    if (!hung) return;
    thread.stuck = busy.slot;
    const { into } = hung.options;
    if (into) reportStuck(into, `write ${into.path}`, hung.released.promise);
    for (const job of jobs.values()) this.fail(job, hungDisk(job.options.into));
  }

  #lost(thread: PullerThread, cause: Error): void {
    for (const threads of this.#threads.values()) threads.delete(thread);
    const jobs = [...(this.#jobs.get(thread)?.values() ?? [])];
    for (const job of jobs) {
      job.failed ??= {
        error: new ForebayError('internal', `a thread that receives died: ${cause.message}`, { cause }),
      };
      this.#release(job, { kind: 'cancelled' });
    }
    this.#jobs.delete(thread);
  }

  async close(): Promise<void> {
    this.#closed = true;
    const stopping = [...this.#jobs];
    for (const [, jobs] of stopping)
      for (const job of jobs.values()) this.fail(job, new ForebayError('shuttingDown', 'this node is stopping'));
    const threads = [...this.#threads.values()].flatMap((set) => [...set]);
    this.#threads.clear();
    await Promise.all(
      threads.map(async (thread) => {
        const ended = await thread.stop();
        // The descriptors of a thread that is left behind stay open: it may still use them.
        for (const job of this.#jobs.get(thread)?.values() ?? [])
          if (ended) this.#release(job, { kind: 'cancelled' });
          else job.over.resolve({ kind: 'cancelled' });
      }),
    );
  }
}

function hungDisk(into: File | undefined): DiskError {
  return new DiskError('ETIMEDOUT', `write ${into?.path ?? ''}: the disk does not answer`);
}
