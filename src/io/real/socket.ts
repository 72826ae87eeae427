/** What sending files needs of Node's sockets: flushed, their descriptor, and how much Node still holds. */

import type { Server } from 'node:net';
import { SETTLED } from '../../core/abortable.ts';
import { abortReason } from '../../core/errors.ts';
import type { Clock, Connection } from '../io.ts';

/** The connection cannot take the bytes any more; `code` is an errno name. */
export class ConnectionError extends Error {
  override name = 'ConnectionError';
  readonly code: string;

  constructor(code: string, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

interface Handle {
  readonly fd?: number;
  readonly writeQueueSize?: number;
  /** What Node believes. */
  reading?: boolean;
  readStart?(): number;
  readStop?(): number;
}

function handleOf(connection: Connection): Handle | undefined {
  return (connection as unknown as { _handle?: Handle | null })._handle ?? undefined;
}

/** The descriptor of a plain socket; `undefined` for TLS and where the platform has none. */
export function socketFd(connection: Connection): number | undefined {
  if ('encrypted' in connection) return undefined;
  const fd = handleOf(connection)?.fd;
  return fd !== undefined && fd >= 0 ? fd : undefined;
}

export interface HeldReading {
  /** What Node has read already, at most `lengthBytes` of it. */
  take(lengthBytes: number): Buffer;
  /** Node goes on. */
  release(): void;
}

/**
 * Has Node leave the bytes of a paused socket to others. Node goes on believing that it reads, or its stream would soon begin to read
 * ahead by itself.
 */
export function holdReading(connection: Connection): HeldReading {
  const handle = handleOf(connection);
  handle?.readStop?.();
  if (handle) handle.reading = true;
  return {
    take(lengthBytes) {
      const pieces: Buffer[] = [];
      let left = lengthBytes;
      while (left > 0 && connection.readableLength > 0) {
        const piece = connection.read(Math.min(left, connection.readableLength)) as Buffer | null;
        if (piece === null) break;
        pieces.push(piece);
        left -= piece.length;
      }
      return pieces.length === 1 ? (pieces[0] as Buffer) : Buffer.concat(pieces);
    },
    release() {
      if (handleOf(connection) === handle) handle?.readStart?.();
    },
  };
}

/** The descriptor of a listening socket; `undefined` where the platform has none. */
export function serverFd(server: Server): number | undefined {
  const fd = (server as unknown as { _handle?: Handle | null })._handle?.fd;
  return fd !== undefined && fd >= 0 ? fd : undefined;
}

/** Bytes that were written to the socket and that the kernel has not taken yet. */
function unsentBytes(connection: Connection): number {
  return Math.max(connection.writableLength, handleOf(connection)?.writeQueueSize ?? 0);
}

/** A socket with an idle timeout of its own counts what the pumps send as activity. */
export function markActive(connection: Connection): void {
  if (connection.timeout) connection.setTimeout(connection.timeout);
}

export function assertUsable(connection: Connection): void {
  if (connection.destroyed || !connection.writable)
    throw new ConnectionError('EPIPE', 'the connection is closed for writing');
}

export interface SocketWait {
  readonly clock: Clock;
  readonly clientIdleMs: number;
  readonly signal: AbortSignal | undefined;
}

/**
 * Resolves when the kernel has taken everything written so far. Rejects when the connection closes, `signal` aborts or
 * the client reads nothing for `clientIdleMs`. `write` adds bytes to what is waited for.
 */
export async function flush(connection: Connection, wait: SocketWait, bytes?: Uint8Array): Promise<void> {
  if (wait.signal?.aborted) throw abortReason(wait.signal);
  assertUsable(connection);
  if (bytes === undefined && unsentBytes(connection) === 0) return;
  const settled = new AbortController();
  try {
    await new Promise<void>((resolve, reject) => {
      const onAbort = () => reject(abortReason(wait.signal as AbortSignal));
      const onClose = () => reject(new ConnectionError('ECONNRESET', 'the client closed the connection'));
      wait.signal?.addEventListener('abort', onAbort, { signal: settled.signal });
      connection.once('close', onClose);
      settled.signal.addEventListener('abort', () => connection.off('close', onClose));
      // An empty write completes after all that came before it.
      connection.write(bytes ?? '', (error) => {
        if (error) reject(new ConnectionError((error as NodeJS.ErrnoException).code ?? 'EPIPE', error.message));
        else resolve();
      });
      idle(connection, wait, settled.signal).then(reject, () => {});
    });
  } finally {
    settled.abort(SETTLED);
  }
}

/** Resolves with the error once nothing has left the socket for `clientIdleMs`; rejects when `settled`. */
async function idle(connection: Connection, wait: SocketWait, settled: AbortSignal): Promise<ConnectionError> {
  let unsent = unsentBytes(connection);
  for (;;) {
    await wait.clock.sleep(wait.clientIdleMs, settled);
    const now = unsentBytes(connection);
    if (now >= unsent) return clientIdle(wait.clientIdleMs);
    unsent = now;
  }
}

export function clientIdle(clientIdleMs: number): ConnectionError {
  return new ConnectionError('ETIMEDOUT', `the client read nothing for ${clientIdleMs} ms`);
}

export function clientSendsNothing(clientIdleMs: number): ConnectionError {
  return new ConnectionError('ETIMEDOUT', `the client sent nothing for ${clientIdleMs} ms`);
}
