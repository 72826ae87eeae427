/** What is known of one version of an object: the words shared by origins, the store, the reads and the doors. */
import type { ContentId } from './ids.ts';

/** Standard headers kept with an object, by their lower-case HTTP names. */
export interface ObjectHeaders {
  readonly 'content-type'?: string;
  readonly 'content-encoding'?: string;
  readonly 'content-language'?: string;
  readonly 'content-disposition'?: string;
  readonly 'cache-control'?: string;
  readonly expires?: string;
}

export const OBJECT_HEADER_NAMES = [
  'content-type',
  'content-encoding',
  'content-language',
  'content-disposition',
  'cache-control',
  'expires',
] as const satisfies readonly (keyof ObjectHeaders)[];

/** One version as the origin states it. */
export interface ObjectVersion {
  readonly key: string;
  readonly sizeBytes: number;
  /** The origin's ETag, with its quotes. */
  readonly etag: string;
  /** Wall milliseconds since 1970, whole seconds at most origins. Display and conditionals only. */
  readonly modifiedMs: number;
  readonly headers: ObjectHeaders;
  /** The user's own metadata, names in lower case without `x-amz-meta-`. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** A version as this node remembers it. */
export interface ObjectFact extends ObjectVersion {
  readonly volume: string;
  readonly content: ContentId;
  /** The ETag that doors show: the origin's own for S3, `"<content id>-1"` otherwise (DESIGN.md section 8, clean). */
  readonly doorEtag: string;
  /** Not yet in the origin: the nodes that hold it whole, whom bytes come from. `etag` is then the door's. */
  readonly replicas?: readonly string[];
  /** CLOCK_BOOTTIME milliseconds at which the origin was asked; negative infinity when that was in an earlier boot. */
  readonly checkedMs: number;
}

/**
 * Metadata with this name holds the content id of what was written here, so that an answer of the origin that was lost is made up for by
 * looking. A C# identifier, as Azure wants; doors do not show it.
 */
export const OWN_ID = 'forebayid';

/** The ETag that doors show for contents whose origin is not S3 (DESIGN.md section 8). */
export function contentDoorEtag(content: ContentId): string {
  return `"${content}-1"`;
}
