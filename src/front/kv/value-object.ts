/** A value as the doors of objects show it: its ETag is made of its content's id, and its only header is its type. */
import { ForebayError, isForebayError } from '../../core/errors.ts';
import { contentDoorEtag, type ObjectFact } from '../../core/object.ts';
import type { Range } from '../../core/range.ts';
import type { OpenValue, ValueFact } from '../../kv/kv.ts';
import type { OpenObject, Piece } from '../../read/reader.ts';

export function valueEtag({ content }: ValueFact): string {
  return contentDoorEtag(content);
}

export function objectFact(volume: string, key: string, fact: ValueFact): ObjectFact {
  const { content, sizeBytes, modifiedMs, contentType } = fact;
  const etag = valueEtag(fact);
  return {
    volume,
    key,
    sizeBytes,
    etag,
    doorEtag: etag,
    modifiedMs,
    headers: contentType === undefined ? {} : { 'content-type': contentType },
    metadata: {},
    content,
    checkedMs: 0,
  };
}

export function openObject(volume: string, key: string, value: OpenValue): OpenObject {
  return {
    fact: objectFact(volume, key, value.fact),
    stale: false,
    hot: value.hot,
    pieces: (range, signal) => piecesOrMiss(value, range, signal),
    close: () => value.close(),
  };
}

/** As `value.pieces`, but a value that is lost before its first byte was had is a miss: throws noSuchKey. */
export async function* piecesOrMiss(value: OpenValue, range: Range, signal: AbortSignal): AsyncGenerator<Piece> {
  const pieces = value.pieces(range, signal)[Symbol.asyncIterator]();
  try {
    let next = await pieces.next().catch((error: unknown) => {
      throw isLoss(error) ? new ForebayError('noSuchKey', 'the value is no longer there', { cause: error }) : error;
    });
    while (next.done !== true) {
      yield next.value;
      next = await pieces.next();
    }
  } finally {
    await pieces.return?.();
  }
}

/** The value went, or the node that had it. */
function isLoss(error: unknown): boolean {
  return isForebayError(
    error,
    'noSuchKey',
    'notHeld',
    'peerUnreachable',
    'peerTimeout',
    'peerCorrupt',
    'corrupt',
    'diskUnavailable',
  );
}
