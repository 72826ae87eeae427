/**
 * Which blocks of which chunks are here, with a CRC32 each: one row per chunk that has at least one block, about 100
 * bytes for a full chunk of 16 blocks. Rows are linked in the order that eviction (`sieve.ts`) looks at them.
 *
 * A row belongs to a content row. Small contents have one row with one block whose place in a pack stands in `place`.
 */
import { assert } from '../core/assert.ts';
import { grown } from '../core/column.ts';
import { RowHash } from '../core/row-hash.ts';
import type { ContentRow } from './content-table.ts';
import { RowOrder } from './row-order.ts';

declare const brand: unique symbol;
export type ChunkRow = number & { readonly [brand]: 'ChunkRow' };

/** Blocks per chunk at most: the presence map of a row is one 32-bit word. */
export const CHUNK_BLOCKS_MAX = 32;

export const CHUNK_VISITED = 1;
/** Not checked since the machine started anew. */
export const CHUNK_UNVERIFIED = 2;
/** Not in the order of eviction. */
const CHUNK_KEPT = 4;

const NONE = 0;
const ROWS_FIRST = 1024;

export class ChunkTable {
  #contents = new Uint32Array(ROWS_FIRST);
  #indexes = new Uint32Array(ROWS_FIRST);
  #present = new Uint32Array(ROWS_FIRST);
  #uses = new Uint16Array(ROWS_FIRST);
  #flags = new Uint8Array(ROWS_FIRST);
  #checksumAt = new Uint32Array(ROWS_FIRST);
  #checksumClass = new Uint8Array(ROWS_FIRST);
  #pack = new Uint32Array(ROWS_FIRST);
  #packOffset = new Uint32Array(ROWS_FIRST);
  readonly #order = new RowOrder<ChunkRow>(ROWS_FIRST);
  readonly #hash = new RowHash(ROWS_FIRST);
  /** Checksums by size class: class k holds runs of 2^k. */
  readonly #pools = [0, 1, 2, 3, 4, 5].map((power) => new ChecksumPool(1 << power));
  #free: number[] = [];
  #rows = 1;
  #count = 0;
  #kept = 0;

  get count(): number {
    return this.#count;
  }

  /** Rows in the order of eviction. */
  get listed(): number {
    return this.#count - this.#kept;
  }

  get bytes(): number {
    const columns = [
      this.#contents,
      this.#indexes,
      this.#present,
      this.#uses,
      this.#flags,
      this.#checksumAt,
      this.#checksumClass,
      this.#pack,
      this.#packOffset,
    ];
    const found = this.#order.bytes + this.#hash.bytes;
    const rows = columns.reduce((sum, column) => sum + column.byteLength, found);
    return this.#pools.reduce((sum, pool) => sum + pool.bytes, rows);
  }

