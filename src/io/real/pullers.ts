/**
 * Receiving by pullers: threads that take bytes from sockets and checksum them while they are hot, each with a writer that
 * puts them into the data file meanwhile, so that the bytes of a pull never enter JavaScript's streams and a disk that hangs stalls a puller, not the node.
 * The control thread only learns that a block is there. A puller serves one disk, or memory: one whose write
 * hangs holds pulls of no other disk.
 *
 * A pull ends from here by a word that its puller looks at; its descriptors are kept until the puller says that it is
 * over. One whose write does not return within `diskDeadlineMs` hangs on its disk: its pulls fail and the disk is ejected.
 *
 * Bounds:  `pullers` threads for each disk, a few more while some hang; pullsActiveMax pulls (`peer-puller.ts`).
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { availableParallelism, constants } from 'node:os';
import { abortReason, ForebayError } from '../../core/errors.ts';
import {
  diskDeadlineMs as diskDeadlineDefaultMs,
  pullAheadBlocksMax,
  pullAheadMemoryBlocksMax,
  pullersMax,
} from '../../core/limits.ts';
import { type Clock, DiskError } from '../io.ts';
import type { Pull } from '../peers.ts';
import { isEjected, reportStuck, unwrapFile } from '../wrapped-file.ts';
import { BlockReports } from './block-reports.ts';
import { errnoName } from './errno.ts';
import type { LibcCalls } from './libc.ts';
import type { NativeBuffer, SocketCalls } from './libc-sockets.ts';
import type { AnswerFailure } from './peer-answer.ts';
import { PeerPool, type Pooled } from './peer-pool.ts';
import { isPoolOf, poolName, type Receive, type Receiver, StaleConnection } from './peer-receiver.ts';
import { connectionFailure } from './peer-tls.ts';
import type { PullEnd, PullNews } from './puller-memory.ts';
import { PullerThread } from './puller-thread.ts';
import { fdOf, type HeldDescriptor, RealFile } from './real-file.ts';
import { idlePeer } from './stream-receiver.ts';

/** Threads beyond the usual number, while others hang. */
const SPARE_PULLERS = 2;
const LOOK_MAX_MS = 1000;
const { EAGAIN } = constants.errno;
/** Stands for the disk of pulls into memory. */
const MEMORY = {};

export interface PullersOptions {
  readonly libc: LibcCalls;
  readonly sockets: SocketCalls;
  readonly clock: Clock;
  readonly pullers: number | undefined;
  readonly diskDeadlineMs: number | undefined;
}

/** A connection that leads to a peer. */
class RawConnection implements Pooled {
  readonly fd: number;
  used = false;
  readonly #libc: LibcCalls;
  #open = true;

  constructor(fd: number, libc: LibcCalls) {
    this.fd = fd;
    this.#libc = libc;
  }

  close(): void {
    if (this.#open) this.#libc.closeDescriptor(this.fd);
    this.#open = false;
  }
}

interface Job {
  readonly pull: Pull;
  readonly thread: PullerThread;
  readonly slot: number;
  readonly connection: RawConnection;
  readonly held: HeldDescriptor | undefined;
  readonly reports: BlockReports;
  /** Why it was ended from here. */
  failed: { readonly error: unknown } | undefined;
  /** Resolves when the puller has let go of it, or is given up. */
  readonly over: PromiseWithResolvers<PullEnd>;
  /** Resolves when the puller has let go of it. */
  readonly released: PromiseWithResolvers<void>;
}

export class Pullers implements Receiver {
  readonly #options: PullersOptions;
  readonly #threadsMax: number;
  readonly #diskDeadlineMs: number;
  readonly #pool: PeerPool<RawConnection>;
  readonly #threads = new Map<object, Set<PullerThread>>();
  readonly #jobs = new Map<PullerThread, Map<number, Job>>();
  readonly #probe: NativeBuffer;
  #looking = false;
  #closed = false;

  constructor(options: PullersOptions) {
    this.#options = options;
    this.#threadsMax = options.pullers ?? Math.min(pullersMax, Math.ceil(availableParallelism() / 2));
    this.#diskDeadlineMs = options.diskDeadlineMs ?? diskDeadlineDefaultMs;
    this.#pool = new PeerPool(options.clock);
    this.#probe = options.sockets.allocate(1);
  }

  /** Files of a real disk, or memory; addresses with a zone are Node's. */
  canReceive({ into, from }: Pull): boolean {
    return (into === undefined || unwrapFile(into) instanceof RealFile) && !from.address.host.includes('%');
  }

