/** What the parts of `bench fan-out-read` get and give. */
import type { Figure } from '../result.ts';
import type { Candidate } from './candidates.ts';
import type { Goodput } from './floor.ts';
import type { RigOptions } from './rig.ts';
import type { Trial } from './trial.ts';

export interface FanOutReadOptions extends RigOptions {
  readonly shaping: 'kernel' | 'user';
  /** Rounds in which candidates are measured once each. */
  readonly pairs: number;
  /** Nodes to kill midway, and nodes to slow down; 0: that part is left out. */
  readonly kill: number;
  readonly slow: number;
  readonly late: boolean;
  /** Also compare with the simulator at fewer nodes. */
  readonly predict: boolean;
  readonly sweep: boolean;
  readonly full: boolean;
  readonly self: boolean;
}

export interface Round {
  readonly goodput: Goodput;
  readonly floorS: number;
  readonly trials: Readonly<Partial<Record<Candidate, Trial>>>;
}

/** What a part adds to the result. */
export interface Part {
  readonly figures: Readonly<Record<string, Figure>>;
  readonly trials: Readonly<Record<string, readonly unknown[]>>;
  readonly plots?: Readonly<Record<string, string>>;
}
