/**
 * Seeds of the cluster scenario that once failed, as data: replayed before anything new. A name says what was wrong.
 * Options are pinned, so that a regression outlives changes of how they are drawn.
 */
import type { ScenarioOptions } from '../scenarios/scenario.ts';
import type { Regression } from './read-cache.ts';

const NEVER = Number.POSITIVE_INFINITY;

/** No fault at all; what is to be provoked adds what it needs. */
export const CALM_CLUSTER: ScenarioOptions = {
  nodes: 3,
  zones: 1,
  objects: 2,
  clientsPerNode: 1,
  operations: 30,
  thinkMs: 20,
  sizeMaxMiB: 3,
  chunkMiB: 1,
  capacityMiB: 48,
  linkMiBPerS: 100,
  revalidateMs: NEVER,
  staleIfErrorMs: NEVER,
  write: false,
  canPunch: true,
  stampedeMs: NEVER,
  stampedeSpreadMs: 0,
  changeMs: NEVER,
  latencyMs: 1,
  lossChance: 0,
  duplicateChance: 0,
  lateChance: 0,
  originFaultChance: 0,
  faultMs: NEVER,
  killWeight: 0,
  powerWeight: 0,
  leaveWeight: 0,
  pauseWeight: 0,
  splitWeight: 0,
  oneWayWeight: 0,
  originCutWeight: 0,
  originAwayWeight: 0,
  coordinatorCutWeight: 0,
  coordinatorAwayWeight: 0,
  coordinatorBackWeight: 0,
  slowWeight: 0,
  silentWeight: 0,
  corruptWeight: 0,
  diskWeight: 0,
  wallWeight: 0,
  drill: 'crowd',
};

export const CLUSTER_REGRESSIONS: readonly Regression[] = [];
