/** The options of the scenario of fan-out writes: which volumes, who writes what at which level, under which faults. */
import { KiB, MiB } from '../../src/core/limits.ts';
import type { Level, Volume, WritePolicy } from '../../src/core/volume.ts';
import type { SimRandom } from '../sim-random.ts';
import { CALMER_CLUSTER_FAULTS } from './cluster-fault-options.ts';
import type { ClusterScenarioOptions } from './cluster-options.ts';

type Shared = Omit<
  ClusterScenarioOptions,
  'drill' | 'write' | 'stampedeMs' | 'stampedeSpreadMs' | 'staleIfErrorMs' | 'revalidateMs'
>;

export type ClusterWriteOptions = Shared & {
  readonly volumes: number;
  /** Of the first volume; a second one has another. */
  readonly replicas: number;
  readonly ack: Level;
  readonly onDegraded: WritePolicy['onDegraded'];
  readonly onFull: WritePolicy['onFull'];
  readonly onConflict: WritePolicy['onConflict'];
  readonly revalidateMs: number;
  /** Share of writes that name a level of their own. */
  readonly levelChance: number;
  /** Share of the operations that are whole sequences, as of a checkpoint. */
  readonly sequenceChance: number;
  /** Share of those sequences that are checkpoints committed as one. */
  readonly checkpointShare: number;
  /** Share of reads among the rest. */
  readonly readChance: number;
  /** The origin keeps the metadata of the beginning of an upload, as S3 does, or of its end, as Azure. */
  readonly keepsBeginOptions: boolean;
  /** Chance that the origin applies a write and does not answer. */
  readonly unansweredChance: number;
  /** Chance that a node is paused for longer than its session between deciding on a change and sending it. */
  readonly zombieChance: number;
};

const NEVER = Number.POSITIVE_INFINITY;
export const SHARED_DIRECTORY = 'shared/';
const WRITE_VOLUMES = ['checkpoints', 'results'] as const;

const weight = (random: SimRandom): number => (random.chance(0.5) ? 0 : random.between(1, 4));

export function drawClusterWrite(random: SimRandom): ClusterWriteOptions {
  const isCalm = random.chance(0.15);
  const network = random.chance(0.5) ? 0 : random.pick([0.005, 0.02, 0.1]);
  const nodes = random.pick([2, 3, 3, 4, 5]);
  const replicas = Math.min(nodes, random.pick([1, 2, 2, 3]));
  return {
    nodes,
    zones: random.between(1, 2),
    objects: random.between(1, 6),
    clientsPerNode: random.between(1, 2),
    operations: random.between(20, 100),
    thinkMs: random.pick([20, 200, 2000]),
    sizeMaxMiB: random.pick([0.05, 0.05, 1.5, 3]),
    chunkMiB: random.pick([1, 2, 4]),
    capacityMiB: random.pick([24, 48, 96]),
    linkMiBPerS: random.pick([10, 100, 1000]),
    canPunch: random.chance(0.8),
    changeMs: random.pick([1000, 10_000, NEVER, NEVER]),
    latencyMs: random.pick([0.2, 1, 5]),
    lossChance: isCalm ? 0 : network,
    duplicateChance: isCalm ? 0 : random.pick([0, 0.02, 0.2]),
    lateChance: random.pick([0, 0.01, 0.1]),
    originFaultChance: isCalm ? 0 : random.pick([0, 0, 0.02, 0.1]),
    faultMs: isCalm ? NEVER : random.pick([300, 1000, 3000, 10_000]),
    killWeight: weight(random),
    powerWeight: weight(random),
    leaveWeight: weight(random),
    pauseWeight: weight(random),
    splitWeight: weight(random),
    oneWayWeight: weight(random),
    originCutWeight: weight(random),
    originAwayWeight: weight(random),
    coordinatorCutWeight: weight(random),
    coordinatorAwayWeight: weight(random),
    slowWeight: weight(random),
    silentWeight: weight(random),
    corruptWeight: weight(random),
    diskWeight: weight(random),
    wallWeight: weight(random),
    loseDiskWeight: random.chance(0.6) ? 0 : 1,
    coordinatorSlowWeight: weight(random),
    coordinatorDeafWeight: weight(random),
    originDeniedWeight: random.chance(0.7) ? 0 : 1,
    volumes: random.between(1, 2),
    replicas,
    ack: replicas > 1 ? random.pick(['local', 'local', 'replicated'] as const) : 'local',
    onDegraded: random.pick(['wait', 'wait', 'origin', 'local'] as const),
    onFull: random.pick(['block', 'block', 'write-through', 'fail'] as const),
    onConflict: random.pick(['hold', 'hold', 'skip'] as const),
    revalidateMs: random.pick([0, 2000, 60_000]),
    levelChance: random.pick([0, 0.2, 0.6]),
    sequenceChance: random.pick([0, 0.05, 0.2]),
    checkpointShare: 0.5,
    readChance: random.pick([0.2, 0.4, 0.6]),
    keepsBeginOptions: random.chance(0.5),
    unansweredChance: isCalm ? 0 : random.pick([0, 0, 0.02, 0.1]),
    zombieChance: isCalm ? 0 : random.pick([0, 0, 0.01, 0.05]),
    coordinatorBackWeight: random.chance(0.15) ? 1 : 0,
  };
}

