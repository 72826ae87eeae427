/** The options of the read-cache scenario: what is read, from what cache, under which faults. */
import { KiB, MiB } from '../../src/core/limits.ts';
import type { Volume } from '../../src/core/volume.ts';
import type { SimRandom } from '../sim-random.ts';

export type ReadCacheOptions = {
  readonly objects: number;
  readonly clients: number;
  /** Client operations in the safety phase, of all clients together. */
  readonly operations: number;
  /** Mean pause of a client between two operations. */
  readonly thinkMs: number;
  readonly sizeMaxMiB: number;
  readonly capacityMiB: number;
  readonly hotKiB: number;
  readonly scrubMiBPerS: number;
  /** Length of the journal from which a snapshot is taken. */
  readonly snapshotKiB: number;
  readonly chunkMiB: number;
  readonly revalidateMs: number;
  readonly staleIfErrorMs: number;
  readonly verify: 'arrival' | 'always';
  /** Clients write through this node, too. */
  readonly write: boolean;
  readonly canPunch: boolean;
  readonly canClone: boolean;
  /** Mean time between changes of objects at the origin; infinity for none. */
  readonly changeMs: number;
  /** Mean time between faults; infinity for none. The rest are their relative weights, 0 for never. */
  readonly faultMs: number;
  readonly killWeight: number;
  readonly powerWeight: number;
  readonly rotWeight: number;
  readonly fullWeight: number;
  readonly hangWeight: number;
  readonly slowWeight: number;
  readonly errorWeight: number;
  readonly awayWeight: number;
  readonly pauseWeight: number;
  readonly wallWeight: number;
  /** Chance per origin request of each kind of failure. */
  readonly originFaultChance: number;
};

const weight = (random: SimRandom): number => (random.chance(0.4) ? 0 : random.between(1, 4));

export function drawReadCache(random: SimRandom): ReadCacheOptions {
  const revalidateMs = random.pick([0, 50, 2000, 60_000, Number.POSITIVE_INFINITY]);
  const isCalm = random.chance(0.1);
  return {
    objects: random.between(2, 12),
    clients: random.between(1, 6),
    operations: random.between(20, 70),
    thinkMs: random.pick([1, 20, 200, 2000]),
    sizeMaxMiB: random.pick([0.05, 1.5, 3, 5]),
    capacityMiB: random.pick([4, 6, 10, 40]),
    hotKiB: random.pick([0, 64, 1024]),
    scrubMiBPerS: random.pick([0, 0.1, 10]),
    snapshotKiB: random.pick([0.1, 1, 4, 16_384]),
    chunkMiB: random.pick([1, 2, 4]),
    revalidateMs,
    staleIfErrorMs: random.pick([0, 10_000, Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY]),
    verify: random.chance(0.3) ? 'always' : 'arrival',
    write: random.chance(0.5),
    canPunch: random.chance(0.8),
    canClone: random.chance(0.5),
    changeMs: random.pick([50, 1000, 10_000, Number.POSITIVE_INFINITY]),
    faultMs: isCalm ? Number.POSITIVE_INFINITY : random.pick([50, 300, 2000, 10_000]),
    killWeight: weight(random),
    powerWeight: weight(random),
    rotWeight: weight(random),
    fullWeight: weight(random),
    hangWeight: weight(random),
    slowWeight: weight(random),
    errorWeight: weight(random),
    awayWeight: weight(random),
    pauseWeight: weight(random),
    wallWeight: weight(random),
    originFaultChance: isCalm ? 0 : random.pick([0, 0.01, 0.05, 0.15]),
  };
}

/** Tried one by one on a failing seed: each takes something away. */
export const CALMER_READ_CACHE: readonly Partial<ReadCacheOptions>[] = [
  { faultMs: Number.POSITIVE_INFINITY },
  { changeMs: Number.POSITIVE_INFINITY },
  { originFaultChance: 0 },
  { killWeight: 0 },
  { powerWeight: 0 },
  { rotWeight: 0 },
  { fullWeight: 0 },
  { hangWeight: 0 },
  { slowWeight: 0 },
  { errorWeight: 0 },
  { awayWeight: 0 },
  { pauseWeight: 0 },
  { wallWeight: 0 },
  { clients: 1 },
  { clients: 2 },
  { objects: 1 },
  { objects: 2 },
  { operations: 5 },
  { operations: 10 },
  { operations: 20 },
  { capacityMiB: 40 },
  { hotKiB: 0 },
  { scrubMiBPerS: 0 },
  { snapshotKiB: 16_384 },
  { chunkMiB: 1 },
  { verify: 'arrival' },
  { write: false },
  { canPunch: true },
  { canClone: false },
];

export const VOLUME_NAME = 'models';

export function volumeOf(options: ReadCacheOptions): Volume {
  return {
    name: VOLUME_NAME,
    origin: 'memory:',
    write: options.write,
    revalidateMs: options.revalidateMs,
    staleIfErrorMs: options.staleIfErrorMs,
    chunkSizeBytes: options.chunkMiB * MiB,
    verify: options.verify,
  };
}

/** Sizes where something changes: empty, packed, a block, a chunk, and one byte to either side. */
export function drawSize(random: SimRandom, options: Pick<ReadCacheOptions, 'sizeMaxMiB' | 'chunkMiB'>): number {
  const most = Math.floor(options.sizeMaxMiB * MiB);
  const edge = random.pick([0, 1, 512, 4 * KiB, 32 * KiB, MiB, 2 * MiB, options.chunkMiB * MiB, 3 * MiB]);
  const near = Math.max(0, edge + random.between(-1, 1));
  const size = random.chance(0.4) ? near : random.chance(0.4) ? random.integer(32 * KiB) : random.integer(most);
  return Math.min(size, most);
}

/** Keys that sort, nest and need care with their bytes. */
export function keyOf(index: number): string {
  const folder = ['a/', 'a/b/', '', 'ü/', 'a-'][index % 5] as string;
  return `${folder}object ${index}${index % 3 === 0 ? '+é' : '.bin'}`;
}
