/**
 * What the coordinator knows of a checkpoint, under `checkpoints/<volume>/<name>`. It decides which intents count: those of the
 * attempt that `committed` names are the versions of their keys, whether they were folded into the records yet or not;
 * those of the attempt that `open` names may become so; all others are void.
 */
import { Fields, unreadable } from './wire-fields.ts';

/** An attempt in the making. */
export interface OpenAttempt {
  readonly attempt: string;
  readonly begunMs: number;
}

export interface CommittedAttempt {
  readonly attempt: string;
  /** The revision of its `begin`: what was begun later is later. */
  readonly begunRevision: number;
  /** The revision of its commit; absent until the record is rewritten, whose own revision it is until then. */
  readonly committedRevision?: number;
  readonly committedMs: number;
  readonly objects: number;
  readonly bytes: number;
  /** Whether all of its intents are in the records. */
  readonly folded: boolean;
  /** Whether `.forebay-checkpoint.json` is on its way to the origin. */
  readonly marked: boolean;
}

export interface CheckpointRecord {
  readonly open?: OpenAttempt;
  readonly committed?: CommittedAttempt;
  /** The attempt that ended last without a commit. */
  readonly ended?: { readonly attempt: string; readonly how: 'aborted' | 'superseded'; readonly atMs: number };
  /** Its objects are being deleted. */
  readonly removing?: true;
}

/** A checkpoint's record with its revision. */
export interface FoundCheckpoint {
  readonly record: CheckpointRecord;
  readonly revision: number;
}

/** Which committed checkpoint is the latest of a volume, under `latest/<volume>`. */
export interface LatestRecord {
  readonly name: string;
  readonly attempt: string;
  /** Only what was begun after this takes its place: its own beginning, or the rollback that named it. */
  readonly floorRevision: number;
}

const FORM = 1;
const encoder = new TextEncoder();

/** The coordinator's key of a checkpoint. */
export function checkpointKey(volume: string, name: string): string {
  return `checkpoints/${volume}/${name}`;
}

export function latestKey(volume: string): string {
  return `latest/${volume}`;
}

export function encodeCheckpoint(record: CheckpointRecord): Uint8Array {
  return encoder.encode(JSON.stringify({ form: FORM, ...record }));
}

export function encodeLatest(record: LatestRecord): Uint8Array {
  return encoder.encode(JSON.stringify({ form: FORM, ...record }));
}

/** Throws `recordUnreadable`. */
export function decodeCheckpoint(bytes: Uint8Array): CheckpointRecord {
  const fields = formed(bytes);
  const open = fields.optional('open', () => openFrom(fields.fields('open')));
  const committed = fields.optional('committed', () => committedFrom(fields.fields('committed')));
  const ended = fields.optional('ended', () => endedFrom(fields.fields('ended')));
  const removing = fields.optional('removing', () => fields.flag('removing'));
  if (removing === false) throw unreadable('"removing" is true or absent');
  fields.end();
  return {
    ...(open && { open }),
    ...(committed && { committed }),
    ...(ended && { ended }),
    ...(removing && { removing }),
  };
}

/** Throws `recordUnreadable`. */
export function decodeLatest(bytes: Uint8Array): LatestRecord {
  const fields = formed(bytes);
  const latest = {
    name: fields.text('name'),
    attempt: fields.text('attempt'),
    floorRevision: fields.count('floorRevision'),
  };
  fields.end();
  return latest;
}

/** The revision that committed it; `revision` is the record's. */
export function committedAt({ committedRevision }: CommittedAttempt, revision: number): number {
  return committedRevision ?? revision;
}

/** The same record with changes, which keeps when its attempt was committed. */
export function rewritten({ record, revision }: FoundCheckpoint, changes: Partial<CheckpointRecord>): CheckpointRecord {
  const { committed } = record;
  const kept = committed && { committed: { ...committed, committedRevision: committedAt(committed, revision) } };
  return { ...record, ...kept, ...changes };
}

function formed(bytes: Uint8Array): Fields {
  const fields = Fields.parse(bytes);
  const form = fields.count('form');
  if (form !== FORM) throw unreadable(`it has form ${form}, this version reads form ${FORM}`);
  return fields;
}

function openFrom(fields: Fields): OpenAttempt {
  const open = { attempt: fields.text('attempt'), begunMs: fields.number('begunMs') };
  fields.end();
  return open;
}

function committedFrom(fields: Fields): CommittedAttempt {
  const committedRevision = fields.optional('committedRevision', () => fields.count('committedRevision'));
  const committed = {
    attempt: fields.text('attempt'),
    begunRevision: fields.count('begunRevision'),
    ...(committedRevision !== undefined && { committedRevision }),
    committedMs: fields.number('committedMs'),
    objects: fields.count('objects'),
    bytes: fields.count('bytes'),
    folded: fields.flag('folded'),
    marked: fields.flag('marked'),
  };
  fields.end();
  return committed;
}

function endedFrom(fields: Fields): NonNullable<CheckpointRecord['ended']> {
  const ended = {
    attempt: fields.text('attempt'),
    how: fields.oneOf('how', ['aborted', 'superseded'] as const),
    atMs: fields.number('atMs'),
  };
  fields.end();
  return ended;
}