/** Tried one by one on a failing seed: each takes something away. */
export const CALMER_CLUSTER_WRITE: readonly Partial<ClusterWriteOptions>[] = [
  ...CALMER_CLUSTER_FAULTS,
  { changeMs: NEVER },
  { originFaultChance: 0 },
  { unansweredChance: 0 },
  { zombieChance: 0 },
  { volumes: 1 },
  { replicas: 1 },
  { nodes: 2 },
  { nodes: 3 },
  { zones: 1 },
  { clientsPerNode: 1 },
  { objects: 1 },
  { objects: 2 },
  { sequenceChance: 0 },
  { levelChance: 0 },
  { operations: 2 },
  { operations: 5 },
  { operations: 15 },
  { operations: 30 },
  { sizeMaxMiB: 0.05 },
  { chunkMiB: 1 },
  { capacityMiB: 96 },
  { onDegraded: 'wait' },
  { onFull: 'block' },
  { onConflict: 'hold' },
  { ack: 'local' },
];

export function writeVolumes(options: ClusterWriteOptions): Volume[] {
  const { ack, onDegraded, onFull, onConflict, replicas, nodes } = options;
  return WRITE_VOLUMES.slice(0, options.volumes).map((name, index) => ({
    name,
    origin: `memory:${name}`,
    write: true,
    revalidateMs: options.revalidateMs,
    staleIfErrorMs: NEVER,
    chunkSizeBytes: options.chunkMiB * MiB,
    verify: 'arrival',
    writes: {
      // the second volume has another number of copies than the first
      ack: index === 0 ? ack : 'local',
      replicas: index === 0 ? replicas : (replicas % Math.min(3, nodes)) + 1,
      onDegraded,
      onFull,
      onConflict,
      drainOrder: 'directory',
    },
  }));
}

/** Sizes where something changes: empty, packed, a block, a chunk, and one byte to either side. */
export function drawWriteSize(
  random: SimRandom,
  options: Pick<ClusterWriteOptions, 'sizeMaxMiB' | 'chunkMiB'>,
): number {
  const most = Math.floor(options.sizeMaxMiB * MiB);
  const edge = random.pick([0, 1, 512, 4 * KiB, 32 * KiB, MiB, 2 * MiB, options.chunkMiB * MiB, 3 * MiB]);
  const near = Math.max(0, edge + random.between(-1, 1));
  const size = random.chance(0.4) ? near : random.chance(0.6) ? random.integer(32 * KiB) : random.integer(most);
  return Math.min(size, most);
}
