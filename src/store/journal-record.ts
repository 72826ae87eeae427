/**
 * The records of the journal, as bytes: `docs/formats/store.md`. Each is `u32 length ‖ u32 CRC32 ‖ type ‖ payload`, where
 * length and CRC32 are of type and payload; integers are little-endian. Every record states a fact absolutely, so that
 * replaying one twice, or replaying a log over a snapshot taken while it was written, ends in the same state.
 */
import { crc32 } from 'node:zlib';
import { assert } from '../core/assert.ts';
import type { ContentId } from '../core/ids.ts';
import { MiB } from '../core/limits.ts';

export interface ValueRecord {
  readonly type: 'value';
  readonly id: ContentId;
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
  /** By the wall; Infinity: never. */
  readonly expiryMs: number;
  /** Until then, as it was when this was written. */
  readonly remainingMs: number;
  readonly modifiedMs: number;
  readonly place?: { readonly pack: number; readonly offset: number; readonly checksum: number } | undefined;
  readonly contentType: string;
  readonly volume: string;
  /** Bytes, one character each. */
  readonly key: string;
}

export type JournalRecord =
  /** A daemon's life begins; facts that follow carry times of this boot. */
  | { readonly type: 'boot'; readonly bootId: string; readonly wallMs: number }
  /** Consecutive blocks of a content are here, with a checksum each. */
  | {
      readonly type: 'blocks';
      readonly id: ContentId;
      readonly sizeBytes: number;
      readonly chunkSizeBytes: number;
      readonly firstBlock: number;
      readonly checksums: readonly number[];
    }
  /** Blocks `[firstBlock, firstBlock + count)` of a content are not here. */
  | { readonly type: 'absent'; readonly id: ContentId; readonly firstBlock: number; readonly count: number }
  /** Nothing of a content is here. */
  | { readonly type: 'gone'; readonly id: ContentId }
  /** A small content lies in a pack. */
  | {
      readonly type: 'small';
      readonly id: ContentId;
      readonly sizeBytes: number;
      readonly pack: number;
      readonly offset: number;
      readonly checksum: number;
    }
  /** What is known of a key; the payload is that of `fact-record.ts`. */
  | { readonly type: 'fact'; readonly fact: Buffer }
  | { readonly type: 'forgotten'; readonly volume: string; readonly key: string }
  | {
      readonly type: 'flags';
      readonly id: ContentId;
      readonly sizeBytes: number;
      readonly chunkSizeBytes: number;
      readonly pinned: boolean;
      readonly lent: boolean;
      /** Its bytes are those of a value: without a `value` record it goes at the next start. */
      readonly value?: true;
    }
  /** A content is being written: without a `dirty` record after this it goes at the next start. */
  | { readonly type: 'staged'; readonly id: ContentId; readonly chunkSizeBytes: number }
  /** A content is not in the origin: never evicted. Also its note, which a later record replaces. */
  | {
      readonly type: 'dirty';
      readonly id: ContentId;
      readonly sizeBytes: number;
      readonly chunkSizeBytes: number;
      readonly volume: string;
      readonly key: string;
      readonly record: Uint8Array;
    }
  /** A content is in the origin, or replaced: ordinary cache. */
  | { readonly type: 'clean'; readonly id: ContentId }
  /** A key of a kv volume has these bytes; of those packed also where they are, which stands for a `small` record. */
  | ValueRecord
  /** A key of a kv volume has these bytes no more, and they are not here. */
  | { readonly type: 'valueGone'; readonly volume: string; readonly key: string; readonly id: ContentId }
  /** The last record of a whole snapshot. */
  | { readonly type: 'end'; readonly records: number };

const TYPES = [
  'boot',
  'blocks',
  'absent',
  'gone',
  'small',
  'fact',
  'forgotten',
  'flags',
  'end',
  'staged',
  'dirty',
  'clean',
  'value',
  'valueGone',
] as const;
const HEADER_BYTES = 8;
/** Longer records are damage: the longest real one is a fact with 8 KiB of metadata. */
const RECORD_MAX_BYTES = MiB;

/** Encodes records one after the other into a growing buffer. */
export class RecordBuffer {
  #bytes = Buffer.allocUnsafe(4096);
  #length = 0;
  #records = 0;

  get length(): number {
    return this.#length;
  }

  get records(): number {
    return this.#records;
  }

