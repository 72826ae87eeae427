/**
 * Sending files by pumps: threads that loop on sendfile, so that bytes of a local hit never enter JavaScript and a disk
 * that hangs stalls a pump, not the node. The control thread waits until Node has sent what it holds, duplicates the
 * socket's descriptor and hands it over; the socket itself stays with Node and goes on working (keep-alive).
 *
 * A job is ended from here by shutting its socket down: whatever a pump does with it next fails. What a pump may still
 * use (the duplicate, the file's descriptor) is kept until the pump says that it is done. A pump whose sendfile does not
 * return within `diskDeadlineMs` hangs on a disk: that job and its other jobs of that disk fail, the rest move to
 * another pump.
 *
 * Bounds:  `pumps` threads, a few more while some hang; JOBS_MAX jobs.
 */

import { availableParallelism } from 'node:os';
import { assert } from '../../core/assert.ts';
import { abortReason, ForebayError } from '../../core/errors.ts';
import { type Range, rangeLength } from '../../core/range.ts';
import { type Clock, type Connection, DiskError, type File, type Network } from '../io.ts';
import { isEjected, reportStuck } from '../wrapped-file.ts';
import { errnoName } from './errno.ts';
import type { LibcCalls } from './libc.ts';
import { Lookout } from './lookout.ts';
import {
  FILE_FD,
  JOBS_MAX,
  JobTable,
  NOBODY,
  OWNER,
  PROGRESS,
  RESULT,
  SENT,
  SHORT,
  SOCKET_FD,
  TICKET,
} from './pump-memory.ts';
import { PumpThread } from './pump-thread.ts';
import { fdOf, type HeldDescriptor } from './real-file.ts';
import { ConnectionError, clientIdle, flush, markActive, socketFd } from './socket.ts';
import { shorter } from './streams-network.ts';

/** Pumps beyond the usual number, while others hang. */
const SPARE_PUMPS = 4;
const PUMPS_MAX = 8;

export interface PumpsOptions {
  readonly libc: LibcCalls;
  readonly clock: Clock;
  readonly clientIdleMs: number;
  readonly diskDeadlineMs: number;
  readonly pumps: number | undefined;
}

type Send = Parameters<Network['sendFile']>[0];

interface Job {
  readonly slot: number;
  readonly connection: Connection;
  readonly file: File;
  readonly range: Range;
  readonly held: HeldDescriptor;
  readonly socketFd: number;
  pump: PumpThread;
  progress: number;
  unacknowledged: number;
  progressMs: number;
  /** Set once the caller has its answer; a job may outlive it in a pump that hangs. */
  answered: boolean;
  readonly answer: PromiseWithResolvers<void>;
  /** Resolves when the pump has let go of it. */
  readonly over: PromiseWithResolvers<void>;
}

export class Pumps {
  readonly #options: PumpsOptions;
  readonly #pumpsMax: number;
  readonly #table = new JobTable();
  readonly #jobs = new Map<number, Job>();
  readonly #freeSlots: number[] = [];
  readonly #pumps = new Set<PumpThread>();
  #slotsUsed = 0;
  #pumpsStarted = 0;
  #tickets = 0;
  readonly #lookout: Lookout;
  #closed = false;

  constructor(options: PumpsOptions) {
    this.#options = options;
    this.#pumpsMax = options.pumps ?? Math.min(PUMPS_MAX, Math.max(2, availableParallelism()));
    this.#lookout = new Lookout({
      clock: options.clock,
      termMs: Math.min(options.clientIdleMs, options.diskDeadlineMs),
      isNeeded: () => this.#jobs.size > 0,
      look: (nowMs, late) => {
        for (const pump of this.#pumps) this.#lookAtPump(pump, nowMs, late);
        for (const job of this.#jobs.values()) this.#lookAtJob(job, nowMs, late);
      },
    });
  }

