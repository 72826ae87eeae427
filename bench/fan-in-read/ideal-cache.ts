/**
 * What caches that know no bytes, no time and no failures would have hit: an LRU of so many blocks, and one without end. A request
 * hits its longest leading run of blocks that are there; then all of its blocks are there, used in their order.
 */
import type { TraceRequest } from './trace.ts';

export class IdealLru {
  readonly #blocksMax: number;
  /** In the order of use. */
  readonly #blocks = new Set<number>();

  /** `Infinity`: a cache without end. */
  constructor(blocksMax: number) {
    this.#blocksMax = blocksMax;
  }

  /** How many leading blocks were there. */
  request(blocks: readonly number[]): number {
    let leading = 0;
    while (leading < blocks.length && this.#blocks.has(blocks[leading] as number)) leading += 1;
    for (const block of blocks) {
      this.#blocks.delete(block);
      this.#blocks.add(block);
      if (this.#blocks.size > this.#blocksMax) this.#blocks.delete(this.#blocks.values().next().value as number);
    }
    return leading;
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
