/**
 * Which contents are being read front to back, so that read-ahead grows with use: within one request, and over a run of
 * range requests each of which begins about where one before it ended.
 */
import type { ContentId } from '../core/ids.ts';
import { readAheadChunksMax } from '../core/limits.ts';
import type { Range } from '../core/range.ts';
import type { ContentShape } from '../store/store.ts';
import { Recent } from './recent.ts';

const remembered = 256;

export class Sequences {
  readonly #recent = new Recent<ContentId, { next: number; windowChunks: number }>(remembered);

  /** A request for `range` begins. */
  begin(content: ContentShape, range: Range): Sequence {
    const before = this.#recent.get(content.id);
    const goesOn =
      before !== undefined && Math.abs(range.start - before.next) <= content.chunkSizeBytes && range.start > 0;
    const windowChunks = goesOn ? Math.min(readAheadChunksMax, before.windowChunks * 2) : 1;
    this.#recent.set(content.id, { next: range.end, windowChunks });
    const beyond = goesOn ? windowChunks * content.chunkSizeBytes : 0;
    return new Sequence(content, range, { windowChunks, end: Math.min(content.sizeBytes, range.end + beyond) });
  }
}

export class Sequence {
  /** Where read-ahead ends. */
  readonly end: number;
  readonly #startChunk: number;
  readonly #chunkSizeBytes: number;
  readonly #windowChunks: number;

  constructor(content: ContentShape, range: Range, ahead: { windowChunks: number; end: number }) {
    this.end = ahead.end;
    this.#chunkSizeBytes = content.chunkSizeBytes;
    this.#startChunk = Math.floor(range.start / content.chunkSizeBytes);
    this.#windowChunks = ahead.windowChunks;
  }

  /** Chunks to have under way at a position: doubles with each chunk that the reader got through. */
  window(at: number): number {
    const through = Math.floor(at / this.#chunkSizeBytes) - this.#startChunk;
    return Math.min(readAheadChunksMax, 2 * this.#windowChunks * 2 ** Math.min(through, 10));
  }
}
