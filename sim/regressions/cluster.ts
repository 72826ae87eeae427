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

export const CLUSTER_REGRESSIONS: readonly Regression[] = [
  {
    name: 'the owner of the metadata gave a replaced version again and again, to those whom the origin had refused it',
    seed: 13,
    overrides: { ...CALM_CLUSTER, drill: 'overwritten', sizeMaxMiB: 5 },
  },
  {
    name: 'a node joined its own question to the owner from before a write through another node',
    seed: 16,
    overrides: {
      ...CALM_CLUSTER,
      write: true,
      lateChance: 0.2,
      operations: 100,
      clientsPerNode: 2,
      objects: 1,
      sizeMaxMiB: 0.05,
    },
  },
  {
    name: 'what a broadcast had under way when another node became its dealer failed where nobody looked',
    seed: 5,
    overrides: {
      ...CALM_CLUSTER,
      stampedeMs: 500,
      linkMiBPerS: 10,
      sizeMaxMiB: 5,
      faultMs: 300,
      killWeight: 1,
      leaveWeight: 1,
      operations: 60,
      thinkMs: 200,
      changeMs: 3000,
      revalidateMs: 50,
    },
  },
  {
    name: 'a new owner threw away what members told it before it knew that it was one',
    seed: 10,
    overrides: { ...CALM_CLUSTER, drill: 'late-joiner', sizeMaxMiB: 5, nodes: 4 },
  },
];
