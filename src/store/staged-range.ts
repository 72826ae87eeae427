/** A range of a staged content that somebody else writes and sums, slice by slice, as the pieces of blocks that it is made of. */
import { assert } from '../core/assert.ts';
import { BLOCK_SIZE_BYTES } from '../core/chunk.ts';
import type { Range } from '../core/range.ts';
import type { ReceivedSlice } from '../io/io.ts';
import type { BlockCover } from './block-cover.ts';

/** A piece of a block that is being written. */
export interface Segment {
  readonly block: number;
  readonly start: number;
  readonly lengthBytes: number;
  readonly cover: BlockCover;
}

export class StagedRange {
  readonly #segments: Segment[] = [];

  /** `coverOf` says what the piece is added to, and whether it is all of its block. */
  constructor(
    { start, end }: Range,
    coverOf: (segment: Omit<Segment, 'cover'>) => { cover: BlockCover; isWhole: boolean },
  ) {
    for (let at = start; at < end; ) {
      const block = Math.floor(at / BLOCK_SIZE_BYTES);
      const to = Math.min(end, (block + 1) * BLOCK_SIZE_BYTES);
      const piece = { block, start: at - block * BLOCK_SIZE_BYTES, lengthBytes: to - at };
      const { cover, isWhole } = coverOf(piece);
      if (isWhole) cover.beginWhole();
      else cover.beginSummed();
      this.#segments.push({ ...piece, cover });
      at = to;
    }
  }

  /** The next piece was written. */
  stored({ position, lengthBytes }: ReceivedSlice): Segment {
    const segment = this.#segments.shift();
    const at = segment && segment.block * BLOCK_SIZE_BYTES + segment.start;
    assert(segment && at === position && segment.lengthBytes === lengthBytes, 'slices come in order, cut at blocks');
    return segment;
  }

  /** What has not come never will. */
  end(): void {
    for (const { cover, start, lengthBytes } of this.#segments.splice(0)) cover.end(start, lengthBytes, false);
  }
}
