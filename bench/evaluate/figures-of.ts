/** Looks up what was measured, for everything that follows from results. */
import {
  type CandidateEntry,
  type Cell,
  type EvaluatedFigure,
  figureId,
  MEASURES,
  type Measure,
  type Results,
  type ScenarioName,
  type Trial,
} from './results.ts';

/** Shorter than this nobody notices, and no clock here tells it: a figure below counts as this. */
export const RESOLUTION_S = 0.001;

/** A measure with its weight in the recommendation. */
export interface WeightedMeasure {
  readonly scenario: ScenarioName;
  readonly measure: Measure;
  readonly weight: number;
}

/** Every measure of the evaluated scenarios; those of weight 0 are shown only. */
export function measuresOf(results: Results): WeightedMeasure[] {
  return results.scenarios.flatMap(({ name, weights }) =>
    (MEASURES[name] as readonly Measure[]).map((measure) => ({
      scenario: name,
      measure,
      weight: weights[measure] ?? 0,
    })),
  );
}

export function weightedMeasuresOf(results: Results): WeightedMeasure[] {
  return measuresOf(results).filter(({ weight }) => weight > 0);
}

export function figureOf(
  results: Results,
  scenario: ScenarioName,
  candidate: string,
  measure: EvaluatedFigure['measure'],
): EvaluatedFigure | undefined {
  const id = figureId(scenario, candidate, measure);
  return results.figures.find((figure) => figure.id === id);
}

/** A cell that is not in the results was not run. */
export function cellOf(results: Results, scenario: ScenarioName, candidate: string): Cell {
  const found = results.cells.find((cell) => cell.scenario === scenario && cell.candidate === candidate);
  return found ?? { candidate, scenario, status: 'not run' };
}

export function entryOf(results: Results, candidate: string): CandidateEntry | undefined {
  return results.candidates.find(({ name }) => name === candidate);
}

/** Trials that count: measured ones. */
export function trialsOf(results: Results, scenario: ScenarioName, candidate: string): Trial[] {
  return results.trials.filter(
    (trial) => trial.scenario === scenario && trial.candidate === candidate && trial.status === 'measured',
  );
}

/** A figure's median as it enters a ratio. */
export const countedS = (seconds: number): number => Math.max(seconds, RESOLUTION_S);
