/** Seeds that once failed, as data: replayed before anything new. A name says what was wrong. */
import type { ScenarioOptions } from '../scenarios/scenario.ts';

export interface Regression {
  readonly name: string;
  readonly seed: number;
  /** Pins what the failure needs, so that it outlives changes of how options are drawn. */
  readonly overrides: ScenarioOptions;
}

export const READ_CACHE_REGRESSIONS: readonly Regression[] = [];
