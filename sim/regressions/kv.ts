/**
 * Seeds of the kv scenario that once failed, as data: replayed before anything new. A name says what was wrong.
 * Options are pinned, so that a regression outlives changes of how they are drawn.
 */
import type { ScenarioOptions } from '../scenarios/scenario.ts';
import type { Regression } from './read-cache.ts';

const NEVER = Number.POSITIVE_INFINITY;

/** No fault at all; what is to be provoked adds what it needs. */
export const CALM_KV: ScenarioOptions = {
  nodes: 3,
  zones: 1,
  clientsPerNode: 2,
  operations: 60,
  thinkMs: 50,
  keys: 12,
  entries: 2,
  sizeMaxKiB: 300,
  leaseMs: 10_000,
  ttlMs: NEVER,
  share: 0.2,
  capacityMiB: 8,
  linkMiBPerS: 100,
  canPunch: true,
  changeChance: 0.4,
  latencyMs: 1,
  lossChance: 0,
  duplicateChance: 0,
  lateChance: 0,
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
  loseDiskWeight: 0,
  coordinatorSlowWeight: 0,
  coordinatorDeafWeight: 0,
  originDeniedWeight: 0,
};

export const KV_REGRESSIONS: readonly Regression[] = [];
