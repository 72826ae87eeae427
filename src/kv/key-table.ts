/**
 * Who holds which keys, as the owner of their slots knows it: typed arrays, open addressing with linear probing, 52 bytes a
 * row and 4 to 8 for its place. A key stands there as 16 bytes of its SHA-256.
 *
 * Bounds: `rowsMax`; then `set` says false, and the key is one that the owner does not know.
 */

import type { Slot } from '../cluster/slot.ts';
import { assert } from '../core/assert.ts';
import type { ContentId } from '../core/ids.ts';

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
  /** Row + 1; 0: free. At least twice as many places as rows. */
  #places = new Uint32Array(START_ROWS * 2);
  readonly #free: number[] = [];
  #end = 0;

  constructor(rowsMax: number) {
    this.#rowsMax = rowsMax;
  }

  get count(): number {
    return this.#end - this.#free.length;
  }

  get(id: string): KeyRow | undefined {
    const row = this.#find(wordsOf(id));
    return row < 0 ? undefined : this.#row(row);
  }

  /** False when the table is full. */
  set(id: string, slot: Slot, { holder, content, untilMs }: KeyRow): boolean {
    const words = wordsOf(id);
    let row = this.#find(words);
    if (row < 0) {
      if (this.#free.length === 0 && this.#end >= this.#rowsMax) return false;
      row = this.#free.pop() ?? this.#end++;
      if (row >= this.#untils.length) this.#grow();
      this.#words.set(words, row * WORDS);
      this.#slots[row] = slot;
      this.#enter(row);
    }
    this.#words.set(wordsOf(content), row * WORDS + 4);
    this.#holders[row] = holder + 1;
    this.#untils[row] = untilMs;
    return true;
  }

  delete(id: string): boolean {
    const row = this.#find(wordsOf(id));
    if (row < 0) return false;
    this.#remove(row);
    return true;
  }

  /** Takes out rows that `isGone` says so of. */
  sweep(isGone: (slot: Slot, holder: number) => boolean): void {
    for (let row = 0; row < this.#end; row++) {
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

  #placeOf(row: number): number {
    return (this.#words[row * WORDS] as number) & (this.#places.length - 1);
  }

  #find(words: readonly number[]): number {
    const mask = this.#places.length - 1;
    for (let place = (words[0] as number) & mask; ; place = (place + 1) & mask) {
      const row = (this.#places[place] as number) - 1;
      if (row < 0) return -1;
      const from = row * WORDS;
      if (words.every((word, at) => this.#words[from + at] === word)) return row;
    }
  }

  #enter(row: number): void {
    const mask = this.#places.length - 1;
    let place = this.#placeOf(row);
    while (this.#places[place] !== 0) place = (place + 1) & mask;
    this.#places[place] = row + 1;
  }

  /** Closes the gap, so that no later row is cut off from its place. */
  #remove(row: number): void {
    const mask = this.#places.length - 1;
    let gap = this.#placeOf(row);
    while (this.#places[gap] !== row + 1) gap = (gap + 1) & mask;
    for (let place = (gap + 1) & mask; this.#places[place] !== 0; place = (place + 1) & mask) {
      const home = this.#placeOf((this.#places[place] as number) - 1);
      if (((place - home) & mask) < ((place - gap) & mask)) continue;
      this.#places[gap] = this.#places[place] as number;
      gap = place;
    }
    this.#places[gap] = 0;
    this.#holders[row] = 0;
    this.#free.push(row);
  }

  #grow(): void {
    const rows = this.#untils.length * 2;
    const grown = <A extends Uint16Array | Uint32Array | Float64Array>(to: A, from: A): A => {
      to.set(from);
      return to;
    };
    this.#words = grown(new Uint32Array(rows * WORDS), this.#words);
    this.#untils = grown(new Float64Array(rows), this.#untils);
    this.#slots = grown(new Uint16Array(rows), this.#slots);
    this.#holders = grown(new Uint16Array(rows), this.#holders);
    this.#places = new Uint32Array(rows * 2);
    for (let row = 0; row < this.#end; row++) if (this.#holders[row] !== 0) this.#enter(row);
  }
}

/** 32 hex digits as four words. */
function wordsOf(id: string): number[] {
  assert(id.length === 32, 'an id has 32 digits');
  return [0, 8, 16, 24].map((at) => Number.parseInt(id.slice(at, at + 8), 16));
}