  async receive(receive: Receive): Promise<AnswerFailure | undefined> {
    const { pull, fresh } = receive;
    const connection = (fresh ? undefined : this.#idle(poolName(pull.from))) ?? (await this.#connect(pull));
    let job: Job;
    try {
      job = this.#begin(receive, connection);
    } catch (error) {
      connection.close();
      throw error;
    }
    const onAbort = () => this.#fail(job, abortReason(pull.signal));
    pull.signal.addEventListener('abort', onAbort);
    try {
      if (pull.signal.aborted) onAbort();
      const end = await job.over.promise;
      await job.reports.settled().catch((error: unknown) => {
        job.failed ??= { error };
      });
      if (job.failed) throw job.failed.error;
      return this.#outcome(job, end);
    } finally {
      pull.signal.removeEventListener('abort', onAbort);
    }
  }

  /** A pooled connection that its peer has not closed. */
  #idle(name: string): RawConnection | undefined {
    for (;;) {
      const connection = this.#pool.take(name);
      if (!connection) return undefined;
      if (this.#options.sockets.peek(connection.fd, this.#probe, 1) === -EAGAIN) return connection;
      connection.close();
    }
  }

  async #connect({ from, signal }: Pull): Promise<RawConnection> {
    const { host, port } = from.address;
    const resolved = isIP(host) === 0 ? lookup(host).catch((error: unknown) => error as Error) : { address: host };
    const found = await resolved;
    if (signal.aborted) throw abortReason(signal);
    if (found instanceof Error) throw connectionFailure(from, found);
    const fd = this.#options.sockets.connect({ ip: found.address, port });
    if (fd < 0) throw connectionFailure(from, Object.assign(new Error('connect'), { code: errnoName(-fd) }));
    return new RawConnection(fd, this.#options.libc);
  }

  #begin({ pull, head, key }: Receive, connection: RawConnection): Job {
    const { into, first, count, sizeBytes, idleMs } = pull;
    if (this.#closed) throw new ForebayError('shuttingDown', 'this node is stopping');
    if (into && isEjected(into)) throw hungDisk(pull);
    const held = into && fdOf(into);
    const aheadMax = held ? pullAheadBlocksMax : pullAheadMemoryBlocksMax;
    const start = { socketFd: connection.fd, fileFd: held?.fd ?? -1, head, key, first, count, sizeBytes, idleMs };
    const thread = this.#choose(held?.disk ?? MEMORY);
    const slot = thread?.give({ ...start, aheadMax });
    if (thread === undefined || slot === undefined) {
      held?.release();
      throw thread ? new ForebayError('overloaded', 'too many pulls at once') : hungDisk(pull);
    }
    const job: Job = {
      pull,
      thread,
      slot,
      connection,
      held,
      reports: new BlockReports(
        ({ block, checksum, bytes }) => pull.onBlock(block, checksum, bytes),
        (settled) => {
          if (job.reports.failed) this.#fail(job, job.reports.failed.error);
          if (this.#isRunning(job)) thread.settled(slot, settled);
        },
      ),
      failed: undefined,
      over: Promise.withResolvers(),
      released: Promise.withResolvers(),
    };
    this.#jobsOf(thread).set(slot, job);
    this.#look();
    return job;
  }

  #jobsOf(thread: PullerThread): Map<number, Job> {
    const jobs = this.#jobs.get(thread) ?? new Map<number, Job>();
    this.#jobs.set(thread, jobs);
    return jobs;
  }

  /** The disk's puller with the fewest pulls; a new one while all have some and there may be more. */
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
    const mayStart = sound < this.#threadsMax && threads.size < this.#threadsMax + SPARE_PULLERS;
    if (!mayStart) return best;
    const thread: PullerThread = new PullerThread({
      libc: this.#options.libc,
      writes: disk !== MEMORY,
      onNews: (news) => this.#hear(thread, news),
      onLost: (error) => this.#lost(thread, error),
    });
    threads.add(thread);
    return thread;
  }

  /** Whether its puller still has it; a slot that is free may be another's already. */
  #isRunning(job: Job): boolean {
    return this.#jobs.get(job.thread)?.get(job.slot) === job;
  }

