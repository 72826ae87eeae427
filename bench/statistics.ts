/**
 * What a series of measurements says, and how sure it is (DESIGN.md section 12).
 *
 * The machine changes speed by a factor of two from minute to minute, so two candidates are never measured one after
 * the other: they are measured in pairs whose order alternates, and what is compared is the ratio within each pair. The
 * figure is the median of those ratios with a bootstrap percentile interval (Efron & Tibshirani, 1993). The resampling
 * has its own seeded generator: the same trials always give the same interval.
 */

/** A median with the interval that holds it with the stated confidence. */
export interface Interval {
  readonly median: number;
  readonly low: number;
  readonly high: number;
}

/** What the project promises of a figure; absent = the figure is only shown. */
export type Target = { readonly atLeast: number } | { readonly atMost: number };

export type Verdict = 'met' | 'missed' | 'inconclusive' | 'shown';

const RESAMPLES = 2000;
const CONFIDENCE = 0.95;
const SEED = 0x9e3779b9;
/** Ratios this close to one are the same for anyone who decides by them. */
const INDIFFERENCE = 0.02;

/** Mulberry32: 32 bits of state, uniform in `[0, 1)`; enough to resample, nothing else. */
export function seededFraction(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** The value below which `fraction` of the values lie, interpolated. Throws RangeError on no values. */
export function quantile(values: readonly number[], fraction: number): number {
  if (values.length === 0) throw new RangeError('a quantile of no values');
  const sorted = [...values].sort((a, b) => a - b);
  const at = (sorted.length - 1) * fraction;
  const low = sorted[Math.floor(at)] as number;
  const high = sorted[Math.ceil(at)] as number;
  return low + (high - low) * (at - Math.floor(at));
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** The median of `values` with its bootstrap interval; a single value is its own interval. */
export function bootstrap(values: readonly number[], options: { seed?: number } = {}): Interval {
  const next = seededFraction(options.seed ?? SEED);
  const medians: number[] = [];
  const sample = [...values];
  for (let round = 0; round < RESAMPLES; round++) {
    for (let i = 0; i < sample.length; i++) sample[i] = values[Math.floor(next() * values.length)] as number;
    medians.push(median(sample));
  }
  const tail = (1 - CONFIDENCE) / 2;
  return { median: median(values), low: quantile(medians, tail), high: quantile(medians, 1 - tail) };
}

/** A trial of both sides, measured one right after the other. */
export interface Pair {
  readonly ours: number;
  readonly baseline: number;
}

/** The ratio ours ÷ baseline over interleaved pairs. */
export function ratio(pairs: readonly Pair[], options: { seed?: number } = {}): Interval {
  return bootstrap(
    pairs.map((pair) => pair.ours / pair.baseline),
    options,
  );
}

/**
 * Runs `count` pairs, ours first in every other one, so that a drift of the machine falls on both sides alike. `onPair`
 * hears of each pair as it is done.
 */
export async function interleave<T>(
  count: number,
  sides: { ours(): Promise<T>; baseline(): Promise<T> },
  onPair: (done: number) => void = () => {},
): Promise<{ ours: T; baseline: T }[]> {
  const pairs: { ours: T; baseline: T }[] = [];
  for (let i = 0; i < count; i++) {
    if (i % 2 === 0) {
      const ours = await sides.ours();
      pairs.push({ ours, baseline: await sides.baseline() });
    } else {
      const baseline = await sides.baseline();
      pairs.push({ ours: await sides.ours(), baseline });
    }
    onPair(i + 1);
  }
  return pairs;
}

/**
 * A target holds when the whole interval is on its good side, is missed when the whole interval is on the other, and
 * is inconclusive in between: more trials, or a quieter machine, are needed.
 */
export function judge(interval: Interval, target: Target | undefined): Verdict {
  if (target === undefined) return 'shown';
  if ('atLeast' in target) {
    if (interval.low >= target.atLeast) return 'met';
    return interval.high < target.atLeast ? 'missed' : 'inconclusive';
  }
  if (interval.high <= target.atMost) return 'met';
  return interval.low > target.atMost ? 'missed' : 'inconclusive';
}

/** Whether a ratio of one thing to another tells them apart; the same thing against itself must come out as `no difference`. */
export function difference(interval: Interval): 'higher' | 'lower' | 'no difference' {
  if (interval.low > 1 + INDIFFERENCE) return 'higher';
  return interval.high < 1 - INDIFFERENCE ? 'lower' : 'no difference';
}
