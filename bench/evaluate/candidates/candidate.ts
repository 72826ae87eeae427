/** What every kind of candidate gives: how a node gets objects and values by it, and how it puts them. */
import type { JobFile, Sink, Source } from '../actor-command.ts';
import type { CandidateConfig } from '../evaluation.ts';
import type { ScenarioName } from '../results.ts';
import type { Site, SiteNode } from '../site.ts';

export interface Running extends AsyncDisposable {
  /** Objects of the bucket, as they are at the origin or were written by this candidate. */
  source(node: SiteNode): Source;
  sink(node: SiteNode): Sink;
  /** Values that are gone when all nodes are. */
  readonly values: { source(node: SiteNode): Source; sink(node: SiteNode): Sink };
  /** Before the clock starts. */
  warm?(node: SiteNode, file: JobFile): Promise<void>;
  /** What goes on after the ranks went on. */
  background?(node: SiteNode, files: readonly JobFile[]): Promise<unknown>;
  /** Milliseconds of CLOCK_MONOTONIC at which one dead node loses none of these; absent: when the origin has them. */
  untilSafe?(files: readonly JobFile[], signal: AbortSignal): Promise<number | undefined>;
  /** The last that its processes wrote to standard error. */
  readonly complaint: string;
}

export interface Kind<Config extends CandidateConfig = CandidateConfig> {
  /** Why it has no such path; undefined where it has one. */
  lacks(config: Config, scenario: ScenarioName): string | undefined;
  /** Rejects when it does not start; what was started by then has ended. */
  open(config: Config, site: Site): Promise<Running>;
}

/** At the origin itself. */
export const originPrefix = (bucket: string): string => `/${bucket}/`;
