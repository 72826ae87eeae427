/** What the admin door tells of a node, as JSON. Sizes are bytes, durations milliseconds; `null` stands for "without bound". */

export type VolumeReach = 'unknown' | 'reachable' | 'away' | 'denied';

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
}

/** Structurally the store's own status; doors do not import the store. */
export interface StoreSummary {
  readonly directory: string;
  readonly disk: 'ok' | 'ejected' | 'full';
  readonly capacityBytes: number;
  readonly usedBytes: number;
  readonly reservedBytes: number;
  readonly presentBytes: number;
  readonly pinnedBytes: number;
  readonly contents: number;
  readonly smallContents: number;
  readonly facts: number;
  readonly orphans: number;
  readonly corruptBlocks: number;
  readonly indexBytes: number;
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
  readonly store: StoreSummary;
  readonly volumes: readonly VolumeStatus[];
}

/** Why a node is not ready, in words without names of volumes: `/readyz` is open to everyone. */
export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
}
