/** What the admin door tells of a node, as JSON. Sizes are bytes, durations milliseconds; `null` stands for "without bound". */
import type { StoreStatus } from '../../core/store-status.ts';
import type { KvStatus } from '../../kv/kv.ts';
import type { WritesStatus } from '../../write/writes-status.ts';

/** `none`: there is no origin to reach. */
export type VolumeReach = 'unknown' | 'reachable' | 'away' | 'denied' | 'none';

export interface VolumeStatus {
  readonly name: string;
  readonly origin: string;
  readonly write: boolean;
  readonly revalidateMs: number | null;
  readonly staleIfErrorMs: number | null;
  readonly chunkSizeBytes: number;
  readonly verify: 'arrival' | 'always';
  /** Whether the origin answered when it was last asked. */
  readonly reach: VolumeReach;
  /** What the origin said when it was not reachable. */
  readonly message?: string;
  /** How writes are taken before the origin has them, and what this node holds of them; `null` where every write waits for the origin. */
  readonly writes: WritesStatus | null;
  /** `null` for volumes with an origin. */
  readonly kv: VolumeKvStatus | null;
}

/** How values of a kv volume are kept, and what this node has of them. */
export interface VolumeKvStatus extends KvStatus {
  readonly ttlMs: number | null;
  readonly share: number;
  readonly respDb: number | null;
}

export interface NodeStatus {
  readonly name: string;
  readonly zone: string | null;
  readonly cluster: string;
  readonly version: string;
  readonly pid: number;
  readonly uptimeMs: number;
  readonly ready: boolean;
  /** Door → `HOST:PORT` as it listens. */
  readonly doors: Readonly<Record<string, string>>;
  /** How local hits leave. */
  readonly network: 'sendfile' | 'portable';
  readonly memory: { readonly rssBytes: number; readonly heapBytes: number; readonly budgetBytes: number };
  readonly store: StoreStatus;
  readonly volumes: readonly VolumeStatus[];
  /** `null` for a node alone. */
  readonly membership: MembershipStatus | null;
}

export interface MembershipStatus {
  readonly epoch: number;
  /** The coordinator does not answer: the members are those of before. */
  readonly isFrozen: boolean;
  /** This node's session is valid: it may act as an owner. */
  readonly mayAct: boolean;
  readonly members: readonly {
    readonly node: string;
    readonly zone: string;
    readonly address: string;
    readonly capacityBytes: number;
    /** Why it and this node do not speak with each other; `null` where they do. */
    readonly trouble: string | null;
  }[];
}

/** Why a node is not ready, in words without names of volumes: `/readyz` is open to everyone. */
export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
}
