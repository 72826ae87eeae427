/**
 * Bodies of clients by threads: Node stops reading the socket, a thread receives from a duplicate of its descriptor until it has
 * as many bytes as were asked for, and Node goes on with the next (keep-alive).
 *
 * Bounds:  bodiesReceivedMax at once, one block of memory each; others wait, and their clients with them.
 */
import { combineCrc32 } from '../../core/crc32-combine.ts';
import { bytesOfCrc32 } from '../../core/digest.ts';
import { abortReason, ForebayError } from '../../core/errors.ts';
import { bodiesReceivedMax, bodyAheadBlocksMax } from '../../core/limits.ts';
import { Places } from '../../core/places.ts';
import { type Clock, DiskError, type ReceiveInto } from '../io.ts';
import { errnoName } from './errno.ts';
import type { LibcCalls } from './libc.ts';
import type { JobEnd } from './puller-memory.ts';
import { ReceivingThreads } from './receiving-threads.ts';
import { ConnectionError, clientSendsNothing, holdReading, socketFd } from './socket.ts';

export interface BodiesOptions {
  readonly libc: LibcCalls;
  readonly clock: Clock;
  readonly clientIdleMs: number;
  readonly diskDeadlineMs: number;
  /** Threads for each disk; by default they follow the cores. */
  readonly threads?: number | undefined;
}

export class Bodies {
  readonly #options: BodiesOptions;
  readonly #threads: ReceivingThreads;
  readonly #places = new Places(bodiesReceivedMax);

  constructor(options: BodiesOptions) {
    const { libc, clock, threads, diskDeadlineMs } = options;
    this.#options = options;
    this.#threads = new ReceivingThreads({ libc, clock, threads, diskDeadlineMs });
  }

  /** As `Network.receiveInto`, for a file of a real disk and a socket with a descriptor. */
  async receive(receive: ReceiveInto): Promise<readonly Uint8Array[]> {
    const cut = cutOff(receive);
    try {
      await this.#places.take(cut.signal);
      try {
        return await this.#receive(receive, cut.signal);
      } finally {
        this.#places.release();
      }
    } finally {
      cut.end();
    }
  }

  async #receive(receive: ReceiveInto, signal: AbortSignal): Promise<readonly Uint8Array[]> {
    const { connection, file } = receive;
    const fd = socketFd(connection);
    if (fd === undefined) throw gone();
    const socket = this.#options.libc.duplicate(fd);
    if (socket < 0) throw new ForebayError('overloaded', `no descriptor for a connection: ${errnoName(-socket)}`);
    const held = holdReading(connection);
    const { first = new Uint8Array(0), lengthBytes, digests = [] } = receive;
    const buffered = held.take(lengthBytes - first.length);
    const sums = new SliceSums(receive);
    const job = this.#threads.begin({
      into: file,
      start: (fileFd) => ({
        kind: 'body',
        fileFd,
        socketFd: socket,
        idleMs: this.#options.clientIdleMs,
        aheadMax: bodyAheadBlocksMax,
        first: Buffer.concat([first, buffered]),
        lengthBytes,
        position: receive.position,
        sliceBytes: receive.sliceBytes,
        // of the slices' own checksums
        digests: digests.filter((name) => name !== 'crc32'),
      }),
      report: ({ block, checksum }) => sums.report(block, checksum),
      onReleased: () => {
        this.#options.libc.closeDescriptor(socket);
        held.release();
      },
    });
    const onAbort = () => this.#threads.fail(job, abortReason(signal));
    signal.addEventListener('abort', onAbort);
    try {
      if (signal.aborted) onAbort();
      const others = this.#digestsOf(receive, await job.outcome()).values();
      return digests.map((name) => (name === 'crc32' ? sums.crc32() : (others.next().value as Uint8Array)));
    } finally {
      signal.removeEventListener('abort', onAbort);
    }
  }

  #digestsOf({ file }: ReceiveInto, end: JobEnd): readonly Uint8Array[] {
    switch (end.kind) {
      case 'received':
        return end.digests;
      case 'idle':
        throw clientSendsNothing(this.#options.clientIdleMs);
      case 'disk':
        throw new DiskError(errnoName(end.errno), `write ${file.path}`);
      case 'closed':
        if (end.errno !== 0) throw new ConnectionError(errnoName(end.errno), 'the client closed the connection');
        throw new ForebayError('incompleteBody', 'the connection closed within the body');
      case 'answered':
      case 'cancelled':
        throw new ForebayError('internal', `a body ended as ${end.kind}`);
    }
  }

  close(): Promise<void> {
    return this.#threads.close();
  }
}

/** What ends a body before its time: the caller's signal, or the connection, closed by this side. */
function cutOff({ connection, signal }: ReceiveInto): { readonly signal: AbortSignal; end(): void } {
  const cut = new AbortController();
  const onAbort = () => cut.abort(signal?.reason);
  const onClose = () => cut.abort(gone());
  if (connection.destroyed) onClose();
  connection.on('close', onClose);
  signal?.addEventListener('abort', onAbort);
  if (signal?.aborted) onAbort();
  return {
    signal: cut.signal,
    end() {
      connection.off('close', onClose);
      signal?.removeEventListener('abort', onAbort);
    },
  };
}

function gone(): ConnectionError {
  return new ConnectionError('ECONNRESET', 'the client closed the connection');
}

/** From the blocks that a thread reports to slices of the file, and the sum of all of them. */
class SliceSums {
  readonly #receive: ReceiveInto;
  #end: number;
  #checksum = 0;

  constructor(receive: ReceiveInto) {
    this.#receive = receive;
    this.#end = receive.position;
  }

  report(_block: number, checksum: number): void | Promise<void> {
    const { position: start, lengthBytes: all, sliceBytes, digests } = this.#receive;
    const position = this.#end;
    this.#end = Math.min((Math.floor(position / sliceBytes) + 1) * sliceBytes, start + all);
    const lengthBytes = this.#end - position;
    if (digests?.includes('crc32')) this.#checksum = combineCrc32(this.#checksum, checksum, lengthBytes);
    return this.#receive.onSlice({ position, lengthBytes, checksum });
  }

  crc32(): Uint8Array {
    return bytesOfCrc32(this.#checksum);
  }
}
