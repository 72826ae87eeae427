/** The pieces of an object or value as the body of an answer. */
import { ForebayError } from '../../core/errors.ts';
import { DiskError, type Network } from '../../io/io.ts';
import type { Piece } from '../../read/reader.ts';
import type { Exchange } from './exchange.ts';

export interface PiecedBody {
  readonly pieces: AsyncIterable<Piece>;
  readonly lengthBytes: number;
  /** Begins the answer: when the first piece is in hand, so that what fails before that still gets its status. */
  begin(): void;
}

/** Ends the exchange; throws originTruncated where the pieces end early, and what the pieces throw. */
export async function sendPieces(exchange: Exchange, network: Network, body: PiecedBody): Promise<void> {
  const pieces = body.pieces[Symbol.asyncIterator]();
  try {
    let next = await pieces.next();
    while (next.done !== true) {
      const piece = next.value;
      let damaged = false;
      try {
        if (!exchange.begun) body.begin();
        await exchange.sendPiece(network, piece);
      } catch (error) {
        damaged = error instanceof DiskError;
        throw error;
      } finally {
        piece.release(damaged);
      }
      next = await pieces.next();
    }
  } finally {
    await pieces.return?.();
  }
  if (exchange.sentBytes !== body.lengthBytes)
    throw new ForebayError('originTruncated', `${exchange.sentBytes} of ${body.lengthBytes} bytes could be had`);
  exchange.end();
}
