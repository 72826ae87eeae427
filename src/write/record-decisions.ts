/**
 * What becomes of a key's record when it is written, deleted, renamed, drained or forgotten: pure, given the record as it was
 * read. Who commits the answer compares that record's revision, and decides again when another came first: the last commit
 * wins, unless a condition says otherwise.
 *
 * Two rules hold everywhere. A record that is the only trace of a write is replaced, never removed. And a version names in
 * its base whatever of ours may have reached the origin before it, so that the drain knows its own traces from a
 * stranger's (S-8).
 */
import { ForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { baseOwnMax } from '../core/limits.ts';
import { contentDoorEtag } from '../core/object.ts';
import type { Base, DirtyRecord, ObjectContent, ObjectRecord, Stub, Tombstone } from './object-record.ts';
import type { Recorded } from './records.ts';
import { succeeding } from './version-order.ts';
import type { WriteCondition } from './writer.ts';

/** What the origin has under a key, as far as it was asked. */
export interface OriginKnowledge {
  readonly has: Base['origin'];
  /** The ETag that doors show for it, where there is something. */
  readonly doorEtag?: string;
}

interface Wish {
  /** The coordinator's revision that was read when the write began; the origin was asked after that. */
  readonly begunRevision: number;
  /** Needed where there is no record, or one that the origin has caught up with. */
  readonly origin: OriginKnowledge;
  readonly condition?: WriteCondition;
}

export interface WriteWish extends Wish {
  readonly content: ObjectContent;
  readonly level: DirtyRecord['level'];
  readonly replicas: readonly string[];
  readonly table: string;
  readonly urgent: boolean;
}

export interface DeleteWish extends Wish {
  readonly modifiedMs: number;
}

export interface RecordDecision<T> {
  /** What to commit over what was read. */
  readonly record: ObjectRecord;
  readonly current: T;
  /** The content that the key had here, which nobody needs once this is committed: freed after its readers. */
  readonly replaced: ContentId | undefined;
}

/**
 * The record of a write. Throws `preconditionFailed`, and `originUnavailable` where a condition depends on an origin that
 * could not be asked.
 */
export function decideWrite(read: Recorded, wish: WriteWish): RecordDecision<DirtyRecord> {
  checkCondition(read, wish);
  const { content, level, replicas, table, urgent, begunRevision } = wish;
  const base = baseOver(read, wish);
  const order = { begunRevision, ...succeeding(read.record, read.revision) };
  const current: DirtyRecord = { kind: 'dirty', ...content, level, replicas, table, base, urgent, ...order };
  return { record: withCurrent(read.record, current), current, replaced: contentOf(read.record) };
}

/**
 * The record of a delete; `undefined` where nothing is there, so that nothing needs to be done. Throws as `decideWrite`. Also a
 * version that never reached the origin leaves a tombstone: only the drain knows whether an attempt is still on its way.
 */
export function decideDelete(read: Recorded, wish: DeleteWish): RecordDecision<Tombstone> | undefined {
  checkCondition(read, wish);
  const current = read.record?.current;
  if (current?.kind === 'tombstone' && !current.drained) return undefined;
  const over = baseOver(read, wish);
  if (over.origin === 'absent' && (over.own.length === 0 || current?.kind === 'tombstone')) return undefined;
  // the request that brought it to the origin may come there once more, after the delete
  const base = current?.kind === 'stub' ? grown(over, { own: current.content }) : over;
  const { modifiedMs, begunRevision } = wish;
  const order = { begunRevision, ...succeeding(read.record, read.revision) };
  const tombstone: Tombstone = { kind: 'tombstone', modifiedMs, base, drained: false, ...order };
  return { record: withCurrent(read.record, tombstone), current: tombstone, replaced: contentOf(read.record) };
}

/**
 * The two records of a rename of a dirty object, to be committed together: the same bytes under another key, over whatever is
 * there. Throws `noSuchKey` where the source is not dirty: what the origin has is copied there.
 */
export function decideRename(
  from: Recorded & { readonly key: string },
  to: Recorded,
  wish: DeleteWish,
): { readonly from: ObjectRecord; readonly to: RecordDecision<DirtyRecord> } {
  const source = from.record?.current;
  if (source?.kind !== 'dirty') throw new ForebayError('noSuchKey', `${from.key} is not waiting for the origin`);
  checkCondition(to, wish);
  const { upload: _upload, trouble: _trouble, committedRevision: _committed, dirtySince: _since, ...moved } = source;
  const { begunRevision } = wish;
  const current: DirtyRecord = {
    ...moved,
    base: baseOver(to, wish),
    begunRevision,
    ...succeeding(to.record, to.revision),
  };
  const gone: Tombstone = {
    kind: 'tombstone',
    modifiedMs: wish.modifiedMs,
    base: grown(source.base, { own: source.content }),
    drained: false,
    begunRevision,
    ...succeeding(from.record, from.revision),
  };
  return {
    from: withCurrent(from.record, gone),
    to: { record: withCurrent(to.record, current), current, replaced: contentOf(to.record) },
  };
}

/** The version has reached the origin as `etag`: what remains of its record. */
export function stubOf(record: ObjectRecord, dirty: DirtyRecord, etag: string): ObjectRecord {
  const { content, sizeBytes, chunkSizeBytes, modifiedMs, headers, metadata } = dirty;
  const stub: Stub = { kind: 'stub', content, sizeBytes, chunkSizeBytes, modifiedMs, headers, metadata, etag };
  return withCurrent(record, { ...stub, ...lateOf(dirty) });
}

/** What may come back after a delete of this version or of a later one: requests that are applied where nothing is. */
export function lateOf({ base, content }: Pick<DirtyRecord, 'base' | 'content'>): { late?: readonly ContentId[] } {
  const { origin, own, ownDelete, late = [] } = base;
  const mayCreate = typeof origin === 'string' || ownDelete === true;
  const all = [...late, ...own, ...(mayCreate ? [content] : [])];
  return all.length === 0 ? {} : { late: Array.from(new Set(all)).slice(-baseOwnMax) };
}

/** The delete has reached the origin. */
export function drainedOf(record: ObjectRecord, tombstone: Tombstone): ObjectRecord {
  const { trouble: _trouble, ...settled } = tombstone;
  return withCurrent(record, { ...settled, drained: true });
}

/**
 * What remains when the time of a stub or a drained tombstone is over: nothing, or the intents beside it. Anything else is the
 * only trace of a write and stays.
 */
export function forgotten(record: ObjectRecord): ObjectRecord | undefined {
  const { current, intents = [] } = record;
  const mayGo = current === undefined || current.kind === 'stub' || (current.kind === 'tombstone' && current.drained);
  if (!mayGo) return record;
  return intents.length === 0 ? undefined : { intents };
}

/**
 * What may be at the origin under the key before a version that replaces what was read: the base that the replaced version had,
 * and that version itself, which may reach the origin yet; after a delete, what a late request may bring back.
 */
export function baseOver(read: Recorded, { origin, begunRevision }: Pick<Wish, 'origin' | 'begunRevision'>): Base {
  const current = read.record?.current;
  if (current?.kind === 'dirty') return grown(current.base, { own: current.content });
  if (current?.kind === 'tombstone' && !current.drained) return grown(current.base, {});
  const own = current?.kind === 'tombstone' ? current.base.own : [];
  const late = current?.kind === 'tombstone' ? current.base.late : current?.late;
  const before = { own, ...(late !== undefined && { late }) };
  // The origin was asked after this record was there: what it said is newer.
  if (current === undefined || (read.revision <= begunRevision && origin.has !== 'unknown'))
    return { origin: origin.has, ...before };
  return { origin: current.kind === 'stub' ? { etag: current.etag } : 'absent', ...before };
}

/** A base with one more version of ours, or, without `own`, a delete. */
function grown(base: Base, { own }: { own?: ContentId }): Base {
  if (own === undefined) return { ...base, ownDelete: true };
  const others = base.own.filter((id) => id !== own);
  return { ...base, own: [...others, own].slice(-baseOwnMax) };
}

function withCurrent(record: ObjectRecord | undefined, current: NonNullable<ObjectRecord['current']>): ObjectRecord {
  return { ...record, current };
}

/** The content that holders keep for this record. */
function contentOf(record: ObjectRecord | undefined): ContentId | undefined {
  const current = record?.current;
  return current?.kind === 'dirty' ? current.content : undefined;
}

/** The names of the current version; either is accepted in a condition. */
function namesOf(read: Recorded, { origin, begunRevision }: Wish): readonly string[] | 'unknown' {
  const current = read.record?.current;
  if (current?.kind === 'dirty') return [contentDoorEtag(current.content)];
  if (current?.kind === 'tombstone' && !current.drained) return [];
  const isNewer = current === undefined || read.revision <= begunRevision;
  const { has, doorEtag } = origin;
  if (isNewer && has !== 'unknown') {
    if (has === 'absent') return [];
    const names = doorEtag === undefined ? [has.etag] : [has.etag, doorEtag];
    return current?.kind === 'stub' && current.etag === has.etag ? [...names, contentDoorEtag(current.content)] : names;
  }
  if (current === undefined) return 'unknown';
  return current.kind === 'stub' ? [contentDoorEtag(current.content), current.etag] : [];
}

function checkCondition(read: Recorded, wish: Wish): void {
  const { ifMatch, ifNoneMatch } = wish.condition ?? {};
  if (ifMatch === undefined && ifNoneMatch === undefined) return;
  const names = namesOf(read, wish);
  if (names === 'unknown')
    throw new ForebayError('originUnavailable', 'whether the condition holds is not known while the origin is away');
  if (ifNoneMatch !== undefined && names.length > 0)
    throw new ForebayError('preconditionFailed', `there is an object: ${names[0]}`);
  if (ifMatch === undefined) return;
  if (names.length === 0) throw new ForebayError('preconditionFailed', 'there is no object');
  if (ifMatch !== '*' && !names.includes(ifMatch))
    throw new ForebayError('preconditionFailed', `the object is ${names[0]}`);
}
