/** What scenarios and measures are called where people read them. */
import type { EvaluatedFigure, ScenarioName } from './results.ts';

export const SCENARIO_WORDS: Readonly<Record<ScenarioName, { readonly title: string; readonly about: string }>> = {
  'fan-out-read': { title: 'Fan-out read', about: 'every node reads the same model, cold, at the same time' },
  'fan-out-write': { title: 'Fan-out write', about: 'every rank writes its part of a checkpoint' },
  'fan-in-read': { title: 'Fan-in read', about: 'one node collects values that all nodes have put' },
};

/** In full, and as the head of a narrow column. */
export const MEASURE_WORDS: Readonly<
  Record<EvaluatedFigure['measure'], { readonly full: string; readonly brief: string }>
> = {
  makespanS: { full: 'from the first start until the last node has it', brief: 'last node has it' },
  blockedS: { full: 'how long the ranks wait', brief: 'ranks wait' },
  safeS: { full: 'until one dead node loses nothing', brief: 'safe' },
  durableS: { full: 'until the origin has it', brief: 'at the origin' },
  restoreS: { full: 'the step read on another node', brief: 'restored elsewhere' },
  gatherS: { full: 'until one reader has them all', brief: 'gathered' },
  putS: { full: 'until all nodes have stored theirs', brief: 'put' },
  originBytesRatio: { full: 'bytes read at the origin ÷ payload', brief: 'origin bytes ÷ payload' },
};
