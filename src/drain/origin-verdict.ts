/**
 * What the origin has under a key, judged by what a version of ours may find there (S-8): pure. Objects that the drain writes carry
 * their content id, so that an answer that was lost is made up for by looking.
 */
import type { ContentId } from '../core/ids.ts';
import { type ObjectVersion, OWN_ID } from '../core/object.ts';
import type { Condition } from '../origin/origin.ts';
import type { Base, DirtyRecord, Tombstone } from '../write/object-record.ts';

export type PutVerdict =
  /** It is there already. */
  | { readonly kind: 'there'; readonly etag: string }
  | { readonly kind: 'go'; readonly condition: Condition }
  | { readonly kind: 'conflict'; readonly message: string };

export type DeleteVerdict =
  | { readonly kind: 'there' }
  | { readonly kind: 'go'; readonly ifMatch: string }
  | { readonly kind: 'conflict'; readonly message: string };

/** The condition under which a version may be put without looking first; `undefined` where one has to look. */
export function blindCondition({ base }: Pick<DirtyRecord, 'base'>): Condition | undefined {
  if (base.own.length > 0 || base.ownDelete || base.origin === 'unknown') return undefined;
  return base.origin === 'absent' ? { ifNoneMatch: '*' } : { ifMatch: base.origin.etag };
}

export function judgePut(
  { content, base }: Pick<DirtyRecord, 'content' | 'base'>,
  now: ObjectVersion | undefined,
): PutVerdict {
  if (now === undefined)
    return mayBeAbsent(base)
      ? { kind: 'go', condition: { ifNoneMatch: '*' } }
      : { kind: 'conflict', message: 'somebody else deleted the object at the origin' };
  if (now.metadata[OWN_ID] === content) return { kind: 'there', etag: now.etag };
  if (isOurs(base, now)) return { kind: 'go', condition: { ifMatch: now.etag } };
  return { kind: 'conflict', message: changed(now) };
}

export function judgeDelete({ base }: Pick<Tombstone, 'base'>, now: ObjectVersion | undefined): DeleteVerdict {
  if (now === undefined) return { kind: 'there' };
  if (isOurs(base, now)) return { kind: 'go', ifMatch: now.etag };
  return { kind: 'conflict', message: changed(now) };
}

/** The base once the origin could be asked, where it was unknown. */
export function resolvedBase(base: Base, now: ObjectVersion | undefined): Base {
  if (base.origin !== 'unknown') return base;
  return { ...base, origin: now === undefined ? 'absent' : { etag: now.etag } };
}

function mayBeAbsent({ origin, ownDelete }: Base): boolean {
  return origin === 'absent' || origin === 'unknown' || ownDelete === true;
}

function isOurs(base: Base, now: ObjectVersion): boolean {
  const { origin } = base;
  if (origin === 'unknown') return true;
  if (origin !== 'absent' && origin.etag === now.etag) return true;
  return isFromBefore(base, now);
}

/** Whether it is an earlier version of ours, which came late or that the origin has had meanwhile. */
export function isFromBefore({ own, late = [] }: Base, now: ObjectVersion): boolean {
  const id = now.metadata[OWN_ID] as ContentId | undefined;
  return id !== undefined && (own.includes(id) || late.includes(id));
}

function changed(now: ObjectVersion): string {
  return `somebody else wrote the object at the origin: it is ${now.etag}, of ${now.sizeBytes} bytes`;
}
