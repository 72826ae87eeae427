/**
 * Arithmetic of chunks and blocks. A content is cut into chunks (16 MiB unless the volume says otherwise, the last is
 * shorter): the unit of fill, eviction and directory. A chunk is cut into blocks of 1 MiB: the unit of checksum and of
 * what can be served while the rest still comes. Block indexes count from the start of the content.
 */
import type { Range } from './range.ts';

export const BLOCK_SIZE_BYTES = 1 << 20;
export const CHUNK_SIZE_DEFAULT_BYTES = 16 << 20;

export function blockCount(sizeBytes: number): number {
  return Math.ceil(sizeBytes / BLOCK_SIZE_BYTES);
}

/** The bytes of one block; the last block of a content is shorter. */
export function blockRange(block: number, sizeBytes: number): Range {
  const start = block * BLOCK_SIZE_BYTES;
  return { start, end: Math.min(start + BLOCK_SIZE_BYTES, sizeBytes) };
}

/** The bytes of blocks `[first, first + count)` of a content. */
export function blocksRange(blocks: { first: number; count: number }, sizeBytes: number): Range {
  return {
    start: blocks.first * BLOCK_SIZE_BYTES,
    end: Math.min((blocks.first + blocks.count) * BLOCK_SIZE_BYTES, sizeBytes),
  };
}
