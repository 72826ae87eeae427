/**
 * Whether the evidence tells two candidates apart.
 *
 * A machine changes speed from minute to minute, so what is compared is the ratio within each round, in which both ran one after the other.
 * Per measure the median of these ratios, over the measures their weighted geometric mean; the interval is a bootstrap percentile interval
 * that draws whole rounds, for the measures of one round hang together. Seeded: the same trials give the same verdict.
 */
import { difference, type Interval, median, quantile, seededFraction } from '../statistics.ts';
import { countedS, figureOf, trialsOf, type WeightedMeasure, weightedMeasuresOf } from './figures-of.ts';
import { figureId, type Results, type ScenarioName } from './results.ts';

const RESAMPLES = 2000;
const TAIL = 0.025;
const SEED = 0x9e3779b9;
/** Fewer say nothing about how much rounds differ. */
export const ROUNDS_MIN = 3;

export interface Comparison {
  readonly ours: string;
  readonly other: string;
  /** Our score ÷ the other's; absent where no round has both. */
  readonly ratio: Interval | undefined;
  readonly verdict: 'ahead' | 'behind' | 'no difference';
  /** Why it is `no difference`, where it is not the interval alone. */
  readonly because?: string;
  /** Ids of all figures that it rests on. */
  readonly figures: readonly string[];
}

/** For one measure, the logarithm of other ÷ ours per round. */
interface MeasureRounds extends WeightedMeasure {
  readonly byRound: ReadonlyMap<number, number>;
}

/** `noise`: the factor by which the same thing differed from itself; a difference within it is none. At least 1. */
export function compare(results: Results, pair: { ours: string; other: string }, noise = 1): Comparison {
  const measures = weightedMeasuresOf(results).map((weighted) => withRounds(results, pair, weighted));
  const figures = measures.flatMap(({ scenario, measure }) => [
    figureId(scenario, pair.ours, measure),
    figureId(scenario, pair.other, measure),
  ]);
  const none = (ratio: Interval | undefined, because?: string): Comparison => ({
    ...pair,
    ratio,
    verdict: 'no difference',
    ...(because !== undefined && { because }),
    figures,
  });
  if (measures.length === 0) return none(undefined, 'no measure has a weight');
  const unpaired = measures.find(({ byRound }) => byRound.size === 0);
  if (unpaired) return none(undefined, `no round has ${unpaired.measure} of both`);
  const ratio = scoreRatio(measures);
  const few = measures.find(({ byRound }) => byRound.size < ROUNDS_MIN);
  if (few)
    return none(ratio, `${few.scenario} has only ${few.byRound.size} rounds with both; ${ROUNDS_MIN} are needed`);
  const verdict = verdictOf(ratio, noise);
  if (verdict === 'no difference') {
    const isInNoise = difference(ratio) !== 'no difference';
    return none(ratio, isInNoise ? `the same thing under two names differed by ${noise.toFixed(2)}×` : undefined);
  }
  const loser = verdict === 'ahead' ? pair.other : pair.ours;
  const busy = measures.filter((weighted) => isBusy(results, loser, weighted));
  if (busy.length > 0 && verdictOf(scoreRatio(withoutGains(measures, busy, verdict)), noise) !== verdict)
    return none(
      ratio,
      `the machine was too busy for ${busy.map(({ measure }) => measure).join(', ')} of ${loser}, and the verdict hangs on it`,
    );
  return { ...pair, ratio, verdict, figures };
}

function verdictOf(ratio: Interval, noise: number): Comparison['verdict'] {
  const difference_ = difference(ratio);
  if (difference_ === 'higher' && ratio.low > noise) return 'ahead';
  if (difference_ === 'lower' && ratio.high < 1 / noise) return 'behind';
  return 'no difference';
}

function isBusy(results: Results, candidate: string, { scenario, measure }: WeightedMeasure): boolean {
  return figureOf(results, scenario, candidate, measure)?.isBusy === true;
}

/**
 * A busy machine can only have made a figure worse. So the loser's busy figures count as a draw where they speak against it; the winner's
 * stand, for on a quiet machine they would be no worse.
 */
function withoutGains(all: readonly MeasureRounds[], busy: readonly MeasureRounds[], verdict: 'ahead' | 'behind') {
  const capped = (value: number) => (verdict === 'ahead' ? Math.min(value, 0) : Math.max(value, 0));
  return all.map((weighted) => {
    if (!busy.includes(weighted)) return weighted;
    return { ...weighted, byRound: new Map(Array.from(weighted.byRound, ([round, value]) => [round, capped(value)])) };
  });
}

function withRounds(
  results: Results,
  { ours, other }: { ours: string; other: string },
  weighted: WeightedMeasure,
): MeasureRounds {
  const { scenario, measure } = weighted;
  const theirs = new Map(trialsOf(results, scenario, other).map(({ round, values }) => [round, values[measure]]));
  const byRound = new Map<number, number>();
  for (const { round, values } of trialsOf(results, scenario, ours)) {
    const [mine, its] = [values[measure], theirs.get(round)];
    if (mine !== undefined && its !== undefined) byRound.set(round, Math.log(countedS(its) / countedS(mine)));
  }
  return { ...weighted, byRound };
}

function scoreRatio(measures: readonly MeasureRounds[]): Interval {
  const weights = measures.reduce((sum, { weight }) => sum + weight, 0);
  const scenarios = new Map<ScenarioName, MeasureRounds[]>();
  for (const weighted of measures)
    scenarios.set(weighted.scenario, [...(scenarios.get(weighted.scenario) ?? []), weighted]);
  const next = seededFraction(SEED);
  const combined = (drawn: (rounds: readonly number[]) => readonly number[]) => {
    let sum = 0;
    for (const group of scenarios.values()) {
      const draw = drawn([...new Set(group.flatMap(({ byRound }) => Array.from(byRound.keys())))]);
      for (const { byRound, weight } of group) {
        const values = draw.flatMap((round) => byRound.get(round) ?? []);
        sum += weight * median(values.length > 0 ? values : Array.from(byRound.values()));
      }
    }
    return Math.exp(sum / weights);
  };
  const resampled = Array.from({ length: RESAMPLES }, () =>
    combined((rounds) => rounds.map(() => rounds[Math.floor(next() * rounds.length)] as number)),
  );
  return {
    median: combined((rounds) => rounds),
    low: quantile(resampled, TAIL),
    high: quantile(resampled, 1 - TAIL),
  };
}
