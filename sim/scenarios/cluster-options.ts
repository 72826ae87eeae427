/** The options of the cluster scenario: how many nodes read what, from what caches, over what network, under which faults. */
import { MiB } from '../../src/core/limits.ts';
import type { Volume } from '../../src/core/volume.ts';
import type { SimRandom } from '../sim-random.ts';
import { CALMER_CLUSTER_FAULTS, type ClusterFaultOptions } from './cluster-fault-options.ts';
import { VOLUME_NAME } from './read-cache-options.ts';

export type ClusterScenarioOptions = ClusterFaultOptions & {
  readonly nodes: number;
  readonly zones: number;
  readonly objects: number;
  readonly clientsPerNode: number;
  /** Client operations in the safety phase, of all nodes together. */
  readonly operations: number;
  readonly thinkMs: number;
  readonly sizeMaxMiB: number;
  readonly chunkMiB: number;
  /** Of each node. */
  readonly capacityMiB: number;
  readonly linkMiBPerS: number;
  readonly revalidateMs: number;
  readonly staleIfErrorMs: number;
  /** Clients write through their nodes, too. */
  readonly write: boolean;
  readonly canPunch: boolean;
  /** Mean time between reads of one object by all nodes at once; infinity for none. */
  readonly stampedeMs: number;
  /** Within which the nodes of such a crowd begin. */
  readonly stampedeSpreadMs: number;
  /** Mean time between changes of objects at the origin; infinity for none. */
  readonly changeMs: number;
  /** Chance per origin request of each kind of failure. */
  readonly originFaultChance: number;
  /** What is tried when the faults are over; see `cluster-drills.ts`. */
  readonly drill: Drill;
};

const DRILLS = [
  'crowd',
  'late-joiner',
  'origin-away',
  'coordinator-away',
  'half-without-origin',
  'killed-midway',
  'paused-midway',
  'corrupt-holder',
  'silent-holder',
  'overwritten',
] as const;
export type Drill = (typeof DRILLS)[number];

const NEVER = Number.POSITIVE_INFINITY;

const weight = (random: SimRandom): number => (random.chance(0.5) ? 0 : random.between(1, 4));

export function drawCluster(random: SimRandom): ClusterScenarioOptions {
  const isCalm = random.chance(0.2);
  const network = random.chance(0.5) ? 0 : random.pick([0.005, 0.02, 0.1]);
  return {
    nodes: random.pick([2, 3, 3, 4, 4, 5, 8]),
    zones: random.between(1, 3),
    objects: random.between(1, 5),
    clientsPerNode: random.between(1, 2),
    operations: random.between(20, 120),
    thinkMs: random.pick([20, 200, 2000]),
    sizeMaxMiB: random.pick([0.05, 1.5, 3, 5]),
    chunkMiB: random.pick([1, 2, 4]),
    capacityMiB: random.pick([8, 24, 48]),
    linkMiBPerS: random.pick([10, 100, 1000]),
    revalidateMs: random.pick([0, 50, 2000, 60_000, NEVER]),
    staleIfErrorMs: random.pick([0, 10_000, NEVER, NEVER]),
    write: random.chance(0.4),
    canPunch: random.chance(0.8),
    stampedeMs: random.pick([500, 3000, NEVER]),
    stampedeSpreadMs: random.pick([0, 20, 1000]),
    changeMs: random.pick([300, 3000, 30_000, NEVER]),
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
    coordinatorBackWeight: random.chance(0.1) ? 1 : 0,
    slowWeight: weight(random),
    silentWeight: weight(random),
    corruptWeight: weight(random),
    diskWeight: weight(random),
    wallWeight: weight(random),
    loseDiskWeight: 0,
    coordinatorSlowWeight: 0,
    coordinatorDeafWeight: 0,
    originDeniedWeight: 0,
    drill: random.pick(DRILLS),
  };
}

/** Tried one by one on a failing seed: each takes something away. */
export const CALMER_CLUSTER: readonly Partial<ClusterScenarioOptions>[] = [
  ...CALMER_CLUSTER_FAULTS,
  { changeMs: NEVER },
  { stampedeMs: NEVER },
  { originFaultChance: 0 },
  { nodes: 2 },
  { nodes: 3 },
  { zones: 1 },
  { clientsPerNode: 1 },
  { objects: 1 },
  { objects: 2 },
  { operations: 1 },
  { operations: 5 },
  { operations: 15 },
  { sizeMaxMiB: 0.05 },
  { sizeMaxMiB: 1.5 },
  { chunkMiB: 1 },
  { capacityMiB: 48 },
  { write: false },
  { canPunch: true },
  { stampedeSpreadMs: 0 },
  { revalidateMs: NEVER },
  { staleIfErrorMs: NEVER },
];

export function clusterVolume(options: ClusterScenarioOptions): Volume {
  return {
    name: VOLUME_NAME,
    origin: 'memory:',
    write: options.write,
    revalidateMs: options.revalidateMs,
    staleIfErrorMs: options.staleIfErrorMs,
    chunkSizeBytes: options.chunkMiB * MiB,
    verify: 'arrival',
  };
}
