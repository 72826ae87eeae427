/** Every kind of candidate that runs. */
import type { CandidateConfig } from '../evaluation.ts';
import type { ScenarioName } from '../results.ts';
import type { Site } from '../site.ts';
import type { Kind, Running } from './candidate.ts';
import { asyncCopyKind, originKind } from './direct.ts';
import { execKind, posixKind, respKind, s3Kind } from './external.ts';
import { forebayKind } from './forebay.ts';

type Runnable = Exclude<CandidateConfig, { kind: 'documented' }>;

const KINDS = {
  forebay: forebayKind,
  origin: originKind,
  'async-copy': asyncCopyKind,
  posix: posixKind,
  s3: s3Kind,
  resp: respKind,
  exec: execKind,
} satisfies { [K in Runnable['kind']]: Kind<Extract<Runnable, { kind: K }>> };

// each kind takes its own configuration, which the table above has checked
const kindOf = (config: Runnable) => KINDS[config.kind] as Kind<Runnable>;

export const lacks = (config: Runnable, scenario: ScenarioName): string | undefined =>
  kindOf(config).lacks(config, scenario);

export const open = (config: Runnable, site: Site): Promise<Running> => kindOf(config).open(config, site);

export const isRunnable = (config: CandidateConfig): config is Runnable => config.kind !== 'documented';
export type { Runnable };
