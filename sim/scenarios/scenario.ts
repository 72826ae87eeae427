/** What a scenario is, and the world that it runs in. */
import type { Findings } from '../checkers/checker.ts';
import type { SimClock } from '../sim-clock.ts';
import type { StartNode } from '../sim-node.ts';
import type { SimRandom } from '../sim-random.ts';
import type { Trace } from '../trace.ts';

/** Drawn from the seed, printed on the first line of a run, and each may be overridden to shrink a failure. */
export type ScenarioOptions = Readonly<Record<string, number | boolean | string>>;

/**
 * Deliberate damage, for the canary: a run with it must fail. Each scenario names those that it knows.
 *
 * On one node: `drop-write`: the disk acknowledges a write that never happens. `keep-boot-id`: a power cut looks like the
 * end of a process, so that torn bytes are trusted. Across nodes: `trust-peers`: blocks are taken from peers unchecked.
 * `forget-holders`: owners of chunks let everybody read from the origin. `young-facts`: owners of metadata say that what
 * they remember was true just now. Of writes: `blind-origin`: the origin looks at no conditions. `cut-objects`: it makes
 * objects without their last byte. `late-origin`: it acknowledges writes that it applies later. `lose-disk`: disks are lost
 * and nobody is told. `blind-compares`: the coordinator looks at no compares. `forget-records`: it hides the records of
 * written objects from those who read them. Of values: `forget-leases`: they end long before they were to.
 */
export const SABOTAGES = [
  'drop-write',
  'keep-boot-id',
  'trust-peers',
  'forget-holders',
  'young-facts',
  'blind-origin',
  'cut-objects',
  'late-origin',
  'lose-disk',
  'blind-compares',
  'forget-records',
  'forget-leases',
] as const;
export type Sabotage = (typeof SABOTAGES)[number];

export interface World {
  readonly random: SimRandom;
  readonly clock: SimClock;
  readonly trace: Trace;
  readonly findings: Findings;
  readonly startNode: StartNode;
  readonly sabotage: Sabotage | undefined;
}

export interface Scenario<T extends ScenarioOptions = ScenarioOptions> {
  readonly name: string;
  draw(random: SimRandom): T;
  /** Options that make a run smaller or calmer, tried one by one on a failing seed. */
  readonly calmer: readonly Partial<T>[];
  readonly sabotages: readonly Sabotage[];
  begin(world: World, options: T): ScenarioRun;
}

export interface ScenarioRun {
  /** Resolves when the run is over; findings are in the world. */
  run(): Promise<void>;
  /** To be called when no event happens any more; the run may be over or stuck. */
  dispose(): void;
}