  append(record: JournalRecord): void {
    const start = this.#length;
    this.#reserve(HEADER_BYTES + 1 + 64);
    this.#length = start + HEADER_BYTES;
    this.#u8(TYPES.indexOf(record.type) + 1);
    this.#payload(record);
    const end = this.#length;
    assert(end - start - HEADER_BYTES <= RECORD_MAX_BYTES, 'a journal record fits its bound');
    this.#bytes.writeUInt32LE(end - start - HEADER_BYTES, start);
    this.#bytes.writeUInt32LE(crc32(this.#bytes.subarray(start + HEADER_BYTES, end)), start + 4);
    this.#records += 1;
  }

  /** The bytes so far; the buffer starts anew. */
  take(): Buffer {
    const bytes = this.#bytes.subarray(0, this.#length);
    this.#bytes = Buffer.allocUnsafe(4096);
    this.#length = 0;
    this.#records = 0;
    return bytes;
  }

  #payload(record: JournalRecord): void {
    switch (record.type) {
      case 'boot':
        this.#text(record.bootId);
        this.#f64(record.wallMs);
        return;
      case 'blocks':
        this.#content(record);
        this.#u32(record.firstBlock);
        this.#u32(record.checksums.length);
        for (const checksum of record.checksums) this.#u32(checksum);
        return;
      case 'absent':
        this.#id(record.id);
        this.#u32(record.firstBlock);
        this.#u32(record.count);
        return;
      case 'gone':
      case 'clean':
        this.#id(record.id);
        return;
      case 'staged':
        this.#id(record.id);
        this.#u32(record.chunkSizeBytes);
        return;
      case 'dirty':
        this.#content(record);
        this.#text(record.volume);
        this.#text(record.key);
        this.#raw(record.record);
        return;
      case 'small':
        this.#id(record.id);
        for (const value of [record.sizeBytes, record.pack, record.offset, record.checksum]) this.#u32(value);
        return;
      case 'fact':
        this.#raw(record.fact);
        return;
      case 'forgotten':
        this.#text(record.volume);
        this.#text(record.key);
        return;
      case 'flags':
        this.#content(record);
        this.#u8((record.pinned ? 1 : 0) | (record.lent ? 2 : 0) | (record.value ? 4 : 0));
        return;
      case 'value':
        this.#value(record);
        return;
      case 'valueGone':
        this.#id(record.id);
        this.#latin(record.volume);
        this.#latin(record.key);
        return;
      case 'end':
        this.#u32(record.records);
        return;
    }
  }

  #content(content: { id: ContentId; sizeBytes: number; chunkSizeBytes: number }): void {
    this.#id(content.id);
    this.#f64(content.sizeBytes);
    this.#u32(content.chunkSizeBytes);
  }

  #value(record: ValueRecord): void {
    this.#content(record);
    this.#f64(record.expiryMs);
    this.#f64(record.remainingMs);
    this.#f64(record.modifiedMs);
    this.#u8(record.place === undefined ? 0 : 1);
    if (record.place !== undefined) {
      this.#u32(record.place.pack);
      this.#u32(record.place.offset);
      this.#u32(record.place.checksum);
    }
    this.#text(record.contentType);
    this.#latin(record.volume);
    this.#latin(record.key);
  }

  #reserve(more: number): void {
    if (this.#length + more <= this.#bytes.length) return;
    const longer = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + more));
    this.#bytes.copy(longer, 0, 0, this.#length);
    this.#bytes = longer;
  }

  #u8(value: number): void {
    this.#reserve(1);
    this.#length = this.#bytes.writeUInt8(value, this.#length);
  }

  #u32(value: number): void {
    this.#reserve(4);
    this.#length = this.#bytes.writeUInt32LE(value, this.#length);
  }

  #f64(value: number): void {
    this.#reserve(8);
    this.#length = this.#bytes.writeDoubleLE(value, this.#length);
  }

  #id(id: ContentId): void {
    this.#reserve(16);
    this.#length += this.#bytes.write(id, this.#length, 'hex');
  }

  /** Bytes, one character each. */
  #latin(text: string): void {
    this.#u32(text.length);
    this.#reserve(text.length);
    this.#length += this.#bytes.write(text, this.#length, 'latin1');
  }

  #text(text: string): void {
    if (text === '') {
      this.#u32(0);
      return;
    }
    const bytes = Buffer.from(text, 'utf8');
    this.#u32(bytes.length);
    this.#raw(bytes);
  }

  #raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }
}

