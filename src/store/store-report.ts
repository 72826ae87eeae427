/** What a store says of itself. */
import { BLOCK_SIZE_BYTES, blockCount } from '../core/chunk.ts';
import type { StoreStatus } from '../core/store-status.ts';
import { type ContentRow, FLAG_PINNED } from './content-table.ts';
import type { StoreIndex } from './store-index.ts';
import type { StoreParts } from './store-parts.ts';

/** Bytes of a content that are here. */
export function presentBytesOf(index: StoreIndex, row: ContentRow, sizeBytes: number): number {
  const last = blockCount(sizeBytes) - 1;
  const short = last >= 0 && index.hasBlock(row, last) ? (last + 1) * BLOCK_SIZE_BYTES - sizeBytes : 0;
  return index.contents.presentBlocks(row) * BLOCK_SIZE_BYTES - short;
}

export function reportStore(parts: StoreParts, more: { directory: string; stagedBytes: number }): StoreStatus {
  const { index, space, removal } = parts;
  let pinnedBytes = 0;
  for (const row of index.contents.rows())
    if (index.contents.has(row, FLAG_PINNED)) pinnedBytes += presentBytesOf(index, row, index.contents.sizeBytes(row));
  return {
    directory: more.directory,
    disk: parts.health.state,
    capacityBytes: space.capacityBytes,
    usedBytes: space.usedBytes,
    reservedBytes: space.reservedBytes,
    presentBytes: index.presentBytes,
    pinnedBytes,
    stagedBytes: more.stagedBytes,
    dirtyBytes: index.dirtyBytes,
    contents: index.contents.count,
    smallContents: index.smallContents,
    facts: index.facts.count,
    orphans: removal.orphans.size,
    corruptBlocks: parts.verification.corruptBlocks,
    indexBytes: index.bytes,
  };
}
