/** Trials as cells and figures. Pure. */
import { CPU_BUSY_MAX } from '../cpu-busy.ts';
import { bootstrap, median } from '../statistics.ts';
import {
  type Cell,
  type EvaluatedFigure,
  figureId,
  MEASURES,
  type Measure,
  type ScenarioName,
  type Trial,
} from './results.ts';

/** One trial that failed, or was not cold, tells more than all others: a cache that gives wrong bytes now and then is none. */
const WORST = ['failed', 'not cold', 'not run', 'not applicable', 'measured'] as const;

export function cellOf(candidate: string, scenario: ScenarioName, trials: readonly Trial[]): Cell {
  for (const status of WORST) {
    const found = trials.find((trial) => trial.status === status);
    if (found === undefined) continue;
    const { reason, offset } = found;
    return {
      candidate,
      scenario,
      status,
      ...(reason !== undefined && { reason }),
      ...(offset !== undefined && { offset }),
    };
  }
  return { candidate, scenario, status: 'not run', reason: 'the evaluation ended before it' };
}

export function figuresOf(
  candidate: string,
  scenario: ScenarioName,
  trials: readonly Trial[],
): readonly EvaluatedFigure[] {
  const measured = trials.filter(({ status }) => status === 'measured');
  if (measured.length === 0) return [];
  const isBusy = median(measured.map(({ cpuBusy = 0 }) => cpuBusy)) > CPU_BUSY_MAX;
  const figure = (
    measure: EvaluatedFigure['measure'],
    unit: EvaluatedFigure['unit'],
    of: (trial: Trial) => number | undefined,
  ): EvaluatedFigure[] => {
    const values = measured.map(of).filter((value) => value !== undefined);
    if (values.length === 0) return [];
    const id = figureId(scenario, candidate, measure);
    return [{ id, candidate, scenario, measure, unit, ...bootstrap(values), trials: values.length, isBusy }];
  };
  const measures: readonly Measure[] = MEASURES[scenario];
  return [
    ...measures.flatMap((measure) => figure(measure, 's', ({ values }) => values[measure])),
    ...figure('originBytesRatio', '', ({ originBytesRatio }) => originBytesRatio),
  ];
}