/** Reads records until the bytes end or are not a record. `offset` is then where the damage begins. */
export class RecordReader {
  readonly #bytes: Buffer;
  offset = 0;
  /** The bytes at `offset` are neither a whole record nor the end. */
  damaged = false;

  constructor(bytes: Uint8Array) {
    this.#bytes = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  next(): JournalRecord | undefined {
    const left = this.#bytes.length - this.offset;
    if (left === 0 || this.damaged) return undefined;
    const start = this.offset + HEADER_BYTES;
    const length = left < HEADER_BYTES ? 0 : this.#bytes.readUInt32LE(this.offset);
    const payload = this.#bytes.subarray(start, start + length);
    const whole = length > 0 && length <= RECORD_MAX_BYTES && payload.length === length;
    const record = whole && crc32(payload) === this.#bytes.readUInt32LE(this.offset + 4) ? decode(payload) : undefined;
    if (record === undefined) this.damaged = true;
    else this.offset = start + length;
    return record;
  }
}

class Cursor {
  readonly #bytes: Buffer;
  #at = 1;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  u8 = () => this.#bytes.readUInt8(this.#advance(1));
  u32 = () => this.#bytes.readUInt32LE(this.#advance(4));
  f64 = () => this.#bytes.readDoubleLE(this.#advance(8));
  id = () => this.#bytes.toString('hex', this.#advance(16), this.#at) as ContentId;
  text = () => {
    const length = this.u32();
    return this.#bytes.toString('utf8', this.#advance(length), this.#at);
  };
  latin = () => {
    const length = this.u32();
    return this.#bytes.toString('latin1', this.#advance(length), this.#at);
  };
  rest = () => this.#bytes.subarray(this.#at);

  #advance(length: number): number {
    const at = this.#at;
    if (at + length > this.#bytes.length) throw new RangeError('the record is too short');
    this.#at = at + length;
    return at;
  }
}

/** `undefined` for a record of unknown type or too few bytes, which its checksum makes all but impossible. */
function decode(payload: Buffer): JournalRecord | undefined {
  try {
    return decodeKnown(TYPES[(payload[0] as number) - 1], new Cursor(payload));
  } catch (error) {
    if (error instanceof RangeError) return undefined;
    throw error;
  }
}

function decodeKnown(type: JournalRecord['type'] | undefined, at: Cursor): JournalRecord | undefined {
  const content = () => ({ id: at.id(), sizeBytes: at.f64(), chunkSizeBytes: at.u32() });
  switch (type) {
    case 'boot':
      return { type, bootId: at.text(), wallMs: at.f64() };
    case 'blocks': {
      const head = { type, ...content(), firstBlock: at.u32() };
      return { ...head, checksums: Array.from({ length: at.u32() }, at.u32) };
    }
    case 'absent':
      return { type, id: at.id(), firstBlock: at.u32(), count: at.u32() };
    case 'gone':
    case 'clean':
      return { type, id: at.id() };
    case 'staged':
      return { type, id: at.id(), chunkSizeBytes: at.u32() };
    case 'dirty':
      return { type, ...content(), volume: at.text(), key: at.text(), record: Uint8Array.from(at.rest()) };
    case 'small':
      return { type, id: at.id(), sizeBytes: at.u32(), pack: at.u32(), offset: at.u32(), checksum: at.u32() };
    case 'fact':
      return { type, fact: at.rest() };
    case 'forgotten':
      return { type, volume: at.text(), key: at.text() };
    case 'flags': {
      const head = { type, ...content() };
      const bits = at.u8();
      const lentOrPinned = { ...head, pinned: (bits & 1) !== 0, lent: (bits & 2) !== 0 };
      return (bits & 4) === 0 ? lentOrPinned : { ...lentOrPinned, value: true };
    }
    case 'value': {
      const head = { type, ...content(), expiryMs: at.f64(), remainingMs: at.f64(), modifiedMs: at.f64() };
      const place = at.u8() === 0 ? undefined : { pack: at.u32(), offset: at.u32(), checksum: at.u32() };
      return { ...head, place, contentType: at.text(), volume: at.latin(), key: at.latin() };
    }
    case 'valueGone':
      return { type, id: at.id(), volume: at.latin(), key: at.latin() };
    case 'end':
      return { type, records: at.u32() };
    case undefined:
      return undefined;
  }
}
