/**
 * Checkpoints in the shapes of MLPerf Storage (training of Llama 3 models with Adam in mixed precision): ranks, files of each rank and
 * which ranks write the model are kept, bytes are divided by `scale`.
 */

const GiB = 2 ** 30;

interface Shape {
  readonly ranks: number;
  /** Ranks that write the model too: all of them where states are fully sharded (ZeRO 3), else those of the first data-parallel replica. */
  readonly tensorParallel: number;
  readonly dataParallel: number;
  readonly isFullySharded: boolean;
  readonly modelGiB: number;
  readonly optimizerGiB: number;
  /** Files of the model that each of its ranks writes: layers of its stage. */
  readonly modelFiles: number;
}

export const PROFILES = {
  '8b': {
    ranks: 8,
    tensorParallel: 1,
    dataParallel: 8,
    isFullySharded: true,
    modelGiB: 15,
    optimizerGiB: 90,
    modelFiles: 1,
  },
  '70b': {
    ranks: 64,
    tensorParallel: 8,
    dataParallel: 8,
    isFullySharded: true,
    modelGiB: 130,
    optimizerGiB: 781,
    modelFiles: 1,
  },
  '405b': {
    ranks: 512,
    tensorParallel: 8,
    dataParallel: 2,
    isFullySharded: false,
    modelGiB: 755,
    optimizerGiB: 4533,
    modelFiles: 4,
  },
  '1t': {
    ranks: 1024,
    tensorParallel: 8,
    dataParallel: 2,
    isFullySharded: false,
    modelGiB: 2571,
    optimizerGiB: 15426,
    modelFiles: 2,
  },
} as const satisfies Record<string, Shape>;
export type ProfileName = keyof typeof PROFILES;

export const PROFILE_NAMES = Object.keys(PROFILES) as readonly ProfileName[];

export interface CheckpointFile {
  /** Below the step's own directory. */
  readonly name: string;
  readonly sizeBytes: number;
}

/** A rank writes its files one after the other; ranks write at the same time. */
export type RankFiles = readonly CheckpointFile[];

export interface Checkpoint {
  /** Ranks of each node, in blocks as launchers place them. */
  readonly nodes: readonly (readonly RankFiles[])[];
  readonly sizeBytes: number;
  readonly files: number;
}

/** Written when every rank is done: a step without it is not complete (as torch's distributed checkpoints have it). */
export const MARKER = '.metadata';
export const MARKER_BYTES = 4096;

function rankFiles(shape: Shape, rank: number, scale: number): RankFiles {
  const { ranks, tensorParallel, dataParallel, isFullySharded } = shape;
  const bytes = (gib: number) => Math.max(1, Math.round((gib * GiB) / scale));
  // tensor-parallel ranks are neighbours, then data-parallel ones, then the stages of the pipeline
  const writesModel = isFullySharded || Math.floor(rank / tensorParallel) % dataParallel === 0;
  const modelRanks = isFullySharded ? ranks : ranks / dataParallel;
  const optimizer = { name: `zero_pp_rank_${rank}_optim_states.pt`, sizeBytes: bytes(shape.optimizerGiB / ranks) };
  if (!writesModel) return [optimizer];
  const model = Array.from({ length: shape.modelFiles }, (_, i) => ({
    name: `mp_rank_${rank}_${i}_model_states.pt`,
    sizeBytes: bytes(shape.modelGiB / modelRanks / shape.modelFiles),
  }));
  return [optimizer, ...model];
}

/**
 * `uneven`: the ranks of the first node write everything, as they do where one rank of a replica gathers and saves; the other
 * nodes write nothing.
 */
export function checkpointOf(options: {
  profile: ProfileName;
  scale: number;
  nodes: number;
  uneven?: boolean;
}): Checkpoint {
  const { profile, scale, nodes, uneven = false } = options;
  const shape: Shape = PROFILES[profile];
  const placed: RankFiles[][] = Array.from({ length: nodes }, () => []);
  for (let rank = 0; rank < shape.ranks; rank++)
    placed[uneven ? 0 : Math.floor((rank * nodes) / shape.ranks)]?.push(rankFiles(shape, rank, scale));
  const files = placed.flat(2);
  return { nodes: placed, sizeBytes: files.reduce((sum, file) => sum + file.sizeBytes, 0), files: files.length };
}

/** The most bytes that one node writes. */
export function largestShareBytes({ nodes }: Checkpoint): number {
  return Math.max(...nodes.map((ranks) => ranks.flat().reduce((sum, file) => sum + file.sizeBytes, 0)));
}