  #hear(thread: PullerThread, { slot, blocks, over }: PullNews): void {
    const job = this.#jobs.get(thread)?.get(slot);
    if (!job) return;
    for (const block of blocks) job.reports.add(block);
    if (over) this.#release(job, over);
  }

  /** Nobody uses the pull's descriptors any more. */
  #release(job: Job, end: PullEnd): void {
    this.#jobs.get(job.thread)?.delete(job.slot);
    job.held?.release();
    if (job.failed || end.kind !== 'answered' || !end.reusable) {
      job.connection.close();
    } else {
      job.connection.used = true;
      this.#pool.put(poolName(job.pull.from), job.connection);
    }
    job.over.resolve(end);
    job.released.resolve();
  }

  /** Ends a pull from here; its caller hears once the puller has let go, or at once where the puller hangs. */
  #fail(job: Job, error: unknown): void {
    job.failed ??= { error };
    job.reports.drop(error);
    if (!this.#isRunning(job)) return;
    job.thread.cancel(job.slot);
    if (job.thread.stuck !== undefined) job.over.resolve({ kind: 'cancelled' });
  }

  #outcome({ pull, connection }: Job, end: PullEnd): AnswerFailure | undefined {
    switch (end.kind) {
      case 'answered':
        return end.failed;
      case 'idle':
        throw idlePeer(pull);
      case 'disk':
        throw new DiskError(errnoName(end.errno), `write ${pull.into?.path ?? ''}`);
      case 'closed': {
        const code = end.errno === 0 ? 'ECONNRESET' : errnoName(end.errno);
        const cause = Object.assign(new Error('closed'), { code });
        if (connection.used && !end.received) throw new StaleConnection('the peer closed the connection', { cause });
        throw connectionFailure(pull.from, cause);
      }
      case 'cancelled':
        throw new ForebayError('internal', 'a pull was cancelled by nobody');
    }
  }

  #look(): void {
    if (this.#looking) return;
    this.#looking = true;
    void this.#lookOn().finally(() => {
      this.#looking = false;
    });
  }

  async #lookOn(): Promise<void> {
    const { clock } = this.#options;
    const everyMs = Math.max(10, Math.min(LOOK_MAX_MS, this.#diskDeadlineMs / 4));
    let lookedMs = clock.boottimeMs();
    while ([...this.#jobs.values()].some((jobs) => jobs.size > 0)) {
      await clock.sleep(everyMs);
      const nowMs = clock.boottimeMs();
      // A look that comes very late (a suspend, a stopped process) blames nobody: it only starts the terms anew.
      const anew = nowMs - lookedMs > everyMs + this.#diskDeadlineMs / 2;
      lookedMs = nowMs;
      for (const [thread, jobs] of this.#jobs) this.#lookAt(thread, jobs, { nowMs, anew });
    }
  }

  #lookAt(thread: PullerThread, jobs: ReadonlyMap<number, Job>, now: { nowMs: number; anew: boolean }): void {
    if (thread.stuck !== undefined) return;
    const busy = thread.look(now.nowMs, { anew: now.anew });
    if (busy === undefined || now.nowMs - busy.sinceMs < this.#diskDeadlineMs) return;
    const hung = jobs.get(busy.slot);
    if (!hung) return;
    thread.stuck = busy.slot;
    const { into } = hung.pull;
    if (into) reportStuck(into, `write ${into.path}`, hung.released.promise);
    for (const job of jobs.values()) this.#fail(job, hungDisk(job.pull));
  }

  #lost(thread: PullerThread, cause: Error): void {
    for (const threads of this.#threads.values()) threads.delete(thread);
    const jobs = [...(this.#jobs.get(thread)?.values() ?? [])];
    for (const job of jobs) {
      job.failed ??= { error: new ForebayError('internal', `a puller died: ${cause.message}`, { cause }) };
      this.#release(job, { kind: 'cancelled' });
    }
    this.#jobs.delete(thread);
  }

  forget(node: string): void {
    this.#pool.forget((name) => isPoolOf(name, node));
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#pool.close();
    const stopping = [...this.#jobs];
    for (const [, jobs] of stopping)
      for (const job of jobs.values()) this.#fail(job, new ForebayError('shuttingDown', 'this node is stopping'));
    const threads = [...this.#threads.values()].flatMap((set) => [...set]);
    this.#threads.clear();
    await Promise.all(
      threads.map(async (thread) => {
        const ended = await thread.stop();
        // The descriptors of a puller that is left behind stay open: it may still use them.
        for (const job of this.#jobs.get(thread)?.values() ?? [])
          if (ended) this.#release(job, { kind: 'cancelled' });
          else job.over.resolve({ kind: 'cancelled' });
      }),
    );
  }
}

function hungDisk({ into }: Pull): DiskError {
  return new DiskError('ETIMEDOUT', `write ${into?.path ?? ''}: the disk does not answer`);
}
