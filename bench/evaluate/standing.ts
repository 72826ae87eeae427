/**
 * Who may be recommended at all, and with what score (docs/evaluation.md states the rule).
 *
 * Eligible is who was measured in every scenario of the evaluation, in every measure that weighs, and misses no must-have: the question is for one
 * cache. The score is the weighted geometric mean of (best median among all measured) ÷ (own median): 1 is the best in everything.
 */
import { cellOf, countedS, figureOf, type WeightedMeasure, weightedMeasuresOf } from './figures-of.ts';
import type { JudgedRequirements } from './requirements.ts';
import { type CandidateEntry, type Cell, figureId, type Results, type ScenarioName } from './results.ts';

export interface Standing {
  readonly candidate: string;
  /** The names of the same thing, this one among them: one choice. */
  readonly choice: readonly string[];
  readonly isEligible: boolean;
  /** What of the evaluation it has no figures for, and why. */
  readonly gaps: readonly string[];
  /** Must-haves that are red for it, with what was found. */
  readonly missed: readonly string[];
  /** Over all that weighs; absent where one of the figures is missing, or nothing weighs. */
  readonly score: number | undefined;
  readonly scenarioScores: Readonly<Partial<Record<ScenarioName, number>>>;
}

/** Best score first; those without one after them, in the order of the evaluation. */
export function standingsOf(results: Results, requirements?: JudgedRequirements): Standing[] {
  const choices = choicesOf(results.candidates);
  const standings = results.candidates.map(({ name }): Standing => {
    const gaps = gapsOf(results, name);
    const missed = missedMustHaves(name, requirements);
    return {
      candidate: name,
      choice: choices.get(name) as readonly string[],
      isEligible: gaps.length === 0 && missed.length === 0,
      gaps,
      missed,
      score: scoreOf(results, name, weightedMeasuresOf(results)),
      scenarioScores: Object.fromEntries(
        results.scenarios.flatMap(({ name: scenario }) => {
          const measures = weightedMeasuresOf(results).filter((weighted) => weighted.scenario === scenario);
          const score = scoreOf(results, name, measures);
          return score === undefined ? [] : [[scenario, score]];
        }),
      ),
    };
  });
  return standings.sort((a, b) => (b.score ?? -1) - (a.score ?? -1));
}

/** Name → the names of its choice; the first of them is the one that the others are the same as. */
function choicesOf(candidates: readonly CandidateEntry[]): Map<string, readonly string[]> {
  const rootOf = (name: string): string => {
    const seen = new Set<string>();
    let at = name;
    while (!seen.has(at)) {
      seen.add(at);
      const next = candidates.find((candidate) => candidate.name === at)?.sameAs;
      if (next === undefined || !candidates.some((candidate) => candidate.name === next)) return at;
      at = next;
    }
    return [...seen].sort()[0] as string;
  };
  const names = candidates.map(({ name }) => name);
  return new Map(
    names.map((name) => {
      const root = rootOf(name);
      return [name, [root, ...names.filter((other) => other !== root && rootOf(other) === root)]];
    }),
  );
}

function gapsOf(results: Results, candidate: string): string[] {
  return results.scenarios.flatMap(({ name: scenario }) => {
    const cell = cellOf(results, scenario, candidate);
    if (cell.status !== 'measured') return [gapText(cell)];
    return weightedMeasuresOf(results)
      .filter((weighted) => weighted.scenario === scenario)
      .filter(({ measure }) => figureOf(results, scenario, candidate, measure) === undefined)
      .map(({ measure }) => `${scenario}: ${measure}, which weighs, was not measured`);
  });
}

/** `fan-out-write: failed: wrong bytes (at offset 4096)`. */
export function gapText(cell: Cell): string {
  const offset = cell.offset === undefined ? '' : ` (first wrong byte at offset ${cell.offset})`;
  return `${cell.scenario}: ${cell.status}${cell.reason === undefined ? '' : `: ${cell.reason}`}${offset}`;
}

function missedMustHaves(candidate: string, requirements?: JudgedRequirements): string[] {
  return (requirements?.lines ?? [])
    .filter(({ isMustHave }) => isMustHave)
    .flatMap(({ text, verdicts }) => {
      const verdict = verdicts[candidate];
      return verdict?.state === 'red' ? [`${text}: ${verdict.reason}`] : [];
    });
}

/** Best median of a measure among all who were measured, seconds. */
function bestS(results: Results, { scenario, measure }: WeightedMeasure): number {
  const medians = results.figures
    .filter((figure) => figure.scenario === scenario && figure.measure === measure)
    .filter(({ candidate }) => cellOf(results, scenario, candidate).status === 'measured')
    .map(({ median }) => countedS(median));
  return Math.min(...medians);
}

function scoreOf(results: Results, candidate: string, measures: readonly WeightedMeasure[]): number | undefined {
  if (measures.length === 0) return undefined;
  let logarithms = 0;
  let weights = 0;
  for (const weighted of measures) {
    const figure = figureOf(results, weighted.scenario, candidate, weighted.measure);
    if (figure === undefined || cellOf(results, weighted.scenario, candidate).status !== 'measured') return undefined;
    logarithms += weighted.weight * Math.log(bestS(results, weighted) / countedS(figure.median));
    weights += weighted.weight;
  }
  return Math.exp(logarithms / weights);
}

/** The figures that a candidate's score is made of. */
export function scoreFigures(results: Results, candidate: string): string[] {
  return weightedMeasuresOf(results).map(({ scenario, measure }) => figureId(scenario, candidate, measure));
}
