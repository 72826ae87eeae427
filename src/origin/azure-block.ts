/**
 * Ids of Azure blocks: base64 of the upload's 16 bytes and a 4-byte index, so that all ids of a blob have one length and
 * blocks of different uploads do not mix. The index is the part's number (2 bytes), of how many blocks the part is made,
 * and which of them this is (a byte each).
 */
import { azureBlockBytes, azureBlocksPerPartMax } from '../core/limits.ts';
import type { TakenPart } from './origin.ts';

interface BlockName {
  readonly number: number;
  readonly count: number;
  readonly index: number;
}

const UPLOAD_ID = /^[0-9a-f]{32}$/;

export function isUploadId(id: string): boolean {
  return UPLOAD_ID.test(id);
}

export function blockId(uploadId: string, { number, count, index }: BlockName): string {
  const bytes = Buffer.alloc(20);
  bytes.write(uploadId, 'hex');
  bytes.writeUInt16BE(number, 16);
  bytes.writeUInt8(count, 18);
  bytes.writeUInt8(index, 19);
  return bytes.toString('base64');
}

/** What a block id says; `undefined` for blocks of other uploads and of others' making. */
function parseBlockId(uploadId: string, id: string): BlockName | undefined {
  const bytes = Buffer.from(id, 'base64');
  if (bytes.length !== 20 || bytes.toString('hex', 0, 16) !== uploadId) return undefined;
  return { number: bytes.readUInt16BE(16), count: bytes.readUInt8(18), index: bytes.readUInt8(19) };
}

/** Sizes of the blocks of a part: one, or up to `azureBlocksPerPartMax` of at least 64 MiB; none for an empty part. */
export function blockSizes(partBytes: number): number[] {
  const blockBytes = Math.max(azureBlockBytes, Math.ceil(partBytes / azureBlocksPerPartMax));
  const sizes: number[] = [];
  for (let at = 0; at < partBytes; at += blockBytes) sizes.push(Math.min(blockBytes, partBytes - at));
  return sizes;
}

export function partToken(count: number): string {
  return String(count);
}

/** The ids of a part's blocks in order; `undefined` when the token is none of ours. */
export function blocksOfPart(uploadId: string, part: TakenPart): string[] | undefined {
  if (!/^\d{1,3}$/.test(part.token)) return undefined;
  const count = Number(part.token);
  return Array.from({ length: count }, (_, index) => blockId(uploadId, { number: part.number, count, index }));
}

/** The parts of which all blocks are there. A part that was sent again in another number of blocks is there twice. */
export function partsOf(uploadId: string, blocks: readonly { name: string; size: number }[]): TakenPart[] {
  const found = new Map<string, { number: number; count: number; have: number; sizeBytes: number }>();
  for (const { name, size } of blocks) {
    const block = parseBlockId(uploadId, name);
    if (block === undefined) continue;
    const id = `${block.number}/${block.count}`;
    const part = found.get(id) ?? { number: block.number, count: block.count, have: 0, sizeBytes: 0 };
    found.set(id, { ...part, have: part.have + 1, sizeBytes: part.sizeBytes + size });
  }
  return [...found.values()]
    .filter((part) => part.have === part.count)
    .sort((a, b) => a.number - b.number || a.count - b.count)
    .map(({ number, count, sizeBytes }) => ({ number, token: partToken(count), sizeBytes }));
}
