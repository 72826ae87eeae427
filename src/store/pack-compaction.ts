/**
 * Gives back the space of a volume's pack in which much is dead: what lives is written into the current pack, then the file goes. The pack's own
 * headers say what lies where; one that cannot be read that way is gone through by the index.
 */
import { crc32 } from 'node:zlib';
import type { ContentId } from '../core/ids.ts';
import { MiB } from '../core/limits.ts';
import { type ContentRow, FLAG_VALUE } from './content-table.ts';
import type { JournalRecord } from './journal-record.ts';
import { type PackPlace, readPackHeader, writePackHeader } from './packs.ts';
import { PACK_HEADER_BYTES, smallFootprintBytes } from './store-index.ts';
import type { StoreParts } from './store-parts.ts';
import { missingIsUndefined } from './verification.ts';

const sliceBytes = MiB;

export interface CompactionOptions {
  readonly parts: StoreParts;
  readonly lane: string;
  readonly append: (record: JournalRecord) => number;
}

interface Found {
  readonly content: ContentRow;
  readonly id: ContentId;
  readonly bytes: Uint8Array;
  readonly checksum: number;
  readonly from: PackPlace;
}

/**
 * The pack of a lane from which most would come back, if at least `leastShare` of it is dead; the one that is being filled only where no other is, and
 * it may be had.
 */
export function emptiestPack(
  parts: StoreParts,
  lane: string,
  which: { readonly leastShare: number; readonly filledToo: boolean },
): number | undefined {
  let best: number | undefined;
  let bestShare = which.leastShare;
  let filled: number | undefined;
  for (const [pack, lengthBytes] of parts.packs.packsOf(lane)) {
    const live = parts.index.packLive.get(pack) ?? 0;
    const share = lengthBytes === 0 ? 0 : (lengthBytes - live) / lengthBytes;
    if (share < bestShare || share === 0 || (best !== undefined && share === bestShare)) continue;
    if (parts.packs.isFilled(pack)) {
      if (which.filledToo) filled = pack;
      continue;
    }
    best = pack;
    bestShare = share;
  }
  return best ?? filled;
}

/** Empties and removes a pack; returns the bytes that came back, less than 0 when it could not be emptied. Throws DiskError, diskFull, diskUnavailable. */
export async function compactPack(options: CompactionOptions, pack: number): Promise<number> {
  const { parts } = options;
  const { index, packs, removal } = parts;
  if (!packs.mayRemove(pack)) return 0;
  let moved = 0;
  if ((index.packLive.get(pack) ?? 0) > 0) moved += await moveByHeaders(options, pack);
  if ((index.packLive.get(pack) ?? 0) > 0) moved += await moveByIndex(options, pack);
  if ((index.packLive.get(pack) ?? 0) > 0) return -moved;
  return (await parts.health.run(() => removal.removePack(pack))) - moved;
}

/** Reads the pack from front to back. */
async function moveByHeaders(options: CompactionOptions, pack: number): Promise<number> {
  const { parts } = options;
  const length = parts.packs.lengths.get(pack) ?? 0;
  let moved = 0;
  for (let at = 0; at < length; ) {
    const bytes = await parts.health.run(() => parts.packs.slice(pack, at, sliceBytes).catch(missingIsUndefined));
    if (bytes === undefined) return moved;
    const slice = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    const { found, through } = liveIn(options, slice, { pack, offset: at });
    if (through === 0) return moved;
    moved += await move(options, found);
    at += through;
  }
  return moved;
}

/** What lives in a slice that begins with a header, and how far whole entries reach. */
function liveIn({ parts }: CompactionOptions, slice: Buffer, base: PackPlace): { found: Found[]; through: number } {
  const { contents } = parts.index;
  const found: Found[] = [];
  let at = 0;
  while (at + PACK_HEADER_BYTES <= slice.length) {
    const header = readPackHeader(slice, at);
    if (header === undefined || at + smallFootprintBytes(header.sizeBytes) > slice.length) break;
    const from = { pack: base.pack, offset: base.offset + at };
    const bytes = slice.subarray(at + PACK_HEADER_BYTES, at + smallFootprintBytes(header.sizeBytes));
    const content = contents.find(header.id);
    at += smallFootprintBytes(header.sizeBytes);
    if (content === undefined || !liesAt(parts, content, from)) continue;
    found.push({ content, id: header.id, bytes, checksum: header.checksum, from });
  }
  return { found, through: at };
}

function liesAt({ index }: StoreParts, content: ContentRow, at: PackPlace): boolean {
  if (!index.contents.isLive(content) || !index.contents.isSmall(content)) return false;
  const chunk = index.chunks.find(content, 0);
  if (chunk === undefined || !index.chunks.hasBlock(chunk, 0)) return false;
  const place = index.chunks.place(chunk);
  return place.pack === at.pack && place.offset === at.offset;
}

/** Writes what was found into the current pack; what is wrong is dropped. Returns the bytes written. */
async function move(options: CompactionOptions, found: readonly Found[]): Promise<number> {
  const { parts, lane, append } = options;
  const { index, packs, health, space } = parts;
  const right = found.filter((each) => isRight(parts, each));
  const length = right.reduce((sum, { bytes }) => sum + smallFootprintBytes(bytes.length), 0);
  if (length === 0) return 0;
  const joined = Buffer.allocUnsafe(length);
  let at = 0;
  for (const { id, bytes, checksum } of right) {
    writePackHeader(joined, at, { id, sizeBytes: bytes.length, checksum });
    joined.set(bytes, at + PACK_HEADER_BYTES);
    at += smallFootprintBytes(bytes.length);
  }
  const place = await health.run(() => packs.appendJoined(joined, lane));
  space.take(length);
  let { offset } = place;
  for (const { content, id, bytes, checksum, from } of right) {
    // Removed meanwhile, or another's row: dead where it lies now.
    if (liesAt(parts, content, from) && index.contents.id(content) === id)
      append(index.smallRecord(content, index.setSmall(content, checksum, { pack: place.pack, offset })));
    offset += smallFootprintBytes(bytes.length);
  }
  place.settle();
  return length;
}

function isRight({ index, verification }: StoreParts, { content, bytes, from }: Found): boolean {
  const chunk = index.chunks.find(content, 0);
  if (chunk === undefined) return false;
  const isRead = bytes.length === index.contents.sizeBytes(content);
  if (isRead && crc32(bytes) === index.chunks.checksum(chunk, 0)) return true;
  if (index.contents.has(content, FLAG_VALUE) && from.pack === index.chunks.place(chunk).pack)
    verification.dropBlock(content, 0, 'read');
  return false;
}

/** For a pack whose headers are damaged: every value that should lie in it is read by itself. */
async function moveByIndex(options: CompactionOptions, pack: number): Promise<number> {
  const { parts } = options;
  const { index, packs, health } = parts;
  let moved = 0;
  for (const chunk of index.chunks.rows()) {
    const content = index.chunks.content(chunk);
    if (!index.contents.isSmall(content) || index.chunks.present(chunk) === 0) continue;
    const from = index.chunks.place(chunk);
    if (from.pack !== pack) continue;
    const id = index.contents.id(content);
    const checksum = index.chunks.checksum(chunk, 0);
    const sizeBytes = index.contents.sizeBytes(content);
    const bytes = await health.run(() => packs.read(from, { sizeBytes, checksum }).catch(missingIsUndefined));
    if (!liesAt(parts, content, from) || index.contents.id(content) !== id) continue;
    if (bytes === undefined) parts.verification.dropBlock(content, 0, 'read');
    else moved += await move(options, [{ content, id, bytes, checksum, from }]);
  }
  return moved;
}