  /** As `Network.sendFile`, for a file of a real disk and a socket with a descriptor. */
  async send({ connection, file, range, signal }: Send): Promise<void> {
    const { clock, clientIdleMs, libc } = this.#options;
    await flush(connection, { clock, clientIdleMs, signal });
    if (rangeLength(range) === 0) return;
    if (this.#closed) throw new ForebayError('shuttingDown', 'the network is closed');
    if (isEjected(file)) throw new DiskError('ETIMEDOUT', `${file.path}: its disk does not answer`);
    const original = socketFd(connection);
    if (original === undefined) throw new ConnectionError('EPIPE', 'the connection is closed');
    const held = fdOf(file);
    assert(held, 'pumps send files of real disks');
    const duplicate = libc.duplicate(original);
    if (duplicate < 0) {
      held.release();
      throw new ForebayError('overloaded', `no descriptor for a connection: ${errnoName(-duplicate)}`);
    }
    const job = this.#begin({ connection, file, range, held, socketFd: duplicate });
    const onAbort = () => this.#fail(job, abortReason(signal as AbortSignal));
    const onClose = () => this.#fail(job, new ConnectionError('ECONNRESET', 'the client closed the connection'));
    signal?.addEventListener('abort', onAbort);
    connection.on('close', onClose);
    try {
      await job.answer.promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
      connection.off('close', onClose);
    }
  }

  #begin(what: Pick<Job, 'connection' | 'file' | 'range' | 'held' | 'socketFd'>): Job {
    const slot = this.#freeSlots.pop() ?? this.#slotsUsed++;
    const pump = slot < JOBS_MAX ? this.#choose() : undefined;
    if (!pump) {
      this.#release(slot, what);
      throw slot < JOBS_MAX
        ? new DiskError('ETIMEDOUT', `${what.file.path}: all pumps wait for disks that do not answer`)
        : new ForebayError('overloaded', `${JOBS_MAX} files are being sent`);
    }
    const job: Job = {
      ...what,
      slot,
      pump,
      progress: 0,
      unacknowledged: 0,
      progressMs: this.#options.clock.boottimeMs(),
      answered: false,
      answer: Promise.withResolvers<void>(),
      over: Promise.withResolvers<void>(),
    };
    this.#jobs.set(slot, job);
    this.#table.setPosition(slot, what.range.start);
    this.#table.setEnd(slot, what.range.end);
    this.#table.set(slot, PROGRESS, 0);
    this.#table.set(slot, RESULT, SENT);
    this.#table.set(slot, TICKET, ++this.#tickets);
    this.#table.set(slot, SOCKET_FD, what.socketFd);
    this.#table.set(slot, FILE_FD, what.held.fd);
    this.#give(job, pump);
    this.#lookout.wake();
    return job;
  }

