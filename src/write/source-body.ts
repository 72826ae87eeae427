/** An opened object's bytes as a body to write. */
import { ForebayError } from '../core/errors.ts';
import type { ObjectFact } from '../core/object.ts';
import { type Range, rangeLength } from '../core/range.ts';
import type { File } from '../io/io.ts';
import type { Target, WriteBody } from './writer.ts';

/** What a copy needs of an object that the read path opened (`OpenObject` in `read/reader.ts`). */
export interface SourceObject {
  readonly fact: ObjectFact;
  readonly hot: Uint8Array | undefined;
  pieces(range: Range, signal: AbortSignal): AsyncIterable<SourcePiece>;
  close(): void;
}

type SourcePiece =
  | { readonly kind: 'file'; readonly file: File; readonly range: Range; release(): void }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array; release(): void };

export type OpenSource = (volume: string, key: string, signal?: AbortSignal) => Promise<SourceObject>;

const READ_BYTES = 1 << 20;

/** `range` of `object`, read once; the caller closes the object after the body has been read. */
export function sourceBody(object: SourceObject, range: Range, signal: AbortSignal): WriteBody {
  return {
    lengthBytes: rangeLength(range),
    async *stream() {
      if (object.hot !== undefined) {
        yield object.hot.subarray(range.start, range.end);
        return;
      }
      for await (const piece of object.pieces(range, signal)) {
        try {
          yield* bytesOf(piece);
        } finally {
          piece.release();
        }
      }
    },
  };
}

/** Opens an object for as long as `use` reads a range of it, by default all. Throws invalidRange where it is shorter. */
export async function withSourceRange<T>(
  open: OpenSource,
  source: Target & { readonly range?: Range },
  signal: AbortSignal,
  use: (body: WriteBody) => Promise<T>,
): Promise<T> {
  const object = await open(source.volume, source.key, signal);
  try {
    const { sizeBytes } = object.fact;
    const range = source.range ?? { start: 0, end: sizeBytes };
    if (range.end > sizeBytes) throw new ForebayError('invalidRange', `"${source.key}" has ${sizeBytes} bytes`);
    return await use(sourceBody(object, range, signal));
  } finally {
    object.close();
  }
}

async function* bytesOf(piece: SourcePiece): AsyncGenerator<Uint8Array, void, undefined> {
  if (piece.kind === 'bytes') {
    yield piece.bytes;
    return;
  }
  const { start, end } = piece.range;
  for (let at = start; at < end; at += READ_BYTES) yield await piece.file.read(at, Math.min(READ_BYTES, end - at));
}
