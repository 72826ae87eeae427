/**
 * How far the world must move before the answer flips, in closed form.
 *
 * With weights w and logarithms d = ln(other's median ÷ ours), we lead while S = Σ w·d > 0. One figure of ours that gets worse by a factor f, or of the
 * other's that gets better by it, takes w·ln f away: the order flips at f = exp(S ÷ w). A weight w that becomes v adds (v − w)·d: it flips at
 * v = w − S ÷ d, where that is not negative.
 */
import {
  countedS,
  figureOf,
  measuresOf,
  RESOLUTION_S,
  type WeightedMeasure,
  weightedMeasuresOf,
} from './figures-of.ts';
import type { Recommendation } from './recommendation.ts';
import { figureId, type Measure, type Results, type ScenarioName } from './results.ts';

export interface Sensitivity {
  readonly ours: string;
  readonly other: string;
  readonly scenario: ScenarioName;
  readonly measure: Measure;
  readonly weight: number;
  /** Our figure must get worse by this factor until the order flips. */
  readonly worseBy: number | 'never';
  /** The other's must get better by this factor: the same, unless it would become shorter than anyone can tell. */
  readonly betterBy: number | 'never';
  /** What the weight must become. */
  readonly weightTo: number | 'never';
  /** Ids of both figures. */
  readonly figures: readonly [string, string];
}

interface Side extends WeightedMeasure {
  /** ln(other's ÷ ours). */
  readonly advantage: number;
  readonly otherS: number;
}

/** Of the one in front against each other eligible choice, in all measures that both have, also those that weigh nothing today. */
export function sensitivityOf(results: Results, recommendation: Recommendation): Sensitivity[] {
  return recommendation.comparisons.flatMap(({ ours, other }) => sensitivityBetween(results, ours, other));
}

export function sensitivityBetween(results: Results, ours: string, other: string): Sensitivity[] {
  const sides = measuresOf(results).flatMap((weighted): Side[] => {
    const mine = figureOf(results, weighted.scenario, ours, weighted.measure);
    const its = figureOf(results, weighted.scenario, other, weighted.measure);
    if (mine === undefined || its === undefined) return [];
    const otherS = countedS(its.median);
    return [{ ...weighted, advantage: Math.log(otherS / countedS(mine.median)), otherS }];
  });
  const lead = sides.reduce((sum, { weight, advantage }) => sum + weight * advantage, 0);
  return sides.map(({ scenario, measure, weight, advantage, otherS }) => {
    const factor = weight > 0 && lead > 0 ? Math.exp(lead / weight) : 'never';
    const reachable = factor !== 'never' && Number.isFinite(factor);
    return {
      ours,
      other,
      scenario,
      measure,
      weight,
      worseBy: reachable ? factor : 'never',
      betterBy: reachable && otherS / factor >= RESOLUTION_S ? factor : 'never',
      weightTo: flipWeight({ weight, advantage, lead }),
      figures: [figureId(scenario, ours, measure), figureId(scenario, other, measure)],
    };
  });
}

function flipWeight({
  weight,
  advantage,
  lead,
}: {
  weight: number;
  advantage: number;
  lead: number;
}): number | 'never' {
  if (advantage === 0 || lead <= 0) return 'never';
  const flipped = weight - lead / advantage;
  return flipped >= 0 && Number.isFinite(flipped) ? flipped : 'never';
}

/** The value that a candidate nobody could measure would need in one measure, were it like the recommended one in all others. */
export interface FlipValue {
  readonly scenario: ScenarioName;
  readonly measure: Measure;
  /** Seconds: below this it would be told apart and recommended. */
  readonly belowS: number;
  /** The figure of the recommended one that it stands against. */
  readonly figure: string;
}

/** Scores closer than this are not told apart: the indifference of bench/statistics.ts. */
const INDIFFERENCE = 0.02;

export function flipValues(results: Results, candidate: string): FlipValue[] {
  const weighted = weightedMeasuresOf(results);
  const weights = weighted.reduce((sum, { weight }) => sum + weight, 0);
  return weighted.flatMap(({ scenario, measure, weight }) => {
    const figure = figureOf(results, scenario, candidate, measure);
    if (figure === undefined) return [];
    const belowS = countedS(figure.median) * (1 + INDIFFERENCE) ** (-weights / weight);
    return belowS < RESOLUTION_S ? [] : [{ scenario, measure, belowS, figure: figure.id }];
  });
}
