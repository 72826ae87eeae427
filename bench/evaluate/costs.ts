/** What a candidate takes for what it gives: copies on disks, bytes at the origin, processor. */
import { median } from '../statistics.ts';
import { figureOf, trialsOf } from './figures-of.ts';
import { figureId, type Results, type ScenarioName } from './results.ts';

export interface ScenarioCost {
  readonly scenario: ScenarioName;
  /** Bytes read at the origin ÷ payload; absent where nobody counted. */
  readonly originBytesRatio?: { readonly median: number; readonly figure: string };
  /** Requests at the origin in a trial, median. */
  readonly originRequests?: number;
  /** Fraction of the machine in use, median: all nodes together, the clients and the origin too. */
  readonly cpuBusy?: number;
}

export interface Cost {
  readonly candidate: string;
  /** Copies of each written byte beside the origin's; absent where nobody said. */
  readonly copies: number | undefined;
  readonly scenarios: readonly ScenarioCost[];
}

/** Of every candidate that was measured in something. */
export function costsOf(results: Results): Cost[] {
  return results.candidates.flatMap(({ name, copies }) => {
    const scenarios = results.scenarios.flatMap(({ name: scenario }) => costIn(results, scenario, name));
    return scenarios.length === 0 ? [] : [{ candidate: name, copies, scenarios }];
  });
}

function costIn(results: Results, scenario: ScenarioName, candidate: string): ScenarioCost[] {
  const trials = trialsOf(results, scenario, candidate);
  if (trials.length === 0) return [];
  const ratio = figureOf(results, scenario, candidate, 'originBytesRatio');
  const requests = trials.flatMap(({ originRequests }) => originRequests ?? []);
  const busy = trials.flatMap(({ cpuBusy }) => cpuBusy ?? []);
  return [
    {
      scenario,
      ...(ratio && {
        originBytesRatio: { median: ratio.median, figure: figureId(scenario, candidate, 'originBytesRatio') },
      }),
      ...(requests.length > 0 && { originRequests: median(requests) }),
      ...(busy.length > 0 && { cpuBusy: median(busy) }),
    },
  ];
}
