import { type Range, rangeLength } from '../core/range.ts';
import type { File } from '../io/io.ts';

/**
 * Consecutive bytes of a content. `file`: they lie in a local file and may leave by `Network.sendFile`; their space is
 * held until `release` (call it exactly once, whatever happened; `damaged` when the file gave fewer bytes than the range or
 * an error, so that it is checked before its next use). `bytes`: they are in memory.
 */
export type Piece =
  | { readonly kind: 'file'; readonly file: File; readonly range: Range; release(damaged?: boolean): void }
  | { readonly kind: 'bytes'; readonly bytes: Uint8Array; release(damaged?: boolean): void };

/** For those who want the bytes here, not on their way out. Rejects with the file's DiskError; does not release. */
export function bytesOfPiece(piece: Piece): Uint8Array | Promise<Uint8Array> {
  return piece.kind === 'bytes' ? piece.bytes : piece.file.read(piece.range.start, rangeLength(piece.range));
}
