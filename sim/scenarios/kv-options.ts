/** What a run of the kv scenario is: drawn from its seed, overridden to shrink a failure. */
import type { Volume } from '../../src/core/volume.ts';
import type { SimRandom } from '../sim-random.ts';
import { CALMER_CLUSTER_FAULTS, type ClusterFaultOptions } from './cluster-fault-options.ts';

export type KvScenarioOptions = ClusterFaultOptions & {
  readonly nodes: number;
  readonly zones: number;
  readonly clientsPerNode: number;
  readonly operations: number;
  readonly thinkMs: number;
  /** Keys of entries of one part; and entries of two. */
  readonly keys: number;
  readonly entries: number;
  readonly sizeMaxKiB: number;
  readonly leaseMs: number;
  readonly ttlMs: number;
  readonly share: number;
  readonly capacityMiB: number;
  readonly linkMiBPerS: number;
  readonly canPunch: boolean;
  /** Of a client's operations: one that changes something. */
  readonly changeChance: number;
};

const NEVER = Number.POSITIVE_INFINITY;
const weight = (random: SimRandom): number => (random.chance(0.6) ? 0 : random.between(1, 3));

export function drawKv(random: SimRandom): KvScenarioOptions {
  const isCalm = random.chance(0.25);
  return {
    nodes: random.pick([1, 2, 3, 3, 4, 5]),
    zones: 1,
    clientsPerNode: random.between(1, 3),
    operations: random.between(40, 250),
    thinkMs: random.pick([5, 50, 500]),
    keys: random.between(2, 20),
    entries: random.pick([0, 2, 5]),
    sizeMaxKiB: random.pick([1, 40, 300, 1500, 3000]),
    leaseMs: random.pick([200, 2000, 10_000]),
    ttlMs: random.pick([NEVER, NEVER, 500, 20_000]),
    share: random.pick([0.2, 0.5, 0.9]),
    capacityMiB: random.pick([8, 16, 48]),
    linkMiBPerS: random.pick([10, 100, 1000]),
    canPunch: random.chance(0.8),
    changeChance: random.pick([0.2, 0.5]),
    latencyMs: random.pick([0.2, 1, 5]),
    lossChance: isCalm || random.chance(0.6) ? 0 : random.pick([0.005, 0.02, 0.1]),
    duplicateChance: isCalm ? 0 : random.pick([0, 0.02, 0.2]),
    lateChance: random.pick([0, 0.01, 0.1]),
    faultMs: isCalm ? NEVER : random.pick([500, 2000, 10_000]),
    killWeight: weight(random),
    powerWeight: weight(random),
    leaveWeight: weight(random),
    pauseWeight: weight(random),
    splitWeight: weight(random),
    oneWayWeight: weight(random),
    originCutWeight: 0,
    originAwayWeight: 0,
    coordinatorCutWeight: weight(random),
    coordinatorAwayWeight: weight(random),
    coordinatorBackWeight: 0,
    slowWeight: weight(random),
    silentWeight: weight(random),
    corruptWeight: weight(random),
    diskWeight: weight(random),
    wallWeight: weight(random),
    loseDiskWeight: random.chance(0.2) ? 1 : 0,
    coordinatorSlowWeight: 0,
    coordinatorDeafWeight: 0,
    originDeniedWeight: 0,
  };
}

/** Tried one by one on a failing seed: each takes something away. */
export const CALMER_KV: readonly Partial<KvScenarioOptions>[] = [
  ...CALMER_CLUSTER_FAULTS,
  { nodes: 1 },
  { nodes: 2 },
  { nodes: 3 },
  { clientsPerNode: 1 },
  { entries: 0 },
  { keys: 1 },
  { keys: 3 },
  { operations: 5 },
  { operations: 20 },
  { operations: 60 },
  { sizeMaxKiB: 1 },
  { sizeMaxKiB: 300 },
  { ttlMs: NEVER },
  { capacityMiB: 48 },
  { share: 0.9 },
  { canPunch: true },
];

export const KV_VOLUME = 'values';
const SUFFIXES = ['metadata', 'kv_bytes'];

export function kvVolume(options: KvScenarioOptions): Volume {
  return {
    name: KV_VOLUME,
    origin: 'none',
    write: true,
    revalidateMs: NEVER,
    staleIfErrorMs: NEVER,
    chunkSizeBytes: 16 << 20,
    verify: 'arrival',
    kv: { ttlMs: options.ttlMs, share: options.share, suffixes: SUFFIXES, respDb: 0 },
  };
}

/** All keys that clients use: bytes that need care among them. */
export function kvKeys(options: KvScenarioOptions): readonly string[] {
  const keys = Array.from({ length: options.keys }, (_, index) => `key\xff\0 ${index}`);
  for (let entry = 0; entry < options.entries; entry++)
    keys.push(...SUFFIXES.map((suffix) => `entry ${entry} ${suffix}`));
  return keys;
}
