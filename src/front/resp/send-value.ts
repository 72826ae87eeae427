/**
 * Values as bulk strings. One in memory leaves with the batch; any other piece by piece, a local file by `network.sendFile`, at the client's pace.
 * The first piece is in hand before the length is said, so that a value whose holder is lost by then is a miss and no broken answer.
 */
import { isForebayError } from '../../core/errors.ts';
import { DiskError } from '../../io/io.ts';
import type { OpenValue } from '../../kv/kv.ts';
import type { Piece } from '../../read/reader.ts';
import { clientGone } from '../http/client-gone.ts';
import { EMPTY, WRITE_MAX_BYTES, written } from '../http/socket-write.ts';
import type { Call } from './command.ts';
import { nil } from './reply.ts';

/** Waits for the answer's turn; closes the value. */
export async function sendValue(call: Call, value: OpenValue | undefined): Promise<void> {
  const { answer } = call;
  try {
    await answer.turn();
    if (answer.host.isGone) throw clientGone();
    if (value?.hot !== undefined) {
      answer.bulk(value.hot);
      if (answer.host.socket.writableNeedDrain) await written(answer.host.socket, EMPTY);
    } else if (value !== undefined && value.fact.sizeBytes === 0) answer.bulk(EMPTY);
    else if (value === undefined || !(await sendPieces(call, value))) sendMiss(call);
  } finally {
    value?.close();
  }
}

function sendMiss(call: Call): void {
  if (!call.answer.begun) call.answer.status = 404;
  call.answer.reply(nil(call.answer.resp3));
}

/** False, and nothing was sent, where not even its beginning can be had. */
async function sendPieces(call: Call, value: OpenValue): Promise<boolean> {
  const { answer, signal } = call;
  const { sizeBytes } = value.fact;
  const pieces = value.pieces({ start: 0, end: sizeBytes }, signal)[Symbol.asyncIterator]();
  let sent = 0;
  try {
    let next = await firstOf(pieces);
    if (next === undefined) return false;
    answer.reply(`$${sizeBytes}\r\n`);
    while (next.done !== true) {
      sent += await sendPiece(call, next.value);
      next = await pieces.next();
    }
  } finally {
    await pieces.return?.();
  }
  if (sent !== sizeBytes) throw new Error(`${sent} of ${sizeBytes} bytes of a value could be had`);
  answer.reply('\r\n');
  return true;
}

async function firstOf(pieces: AsyncIterator<Piece>): Promise<IteratorResult<Piece> | undefined> {
  try {
    return await pieces.next();
  } catch (error) {
    if (isForebayError(error, 'notHeld', 'corrupt', 'peerUnreachable', 'peerTimeout', 'peerCorrupt')) return undefined;
    throw error;
  }
}

/** How many bytes it had. */
async function sendPiece(call: Call, piece: Piece): Promise<number> {
  const { answer, session, signal } = call;
  const { socket, batch } = answer.host;
  let isDamaged = false;
  try {
    if (answer.host.isGone) throw clientGone();
    batch.flush();
    if (piece.kind === 'file') {
      if (socket.writableLength !== 0) await written(socket, EMPTY);
      await session.parts.network.sendFile({ connection: socket, file: piece.file, range: piece.range, signal });
    } else
      for (let at = 0; at < piece.bytes.length; at += WRITE_MAX_BYTES)
        await written(socket, piece.bytes.subarray(at, at + WRITE_MAX_BYTES));
  } catch (error) {
    isDamaged = error instanceof DiskError;
    throw error;
  } finally {
    piece.release(isDamaged);
  }
  const length = piece.kind === 'file' ? piece.range.end - piece.range.start : piece.bytes.length;
  answer.sentBytes += length;
  return length;
}
