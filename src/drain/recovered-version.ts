/**
 * Which of two versions of a key is newer, where the revisions that would say so are of a life of the records that is lost: pure. What a
 * version says of what it was written over decides; where neither names the other, the time at which their bytes came.
 */
import type { ContentId } from '../core/ids.ts';
import { baseOwnMax } from '../core/limits.ts';
import type { Base, DirtyRecord, ObjectRecord } from '../write/object-record.ts';

/** Whether a version that a node noted is newer than what the record of its key says. */
export function isNewerThan(noted: DirtyRecord, current: ObjectRecord['current']): boolean {
  if (current === undefined) return true;
  if (current.kind !== 'stub' && current.base.own.includes(noted.content)) return false;
  if (current.kind === 'tombstone') return noted.modifiedMs > current.modifiedMs;
  if (current.content === noted.content) return false;
  if (noted.base.own.includes(current.content)) return true;
  if (current.kind === 'stub') {
    const { origin } = noted.base;
    if (typeof origin === 'object' && origin.etag === current.etag) return true;
  }
  return isWrittenHere(current.content) ? noted.content > current.content : noted.modifiedMs > current.modifiedMs;
}

/** A base with one more version of ours that may reach the origin. */
export function withOwn(base: Base, content: ContentId): Base {
  return { ...base, own: [...base.own.filter((id) => id !== content), content].slice(-baseOwnMax) };
}

/** The first bit of a content id says where it came from (`core/ids.ts`). */
function isWrittenHere(content: ContentId): boolean {
  return content < '8';
}
