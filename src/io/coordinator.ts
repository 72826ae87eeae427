/**
 * Small linearizable state shared by the nodes of a cluster (DESIGN.md section 5): etcd, or an embedded store for the
 * daemons of one machine; simulated in `sim/`. Order is the revision; there are no clocks in it.
 */

export interface KeyValue {
  readonly key: string;
  readonly value: Uint8Array;
  readonly createRevision: number;
  readonly modifyRevision: number;
}

/** A key that is absent has revision 0. */
export type Compare =
  | { readonly key: string; readonly target: 'createRevision' | 'modifyRevision'; readonly equals: number }
  | { readonly key: string; readonly target: 'value'; readonly equals: Uint8Array };

export type CoordinatorOperation =
  | { readonly put: string; readonly value: Uint8Array; readonly session?: string }
  | { readonly delete: string }
  | { readonly read: string };

export interface Transaction {
  readonly compares: readonly Compare[];
  readonly apply: readonly CoordinatorOperation[];
  readonly otherwise?: readonly CoordinatorOperation[];
}

export interface TransactionResult {
  readonly succeeded: boolean;
  readonly revision: number;
  /** What the branch's `read`s found, in their order; absent keys are left out. */
  readonly reads: readonly KeyValue[];
}

export type Change = KeyValue | { readonly key: string; readonly deleted: true };

export interface WatchEvent {
  readonly revision: number;
  /**
   * `changes`: all changes of one revision. `snapshot`: history was compacted or the connection was lost for too long;
   * `changes` is everything that is there now, and what is not in it is gone.
   */
  readonly kind: 'changes' | 'snapshot';
  readonly changes: readonly Change[];
}

/** The right to act as this life of a daemon. Renewed by a thread of its own that stops when the main loop does not turn. */
export interface Session {
  readonly id: string;
  /** CLOCK_BOOTTIME until which the holder may act: 70 % of the term, counted from when the last confirmed renewal was sent. */
  readonly actUntilMs: number;
  /** Aborted once the right has lapsed or was taken away; never comes back. */
  readonly lost: AbortSignal;
  /** Ends it at once: its keys vanish. */
  close(): Promise<void>;
}

/**
 * Every method rejects with `coordinatorUnavailable` when the coordinator cannot be reached, `coordinatorRefused` when it
 * refuses this client or went back in time (then for good), `shuttingDown` once closed, `invalidArgument` when the
 * caller broke a bound: values have at most 1 MiB, keys 2 KiB, transactions 120 operations, 120 compares and 1 MiB in
 * all; no key is written twice, or written and read, by one branch.
 */
export interface Coordinator {
  /** For people: `etcd 10.0.0.1:2379, 10.0.0.2:2379`. */
  readonly description: string;
  /** A lease of `ttlMs`; keys put with its id vanish with it. */
  session(options: { ttlMs: number }): Promise<Session>;
  /** All keys that begin with `prefix`, in byte order, of one revision, linearizable. `after`: keys beyond this one. */
  range(
    prefix: string,
    options?: { limit?: number; after?: string; signal?: AbortSignal },
  ): Promise<{ readonly revision: number; readonly entries: readonly KeyValue[]; readonly more: boolean }>;
  /**
   * Applies `apply` when every compare holds, else `otherwise`, in one step. An answer that was lost is settled by reading,
   * once and for all, where the coordinator comes back in time; else it rejects with `coordinatorUncertain`. A put under
   * a session that has ended rejects with `sessionLost` and changes nothing.
   */
  transaction(transaction: Transaction): Promise<TransactionResult>;
  /**
   * Changes below `prefix` of revisions beyond `afterRevision`, in order, none left out; goes on over lost connections,
   * for as long as it takes. Ends when `signal` aborts or the coordinator is closed.
   */
  watch(prefix: string, options: { afterRevision: number; signal: AbortSignal }): AsyncIterable<WatchEvent>;
  close(): Promise<void>;
}
