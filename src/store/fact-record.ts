/** An `ObjectFact` as bytes, the payload of a journal's fact record and the form in which the fact table keeps it. */
import type { ContentId } from '../core/ids.ts';
import { contentDoorEtag, type ObjectFact, type ObjectHeaders } from '../core/object.ts';

/*
 * u32 length of the whole ‖ 16 bytes content ‖ f64 checkedMs ‖ f64 sizeBytes ‖ f64 modifiedMs
 * ‖ u16 volume, u16 key, u16 etag, u16 door etag (0 bytes = `"<content>-1"`), u32 rest (JSON, 0 bytes = none) lengths ‖ their bytes
 */
const CHECKED_AT = 20;
const FIXED_BYTES = 56;

export function encodeFact(fact: ObjectFact): Buffer {
  const plain = Object.keys(fact.headers).length === 0 && Object.keys(fact.metadata).length === 0;
  const rest = plain ? '' : JSON.stringify([fact.headers, fact.metadata]);
  const door = fact.doorEtag === contentDoorEtag(fact.content) ? '' : fact.doorEtag;
  const texts = [fact.volume, fact.key, fact.etag, door, rest].map((text) => Buffer.from(text, 'utf8'));
  const bytes = Buffer.allocUnsafe(texts.reduce((sum, text) => sum + text.length, FIXED_BYTES));
  bytes.writeUInt32LE(bytes.length, 0);
  bytes.write(fact.content, 4, 'hex');
  bytes.writeDoubleLE(fact.checkedMs, CHECKED_AT);
  bytes.writeDoubleLE(fact.sizeBytes, 28);
  bytes.writeDoubleLE(fact.modifiedMs, 36);
  let at = FIXED_BYTES;
  for (const [index, text] of texts.entries()) {
    if (index < 4) bytes.writeUInt16LE(text.length, 44 + 2 * index);
    else bytes.writeUInt32LE(text.length, 52);
    text.copy(bytes, at);
    at += text.length;
  }
  return bytes;
}

/** The fact that begins at `offset`. */
export function decodeFact(bytes: Buffer, offset = 0): ObjectFact {
  const lengths = [44, 46, 48, 50].map((at) => bytes.readUInt16LE(offset + at));
  lengths.push(bytes.readUInt32LE(offset + 52));
  let at = offset + FIXED_BYTES;
  const [volume, key, etag, door, rest] = lengths.map((length) => {
    at += length;
    return bytes.toString('utf8', at - length, at);
  }) as [string, string, string, string, string];
  const [headers, metadata] = (rest === '' ? [{}, {}] : JSON.parse(rest)) as [ObjectHeaders, Record<string, string>];
  const content = bytes.toString('hex', offset + 4, offset + 20) as ContentId;
  return {
    volume,
    key,
    content,
    etag,
    doorEtag: door === '' ? contentDoorEtag(content) : door,
    sizeBytes: bytes.readDoubleLE(offset + 28),
    modifiedMs: bytes.readDoubleLE(offset + 36),
    checkedMs: bytes.readDoubleLE(offset + CHECKED_AT),
    headers,
    metadata,
  };
}

/** Length in bytes of the fact that begins at `offset`. */
export function factLength(bytes: Buffer, offset: number): number {
  return bytes.readUInt32LE(offset);
}

export function factContent(bytes: Buffer, offset: number): ContentId {
  return bytes.toString('hex', offset + 4, offset + 20) as ContentId;
}

/** Whether the fact that begins at `offset` is of this key. */
export function isFactOf(bytes: Buffer, offset: number, key: { volume: Buffer; key: Buffer }): boolean {
  const volumeLength = bytes.readUInt16LE(offset + 44);
  const keyLength = bytes.readUInt16LE(offset + 46);
  if (volumeLength !== key.volume.length || keyLength !== key.key.length) return false;
  const start = offset + FIXED_BYTES;
  return (
    bytes.compare(key.volume, 0, volumeLength, start, start + volumeLength) === 0 &&
    bytes.compare(key.key, 0, keyLength, start + volumeLength, start + volumeLength + keyLength) === 0
  );
}

/** The raw bytes of volume and key of the fact at `offset`, for hashing. */
export function factKeyBytes(bytes: Buffer, offset: number): { volume: Buffer; key: Buffer } {
  const start = offset + FIXED_BYTES;
  const volumeEnd = start + bytes.readUInt16LE(offset + 44);
  return {
    volume: bytes.subarray(start, volumeEnd),
    key: bytes.subarray(volumeEnd, volumeEnd + bytes.readUInt16LE(offset + 46)),
  };
}

export function setFactChecked(bytes: Buffer, offset: number, checkedMs: number): void {
  bytes.writeDoubleLE(checkedMs, offset + CHECKED_AT);
}
