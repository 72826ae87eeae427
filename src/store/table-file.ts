/**
 * A content's table as a file beside its data (`docs/formats/store.md`): its block checksums and whose it is, written once
 * and synced before the content counts as dirty. With it the bytes speak for themselves where the journal was damaged.
 */
import { hash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { BLOCK_SIZE_BYTES, blockCount } from '../core/chunk.ts';
import { type ContentId, parseContentId } from '../core/ids.ts';
import { GiB } from '../core/limits.ts';
import type { Disk } from '../io/io.ts';
import type { DirtyContent } from './staging.ts';

const MAGIC = Buffer.from('FBTABL01', 'latin1');
const HEAD_BYTES = 16;

export interface ContentTableFile extends DirtyContent {
  /** CRC32 of each block. */
  readonly checksums: Uint32Array;
}

/** SHA-256, in hex, of the checksums, little-endian. */
export function tableHash(checksums: Uint32Array): string {
  return hash('sha256', littleEndian(checksums), 'hex');
}

function littleEndian(checksums: Uint32Array): Buffer {
  const bytes = Buffer.allocUnsafe(4 * checksums.length);
  for (let at = 0; at < checksums.length; at += 1) bytes.writeUInt32LE(checksums[at] as number, 4 * at);
  return bytes;
}

export async function writeTable(disk: Disk, path: string, table: ContentTableFile): Promise<void> {
  const bytes = encodeTable(table);
  const file = await disk.open(path, { write: true, create: true });
  try {
    await file.write(0, bytes);
    await file.truncate(bytes.length);
    await file.sync();
  } finally {
    await file.close();
  }
}

/** `undefined` where the file is not a whole table. */
export async function readTable(disk: Disk, path: string): Promise<ContentTableFile | undefined> {
  const file = await disk.open(path);
  try {
    const { sizeBytes } = await file.stat();
    if (sizeBytes > GiB) return undefined;
    return decodeTable(Buffer.from(await file.read(0, sizeBytes)));
  } finally {
    await file.close();
  }
}

export function encodeTable(table: ContentTableFile): Buffer {
  const [volume, key] = [Buffer.from(table.volume, 'utf8'), Buffer.from(table.key, 'utf8')];
  const checksums = littleEndian(table.checksums);
  const numbers = Buffer.alloc(40);
  numbers.write(table.id, 0, 'hex');
  numbers.writeDoubleLE(table.sizeBytes, 16);
  numbers.writeUInt32LE(table.chunkSizeBytes, 24);
  numbers.writeUInt32LE(volume.length, 28);
  numbers.writeUInt32LE(key.length, 32);
  numbers.writeUInt32LE(table.record.length, 36);
  const body = Buffer.concat([numbers, checksums, volume, key, table.record]);
  const head = Buffer.alloc(HEAD_BYTES);
  MAGIC.copy(head);
  head.writeUInt32LE(body.length, 8);
  head.writeUInt32LE(crc32(body), 12);
  return Buffer.concat([head, body]);
}

export function decodeTable(bytes: Buffer): ContentTableFile | undefined {
  if (bytes.length < HEAD_BYTES + 40 || !MAGIC.equals(bytes.subarray(0, 8))) return undefined;
  const body = bytes.subarray(HEAD_BYTES);
  if (body.length !== bytes.readUInt32LE(8) || crc32(body) !== bytes.readUInt32LE(12)) return undefined;
  const id = parseContentId(body.toString('hex', 0, 16)) as ContentId;
  const sizeBytes = body.readDoubleLE(16);
  const chunkSizeBytes = body.readUInt32LE(24);
  const lengths = [28, 32, 36].map((at) => body.readUInt32LE(at)) as [number, number, number];
  const count = blockCount(sizeBytes);
  if (chunkSizeBytes % BLOCK_SIZE_BYTES !== 0) return undefined;
  if (body.length !== 40 + 4 * count + lengths[0] + lengths[1] + lengths[2]) return undefined;
  const checksums = Uint32Array.from({ length: count }, (_, at) => body.readUInt32LE(40 + 4 * at));
  const volumeAt = 40 + 4 * count;
  const keyAt = volumeAt + lengths[0];
  const recordAt = keyAt + lengths[1];
  return {
    id,
    sizeBytes,
    chunkSizeBytes,
    checksums,
    volume: body.toString('utf8', volumeAt, keyAt),
    key: body.toString('utf8', keyAt, recordAt),
    record: Uint8Array.from(body.subarray(recordAt)),
  };
}
