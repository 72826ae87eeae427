/**
 * Finds rows by a hash of what they are of: open addressing with linear probing, at most two thirds full; 4 bytes a row and 6 to 12 for
 * its cell.
 *
 * What a row is compared with is its table's, and so is the loop that looks for it, which must not call anything for each row:
 * through `cells` from `home & (cells.length - 1)` on, round, until the row or a 0.
 */
import { assert } from './assert.ts';
import { grown } from './column.ts';

/** Row 0 is never used, so that 0 can mean "none". */
const NONE = 0;

export class RowHash {
  /** 32 bits of each row. */
  #homes: Uint32Array;
  #cells: Uint32Array;
  #count = 0;

  /** Room for rows below `room`, a power of two. */
  constructor(room: number) {
    assert(room > 0 && Number.isInteger(Math.log2(room)), 'a hash table begins with a power of two');
    this.#homes = new Uint32Array(room);
    this.#cells = new Uint32Array(2 * room);
  }

  /** Memory in bytes. */
  get bytes(): number {
    return this.#homes.byteLength + this.#cells.byteLength;
  }

  /** Not to be kept: another array after `add`. */
  get cells(): Uint32Array {
    return this.#cells;
  }

  /** The hash of each row that is here. Not to be kept: another array after `grow`. */
  get homes(): Uint32Array {
    return this.#homes;
  }

  /** Adds a row that is not here, for which there is room. */
  add(row: number, home: number): void {
    if ((this.#count + 1) * 3 > this.#cells.length * 2) this.#rehash();
    this.#homes[row] = home;
    this.#insert(row);
    this.#count += 1;
  }

  /** Backward-shift deletion: it keeps every probe sequence free of holes without tombstones. */
  remove(row: number): void {
    const cells = this.#cells;
    const homes = this.#homes;
    const mask = cells.length - 1;
    let hole = (homes[row] as number) & mask;
    while (cells[hole] !== row) {
      assert(cells[hole] !== NONE, 'a removed row is in its hash table');
      hole = (hole + 1) & mask;
    }
    for (let at = (hole + 1) & mask; cells[at] !== NONE; at = (at + 1) & mask) {
      const home = (homes[cells[at] as number] as number) & mask;
      if (((at - home) & mask) >= ((at - hole) & mask)) {
        cells[hole] = cells[at] as number;
        hole = at;
      }
    }
    cells[hole] = NONE;
    this.#count -= 1;
  }

  /** Makes room for rows below `rows`. */
  grow(rows: number): void {
    this.#homes = grown(this.#homes, rows);
  }

  #insert(row: number): void {
    const cells = this.#cells;
    const mask = cells.length - 1;
    let at = (this.#homes[row] as number) & mask;
    while (cells[at] !== NONE) at = (at + 1) & mask;
    cells[at] = row;
  }

  #rehash(): void {
    const rows = this.#cells;
    this.#cells = new Uint32Array(rows.length * 2);
    for (const row of rows) if (row !== NONE) this.#insert(row);
  }
}
