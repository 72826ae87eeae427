/** What the parts of `bench fan-out-write` get and give. */
import type { Figure } from '../result.ts';
import { type Candidate, needsForebay } from './candidates.ts';
import type { Checkpoint, ProfileName } from './checkpoint.ts';
import { checkpointOf } from './checkpoint.ts';
import type { RigOptions } from './rig.ts';

export const PARTS = ['stall', 'links', 'uneven', 'restore', 'small', 'kills'] as const;
export type PartName = (typeof PARTS)[number];

export interface FanOutWriteOptions {
  readonly nodes: number;
  readonly linkMbit: number;
  readonly originLinks: number;
  readonly shaping: 'kernel' | 'user';
  readonly directory?: string;
  readonly profile: ProfileName;
  /** Bytes are divided by this, and by `stallScale` where the stall is measured: short writes are all overhead. */
  readonly scale: number;
  readonly stallScale: number;
  /** One node writes everything, in every part. */
  readonly uneven: boolean;
  /** Rounds in which every candidate is measured once. */
  readonly rounds: number;
  readonly stallRounds: number;
  readonly kills: number;
  readonly parts: readonly PartName[];
  readonly candidates: readonly Candidate[];
  readonly self: boolean;
}

export interface Part {
  readonly figures: Readonly<Record<string, Figure>>;
  readonly trials: Readonly<Record<string, readonly unknown[]>>;
  readonly plots?: Readonly<Record<string, string>>;
}

export function checkpointFor(
  options: FanOutWriteOptions,
  change: { scale?: number; uneven?: boolean } = {},
): Checkpoint {
  const { profile, nodes, scale, uneven } = { ...options, ...change };
  return checkpointOf({ profile, nodes, scale, uneven });
}

export function rigOptions(
  options: FanOutWriteOptions,
  more: Pick<RigOptions, 'checkpoint' | 'place'> & { originLinks?: number; linkMbit?: number },
): RigOptions {
  const { nodes, linkMbit, originLinks, shaping, directory, candidates } = options;
  const adopt = candidates.includes('adopt');
  const forebay = candidates.some(needsForebay);
  return {
    nodes,
    linkMbit,
    originLinks,
    shaping,
    forebay,
    adopt,
    ...(directory !== undefined && { directory }),
    ...more,
  };
}
