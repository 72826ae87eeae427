/**
 * Which chunk a member asks a source for (DESIGN.md section 7): of up to 32 drawn at random that the source has and nobody
 * here has or awaits, the one that fewest of the other sources have. Strictly the rarest of all would make everyone run
 * after the same chunk, the next in order would make all alike (FACTS.md: .76 and less against .96). Of those that are equally
 * rare, the newest goes first where there is a way to go: it has furthest to spread (chunks are filled in order).
 */
import type { Random } from '../io/io.ts';
import type { ChunkSet } from './chunk-set.ts';

/** Candidates that are compared. */
const sampleMax = 32;

function bitsOf(word: number): number {
  let x = word - ((word >>> 1) & 0x55555555);
  x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
  return Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}

export interface Choice {
  /** What the source has. */
  readonly has: ChunkSet;
  /** What is here or awaited. */
  readonly taken: ChunkSet;
  /** What the other sources have. */
  readonly others: readonly ChunkSet[];
  /** Of equally rare ones the last, else any. */
  readonly newestFirst: boolean;
  readonly random: Random;
}

/** The chunk to ask for; undefined when the source has nothing that is wanted. */
export function chooseChunk({ has, taken, others, newestFirst, random }: Choice): number | undefined {
  const sample = drawSample(has, taken, random);
  let best: number | undefined;
  let fewest = Number.POSITIVE_INFINITY;
  for (const chunk of sample) {
    let holders = 0;
    for (const other of others) if (other.has(chunk)) holders += 1;
    if (holders > fewest || (holders === fewest && !(newestFirst && chunk > (best ?? -1)))) continue;
    fewest = holders;
    best = chunk;
    if (holders === 0 && !newestFirst) break;
  }
  return best;
}

/** Up to `sampleMax` of what is in `has` and not in `taken`, in random order; all of them when they are that few. */
function drawSample(has: ChunkSet, taken: ChunkSet, random: Random): number[] {
  const words = has.words.length;
  let total = 0;
  for (let i = 0; i < words; i++) total += bitsOf((has.words[i] as number) & ~(taken.words[i] as number));
  if (total === 0) return [];
  const sample: number[] = [];
  // Rejection finds a candidate quickly where they are dense; where they are few or sparse, all are listed first.
  if (total > sampleMax && total * 16 > has.bound) {
    for (let attempt = 0; sample.length < sampleMax && attempt < 16 * sampleMax; attempt++) {
      const chunk = random.integer(has.bound);
      if (has.has(chunk) && !taken.has(chunk)) sample.push(chunk);
    }
    if (sample.length > 0) return sample;
  }
  const all: number[] = [];
  for (let i = 0; i < words; i++) {
    for (let word = (has.words[i] as number) & ~(taken.words[i] as number); word !== 0; word &= word - 1)
      all.push(i * 32 + 31 - Math.clz32(word & -word));
  }
  for (let i = 0; i < Math.min(sampleMax, all.length); i++) {
    const j = i + random.integer(all.length - i);
    sample.push(all[j] as number);
    all[j] = all[i] as number;
  }
  return sample;
}