  #give(job: Job, pump: PumpThread): void {
    job.pump = pump;
    this.#table.set(job.slot, OWNER, pump.owner);
    pump.give(job.slot);
  }

  /** The pump with the fewest jobs; a new one while all have some and there may be more. */
  #choose(): PumpThread | undefined {
    let best: PumpThread | undefined;
    let sound = 0;
    for (const pump of this.#pumps) {
      if (pump.stuck !== undefined) continue;
      sound++;
      if (best === undefined || pump.slots.size < best.slots.size) best = pump;
    }
    if (best?.slots.size === 0) return best;
    const mayStart = sound < this.#pumpsMax && this.#pumps.size < this.#pumpsMax + SPARE_PUMPS;
    return mayStart ? this.#start() : best;
  }

  #start(): PumpThread {
    const { libc } = this.#options;
    const pump: PumpThread = new PumpThread({
      pump: this.#pumpsStarted++,
      jobs: this.#table,
      libc,
      onDone: (slot) => this.#done(slot),
      onLost: (error) => this.#lost(pump, error),
    });
    this.#pumps.add(pump);
    return pump;
  }

  #done(slot: number): void {
    const job = this.#jobs.get(slot);
    assert(job, 'a pump reports jobs that it has');
    const result = this.#table.get(slot, RESULT);
    this.#end(job);
    if (result === SENT) this.#succeed(job);
    else if (result === SHORT) this.#fail(job, shorter(job.file, this.#table.position(slot)));
    else this.#fail(job, sendError(errnoName(result), job.file));
  }

  /** Nobody uses the job's descriptors any more. */
  #end(job: Job): void {
    this.#jobs.delete(job.slot);
    this.#release(job.slot, job);
    job.over.resolve();
  }

  #release(slot: number, { held, socketFd }: Pick<Job, 'held' | 'socketFd'>): void {
    this.#options.libc.closeDescriptor(socketFd);
    held.release();
    if (slot < JOBS_MAX) this.#freeSlots.push(slot);
    else this.#slotsUsed--;
  }

  #succeed(job: Job): void {
    if (job.answered) return;
    job.answered = true;
    job.answer.resolve();
  }

  /** Answers the caller at once; a job that a pump still has ends with its next call, for its socket is shut down. */
  #fail(job: Job, error: Error): void {
    if (job.answered) return;
    if (this.#jobs.get(job.slot) === job) {
      // Done: the message is on its way. (A client that has everything may be gone before it arrives.)
      if (this.#table.get(job.slot, OWNER) === NOBODY) return;
      this.#options.libc.shutdown(job.socketFd);
      // A pump that hangs does nothing about its other jobs.
      if (job.pump.stuck !== undefined && job.pump.take(job.slot)) this.#end(job);
    }
    job.answered = true;
    job.connection.destroy();
    job.answer.reject(error);
  }

  #lookAtPump(pump: PumpThread, nowMs: number, late: boolean): void {
    if (pump.stuck !== undefined) return;
    const busy = pump.look(nowMs, { anew: late });
    if (busy === undefined || nowMs - busy.sinceMs < this.#options.diskDeadlineMs) return;
    const hung = this.#jobs.get(busy.slot);
    if (hung === undefined) return;
    pump.stuck = busy.slot;
    const error = () => new DiskError('ETIMEDOUT', `sendfile ${hung.file.path}: the disk does not answer`);
    reportStuck(hung.file, `sendfile ${hung.file.path}`, hung.over.promise);
    this.#fail(hung, error());
    for (const slot of pump.slots) {
      const job = this.#jobs.get(slot);
      if (job === undefined || job === hung || job.answered) continue;
      const other = job.held.disk === hung.held.disk ? undefined : this.#choose();
      if (other === undefined) this.#fail(job, error());
      else if (pump.take(slot)) this.#give(job, other);
    }
  }

  /**
   * A client reads when bytes move into its socket, or when its kernel acknowledges some: the socket takes more only
   * once a third of its buffer is free, which a slow client may need minutes for.
   */
  #lookAtJob(job: Job, nowMs: number, late: boolean): void {
    const progress = this.#table.get(job.slot, PROGRESS);
    const unacknowledged = this.#options.libc.unacknowledged(job.socketFd);
    const moved = progress !== job.progress || unacknowledged < job.unacknowledged;
    job.progress = progress;
    job.unacknowledged = unacknowledged;
    if (moved) markActive(job.connection);
    if (moved || late) job.progressMs = nowMs;
    else if (nowMs - job.progressMs >= this.#options.clientIdleMs)
      this.#fail(job, clientIdle(this.#options.clientIdleMs));
  }

  #lost(pump: PumpThread, cause: Error): void {
    this.#pumps.delete(pump);
    pump.collect();
    for (const slot of pump.slots) {
      const job = this.#jobs.get(slot);
      if (!job) continue;
      this.#fail(job, new ForebayError('internal', `a pump died: ${cause.message}`, { cause }));
      if (this.#jobs.get(slot) === job) this.#end(job);
    }
  }

  async close(): Promise<void> {
    this.#closed = true;
    const jobs = [...this.#jobs.values()];
    for (const job of jobs) this.#fail(job, new ForebayError('shuttingDown', 'the network is closed'));
    const stopped = await Promise.all([...this.#pumps].map(async (pump) => ({ pump, ended: await pump.stop() })));
    this.#pumps.clear();
    // The descriptors of a pump that is left behind stay open: it may still use them.
    for (const { pump, ended } of stopped) {
      if (!ended) continue;
      for (const job of this.#jobs.values()) if (job.pump === pump) this.#end(job);
    }
  }
}

const DISK_ERRORS = new Set(['EIO', 'EBADF', 'EISDIR', 'EINVAL', 'ENXIO', 'ENODEV', 'EOVERFLOW', 'ENOMEM', 'ESTALE']);

function sendError(code: string, file: File): Error {
  return DISK_ERRORS.has(code)
    ? new DiskError(code, `sendfile ${file.path}`)
    : new ConnectionError(code, 'the client closed the connection');
}
