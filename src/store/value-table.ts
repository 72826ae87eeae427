/**
 * Which values of one kv volume are here: one row of typed-array columns per key, found by the key's bytes; about 70 bytes a row, the hash
 * table and the key itself besides. No object per value. Rows are linked in the order of use, and the parts of one entry in a ring.
 *
 * Pure: the rules of use, time and space are those of `kv/`.
 */
import { assert } from '../core/assert.ts';
import { grown } from '../core/column.ts';
import { RowHash } from '../core/row-hash.ts';
import type { ContentRow } from './content-table.ts';
import { KeyArena } from './key-arena.ts';
import { RowOrder } from './row-order.ts';

declare const brand: unique symbol;
/** A row of a value table; reused after `remove`. */
export type ValueRow = number & { readonly [brand]: 'ValueRow' };

const NONE = 0;
const ROWS_FIRST = 1024;

/** What is known of a value beside its bytes. Times in milliseconds. */
export interface ValueTimes {
  /** CLOCK_BOOTTIME when it is forgotten; Infinity: never. Right after replay: how long it had left when that was written. */
  readonly deadlineMs: number;
  /** The same by the wall. */
  readonly expiryMs: number;
  /** When it was put, by the wall. */
  readonly modifiedMs: number;
}

export class ValueTable {
  #keys = new Uint32Array(ROWS_FIRST);
  #contents = new Uint32Array(ROWS_FIRST);
  #deadlines = new Float64Array(ROWS_FIRST);
  #expiries = new Float64Array(ROWS_FIRST);
  #modified = new Float64Array(ROWS_FIRST);
  #types = new Uint16Array(ROWS_FIRST);
  /** The next part of the same entry; itself where it is alone. */
  #siblings = new Uint32Array(ROWS_FIRST);
  readonly #table = new RowHash(ROWS_FIRST);
  readonly #order = new RowOrder<ValueRow>(ROWS_FIRST);
  readonly #arena = new KeyArena((row, place) => {
    this.#keys[row] = place;
  });
  readonly #typeNumbers = new Map<string, number>([['', 0]]);
  readonly #typeNames = [''];
  #free: number[] = [];
  #rows = 1;
  #count = 0;
  /** A key is looked for several times in a row. */
  #hashedKey = '';
  #hashed = hashOf('');

  get count(): number {
    return this.#count;
  }

  /** Memory in bytes. */
  get bytes(): number {
    const columns = [this.#keys, this.#contents, this.#deadlines, this.#expiries, this.#modified];
    const others = [this.#types, this.#siblings];
    const beside = this.#order.bytes + this.#table.bytes + this.#arena.bytes;
    return [...columns, ...others].reduce((sum, column) => sum + column.byteLength, beside);
  }

  #hash(key: string): number {
    if (key !== this.#hashedKey) {
      this.#hashedKey = key;
      this.#hashed = hashOf(key);
    }
    return this.#hashed;
  }

  find(key: string): ValueRow | undefined {
    const hash = this.#hash(key);
    const { cells, homes } = this.#table;
    const mask = cells.length - 1;
    for (let at = hash & mask; ; at = (at + 1) & mask) {
      const row = cells[at] as number;
      if (row === NONE) return undefined;
      if (homes[row] === hash && this.#arena.is(this.#keys[row] as number, key)) return row as ValueRow;
    }
  }

  /** Adds a key that is not there, as the one used last. */
  add(key: string, content: ContentRow): ValueRow {
    if (this.#rows >= this.#keys.length && this.#free.length === 0) this.#grow();
    const row = (this.#free.pop() ?? this.#rows++) as ValueRow;
    this.#keys[row] = this.#arena.add(row, key);
    this.#contents[row] = content;
    this.#types[row] = 0;
    this.#siblings[row] = row;
    this.#table.add(row, this.#hash(key));
    this.#order.add(row);
    this.#count += 1;
    return row;
  }

  remove(row: ValueRow): void {
    this.#order.remove(row);
    this.leave(row);
    this.#table.remove(row);
    this.#arena.remove(this.#keys[row] as number);
    this.#contents[row] = NONE;
    this.#free.push(row);
    this.#count -= 1;
  }

  key(row: ValueRow): string {
    return this.#arena.key(this.#keys[row] as number);
  }

  content(row: ValueRow): ContentRow {
    return this.#contents[row] as ContentRow;
  }

  setContent(row: ValueRow, content: ContentRow): void {
    this.#contents[row] = content;
  }

  /** The value whose bytes a content is; looks through all rows. */
  rowOf(content: ContentRow): ValueRow | undefined {
    const row = this.#contents.indexOf(content, 1);
    return row > 0 && row < this.#rows ? (row as ValueRow) : undefined;
  }

  deadlineMs(row: ValueRow): number {
    return this.#deadlines[row] as number;
  }

  expiryMs(row: ValueRow): number {
    return this.#expiries[row] as number;
  }

  modifiedMs(row: ValueRow): number {
    return this.#modified[row] as number;
  }

  setTimes(row: ValueRow, times: ValueTimes): void {
    this.#deadlines[row] = times.deadlineMs;
    this.#expiries[row] = times.expiryMs;
    this.#modified[row] = times.modifiedMs;
  }

  contentType(row: ValueRow): string | undefined {
    const type = this.#types[row] as number;
    return type === 0 ? undefined : this.#typeNames[type];
  }

  /** Beyond 65,535 different ones none is kept: they are for display. */
  setContentType(row: ValueRow, name = ''): void {
    let type = this.#typeNumbers.get(name);
    if (type === undefined && this.#typeNames.length < 65_536) {
      type = this.#typeNames.push(name) - 1;
      this.#typeNumbers.set(name, type);
    }
    this.#types[row] = type ?? 0;
  }

  /** Live rows in table order. Rows added or removed while iterating may or may not be seen. */
  *rows(): Generator<ValueRow> {
    for (let row = 1; row < this.#rows; row += 1) if (this.#contents[row] !== NONE) yield row as ValueRow;
  }

  isLive(row: ValueRow): boolean {
    return row < this.#rows && this.#contents[row] !== NONE;
  }

  /** Rows in the order of use as it is now, the one used longest ago first. */
  inOrder(): Uint32Array {
    const rows = new Uint32Array(this.#count);
    let at = 0;
    for (let row = this.#order.oldest; row !== undefined; row = this.#order.newer(row)) rows[at++] = row;
    assert(at === rows.length, 'every row is in the order of use');
    return rows;
  }

  /** Live rows among `[from, from + count)` whose deadline is not after `nowMs`. */
  due(from: number, count: number, nowMs: number): ValueRow[] {
    const found: ValueRow[] = [];
    const end = Math.min(this.#rows, from + count);
    for (let row = Math.max(1, from); row < end; row += 1)
      if ((this.#deadlines[row] as number) <= nowMs && this.#contents[row] !== NONE) found.push(row as ValueRow);
    return found;
  }

  /** One more than the highest row. */
  get rowsEnd(): number {
    return this.#rows;
  }

  // ---- order of use -------------------------------------------------------------------------------------------------

  get oldest(): ValueRow | undefined {
    return this.#order.oldest;
  }

  /** Used now. */
  touch(row: ValueRow): void {
    this.#order.touch(row);
  }

  // ---- entries ------------------------------------------------------------------------------------------------------

  /** The next part of the row's entry, in a ring; the row itself where it is the only one. */
  sibling(row: ValueRow): ValueRow {
    return this.#siblings[row] as ValueRow;
  }

  /** Makes a row that is alone a part of another's entry. */
  join(row: ValueRow, other: ValueRow): void {
    assert(this.#siblings[row] === row && row !== other, 'a part joins an entry once');
    this.#siblings[row] = this.#siblings[other] as number;
    this.#siblings[other] = row;
  }

  /** Alone again. */
  leave(row: ValueRow): void {
    let before: number = row;
    while (this.#siblings[before] !== row) before = this.#siblings[before] as number;
    this.#siblings[before] = this.#siblings[row] as number;
    this.#siblings[row] = row;
  }

  #grow(): void {
    const rows = this.#keys.length * 2;
    this.#table.grow(rows);
    this.#keys = grown(this.#keys, rows);
    this.#contents = grown(this.#contents, rows);
    this.#deadlines = grown(this.#deadlines, rows);
    this.#expiries = grown(this.#expiries, rows);
    this.#modified = grown(this.#modified, rows);
    this.#types = grown(this.#types, rows);
    this.#order.grow(rows);
    this.#siblings = grown(this.#siblings, rows);
  }
}

/** FNV-1a over the key's bytes, with the finaliser of MurmurHash3. */
function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let at = 0; at < key.length; at += 1) hash = Math.imul(hash ^ key.charCodeAt(at), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
