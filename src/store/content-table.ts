/**
 * Which contents are here: one row of typed-array columns per content, found by the 16 bytes of its id. About 60 bytes a
 * row with its share of the hash table; no object per content.
 */
import { assert } from '../core/assert.ts';
import { BLOCK_SIZE_BYTES } from '../core/chunk.ts';
import { grown } from '../core/column.ts';
import type { ContentId } from '../core/ids.ts';
import { smallContentMaxBytes } from '../core/limits.ts';
import { RowHash } from '../core/row-hash.ts';

declare const brand: unique symbol;
/** A row of the content table; reused after `remove`. */
export type ContentRow = number & { readonly [brand]: 'ContentRow' };

export const FLAG_PINNED = 1;
/** Open by the kernel, or hard-linked elsewhere: never punched or rewritten, evicted only whole. */
export const FLAG_LENT = 2;
/** Replaced at the origin: goes as soon as its last holder closes it. */
export const FLAG_DOOMED = 4;
/** Being written here, or pulled as a replica: gone after a restart. Set by `StoreIndex.mark`. */
export const FLAG_STAGED = 8;
/** Not in the origin yet: never evicted. Set by `StoreIndex.mark`. */
export const FLAG_DIRTY = 16;

/** Bytes of a value of a kv volume: only `values.ts` removes them. */
export const FLAG_VALUE = 32;
/** Of a value that lies in a pack though it is not small otherwise. Set by `StoreIndex.setSmall`. */
export const FLAG_PACKED = 64;

/** The word of an id that is its place in the hash table: the last, for the first of what was written here is the time, the same for a minute. */
const HOME = 3;
const NONE = 0;
const ROWS_FIRST = 1024;

export class ContentTable {
  /** The words of each id but the last. */
  #ids = new Uint32Array(HOME * ROWS_FIRST);
  #sizes = new Float64Array(ROWS_FIRST);
  #chunkBlocks = new Uint8Array(ROWS_FIRST);
  #flags = new Uint8Array(ROWS_FIRST);
  #holds = new Uint32Array(ROWS_FIRST);
  #presentBlocks = new Uint32Array(ROWS_FIRST);
  #leases = new Float64Array(ROWS_FIRST);
  /** A row's hash is the last word of its id. */
  readonly #hash = new RowHash(ROWS_FIRST);
  #free: number[] = [];
  /** Row 0 is never used: see `RowHash`. */
  #rows = 1;
  #count = 0;

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    const columns = [
      this.#ids,
      this.#sizes,
      this.#chunkBlocks,
      this.#flags,
      this.#holds,
      this.#presentBlocks,
      this.#leases,
    ];
    return columns.reduce((sum, column) => sum + column.byteLength, this.#hash.bytes);
  }

