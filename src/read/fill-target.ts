/** What a fill is of, and the words of `fills.ts` and of where it gets blocks from. */
import type { ObjectFact } from '../core/object.ts';
import type { ContentShape } from '../store/store.ts';
import type { VolumeSource } from './volume-source.ts';

export interface FillTarget extends ContentShape {
  readonly source: VolumeSource;
  readonly fact: ObjectFact;
}

/** Blocks `[first, end)` of a content. */
export interface BlockRun {
  readonly first: number;
  readonly end: number;
}

/** Called for each block once it counts as present. */
export type OnStored = (block: number) => void;
