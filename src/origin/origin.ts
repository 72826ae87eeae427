/**
 * An origin: the durable object store behind a volume. Adapters (`file`, `memory`, `azure`, `s3`) and wrappers (`retry`,
 * `throttle`, `faulty`) implement the same interface and compose: `retry(throttle(azure))`. One conformance suite runs
 * over all of them.
 *
 * Keys are strings of well-formed UTF-16 that stand for their UTF-8 bytes. The prefix of the origin's URL is added
 * and removed by the adapter. A missing object is a value (`undefined`); every failure is a `ForebayError` with one of
 * the codes originDenied, originThrottled, originUnavailable, originTruncated, versionChanged, preconditionFailed,
 * conflict, noSuchUpload, invalidPart, noSuchBucket (the container), or the caller's own abort reason.
 */
import type { ObjectHeaders, ObjectVersion } from '../core/object.ts';
import type { Range } from '../core/range.ts';

/** Bytes to send. `stream()` yields exactly `lengthBytes`; it may be called again only where `replayable`. */
export interface Body {
  readonly lengthBytes: number;
  readonly replayable: boolean;
  stream(): AsyncIterable<Uint8Array>;
}

/** When a write may take effect. `ifMatch` holds the origin's ETag with quotes. */
export interface Condition {
  readonly ifMatch?: string;
  readonly ifNoneMatch?: '*';
}

export interface PutOptions {
  readonly headers: ObjectHeaders;
  readonly metadata: Readonly<Record<string, string>>;
  readonly condition?: Condition;
  readonly signal?: AbortSignal;
}

export interface ListOptions {
  readonly prefix: string;
  /** Keys that share what lies between the prefix and the next delimiter are rolled up. */
  readonly delimiter?: string;
  /** Only keys and common prefixes after this one, in UTF-8 byte order. */
  readonly after?: string;
  /** Entries (objects and common prefixes together) at most; 1 to 1,000. */
  readonly limit: number;
  readonly signal?: AbortSignal;
}

export interface ListEntry {
  readonly key: string;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly modifiedMs: number;
}

export interface ListPage {
  /** In UTF-8 byte order. */
  readonly objects: readonly ListEntry[];
  readonly prefixes: readonly string[];
  /** Pass as `after` to go on; absent on the last page. It is the last key or common prefix of this page. */
  readonly next?: string;
}

/** A part that the origin has taken. `token` is what `finalise` needs, opaque. */
export interface TakenPart {
  readonly number: number;
  readonly token: string;
  readonly sizeBytes: number;
}

export interface Origin {
  readonly kind: 'file' | 'memory' | 'azure' | 's3';
  /** The URL without secrets, for people. */
  readonly url: string;

  head(key: string, options?: { signal?: AbortSignal }): Promise<ObjectVersion | undefined>;

  /**
   * The bytes of `range` of exactly the version `etag`; versionChanged when the object is another version or gone,
   * also when that shows midway. A stream that ends early throws originTruncated. Stopping the iteration or aborting
   * closes the request.
   */
  get(key: string, options: { etag: string; range: Range; signal?: AbortSignal }): Promise<AsyncIterable<Uint8Array>>;

  list(options: ListOptions): Promise<ListPage>;

  /** Writes an object whole or not at all. Returns the new version's ETag. preconditionFailed when the condition does not hold. */
  put(key: string, body: Body, options: PutOptions): Promise<{ etag: string }>;

  /** Begins a write in parts; the id is opaque, at most 1,024 characters, and valid at any node. */
  begin(key: string, options: PutOptions): Promise<string>;
  /** Stores part `number` (1 to 10,000) of an upload; a number sent twice is replaced. */
  part(
    upload: { key: string; id: string },
    number: number,
    body: Body,
    options?: { signal?: AbortSignal },
  ): Promise<TakenPart>;
  /** The parts that the origin holds of an upload, by ascending number. */
  parts(upload: { key: string; id: string }): Promise<readonly TakenPart[]>;
  /** Makes the object of the named parts, in order, whole or not at all. */
  finalise(
    upload: { key: string; id: string },
    parts: readonly TakenPart[],
    options: PutOptions,
  ): Promise<{ etag: string }>;
  /** Forgets an upload and frees its parts; an unknown id is fine. */
  abort(upload: { key: string; id: string }): Promise<void>;

  /** Deletes; a missing key is fine. */
  delete(key: string, options?: { ifMatch?: string; signal?: AbortSignal }): Promise<void>;

  /** Server-side copy within this origin of exactly the version `etag`; `undefined` where the origin cannot. `options` holds the target's headers and metadata. */
  copy(from: { key: string; etag: string }, to: string, options: PutOptions): Promise<{ etag: string } | undefined>;

  /** Cheapest call that proves reachability and credentials; throws as the others do. */
  probe(options?: { signal?: AbortSignal }): Promise<void>;

  close(): Promise<void>;
}