  find(id: ContentId): ContentRow | undefined {
    readWords(id);
    const home = SCRATCH.readUInt32BE(4 * HOME);
    const { cells, homes } = this.#hash;
    const mask = cells.length - 1;
    for (let at = home & mask; ; at = (at + 1) & mask) {
      const row = cells[at] as number;
      if (row === NONE) return undefined;
      if (homes[row] === home && this.#matches(row)) return row as ContentRow;
    }
  }

  add(id: ContentId, content: { sizeBytes: number; chunkSizeBytes: number }): ContentRow {
    assert(this.find(id) === undefined, `content ${id} is in the table already`);
    if (this.#rows >= this.#sizes.length && this.#free.length === 0) this.#grow();
    const row = this.#free.pop() ?? this.#rows++;
    readWords(id);
    for (let word = 0; word < HOME; word += 1) this.#ids[HOME * row + word] = SCRATCH.readUInt32BE(4 * word);
    this.#sizes[row] = content.sizeBytes;
    this.#chunkBlocks[row] = content.chunkSizeBytes / BLOCK_SIZE_BYTES;
    this.#flags[row] = 0;
    this.#holds[row] = 0;
    this.#presentBlocks[row] = 0;
    this.#leases[row] = 0;
    this.#hash.add(row, SCRATCH.readUInt32BE(4 * HOME));
    this.#count += 1;
    return row as ContentRow;
  }

  remove(row: ContentRow): void {
    this.#hash.remove(row);
    this.#sizes[row] = -1;
    this.#free.push(row);
    this.#count -= 1;
  }

  /** Rows in use, in table order. Rows added or removed while iterating may or may not be seen. */
  *rows(): Generator<ContentRow> {
    for (let row = 1; row < this.#rows; row += 1) if ((this.#sizes[row] as number) >= 0) yield row as ContentRow;
  }

  /** One more than the highest row. */
  get rowsEnd(): number {
    return this.#rows;
  }

  isLive(row: ContentRow): boolean {
    return row < this.#rows && (this.#sizes[row] as number) >= 0;
  }

  id(row: ContentRow): ContentId {
    for (let word = 0; word < HOME; word += 1) SCRATCH.writeUInt32BE(this.#ids[HOME * row + word] as number, 4 * word);
    SCRATCH.writeUInt32BE(this.#hash.homes[row] as number, 4 * HOME);
    return SCRATCH.toString('hex') as ContentId;
  }

  sizeBytes(row: ContentRow): number {
    return this.#sizes[row] as number;
  }

  /** Of a content that is being written, whose blocks are all of the same length under both sizes. */
  setSize(row: ContentRow, sizeBytes: number): void {
    this.#sizes[row] = sizeBytes;
  }

  /** It lies in a pack, or will. */
  isSmall(row: ContentRow): boolean {
    return (this.#sizes[row] as number) < smallContentMaxBytes || this.has(row, FLAG_PACKED);
  }

  chunkBlocks(row: ContentRow): number {
    return this.#chunkBlocks[row] as number;
  }

  has(row: ContentRow, flag: number): boolean {
    return ((this.#flags[row] as number) & flag) !== 0;
  }

  /** Written here and not in the origin: nothing of it may go. */
  isWritten(row: ContentRow): boolean {
    return this.has(row, FLAG_STAGED | FLAG_DIRTY);
  }

  /** Its row stays also with no block and no holder. */
  isKept(row: ContentRow): boolean {
    return this.has(row, FLAG_PINNED | FLAG_STAGED | FLAG_DIRTY | FLAG_VALUE);
  }

  set(row: ContentRow, flag: number, on: boolean): void {
    this.#flags[row] = on ? (this.#flags[row] as number) | flag : (this.#flags[row] as number) & ~flag;
  }

  holds(row: ContentRow): number {
    return this.#holds[row] as number;
  }

  addHolds(row: ContentRow, delta: 1 | -1): number {
    const holds = (this.#holds[row] as number) + delta;
    assert(holds >= 0, 'a content is released no more often than it is held');
    this.#holds[row] = holds;
    return holds;
  }

  presentBlocks(row: ContentRow): number {
    return this.#presentBlocks[row] as number;
  }

  addPresentBlocks(row: ContentRow, delta: number): void {
    this.#presentBlocks[row] = (this.#presentBlocks[row] as number) + delta;
  }

  /** CLOCK_BOOTTIME milliseconds until which eviction is forbidden. */
  leaseUntilMs(row: ContentRow): number {
    return this.#leases[row] as number;
  }

  extendLease(row: ContentRow, untilMs: number): void {
    if (untilMs > (this.#leases[row] as number)) this.#leases[row] = untilMs;
  }

  /** Whether a row's id is the one in SCRATCH, whose last word is known to be. */
  #matches(row: number): boolean {
    for (let word = 0; word < HOME; word += 1)
      if (this.#ids[HOME * row + word] !== SCRATCH.readUInt32BE(4 * word)) return false;
    return true;
  }

  #grow(): void {
    const rows = this.#sizes.length * 2;
    this.#hash.grow(rows);
    this.#ids = grown(this.#ids, HOME * rows);
    this.#sizes = grown(this.#sizes, rows);
    this.#chunkBlocks = grown(this.#chunkBlocks, rows);
    this.#flags = grown(this.#flags, rows);
    this.#holds = grown(this.#holds, rows);
    this.#presentBlocks = grown(this.#presentBlocks, rows);
    this.#leases = grown(this.#leases, rows);
  }
}

/** An id's bytes, on their way to or from text. */
const SCRATCH = Buffer.alloc(16);

function readWords(id: ContentId): void {
  SCRATCH.write(id, 0, 16, 'hex');
}
