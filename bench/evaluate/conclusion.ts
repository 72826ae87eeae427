/** Everything that follows from the results of an evaluation, in one piece: what a report tells. Pure: the same results, the same conclusion. */
import { type Cost, costsOf } from './costs.ts';
import type { Facts } from './facts.ts';
import { type Recommendation, recommend } from './recommendation.ts';
import {
  type JudgedRequirements,
  judgeRequirements,
  type Readiness,
  type Requirements,
  readiness,
} from './requirements.ts';
import type { Results } from './results.ts';
import { type FlipValue, flipValues, type Sensitivity, sensitivityOf } from './sensitivity.ts';

export interface Conclusion {
  readonly results: Results;
  readonly recommendation: Recommendation;
  readonly sensitivity: readonly Sensitivity[];
  readonly costs: readonly Cost[];
  /** Absent without requirements. */
  readonly requirements?: { readonly judged: JudgedRequirements; readonly readiness: Readiness };
  readonly facts?: Facts;
  /** What a documented candidate would have to reach; empty without anyone in front. */
  readonly flips: readonly FlipValue[];
}

export function conclude(results: Results, given: { requirements?: Requirements; facts?: Facts } = {}): Conclusion {
  const judged = given.requirements && judgeRequirements(given.requirements, results);
  const recommendation = recommend(results, judged);
  const front = recommendation.choice[0];
  return {
    results,
    recommendation,
    sensitivity: sensitivityOf(results, recommendation),
    costs: costsOf(results),
    ...(judged && { requirements: { judged, readiness: readiness(judged, recommendation) } }),
    ...(given.facts && { facts: given.facts }),
    flips: front === undefined ? [] : flipValues(results, front),
  };
}
