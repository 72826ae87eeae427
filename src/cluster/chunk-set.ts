/** A set of chunk indexes below a bound: one bit each, so that ten thousand simulated nodes fit as well as one real one. */
import { assert } from '../core/assert.ts';

/** Half-open `[start, end)`: how sets travel in messages. */
export type ChunkRange = readonly [number, number];

export class ChunkSet {
  readonly bound: number;
  readonly words: Uint32Array;
  #count = 0;

  constructor(bound: number, ranges: readonly ChunkRange[] = []) {
    assert(Number.isSafeInteger(bound) && bound >= 0, `a set of chunks has a bound, not ${bound}`);
    this.bound = bound;
    this.words = new Uint32Array((bound + 31) >>> 5);
    this.addRanges(ranges);
  }

  get count(): number {
    return this.#count;
  }

  get full(): boolean {
    return this.#count === this.bound;
  }

  has(chunk: number): boolean {
    return (((this.words[chunk >>> 5] as number) >>> (chunk & 31)) & 1) === 1;
  }

  /** False when it was there already, or lies beyond the bound (a message may say anything). */
  add(chunk: number): boolean {
    if (!(chunk >= 0 && chunk < this.bound) || this.has(chunk)) return false;
    this.words[chunk >>> 5] = (this.words[chunk >>> 5] as number) | (1 << (chunk & 31));
    this.#count += 1;
    return true;
  }

  delete(chunk: number): boolean {
    if (!(chunk >= 0 && chunk < this.bound) || !this.has(chunk)) return false;
    this.words[chunk >>> 5] = (this.words[chunk >>> 5] as number) & ~(1 << (chunk & 31));
    this.#count -= 1;
    return true;
  }

  clear(): void {
    this.words.fill(0);
    this.#count = 0;
  }

  addRanges(ranges: readonly ChunkRange[]): void {
    for (const [start, end] of ranges)
      for (let chunk = Math.max(start, 0); chunk < Math.min(end, this.bound); chunk++) this.add(chunk);
  }

  /** What is in the set, ascending. */
  ranges(): ChunkRange[] {
    const found: ChunkRange[] = [];
    let start = -1;
    for (let chunk = 0; chunk < this.bound; chunk++) {
      if ((chunk & 31) === 0 && start < 0 && this.words[chunk >>> 5] === 0) {
        chunk += 31;
        continue;
      }
      const here = this.has(chunk);
      if (here && start < 0) start = chunk;
      if (here || start < 0) continue;
      found.push([start, chunk]);
      start = -1;
    }
    if (start >= 0) found.push([start, this.bound]);
    return found;
  }

  /** The first index at or after `from` that is not in the set; the bound when there is none. */
  firstAbsent(from = 0): number {
    let chunk = from;
    while (chunk < this.bound && this.has(chunk)) chunk += 1;
    return chunk;
  }
}

/** A list of chunks as ranges; ascending lists give the fewest. */
export function rangesOf(chunks: readonly number[]): ChunkRange[] {
  const ranges: [number, number][] = [];
  for (const chunk of chunks) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === chunk) last[1] = chunk + 1;
    else ranges.push([chunk, chunk + 1]);
  }
  return ranges;
}
