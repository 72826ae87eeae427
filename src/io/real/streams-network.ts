/**
 * Sending files without FFI, and over TLS: the disk's threads read, Node writes. One piece is read while the one before
 * it is being sent.
 */
import { SETTLED } from '../../core/abortable.ts';
import { rangeLength } from '../../core/range.ts';
import { type Clock, DiskError, type File, type Network } from '../io.ts';
import { isEjected, reportStuck } from '../wrapped-file.ts';
import { flush, type SocketWait } from './socket.ts';

const PIECE_BYTES = 256 << 10;

type Send = Parameters<Network['sendFile']>[0];

export interface StreamsOptions {
  readonly clock: Clock;
  readonly clientIdleMs: number;
  readonly diskDeadlineMs: number;
}

/** As `Network.sendFile`, but leaves the connection to the caller. */
export async function sendByStreams(send: Send, options: StreamsOptions): Promise<void> {
  const { connection, file, range, signal } = send;
  const wait: SocketWait = { ...options, signal };
  if (isEjected(file)) throw new DiskError('ETIMEDOUT', `${file.path}: its disk does not answer`);
  if (rangeLength(range) === 0) {
    await flush(connection, wait);
    return;
  }
  let next = readPiece(file, range.start, range.end, options);
  try {
    for (let at = range.start; at < range.end; ) {
      const bytes = await next;
      at += bytes.length;
      if (at < range.end) next = readPiece(file, at, range.end, options);
      await flush(connection, wait, bytes);
    }
  } finally {
    // The read ahead of a failed send has nobody else to wait for it.
    next.catch(() => {});
  }
}

async function readPiece(file: File, at: number, end: number, options: StreamsOptions): Promise<Uint8Array> {
  const read = file.read(at, Math.min(PIECE_BYTES, end - at));
  const settled = new AbortController();
  const late = options.clock.sleep(options.diskDeadlineMs, settled.signal).then(() => 'late' as const);
  late.catch(() => {});
  try {
    const bytes = await Promise.race([read, late]);
    if (bytes === 'late') {
      reportStuck(file, `read ${file.path}`, read);
      throw new DiskError('ETIMEDOUT', `read ${file.path}: the disk does not answer`);
    }
    if (bytes.length === 0) throw shorter(file, at);
    return bytes;
  } finally {
    settled.abort(SETTLED);
    read.catch(() => {});
  }
}

export function shorter(file: File, at: number): DiskError {
  return new DiskError('EIO', `${file.path} ends at or before byte ${at}, inside the range to be sent`);
}
