/**
 * Receiving by pullers: threads that take bytes from sockets and checksum them while they are hot, each with a writer that
 * puts them into the data file meanwhile, so that the bytes of a pull never enter JavaScript's streams and a disk that hangs stalls a puller, not the node.
 * The control thread only learns that a block is there (`receiving-threads.ts`).
 *
 * Bounds:  pullsActiveMax pulls (`peer-puller.ts`).
 */
import { lookup } from 'node:dns/promises';
import { isIP } from 'node:net';
import { constants } from 'node:os';
import { abortReason, ForebayError } from '../../core/errors.ts';
import { pullAheadBlocksMax, pullAheadMemoryBlocksMax } from '../../core/limits.ts';
import { type Clock, DiskError } from '../io.ts';
import type { Pull } from '../peers.ts';
import { unwrapFile } from '../wrapped-file.ts';
import { errnoName } from './errno.ts';
import type { LibcCalls } from './libc.ts';
import type { NativeBuffer, SocketCalls } from './libc-sockets.ts';
import type { AnswerFailure } from './peer-answer.ts';
import { PeerPool, type Pooled } from './peer-pool.ts';
import { isPoolOf, poolName, type Receive, type Receiver, StaleConnection } from './peer-receiver.ts';
import { connectionFailure } from './peer-tls.ts';
import type { JobEnd } from './puller-memory.ts';
import { RealFile } from './real-file.ts';
import { ReceivingThreads, type Reception } from './receiving-threads.ts';
import { idlePeer } from './stream-receiver.ts';

const { EAGAIN } = constants.errno;
/** A quarter of the processor beside one other thread that wants it; all of it where nobody does. */
const PATIENT_NICE = 5;

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

export class Pullers implements Receiver {
  readonly #options: PullersOptions;
  readonly #threads: ReceivingThreads;
  /** For what nobody waits for. */
  readonly #patient: ReceivingThreads;
  readonly #pool: PeerPool<RawConnection>;
  readonly #probe: NativeBuffer;

  constructor(options: PullersOptions) {
    const { libc, clock, pullers: threads, diskDeadlineMs } = options;
    this.#options = options;
    this.#threads = new ReceivingThreads({ libc, clock, threads, diskDeadlineMs });
    this.#patient = new ReceivingThreads({ libc, clock, threads, diskDeadlineMs, nice: PATIENT_NICE });
    this.#pool = new PeerPool(clock);
    this.#probe = options.sockets.allocate(1);
  }

  /** Files of a real disk, or memory; addresses with a zone are Node's. */
  canReceive({ into, from }: Pull): boolean {
    return (into === undefined || unwrapFile(into) instanceof RealFile) && !from.address.host.includes('%');
  }

  async receive(receive: Receive): Promise<AnswerFailure | undefined> {
    const { pull, fresh } = receive;
    const connection = (fresh ? undefined : this.#idle(poolName(pull.from))) ?? (await this.#connect(pull));
    const threads = pull.isPatient === true ? this.#patient : this.#threads;
    const job = this.#begin(threads, receive, connection);
    const onAbort = () => threads.fail(job, abortReason(pull.signal));
    pull.signal.addEventListener('abort', onAbort);
    try {
      if (pull.signal.aborted) onAbort();
      return outcomeOf(pull, connection, await job.outcome());
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

  #begin(threads: ReceivingThreads, { pull, head, key }: Receive, connection: RawConnection): Reception {
    const { into, first, count, sizeBytes, idleMs } = pull;
    const aheadMax = into ? pullAheadBlocksMax : pullAheadMemoryBlocksMax;
    const asked = {
      kind: 'pull',
      socketFd: connection.fd,
      head,
      key,
      first,
      count,
      sizeBytes,
      idleMs,
      aheadMax,
    } as const;
    return threads.begin({
      into,
      start: (fileFd) => ({ ...asked, fileFd }),
      report: ({ block, checksum, bytes }) => pull.onBlock(block, checksum, bytes),
      onReleased: (end, isWell) => {
        if (!isWell || end?.kind !== 'answered' || !end.reusable) {
          connection.close();
          return;
        }
        connection.used = true;
        this.#pool.put(poolName(pull.from), connection);
      },
    });
  }

  forget(node: string): void {
    this.#pool.forget((name) => isPoolOf(name, node));
  }

  async close(): Promise<void> {
    this.#pool.close();
    await Promise.all([this.#threads.close(), this.#patient.close()]);
  }
}

function outcomeOf(pull: Pull, connection: RawConnection, end: JobEnd): AnswerFailure | undefined {
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
    case 'received':
    case 'cancelled':
      throw new ForebayError('internal', `a pull ended as ${end.kind}`);
  }
}
