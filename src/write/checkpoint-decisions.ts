/** What becomes of records and checkpoints when a checkpoint is made: pure, given what was read. */
import { ForebayError } from '../core/errors.ts';
import {
  type CheckpointRecord,
  committedAt,
  type FoundCheckpoint,
  type LatestRecord,
  rewritten,
} from './checkpoint-record.ts';
import type { DirtyRecord, Intent, ObjectRecord, Tombstone } from './object-record.ts';
import {
  baseOver,
  type DeleteWish,
  decideDelete,
  decideWrite,
  type RecordDecision,
  type WriteWish,
} from './record-decisions.ts';
import type { Recorded } from './records.ts';
import { pendingOf, restated, succeeding } from './version-order.ts';

/** Whose intents: a checkpoint's name and the attempt token of its `begin`. */
export interface AttemptName {
  readonly checkpoint: string;
  readonly attempt: string;
}

export function isOf(intent: Intent, { checkpoint, attempt }: AttemptName): boolean {
  return intent.checkpoint === checkpoint && intent.attempt === attempt;
}

/**
 * When an intent was put is its place in the drain's order (S-7): what a job puts last into a checkpoint, such as `.metadata`,
 * reaches the origin after what it put before. The revision of the record says so until the record is rewritten: whoever
 * does takes the intents from here.
 */
function placed(intent: Intent, revision: number): Intent {
  const { to } = intent;
  return { ...intent, to: { ...to, committedRevision: to.committedRevision ?? revision } };
}

/**
 * The record as it counts: intents of committed attempts are its version, in the order of their commits; those of attempts that
 * are over are gone; those of checkpoints that nobody knows of stay, for nothing says that they are over.
 */
export function foldIntents(
  { record, revision }: Recorded & { record: ObjectRecord },
  checkpointOf: (name: string) => FoundCheckpoint | undefined,
): ObjectRecord {
  const { intents = [] } = record;
  let { current } = record;
  const left: Intent[] = [];
  const due: { readonly intent: Intent; readonly at: number }[] = [];
  for (const given of intents) {
    const intent = placed(given, revision);
    const found = checkpointOf(intent.checkpoint);
    const committed = found?.record.committed;
    if (found !== undefined && committed?.attempt === intent.attempt)
      due.push({ intent, at: committedAt(committed, found.revision) });
    else if (found === undefined || found.record.open?.attempt === intent.attempt) left.push(intent);
  }
  for (const { intent } of due.sort((a, b) => a.at - b.at)) current = folded(current, revision, intent.to);
  return { ...(current && { current }), ...(left.length > 0 && { intents: left }) };
}

function folded(
  current: ObjectRecord['current'],
  revision: number,
  to: DirtyRecord | Tombstone,
): DirtyRecord | Tombstone {
  const before: Recorded = { record: current && { current }, revision };
  const { begunRevision } = to;
  const base = current === undefined ? to.base : baseOver(before, { begunRevision, origin: { has: to.base.origin } });
  return { ...to, base, urgent: true, ...succeeding(before.record, revision) };
}

/** The record with an object of an attempt beside its version. Throws as `decideWrite`. */
export function decideIntent(read: Recorded, wish: WriteWish, name: AttemptName): RecordDecision<DirtyRecord> {
  const { current: to } = decideWrite(read, wish);
  return { record: besides(read, { ...name, to }), current: to, replaced: undefined };
}

/** The record with a delete of an attempt beside its version; `undefined` where there is nothing to delete. */
export function decideDeleteIntent(read: Recorded, wish: DeleteWish, name: AttemptName): ObjectRecord | undefined {
  const decision = decideDelete(read, wish);
  return decision && besides(read, { ...name, to: decision.current });
}

function besides(read: Recorded, intent: Intent): ObjectRecord {
  const intents = (read.record?.intents ?? []).filter(({ checkpoint }) => checkpoint !== intent.checkpoint);
  return { ...keptCurrent(read), intents: [...intents, intent] };
}

/** The version of a record that is rewritten around it keeps its place in the drain's order. */
export function keptCurrent({ record, revision }: Recorded): Pick<ObjectRecord, 'current'> {
  const current = record?.current;
  if (current === undefined) return {};
  const pending = pendingOf(record);
  return { current: pending === undefined ? current : restated(pending, revision, {}) };
}

/** A checkpoint begun: whoever had begun it before is fenced. Throws `conflict` while it is being removed. */
export function decideBegin(
  found: FoundCheckpoint | undefined,
  { name, attempt, nowMs }: { name: string; attempt: string; nowMs: number },
): CheckpointRecord {
  const open = { attempt, begunMs: nowMs };
  if (found === undefined) return { open };
  if (found.record.removing) throw new ForebayError('conflict', `the checkpoint ${name} is being removed`);
  const before = found.record.open;
  const ended = before && { ended: { attempt: before.attempt, how: 'superseded' as const, atMs: nowMs } };
  return rewritten(found, { open, ...ended });
}

/** That an attempt is open. Throws `noSuchCheckpoint`, and `attemptEnded` with what became of it. */
export function checkOpen(found: FoundCheckpoint | undefined, { checkpoint, attempt }: AttemptName): FoundCheckpoint {
  const { record } = found ?? {};
  if (found !== undefined && record?.open?.attempt === attempt) return found;
  if (record === undefined) throw new ForebayError('noSuchCheckpoint', `no checkpoint ${checkpoint} was begun`);
  const end = (why: string): ForebayError => new ForebayError('attemptEnded', `the attempt at ${checkpoint} ${why}`);
  if (record.committed?.attempt === attempt) throw end('is committed: nothing is added to it or taken from it');
  if (record.ended?.attempt === attempt && record.ended.how === 'aborted') throw end('was aborted');
  if (record.open !== undefined) throw end('was taken over by a later begin of the same name');
  throw end('is not known, or was over long ago');
}

/** An attempt aborted. Throws as `checkOpen`. */
export function decideAbort(
  found: FoundCheckpoint | undefined,
  { nowMs, ...name }: AttemptName & { nowMs: number },
): CheckpointRecord {
  const { open: _open, ...rest } = rewritten(checkOpen(found, name), {
    ended: { attempt: name.attempt, how: 'aborted', atMs: nowMs },
  });
  return rest;
}

/** An attempt committed, and the latest checkpoint after that; `undefined`: another stays the latest. Throws as `checkOpen`. */
export function decideCommit(
  found: FoundCheckpoint | undefined,
  latest: LatestRecord | undefined,
  { nowMs, objects, bytes, ...name }: AttemptName & { nowMs: number; objects: number; bytes: number },
): { readonly record: CheckpointRecord; readonly latest: LatestRecord | undefined } {
  const open = checkOpen(found, name);
  const { ended } = open.record;
  const { attempt } = name;
  const begunRevision = open.revision;
  const committed = { attempt, begunRevision, committedMs: nowMs, objects, bytes, folded: false, marked: false };
  const isLatest = latest === undefined || latest.name === name.checkpoint || begunRevision > latest.floorRevision;
  return {
    record: { committed, ...(ended && { ended }) },
    latest: isLatest
      ? { name: name.checkpoint, attempt, floorRevision: Math.max(begunRevision, latest?.floorRevision ?? 0) }
      : undefined,
  };
}
