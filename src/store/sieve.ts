/**
 * SIEVE (Zhang et al., NSDI '24) over the chunk table: new chunks join at the newest end, a hit only sets a bit, and a hand
 * walks from the oldest end, clearing bits, and takes the first chunk without one. A hit costs no list operation.
 */
import { CHUNK_VISITED, type ChunkRow, type ChunkTable } from './chunk-table.ts';

export class Sieve {
  readonly #chunks: ChunkTable;
  #hand: ChunkRow | undefined;
  /** Chunks whose bit the last call of `next` cleared: they have earned one more round. */
  readonly spared = new Set<ChunkRow>();

  constructor(chunks: ChunkTable) {
    this.#chunks = chunks;
  }

  /** The next victim that `mayEvict` allows; `undefined` when two rounds found none (one clears the bits, one takes). */
  next(mayEvict: (row: ChunkRow) => boolean): ChunkRow | undefined {
    this.spared.clear();
    let at = this.#hand !== undefined && this.#chunks.isLive(this.#hand) ? this.#hand : this.#chunks.oldest;
    for (let steps = 2 * this.#chunks.listed; steps > 0 && at !== undefined; steps -= 1) {
      const next = this.#chunks.newer(at) ?? this.#chunks.oldest;
      if (mayEvict(at)) {
        if (!this.#chunks.has(at, CHUNK_VISITED)) {
          this.#hand = next === at ? undefined : next;
          return at;
        }
        this.#chunks.set(at, CHUNK_VISITED, false);
        this.spared.add(at);
      }
      at = next;
    }
    this.#hand = at;
    return undefined;
  }
}
