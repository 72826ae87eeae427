/**
 * What doors ask of the read path, and what they get. `read/read.ts` implements it.
 */
import type { ObjectFact } from '../core/object.ts';
import type { Range } from '../core/range.ts';
import type { Piece } from '../store/piece.ts';

export type { Piece } from '../store/piece.ts';

/** One version of an object, opened. Everything read through it is of that version (S-1). Close it exactly once. */
export interface OpenObject {
  readonly fact: ObjectFact;
  /** The origin could not be asked, and the fact is older than `revalidate` allows: answers carry `x-forebay-stale`. */
  readonly stale: boolean;
  /** All bytes, where the object is small and in memory: no piece, no release. */
  readonly hot: Uint8Array | undefined;
  /**
   * The bytes of `range` (within the object) in order, with no gap. The consumer releases each piece before it asks for
   * the next. Rejects with versionChanged when the rest of the version cannot be had, originUnavailable and the like
   * when the origin fails, or the signal's reason.
   */
  pieces(range: Range, signal: AbortSignal): AsyncIterable<Piece>;
  close(): void;
}

export interface ListRequest {
  readonly volume: string;
  readonly prefix: string;
  readonly delimiter?: string;
  readonly after?: string;
  /** 1 to 1,000. */
  readonly limit: number;
}

export interface ListedObject {
  readonly key: string;
  readonly sizeBytes: number;
  /** As doors show it. */
  readonly doorEtag: string;
  readonly modifiedMs: number;
}

export interface Listing {
  readonly objects: readonly ListedObject[];
  readonly prefixes: readonly string[];
  readonly next?: string;
  readonly stale: boolean;
}

export interface ObjectState {
  readonly volume: string;
  readonly key: string;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly content: string;
  readonly presentBytes: number;
  readonly pinned: boolean;
  readonly state: 'absent' | 'partial' | 'whole';
}

export interface WarmProgress {
  readonly objects: number;
  readonly objectsDone: number;
  readonly bytes: number;
  readonly bytesDone: number;
  readonly failed: readonly { readonly key: string; readonly message: string }[];
  /** Of a warm on several nodes; the rest are their sums. */
  readonly nodes?: readonly NodeProgress[];
}

export interface NodeProgress {
  readonly node: string;
  readonly bytes: number;
  readonly bytesDone: number;
  readonly isOver: boolean;
}

/** One source that was or would be tried for an object, for `explain`. */
export interface ExplainStep {
  readonly source: 'record' | 'fact' | 'origin-head' | 'memory' | 'file' | 'peer' | 'replica' | 'origin-get' | 'value';
  readonly result: string;
  readonly bytes: number;
  readonly ms: number;
}

export interface WarmOptions {
  readonly to?: string;
  /** Nodes of the cluster that bring the objects to themselves, this one only where it is named; absent: this node. */
  readonly nodes?: 'all' | readonly string[];
  readonly signal: AbortSignal;
}

export interface Selection {
  readonly volume: string;
  /** One key, or all keys below a prefix. */
  readonly key?: string;
  readonly prefix?: string;
}

export interface Reader {
  /** The current version per the volume's `revalidate` (S-2). Throws noSuchBucket, noSuchKey, or the origin's errors. */
  open(volume: string, key: string, signal?: AbortSignal): Promise<OpenObject>;
  /** As `open`, at once, where the fact is fresh and the bytes are in memory; else `undefined`. For the fast path of doors. */
  openHot(volume: string, key: string): OpenObject | undefined;
  /**
   * The current version for who asks only whether it is there. Values of kv volumes are promised for `kvLeaseMs` by it (S-10).
   * Absent: as `open`. Throws as `open`.
   */
  head?(volume: string, key: string, signal: AbortSignal): Promise<ObjectFact>;
  list(request: ListRequest, signal?: AbortSignal): Promise<Listing>;
  /** Brings objects here whole; yields progress at least once and at the end. With `to`, lays the objects out as plain read-only files below that directory. */
  warm(selection: Selection, options: WarmOptions): AsyncIterable<WarmProgress>;
  /** What is here of the selected objects; `verify` re-reads and checks every present block. */
  check(selection: Selection, options: { verify: boolean; signal: AbortSignal }): AsyncIterable<ObjectState>;
  /** Frees the selected objects' bytes here where nothing forbids it; returns what was freed and what was kept. */
  evict(selection: Selection): Promise<{ readonly bytes: number; readonly kept: number }>;
  pin(selection: Selection, pinned: boolean): Promise<{ readonly objects: number }>;
  explain(
    volume: string,
    key: string,
  ): Promise<{ readonly steps: readonly ExplainStep[]; readonly state: ObjectState | undefined }>;
}
