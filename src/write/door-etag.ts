/** ETags as doors show them (DESIGN.md section 8, clean), and back. */
import { hash } from 'node:crypto';
import { ForebayError } from '../core/errors.ts';
import { originContentId } from '../core/ids.ts';
import { contentDoorEtag } from '../core/object.ts';
import type { Condition, Origin, TakenPart } from '../origin/origin.ts';
import type { WriteCondition } from './writer.ts';

interface Place {
  readonly volume: string;
  readonly key: string;
  readonly origin: Origin;
}

/** The origin's own for S3, else the content id's. */
export function doorEtagOf({ volume, key, origin }: Place, etag: string): string {
  return origin.kind === 's3' ? etag : contentDoorEtag(originContentId({ volume, key, etag }));
}

/** The door's condition as the origin understands it. Either name of a version is accepted. Throws preconditionFailed. */
export async function originCondition(
  place: Place,
  condition: WriteCondition | undefined,
  signal?: AbortSignal,
): Promise<Condition | undefined> {
  const { ifMatch, ifNoneMatch } = condition ?? {};
  const none = ifNoneMatch === undefined ? {} : { ifNoneMatch };
  if (ifMatch === undefined) return ifNoneMatch === undefined ? undefined : none;
  const now = await place.origin.head(place.key, signal === undefined ? {} : { signal });
  if (now === undefined || ![now.etag, doorEtagOf(place, now.etag), '*'].includes(ifMatch)) {
    const found = now === undefined ? 'not there' : doorEtagOf(place, now.etag);
    throw new ForebayError('preconditionFailed', `"${place.key}" is ${found}`);
  }
  return { ...none, ifMatch: now.etag };
}

/**
 * A part's ETag: the origin's own for S3. Elsewhere it is made of what the origin says of the part, so that every node,
 * also after a restart, makes the same one from the origin's list of parts.
 */
export function partEtag(origin: Origin, uploadId: string, part: TakenPart): string {
  if (origin.kind === 's3') return part.token;
  const text = JSON.stringify([uploadId, part.number, part.token, part.sizeBytes]);
  return `"${hash('sha256', text, 'hex').slice(0, 32)}-p"`;
}
