/** What the network of a whole cluster is like, and what goes wrong in it: the options that its scenarios share. */

export type ClusterFaultOptions = {
  readonly latencyMs: number;
  readonly lossChance: number;
  readonly duplicateChance: number;
  readonly lateChance: number;
  /** Mean time between faults; infinity for none. The rest are their relative weights, 0 for never. */
  readonly faultMs: number;
  readonly killWeight: number;
  readonly powerWeight: number;
  readonly leaveWeight: number;
  readonly pauseWeight: number;
  readonly splitWeight: number;
  readonly oneWayWeight: number;
  readonly originCutWeight: number;
  readonly originAwayWeight: number;
  readonly coordinatorCutWeight: number;
  readonly coordinatorAwayWeight: number;
  readonly coordinatorBackWeight: number;
  readonly slowWeight: number;
  readonly silentWeight: number;
  readonly corruptWeight: number;
  readonly diskWeight: number;
  readonly wallWeight: number;
  readonly loseDiskWeight: number;
  readonly coordinatorSlowWeight: number;
  readonly coordinatorDeafWeight: number;
  readonly originDeniedWeight: number;
};

/** No fault at all. */
export const CALM_CLUSTER_FAULTS: ClusterFaultOptions = {
  latencyMs: 1,
  lossChance: 0,
  duplicateChance: 0,
  lateChance: 0,
  faultMs: Number.POSITIVE_INFINITY,
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

/** Tried one by one on a failing seed: each takes one kind of trouble away, all of it first. */
export const CALMER_CLUSTER_FAULTS: readonly Partial<ClusterFaultOptions>[] = [
  { faultMs: CALM_CLUSTER_FAULTS.faultMs },
  ...Object.entries(CALM_CLUSTER_FAULTS)
    .filter(([, value]) => value === 0)
    .map(([name, value]) => ({ [name]: value })),
];
