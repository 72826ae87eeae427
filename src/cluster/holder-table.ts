/**
 * Who has which chunks whole, as the owner of their slots knows it: typed arrays, about 80 bytes per chunk, at most
 * `rowsMax` chunks and `holdersPerChunkMax` holders of each. Beyond that chunks not asked for lately are forgotten, which
 * costs a refill at most, and holders at random.
 *
 * Holders are numbers below 65,535 that the caller gives out.
 */
import { assert } from '../core/assert.ts';
import { grown } from '../core/column.ts';
import type { ContentId } from '../core/ids.ts';
import { holdersPerChunkMax } from '../core/limits.ts';
import type { ChunkRef } from './chunk-ref.ts';
import { type Slot, slotOfChunk } from './slot.ts';

declare const brand: unique symbol;
export type HolderRow = number & { readonly [brand]: 'HolderRow' };

/** Flags of a row; a note of the caller's in the bits above. */
const USED = 1;
const HELD = 2;
const NOTE_SHIFT = 4;

const START_ROWS = 256;

export class HolderTable {
  readonly #rowsMax: number;
  readonly #isPinned: (row: HolderRow) => boolean;
  readonly #rows = new Map<ContentId, Map<number, HolderRow>>();
  readonly #contents: (ContentId | undefined)[] = [];
  #chunks = new Uint32Array(START_ROWS);
  #slots = new Uint16Array(START_ROWS);
  #flags = new Uint8Array(START_ROWS);
  /** Holder + 1; 0: none. */
  #holders = new Uint16Array(START_ROWS * holdersPerChunkMax);
  readonly #free: HolderRow[] = [];
  #hand = 0;
  #turn = 0;

  /** `isPinned`: rows that must not be forgotten now. */
  constructor(rowsMax: number, isPinned: (row: HolderRow) => boolean) {
    this.#rowsMax = rowsMax;
    this.#isPinned = isPinned;
  }

  get count(): number {
    return this.#contents.length - this.#free.length;
  }

  find({ content, chunk }: ChunkRef): HolderRow | undefined {
    const row = this.#rows.get(content)?.get(chunk);
    if (row !== undefined) this.#flags[row] = (this.#flags[row] as number) | USED;
    return row;
  }

  /** The chunk's row, new where there was none; undefined when the table is full of rows that must stay. */
  add(ref: ChunkRef): HolderRow | undefined {
    const known = this.find(ref);
    if (known !== undefined) return known;
    if (this.#free.length === 0 && this.#contents.length >= this.#rowsMax && !this.#forgetOne()) return undefined;
    const row = this.#free.pop() ?? (this.#contents.length as HolderRow);
    if (row >= this.#chunks.length) this.#grow();
    this.#contents[row] = ref.content;
    this.#chunks[row] = ref.chunk;
    this.#slots[row] = slotOfChunk(ref);
    this.#flags[row] = USED;
    this.#holders.fill(0, row * holdersPerChunkMax, (row + 1) * holdersPerChunkMax);
    let chunks = this.#rows.get(ref.content);
    if (chunks === undefined) this.#rows.set(ref.content, (chunks = new Map()));
    chunks.set(ref.chunk, row);
    return row;
  }

  ref(row: HolderRow): ChunkRef {
    const content = this.#contents[row];
    assert(content !== undefined, 'a row in use');
    return { content, chunk: this.#chunks[row] as number };
  }

  slot(row: HolderRow): Slot {
    return this.#slots[row] as Slot;
  }

  /** In no order. */
  holders(row: HolderRow): number[] {
    const found: number[] = [];
    for (let at = row * holdersPerChunkMax; at < (row + 1) * holdersPerChunkMax; at++) {
      const holder = this.#holders[at] as number;
      if (holder !== 0) found.push(holder - 1);
    }
    return found;
  }

  /** Whether anybody has ever had it, as far as is known here. */
  wasHeld(row: HolderRow): boolean {
    return ((this.#flags[row] as number) & HELD) !== 0;
  }

  /** What was held is gone rightly: reading it anew is nothing to be counted. */
  setNeverHeld(row: HolderRow): void {
    this.#flags[row] = (this.#flags[row] as number) & ~HELD;
  }

  /** Up to 15; 0 in a new row. */
  note(row: HolderRow): number {
    return (this.#flags[row] as number) >>> NOTE_SHIFT;
  }

  setNote(row: HolderRow, note: number): void {
    this.#flags[row] = ((this.#flags[row] as number) & ((1 << NOTE_SHIFT) - 1)) | (note << NOTE_SHIFT);
  }

  addHolder(row: HolderRow, holder: number): void {
    this.#flags[row] = (this.#flags[row] as number) | HELD;
    const from = row * holdersPerChunkMax;
    let place = -1;
    for (let at = from; at < from + holdersPerChunkMax; at++) {
      if (this.#holders[at] === holder + 1) return;
      if (place < 0 && this.#holders[at] === 0) place = at;
    }
    if (place < 0) place = from + (this.#turn++ % holdersPerChunkMax);
    this.#holders[place] = holder + 1;
  }

  removeHolder(row: HolderRow, holder: number): boolean {
    const from = row * holdersPerChunkMax;
    for (let at = from; at < from + holdersPerChunkMax; at++) {
      if (this.#holders[at] !== holder + 1) continue;
      this.#holders[at] = 0;
      return true;
    }
    return false;
  }

  /** Takes these holders out everywhere, before their numbers are used again. */
  sweep(isGone: (holder: number) => boolean): void {
    for (let at = 0; at < this.#holders.length; at++) {
      const holder = this.#holders[at] as number;
      if (holder !== 0 && isGone(holder - 1)) this.#holders[at] = 0;
    }
  }

  forget(row: HolderRow): void {
    const { content, chunk } = this.ref(row);
    const chunks = this.#rows.get(content);
    chunks?.delete(chunk);
    if (chunks?.size === 0) this.#rows.delete(content);
    this.#contents[row] = undefined;
    this.#free.push(row);
  }

  /** Rows of these slots. */
  inSlots(slots: ReadonlySet<Slot>): HolderRow[] {
    const found: HolderRow[] = [];
    for (let row = 0; row < this.#contents.length; row++)
      if (this.#contents[row] !== undefined && slots.has(this.#slots[row] as Slot)) found.push(row as HolderRow);
    return found;
  }

  /** Second chance: a hand goes round, spares once what was used since it last came by. */
  #forgetOne(): boolean {
    for (let step = 0; step < 2 * this.#contents.length; step++) {
      const row = this.#hand as HolderRow;
      this.#hand = (this.#hand + 1) % this.#contents.length;
      if (this.#contents[row] === undefined || this.#isPinned(row)) continue;
      const flags = this.#flags[row] as number;
      this.#flags[row] = flags & ~USED;
      if ((flags & USED) !== 0) continue;
      this.forget(row);
      return true;
    }
    return false;
  }

  #grow(): void {
    const rows = Math.min(this.#chunks.length * 2, this.#rowsMax);
    this.#chunks = grown(this.#chunks, rows);
    this.#slots = grown(this.#slots, rows);
    this.#flags = grown(this.#flags, rows);
    this.#holders = grown(this.#holders, rows * holdersPerChunkMax);
  }
}
