/** A node of the cluster as the others know it: what its session's key in the coordinator holds. */
import type { Address } from '../core/address.ts';
import type { PeerEndpoint } from '../io/peers.ts';

export interface Member extends PeerEndpoint {
  readonly node: string;
  /** This life of its daemon. */
  readonly session: string;
  readonly zone: string;
  /** Weight in placement: its cache's capacity. */
  readonly capacityBytes: number;
  readonly address: Address;
  /** What it speaks; new fields are used only at the lowest of all. */
  readonly protocol: number;
}

/** The members at one membership epoch, by name. */
export interface Members {
  readonly epoch: number;
  readonly members: readonly Member[];
}
