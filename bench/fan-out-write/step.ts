/** Steps of a training job: a checkpoint's files with bytes of their own, below a directory of their own. */
import type { Checkpoint } from './checkpoint.ts';
import { MARKER, MARKER_BYTES } from './checkpoint.ts';
import type { JobFile } from './job-command.ts';

export interface Step {
  readonly number: number;
  /** Begins the name of each of its files; ends in `/`. */
  readonly prefix: string;
  /** Files by node and rank. */
  readonly nodes: readonly (readonly (readonly JobFile[])[])[];
  /** Written last, by a rank of the first node. */
  readonly marker: JobFile;
  readonly sizeBytes: number;
}

/** Seeds below this are one step's. */
const SEEDS_OF_STEP = 10_000;

export function stepOf(checkpoint: Checkpoint, number: number): Step {
  const prefix = `step-${String(number).padStart(6, '0')}/`;
  let seed = number * SEEDS_OF_STEP;
  const file = (name: string, sizeBytes: number): JobFile => ({ name: prefix + name, seed: seed++, sizeBytes });
  return {
    number,
    prefix,
    nodes: checkpoint.nodes.map((ranks) => ranks.map((files) => files.map((one) => file(one.name, one.sizeBytes)))),
    marker: file(MARKER, MARKER_BYTES),
    sizeBytes: checkpoint.sizeBytes,
  };
}

/** Everything but the marker. */
export const shardsOf = (step: Step): readonly JobFile[] => step.nodes.flat(2);

export const filesOf = (step: Step): readonly JobFile[] => [...shardsOf(step), step.marker];
