/**
 * Receiving bodies without FFI, and over TLS: Node reads, the disk's threads write and sum. One slice is gathered while the ones
 * before it are being written.
 */
import { createDigest } from '../../core/digest.ts';
import { ForebayError } from '../../core/errors.ts';
import { bodyWritesMax } from '../../core/limits.ts';
import type { Clock, Connection, ReceivedSlice, ReceiveInto } from '../io.ts';
import { ConnectionError, clientSendsNothing } from './socket.ts';

export interface ReceiveByStreamsOptions {
  readonly clock: Clock;
  readonly clientIdleMs: number;
}

/** As `Network.receiveInto`. */
export async function receiveByStreams(
  receive: ReceiveInto,
  options: ReceiveByStreamsOptions,
): Promise<readonly Uint8Array[]> {
  const { file, position, lengthBytes, sliceBytes } = receive;
  const digests = (receive.digests ?? []).map(createDigest);
  const slices = new Slices(receive);
  let slice: Buffer | undefined;
  let at = position;
  let filled = 0;
  try {
    for await (const piece of pieces(receive, options)) {
      for (const digest of digests) digest.update(piece);
      for (let from = 0; from < piece.length; ) {
        const end = Math.min((Math.floor(at / sliceBytes) + 1) * sliceBytes, position + lengthBytes);
        slice ??= Buffer.allocUnsafeSlow(end - at);
        const taken = Math.min(slice.length - filled, piece.length - from);
        piece.copy(slice, filled, from, from + taken);
        filled += taken;
        from += taken;
        if (filled < slice.length) continue;
        await slices.add(file.writeSummed(at, slice), { position: at, lengthBytes: slice.length });
        at = end;
        filled = 0;
        slice = undefined;
      }
    }
  } finally {
    await slices.settled();
  }
  slices.check();
  return digests.map((digest) => digest.digest());
}

/** Slices on their way to the file, reported in order. */
class Slices {
  readonly #receive: ReceiveInto;
  #last: Promise<void> = Promise.resolve();
  #pending = 0;
  #failed: { readonly error: unknown } | undefined;
  #room: (() => void) | undefined;

  constructor(receive: ReceiveInto) {
    this.#receive = receive;
  }

  /** Resolves when another may come. Throws what an earlier one failed with. */
  async add(written: Promise<number>, slice: Omit<ReceivedSlice, 'checksum'>): Promise<void> {
    this.#pending++;
    const before = this.#last;
    this.#last = this.#report(before, written, slice);
    while (this.#pending >= bodyWritesMax)
      await new Promise<void>((resolve) => {
        this.#room = resolve;
      });
    this.check();
  }

  async #report(
    before: Promise<void>,
    written: Promise<number>,
    slice: Omit<ReceivedSlice, 'checksum'>,
  ): Promise<void> {
    try {
      const checksum = await written;
      await before;
      if (this.#failed === undefined) await this.#receive.onSlice({ ...slice, checksum });
    } catch (error) {
      this.#failed ??= { error };
    }
    this.#pending--;
    this.#room?.();
  }

  async settled(): Promise<void> {
    await this.#last;
  }

  check(): void {
    if (this.#failed) throw this.#failed.error;
  }
}

/** The bytes as Node has them, so many and no more; what Node has read beyond goes back. */
async function* pieces(
  { connection, first, lengthBytes, signal }: ReceiveInto,
  options: ReceiveByStreamsOptions,
): AsyncGenerator<Buffer> {
  let left = lengthBytes;
  if (first !== undefined && first.length > 0) {
    left -= first.length;
    yield Buffer.from(first.buffer, first.byteOffset, first.length);
  }
  while (left > 0) {
    signal?.throwIfAborted();
    const piece = await nextPiece(connection, signal, options);
    if (piece.length > left) connection.unshift(piece.subarray(left));
    const taken = piece.subarray(0, left);
    left -= taken.length;
    yield taken;
  }
}

/** What comes next; the connection is paused again. */
function nextPiece(
  connection: Connection,
  signal: AbortSignal | undefined,
  { clock, clientIdleMs }: ReceiveByStreamsOptions,
): Promise<Buffer> {
  const settled = new AbortController();
  return new Promise<Buffer>((resolve, reject) => {
    const onData = (piece: Buffer) => {
      connection.pause();
      resolve(piece);
    };
    const onEnd = () => reject(new ForebayError('incompleteBody', 'the connection closed within the body'));
    const onClose = () => reject(new ConnectionError('ECONNRESET', 'the client closed the connection'));
    const onAbort = () => reject(signal?.reason);
    if (connection.destroyed) onClose();
    if (connection.readableEnded) onEnd();
    connection.on('data', onData);
    connection.on('end', onEnd);
    connection.on('close', onClose);
    signal?.addEventListener('abort', onAbort);
    settled.signal.addEventListener('abort', () => {
      connection.off('data', onData);
      connection.off('end', onEnd);
      connection.off('close', onClose);
      signal?.removeEventListener('abort', onAbort);
    });
    clock.sleep(clientIdleMs, settled.signal).then(
      () => reject(clientSendsNothing(clientIdleMs)),
      () => {},
    );
    connection.resume();
  }).finally(() => {
    settled.abort();
    connection.pause();
  });
}
