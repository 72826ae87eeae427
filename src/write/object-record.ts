/**
 * What the coordinator knows of a key that was written here and is, or lately was, not in the origin (DESIGN.md sections 5
 * and 8). A key without a record is the origin's alone. A record never vanishes while it is the only trace of a
 * write: it is replaced by another, or becomes a stub or a drained tombstone, which go after `recordStubMs`.
 */
import type { ContentId } from '../core/ids.ts';
import type { ObjectHeaders } from '../core/object.ts';

/** What may be at the origin under the key when the version is finalised; anything else is a conflict (S-8). */
export interface Base {
  /** The ETag that the origin had, `absent`, or `unknown`: the origin was away, and its first answer later counts. */
  readonly origin: { readonly etag: string } | 'absent' | 'unknown';
  /** Earlier versions of ours that may have reached the origin meanwhile, by the id that they carry there; at most `baseOwnMax`, newest last. */
  readonly own: readonly ContentId[];
  /** A delete of ours may have reached the origin meanwhile: nothing under the key is no conflict either. */
  readonly ownDelete?: true;
  /**
   * Versions of ours from before `origin` whose request, if it comes late, is applied where nothing is under the key: after a delete it
   * brings them back, which is no conflict. At most `baseOwnMax`, newest last; absent: none.
   */
  readonly late?: readonly ContentId[];
}

export interface ObjectContent {
  readonly content: ContentId;
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
  readonly modifiedMs: number;
  readonly headers: ObjectHeaders;
  readonly metadata: Readonly<Record<string, string>>;
}

/** A version's place in the order of S-7, kept over rewrites of its record; see `version-order.ts`, which makes them. */
export interface VersionOrder {
  /** The coordinator's revision when the write began: what was committed by then goes to the origin first (S-7). */
  readonly begunRevision: number;
  /** The revision that committed this version; absent while the record was not rewritten since, and its own revision is it. */
  readonly committedRevision?: number;
  /** The revision that committed the first of the key's versions of which the origin has none later; absent: this one is it. */
  readonly dirtySince?: number;
}

export interface Trouble {
  readonly kind: 'refused' | 'conflict' | 'lost';
  /** For people: what happened, and what to do. */
  readonly message: string;
  /** `conflict`: where at the origin this version lies, durable, until somebody decides. */
  readonly parked?: { readonly key: string; readonly etag: string };
}

/** A version written here that the origin does not have. */
export interface DirtyRecord extends ObjectContent, VersionOrder {
  readonly kind: 'dirty';
  /** What holds of it now: at least its writer, or as many nodes as the volume's `replicas`. */
  readonly level: 'local' | 'replicated';
  /** Nodes that have it whole and synced, its writer first. */
  readonly replicas: readonly string[];
  /** SHA-256, in hex, of the CRC32s of its blocks, little-endian, in order. */
  readonly table: string;
  readonly base: Base;
  /** Finalised at once, not after `drainSettleMs`: committed checkpoints, writes at `origin`, space running out. */
  readonly urgent: boolean;
  /** The origin's upload id, in the record before the first part is sent; absent for what goes in one request. */
  readonly upload?: string;
  /** Why the drain does not go on: the origin refuses the key for good, or somebody else changed the object (`conflict`). */
  readonly trouble?: Trouble;
}

/** A delete that the origin does not know of yet, or (with `drained`) knows of. */
export interface Tombstone extends VersionOrder {
  readonly kind: 'tombstone';
  readonly modifiedMs: number;
  readonly base: Base;
  readonly drained: boolean;
  /** As of a dirty record. */
  readonly urgent?: boolean;
  readonly trouble?: Trouble;
}

/** A version that has reached the origin, remembered so that every node knows the two names of its bytes for one. */
export interface Stub extends ObjectContent {
  readonly kind: 'stub';
  /** The origin's. */
  readonly etag: string;
  /** As of a base, this version among them: for what is written over it. */
  readonly late?: readonly ContentId[];
}

/** What a checkpoint in the making would put in the place of the record, once its attempt is committed. */
export interface Intent {
  readonly checkpoint: string;
  /** The attempt token of its `begin`. */
  readonly attempt: string;
  readonly to: DirtyRecord | Tombstone;
}

/** The value of the coordinator's key. Intents may stand beside nothing. */
export interface ObjectRecord {
  readonly current?: DirtyRecord | Tombstone | Stub;
  readonly intents?: readonly Intent[];
}
