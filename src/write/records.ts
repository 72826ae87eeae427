/**
 * The records of written objects in the coordinator, as the rest of the write path sees them.
 *
 * Reads are linearizable and batched (at most `recordReadsMax` keys in a transaction), commits compare what they replace and
 * the sessions that they rely on (S-16), and a commit whose answer was lost is settled by reading before it is answered.
 *
 * What is read is the record as it counts: intents of committed checkpoints are its version already, those of attempts that
 * are over are left out. Committing what was read therefore brings them to their end.
 */
import type { Compare } from '../io/coordinator.ts';
import type { ObjectRecord } from './object-record.ts';

/** A record with the revision that a later commit compares; 0 where there is none. One that says nothing may have a revision. */
export interface Recorded {
  readonly record: ObjectRecord | undefined;
  readonly revision: number;
}

export interface KeyedRecord extends Recorded {
  readonly key: string;
  readonly record: ObjectRecord;
}

export interface RecordCommit {
  readonly volume: string;
  readonly key: string;
  /** The revision of the record that is replaced; 0: there is none. */
  readonly expected: number;
  /** Absent: the key is the origin's alone again. */
  readonly record: ObjectRecord | undefined;
  /** What must still hold, such as the sessions of writer and replicas, or the keeper's lease. */
  readonly fences?: readonly Compare[];
}

export type RecordChange =
  /** Everything that is there; what is not in it is gone. At the beginning, and after the watch had lost its place. */
  | { readonly kind: 'all'; readonly revision: number; readonly records: readonly KeyedRecord[] }
  | {
      readonly kind: 'change';
      readonly key: string;
      readonly record: ObjectRecord | undefined;
      readonly revision: number;
    };

export interface Records {
  /** What is recorded now, and the coordinator's revision as of which (for `begunRevision`). Rejects as `Coordinator`. */
  read(volume: string, key: string, signal?: AbortSignal): Promise<Recorded & { readonly asOf: number }>;
  /** Recorded keys below a prefix, in UTF-8 byte order, after `after`; `limit` of them, or fewer at the end. A record may be empty. */
  list(
    volume: string,
    options: { prefix: string; after?: string; limit: number; signal?: AbortSignal },
  ): Promise<readonly KeyedRecord[]>;
  /**
   * Replaces a record; its new revision. Commits of a node share transactions. Rejects with `recordChanged` when another
   * came first or a fence fell, `coordinatorUncertain` when that could not be found out, and as `Coordinator`.
   */
  commit(change: RecordCommit): Promise<number>;
  /** Several records, all or none; at most `recordsPerCommitMax`. */
  commitAll(changes: readonly RecordCommit[]): Promise<number>;
  /** The records of a volume and every change, in the order of revisions, until `signal` aborts. */
  watch(volume: string, signal: AbortSignal): AsyncIterable<RecordChange>;
}
