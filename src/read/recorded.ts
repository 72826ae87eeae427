/**
 * What the read path asks of the records of written objects (`write/`), in volumes with `writes`: whether a key has a version
 * that the origin does not know of, or knows by another name.
 */
import type { ContentId } from '../core/ids.ts';
import type { ObjectFact, ObjectHeaders } from '../core/object.ts';

/** A version that was written here. */
export interface WrittenVersion {
  readonly content: ContentId;
  readonly sizeBytes: number;
  readonly modifiedMs: number;
  readonly headers: ObjectHeaders;
  readonly metadata: Readonly<Record<string, string>>;
}

export type RecordedVersion =
  /** Not in the origin: these nodes have it whole. */
  | { readonly kind: 'dirty'; readonly version: WrittenVersion; readonly replicas: readonly string[] }
  /** A delete that the origin does not know of. */
  | { readonly kind: 'deleted' }
  /** In the origin, as `etag`, unless somebody replaced it there since. */
  | { readonly kind: 'stub'; readonly version: WrittenVersion; readonly etag: string };

export interface RecordedKey {
  readonly key: string;
  /** Absent: the origin's answer counts, but there is a record. */
  readonly recorded: RecordedVersion | undefined;
}

/** Rejects with `coordinatorUnavailable`, `coordinatorUncertain` or `coordinatorRefused` where the coordinator cannot be asked. */
export interface RecordedVersions {
  /** What is recorded now, linearizable; `undefined`: the origin's answer counts, when it is asked after this. */
  read(volume: string, key: string, signal?: AbortSignal): Promise<RecordedVersion | undefined>;
  /** Keys with a record below a prefix, in UTF-8 byte order, after `after`; `limit` of them, or fewer at the end. */
  list(
    volume: string,
    options: { prefix: string; after?: string; limit: number; signal?: AbortSignal },
  ): Promise<readonly RecordedKey[]>;
}

/** Whether a fact is of a version that the origin was not known to have: only its record tells whether it is current. */
export function isUndrained({ etag, doorEtag, content }: ObjectFact): boolean {
  return etag === doorEtag && isWrittenHere(content);
}

/** Whether a content id was given to what was written through Forebay (DESIGN.md section 2). */
export function isWrittenHere(content: ContentId): boolean {
  return content < '8';
}
