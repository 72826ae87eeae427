/** Rows in the order in which they were added or touched: a list through two columns, 8 bytes a row. Row 0 means none. */
import { grown } from '../core/column.ts';

const NONE = 0;

export class RowOrder<Row extends number> {
  #older: Uint32Array;
  #newer: Uint32Array;
  #oldest = NONE;
  #newest = NONE;

  constructor(room: number) {
    this.#older = new Uint32Array(room);
    this.#newer = new Uint32Array(room);
  }

  /** Memory in bytes. */
  get bytes(): number {
    return this.#older.byteLength + this.#newer.byteLength;
  }

  /** Rows below this may be added. */
  get room(): number {
    return this.#older.length;
  }

  get oldest(): Row | undefined {
    return this.#oldest === NONE ? undefined : (this.#oldest as Row);
  }

  /** The next newer row; `undefined` for the newest, and for one that is not in the order. */
  newer(row: Row): Row | undefined {
    const newer = this.#newer[row] as number;
    return newer === NONE ? undefined : (newer as Row);
  }

  /** Adds a row below `room` that is not in the order, as the newest. */
  add(row: Row): void {
    this.#older[row] = this.#newest;
    this.#newer[row] = NONE;
    if (this.#newest !== NONE) this.#newer[this.#newest] = row;
    this.#newest = row;
    if (this.#oldest === NONE) this.#oldest = row;
  }

  /** Makes a row that is in the order the newest. */
  touch(row: Row): void {
    if (this.#newest === row) return;
    this.remove(row);
    this.add(row);
  }

  remove(row: Row): void {
    const older = this.#older[row] as number;
    const newer = this.#newer[row] as number;
    if (older === NONE) this.#oldest = newer;
    else this.#newer[older] = newer;
    if (newer === NONE) this.#newest = older;
    else this.#older[newer] = older;
    this.#older[row] = NONE;
    this.#newer[row] = NONE;
  }

  /** Makes `room` for more. */
  grow(rows: number): void {
    this.#older = grown(this.#older, rows);
    this.#newer = grown(this.#newer, rows);
  }
}
