/**
 * Seeds that once failed, as data: replayed before anything new. A name says what was wrong. Options are pinned, so that
 * a regression outlives changes of how they are drawn.
 */
import type { ScenarioOptions } from '../scenarios/scenario.ts';

export interface Regression {
  readonly name: string;
  readonly seed: number;
  readonly overrides: ScenarioOptions;
}

const NEVER = Number.POSITIVE_INFINITY;

/** No fault at all; what is to be provoked adds what it needs. */
export const CALM: ScenarioOptions = {
  objects: 4,
  clients: 3,
  operations: 60,
  thinkMs: 20,
  sizeMaxMiB: 3,
  capacityMiB: 40,
  hotKiB: 0,
  scrubMiBPerS: 0,
  snapshotKiB: 16_384,
  chunkMiB: 2,
  revalidateMs: NEVER,
  staleIfErrorMs: NEVER,
  verify: 'arrival',
  write: false,
  canPunch: true,
  canClone: false,
  changeMs: NEVER,
  faultMs: NEVER,
  killWeight: 0,
  powerWeight: 0,
  rotWeight: 0,
  fullWeight: 0,
  hangWeight: 0,
  slowWeight: 0,
  errorWeight: 0,
  awayWeight: 0,
  pauseWeight: 0,
  wallWeight: 0,
  originFaultChance: 0,
};

const BUSY: ScenarioOptions = { ...CALM, thinkMs: 1, clients: 6, objects: 2, write: true, revalidateMs: 50 };

export const READ_CACHE_REGRESSIONS: readonly Regression[] = [
  {
    name: 'a second start in one boot trusted what a power cut before the first had torn',
    seed: 62,
    overrides: { ...CALM, thinkMs: 200, faultMs: 2000, powerWeight: 3, killWeight: 4 },
  },
  {
    name: 'a write whose journal entry a kill lost was forgotten by the next life',
    seed: 1,
    overrides: { ...CALM, write: true, faultMs: 200, powerWeight: 2, killWeight: 4, errorWeight: 3, fullWeight: 2 },
  },
  {
    name: 'a fill of a replaced version kept its bytes for nobody',
    seed: 141,
    overrides: { ...BUSY, changeMs: 50, sizeMaxMiB: 5, chunkMiB: 1, thinkMs: 1 },
  },
  {
    name: 'an answer from before a write brought the replaced version back',
    seed: 11,
    overrides: BUSY,
  },
  {
    name: 'the scrubber went round a chunk that was just begun without a pause',
    seed: 0,
    overrides: { ...CALM, objects: 2, thinkMs: 2000, scrubMiBPerS: 10, faultMs: 50, hangWeight: 2, pauseWeight: 4 },
  },
  {
    name: 'unpinning a prefix left out objects that the origin no longer had',
    seed: 40,
    overrides: { ...CALM, changeMs: 200, thinkMs: 200 },
  },
  {
    name: 'evicting a small object was told to nobody',
    seed: 0,
    overrides: { ...CALM, sizeMaxMiB: 0.02 },
  },
  {
    name: 'a check let an error of the disk out as it was',
    seed: 13,
    overrides: { ...CALM, objects: 2, thinkMs: 200, faultMs: 300, errorWeight: 4 },
  },
];
