/**
 * Who holds which keys, as the owner of their slots knows it: typed arrays, open addressing with linear probing, 48 bytes a
 * row and 6 to 12 for its cell. A key stands there as 16 bytes of its SHA-256.
 *
 * Bounds: `rowsMax`; then `set` says false, and the key is one that the owner does not know.
 */

import type { Slot } from '../cluster/slot.ts';
import { assert } from '../core/assert.ts';
import { grown } from '../core/column.ts';
import type { ContentId } from '../core/ids.ts';
import { RowHash } from '../core/row-hash.ts';

export interface KeyRow {
  /** A number that the caller gives out, below 65,535. */
  readonly holder: number;
  readonly content: ContentId;
  /** Boottime milliseconds; Infinity: until evicted. */
  readonly untilMs: number;
}

/** Words of a row: 4 of the key's id, 4 of the content's. */
const WORDS = 8;
const START_ROWS = 256;

export class KeyTable {
  readonly #rowsMax: number;
  #words = new Uint32Array(START_ROWS * WORDS);
  #untils = new Float64Array(START_ROWS);
  #slots = new Uint16Array(START_ROWS);
  /** Holder + 1; 0: a free row. */
  #holders = new Uint16Array(START_ROWS);
  readonly #hash = new RowHash(START_ROWS);
  readonly #free: number[] = [];
  /** Row 0 is never used: see `RowHash`. */
  #end = 1;

  constructor(rowsMax: number) {
    this.#rowsMax = rowsMax;
  }

  get count(): number {
    return this.#end - 1 - this.#free.length;
  }

  get(id: string): KeyRow | undefined {
    const row = this.#find(wordsOf(id));
    return row === 0 ? undefined : this.#row(row);
  }

  /** False when the table is full. */
  set(id: string, slot: Slot, { holder, content, untilMs }: KeyRow): boolean {
    const words = wordsOf(id);
    let row = this.#find(words);
    if (row === 0) {
      if (this.count >= this.#rowsMax) return false;
      row = this.#free.pop() ?? this.#end++;
      if (row >= this.#untils.length) this.#grow();
      this.#words.set(words, row * WORDS);
      this.#slots[row] = slot;
      this.#hash.add(row, words[0] as number);
    }
    this.#words.set(wordsOf(content), row * WORDS + 4);
    this.#holders[row] = holder + 1;
    this.#untils[row] = untilMs;
    return true;
  }

  delete(id: string): boolean {
    const row = this.#find(wordsOf(id));
    if (row === 0) return false;
    this.#remove(row);
    return true;
  }

  /** Takes out rows that `isGone` says so of. */
  sweep(isGone: (slot: Slot, holder: number) => boolean): void {
    for (let row = 1; row < this.#end; row++) {
      const holder = this.#holders[row] as number;
      if (holder !== 0 && isGone(this.#slots[row] as Slot, holder - 1)) this.#remove(row);
    }
  }

  #row(row: number): KeyRow {
    let content = '';
    for (let word = 4; word < WORDS; word++)
      content += (this.#words[row * WORDS + word] as number).toString(16).padStart(8, '0');
    return {
      holder: (this.#holders[row] as number) - 1,
      content: content as ContentId,
      untilMs: this.#untils[row] as number,
    };
  }

  /** 0 where there is none. */
  #find(words: readonly number[]): number {
    const { cells } = this.#hash;
    const mask = cells.length - 1;
    for (let at = (words[0] as number) & mask; ; at = (at + 1) & mask) {
      const row = cells[at] as number;
      const from = row * WORDS;
      if (row === 0 || words.every((word, index) => this.#words[from + index] === word)) return row;
    }
  }

  #remove(row: number): void {
    this.#hash.remove(row);
    this.#holders[row] = 0;
    this.#free.push(row);
  }

  #grow(): void {
    const rows = this.#untils.length * 2;
    this.#words = grown(this.#words, rows * WORDS);
    this.#untils = grown(this.#untils, rows);
    this.#slots = grown(this.#slots, rows);
    this.#holders = grown(this.#holders, rows);
    this.#hash.grow(rows);
  }
}

/** 32 hex digits as four words. */
function wordsOf(id: string): number[] {
  assert(id.length === 32, 'an id has 32 digits');
  return [0, 8, 16, 24].map((at) => Number.parseInt(id.slice(at, at + 8), 16));
}