  find(content: ContentRow, index: number): ChunkRow | undefined {
    const { cells } = this.#hash;
    const mask = cells.length - 1;
    for (let at = mix(content, index) & mask; ; at = (at + 1) & mask) {
      const row = cells[at] as number;
      if (row === NONE) return undefined;
      if (this.#contents[row] === content && this.#indexes[row] === index) return row as ChunkRow;
    }
  }

  /** Adds a row with no block present, as the newest for eviction. `blocks` is how many the chunk has when whole. */
  add(content: ContentRow, index: number, blocks: number): ChunkRow {
    assert(blocks >= 1 && blocks <= CHUNK_BLOCKS_MAX, 'a chunk has 1 to 32 blocks');
    if (this.#rows >= this.#contents.length && this.#free.length === 0) this.#grow();
    const row = (this.#free.pop() ?? this.#rows++) as ChunkRow;
    const power = Math.ceil(Math.log2(blocks));
    this.#contents[row] = content;
    this.#indexes[row] = index;
    this.#present[row] = 0;
    this.#uses[row] = 0;
    this.#flags[row] = 0;
    this.#checksumClass[row] = power;
    this.#checksumAt[row] = (this.#pools[power] as ChecksumPool).take();
    this.#pack[row] = 0;
    this.#packOffset[row] = 0;
    this.#order.add(row);
    this.#hash.add(row, mix(content, index));
    this.#count += 1;
    return row;
  }

  /** Takes a row out of the order of eviction for good. */
  keep(row: ChunkRow): void {
    if (this.has(row, CHUNK_KEPT)) return;
    this.#order.remove(row);
    this.set(row, CHUNK_KEPT, true);
    this.#kept += 1;
  }

  remove(row: ChunkRow): void {
    assert(this.#uses[row] === 0, 'a removed chunk is not in use');
    if (this.has(row, CHUNK_KEPT)) this.#kept -= 1;
    else this.#order.remove(row);
    this.#hash.remove(row);
    (this.#pools[this.#checksumClass[row] as number] as ChecksumPool).give(this.#checksumAt[row] as number);
    this.#contents[row] = NONE;
    this.#free.push(row);
    this.#count -= 1;
  }

  *rows(): Generator<ChunkRow> {
    for (let row = 1; row < this.#rows; row += 1) if (this.#contents[row] !== NONE) yield row as ChunkRow;
  }

  isLive(row: ChunkRow): boolean {
    return row < this.#rows && this.#contents[row] !== NONE;
  }

  /** The row after `row` in table order, or the first; `undefined` when the table is empty. For the scrubber. */
  after(row: number): ChunkRow | undefined {
    for (let step = 1; step <= this.#rows; step += 1) {
      const at = (row + step) % this.#rows;
      if (at !== 0 && this.#contents[at] !== NONE) return at as ChunkRow;
    }
    return undefined;
  }

  content(row: ChunkRow): ContentRow {
    return this.#contents[row] as ContentRow;
  }

  index(row: ChunkRow): number {
    return this.#indexes[row] as number;
  }

  /** Bit b is set when block b of the chunk is present. */
  present(row: ChunkRow): number {
    return this.#present[row] as number;
  }

  presentCount(row: ChunkRow): number {
    let bits = this.present(row);
    let count = 0;
    for (; bits !== 0; bits = (bits & (bits - 1)) >>> 0) count += 1;
    return count;
  }

  hasBlock(row: ChunkRow, block: number): boolean {
    return (((this.#present[row] as number) >>> block) & 1) === 1;
  }

  checksum(row: ChunkRow, block: number): number {
    const pool = this.#pools[this.#checksumClass[row] as number] as ChecksumPool;
    return pool.get((this.#checksumAt[row] as number) + block);
  }

  setBlock(row: ChunkRow, block: number, checksum: number): void {
    const pool = this.#pools[this.#checksumClass[row] as number] as ChecksumPool;
    pool.set((this.#checksumAt[row] as number) + block, checksum);
    this.#present[row] = ((this.#present[row] as number) | (1 << block)) >>> 0;
  }

  clearBlock(row: ChunkRow, block: number): void {
    this.#present[row] = ((this.#present[row] as number) & ~(1 << block)) >>> 0;
  }

  uses(row: ChunkRow): number {
    return this.#uses[row] as number;
  }

  addUses(row: ChunkRow, delta: 1 | -1): void {
    const uses = (this.#uses[row] as number) + delta;
    assert(uses >= 0 && uses < 65_536, 'the use count of a chunk stays within its bounds');
    this.#uses[row] = uses;
  }

  has(row: ChunkRow, flag: number): boolean {
    return ((this.#flags[row] as number) & flag) !== 0;
  }

  set(row: ChunkRow, flag: number, on: boolean): void {
    this.#flags[row] = on ? (this.#flags[row] as number) | flag : (this.#flags[row] as number) & ~flag;
  }

  /** Where a small content lies: number of its pack and offset in it. */
  place(row: ChunkRow): { pack: number; offset: number } {
    return { pack: this.#pack[row] as number, offset: this.#packOffset[row] as number };
  }

  setPlace(row: ChunkRow, place: { pack: number; offset: number }): void {
    this.#pack[row] = place.pack;
    this.#packOffset[row] = place.offset;
  }

  get oldest(): ChunkRow | undefined {
    return this.#order.oldest;
  }

  /** The next newer row in eviction order. */
  newer(row: ChunkRow): ChunkRow | undefined {
    return this.#order.newer(row);
  }

  #grow(): void {
    const rows = this.#contents.length * 2;
    this.#contents = grown(this.#contents, rows);
    this.#indexes = grown(this.#indexes, rows);
    this.#present = grown(this.#present, rows);
    this.#uses = grown(this.#uses, rows);
    this.#flags = grown(this.#flags, rows);
    this.#checksumAt = grown(this.#checksumAt, rows);
    this.#checksumClass = grown(this.#checksumClass, rows);
    this.#order.grow(rows);
    this.#hash.grow(rows);
    this.#pack = grown(this.#pack, rows);
    this.#packOffset = grown(this.#packOffset, rows);
  }
}

/** Runs of `run` checksums each, with a free list. */
class ChecksumPool {
  readonly #run: number;
  #values: Uint32Array;
  #free: number[] = [];
  #used = 0;

  constructor(run: number) {
    this.#run = run;
    this.#values = new Uint32Array(run * 64);
  }

  get bytes(): number {
    return this.#values.byteLength;
  }

  take(): number {
    const at = this.#free.pop();
    if (at !== undefined) return at;
    if (this.#used + this.#run > this.#values.length) this.#values = grown(this.#values, this.#values.length * 2);
    this.#used += this.#run;
    return this.#used - this.#run;
  }

  give(at: number): void {
    this.#free.push(at);
  }

  get(at: number): number {
    return this.#values[at] as number;
  }

  set(at: number, value: number): void {
    this.#values[at] = value;
  }
}

/** A 32-bit mix of two integers (the finaliser of MurmurHash3). */
function mix(a: number, b: number): number {
  let hash = Math.imul(a, 0x9e3779b1) ^ Math.imul(b, 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
