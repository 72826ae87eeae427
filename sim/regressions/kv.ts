/**
 * Seeds of the kv scenario that once failed, as data: replayed before anything new. A name says what was wrong.
 * Options are pinned, so that a regression outlives changes of how they are drawn.
 */
import { CALM_CLUSTER_FAULTS } from '../scenarios/cluster-fault-options.ts';
import type { ScenarioOptions } from '../scenarios/scenario.ts';
import type { Regression } from './read-cache.ts';

const NEVER = Number.POSITIVE_INFINITY;

/** No fault at all; what is to be provoked adds what it needs. */
export const CALM_KV: ScenarioOptions = {
  ...CALM_CLUSTER_FAULTS,
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
};

export const KV_REGRESSIONS: readonly Regression[] = [
  {
    name: 'an owner that had left and come back passed over what it was told: its holders had begun to count their messages anew',
    seed: 125,
    overrides: {
      ...CALM_KV,
      nodes: 5,
      clientsPerNode: 1,
      operations: 172,
      thinkMs: 500,
      keys: 19,
      entries: 0,
      sizeMaxKiB: 3000,
      leaseMs: 2000,
      ttlMs: 500,
      share: 0.9,
      capacityMiB: 48,
      changeChance: 0.2,
      latencyMs: 5,
      lossChance: 0.1,
      duplicateChance: 0.02,
      faultMs: 10000,
      killWeight: 2,
      powerWeight: 1,
      leaveWeight: 2,
      pauseWeight: 2,
      oneWayWeight: 3,
      wallWeight: 3,
    },
  },
  {
    name: 'a node whose session had ended was forgotten by all owners, and told them nothing when it was back: what it held could not be found or deleted',
    seed: 1013,
    overrides: {
      ...CALM_KV,
      nodes: 5,
      operations: 78,
      thinkMs: 500,
      keys: 19,
      entries: 5,
      share: 0.5,
      capacityMiB: 16,
      changeChance: 0.2,
      duplicateChance: 0.2,
      lateChance: 0.1,
      faultMs: 500,
      killWeight: 1,
      leaveWeight: 2,
      pauseWeight: 3,
      coordinatorCutWeight: 1,
      slowWeight: 1,
      diskWeight: 2,
      wallWeight: 2,
    },
  },
  {
    name: 'an owner that had not yet heard that it was one passed over what it was told, and was not told again',
    seed: 1021,
    overrides: {
      ...CALM_KV,
      nodes: 2,
      operations: 182,
      thinkMs: 5,
      keys: 7,
      entries: 0,
      sizeMaxKiB: 1,
      share: 0.5,
      linkMiBPerS: 10,
      changeChance: 0.5,
      latencyMs: 0.2,
      lossChance: 0.1,
      faultMs: 500,
      powerWeight: 1,
      leaveWeight: 2,
      oneWayWeight: 1,
      silentWeight: 1,
    },
  },
];
