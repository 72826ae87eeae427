/**
 * What caches that know no bytes, no time and no failures would have hit: an LRU of so many blocks, and one without end. A request
 * hits its longest leading run of blocks that are there; then all of its blocks are there, used in their order.
 */
import type { TraceRequest } from './trace.ts';

class IdealLru {
  readonly #blocksMax: number;
  /** Block → when it was used last; a use before that is over. */
  readonly #usedAt = new Map<number, number>();
  /** Uses in their order, from `#oldest` on. A Set would do, but one that loses its first element again and again is slow. */
  readonly #uses: number[] = [];
  #oldest = 0;

  /** `Infinity`: a cache without end. */
  constructor(blocksMax: number) {
    this.#blocksMax = blocksMax;
  }

  /** How many leading blocks were there. */
  request(blocks: readonly number[]): number {
    let leading = 0;
    while (leading < blocks.length && this.#usedAt.has(blocks[leading] as number)) leading += 1;
    for (const block of blocks) {
      this.#usedAt.set(block, this.#uses.push(block) - 1);
      if (this.#usedAt.size > this.#blocksMax) this.#evict();
    }
    return leading;
  }

  #evict(): void {
    for (;;) {
      const at = this.#oldest++;
      const block = this.#uses[at] as number;
      if (this.#usedAt.get(block) !== at) continue;
      this.#usedAt.delete(block);
      return;
    }
  }
}

export interface HitCount {
  readonly atMs: number;
  readonly blocks: number;
  readonly hits: number;
}

export function replayIdeal(requests: readonly TraceRequest[], blocksMax: number): HitCount[] {
  const cache = new IdealLru(blocksMax);
  return requests.map(({ atMs, blocks }) => ({ atMs, blocks: blocks.length, hits: cache.request(blocks) }));
}

/** Of all blocks asked for, 0 to 1. */
export function hitRatio(counts: readonly HitCount[]): number {
  const sum = (of: (count: HitCount) => number) => counts.reduce((total, count) => total + of(count), 0);
  return (
    sum(({ hits }) => hits) /
    Math.max(
      1,
      sum(({ blocks }) => blocks),
    )
  );
}

export function distinctBlocks(requests: readonly TraceRequest[]): number {
  const seen = new Set<number>();
  for (const { blocks } of requests) for (const block of blocks) seen.add(block);
  return seen.size;
}
