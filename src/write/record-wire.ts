/**
 * An `ObjectRecord` as the coordinator keeps it: JSON, strict, with the version of its form. What another version wrote, or
 * nobody of ours, is refused (`recordUnreadable`), never guessed at. docs/formats/records.md has the form.
 *
 * Bounds:  `recordVersionMaxBytes` for each version that a record names, `intentsPerKeyMax`, `baseOwnMax`,
 *          `recordReplicasMax`.
 */
import { assert } from '../core/assert.ts';
import { ForebayError } from '../core/errors.ts';
import { type ContentId, parseContentId } from '../core/ids.ts';
import { baseOwnMax, intentsPerKeyMax, recordReplicasMax, recordVersionMaxBytes } from '../core/limits.ts';
import { OBJECT_HEADER_NAMES, type ObjectHeaders } from '../core/object.ts';
import type {
  Base,
  DirtyRecord,
  Intent,
  ObjectContent,
  ObjectRecord,
  Stub,
  Tombstone,
  Trouble,
  VersionOrder,
} from './object-record.ts';
import { Fields, unreadable } from './wire-fields.ts';

const FORM = 1;
const HEX_64 = /^[0-9a-f]{64}$/;
const TROUBLES = ['refused', 'conflict', 'lost'] as const;

const encoder = new TextEncoder();

/** Throws `metadataTooLarge` for a version whose headers and metadata do not fit a record, `overloaded` for too many intents. */
export function encodeRecord(record: ObjectRecord): Uint8Array {
  const { current, intents = [] } = record;
  assert(current !== undefined || intents.length > 0, 'a record says something');
  if (intents.length > intentsPerKeyMax)
    throw new ForebayError('overloaded', `${intentsPerKeyMax} checkpoints in the making have a version of the key`);
  for (const version of [current, ...intents.map(({ to }) => to)]) checkVersion(version);
  return encoder.encode(JSON.stringify({ form: FORM, ...record }));
}

function checkVersion(version: ObjectRecord['current']): void {
  if (version === undefined) return;
  if ('base' in version) assert(version.base.own.length <= baseOwnMax, 'a chain is cut where it grows');
  if (version.kind === 'dirty') assert(version.replicas.length <= recordReplicasMax, 'a replica group is small');
  const bytes = Buffer.byteLength(JSON.stringify(version));
  if (bytes <= recordVersionMaxBytes) return;
  throw new ForebayError(
    'metadataTooLarge',
    `headers and metadata make a record of ${bytes} bytes: at most ${recordVersionMaxBytes} are allowed`,
  );
}

/** Throws `recordUnreadable`. */
export function decodeRecord(bytes: Uint8Array): ObjectRecord {
  const fields = Fields.parse(bytes);
  const form = fields.count('form');
  if (form !== FORM) throw unreadable(`it has form ${form}, this version reads form ${FORM}`);
  const current = fields.optional('current', () => currentFrom(fields.fields('current')));
  const intents = fields.optional('intents', () =>
    fields.list('intents', intentsPerKeyMax).map((item) => intentFrom(Fields.of(item))),
  );
  fields.end();
  if (current === undefined && (intents ?? []).length === 0) throw unreadable('it says nothing');
  return { ...(current && { current }), ...(intents && { intents }) };
}

function currentFrom(fields: Fields): NonNullable<ObjectRecord['current']> {
  const kind = fields.oneOf('kind', ['dirty', 'tombstone', 'stub'] as const);
  if (kind === 'dirty') return dirtyFrom(fields);
  return kind === 'tombstone' ? tombstoneFrom(fields) : stubFrom(fields);
}

function intentFrom(fields: Fields): Intent {
  const to = fields.fields('to');
  const kind = to.oneOf('kind', ['dirty', 'tombstone'] as const);
  const intent = {
    checkpoint: fields.text('checkpoint'),
    attempt: fields.text('attempt'),
    to: kind === 'dirty' ? dirtyFrom(to) : tombstoneFrom(to),
  };
  fields.end();
  return intent;
}

function dirtyFrom(fields: Fields): DirtyRecord {
  const upload = fields.optional('upload', () => fields.text('upload'));
  const trouble = troubleFrom(fields);
  const record: DirtyRecord = {
    kind: 'dirty',
    ...contentFrom(fields),
    level: fields.oneOf('level', ['local', 'replicated'] as const),
    replicas: fields.texts('replicas', recordReplicasMax),
    table: fields.matching('table', HEX_64),
    base: baseFrom(fields.fields('base')),
    ...orderFrom(fields),
    urgent: fields.flag('urgent'),
    ...(upload !== undefined && { upload }),
    ...(trouble && { trouble }),
  };
  if (record.replicas.length === 0) throw unreadable('nobody has its bytes');
  fields.end();
  return record;
}

function tombstoneFrom(fields: Fields): Tombstone {
  const trouble = troubleFrom(fields);
  const urgent = fields.optional('urgent', () => fields.flag('urgent'));
  const tombstone: Tombstone = {
    kind: 'tombstone',
    modifiedMs: fields.number('modifiedMs'),
    base: baseFrom(fields.fields('base')),
    ...orderFrom(fields),
    drained: fields.flag('drained'),
    ...(urgent !== undefined && { urgent }),
    ...(trouble && { trouble }),
  };
  fields.end();
  return tombstone;
}

function stubFrom(fields: Fields): Stub {
  const stub: Stub = { kind: 'stub', ...contentFrom(fields), etag: fields.text('etag'), ...lateFrom(fields) };
  fields.end();
  return stub;
}

function lateFrom(fields: Fields): { readonly late?: readonly ContentId[] } {
  const late = fields.optional('late', () => fields.texts('late', baseOwnMax).map(contentId));
  if (late?.length === 0) throw unreadable('"late" names somebody or is absent');
  return late === undefined ? {} : { late };
}

function contentFrom(fields: Fields): ObjectContent {
  const headers = fields.textMap('headers');
  for (const name of Object.keys(headers))
    if (!(OBJECT_HEADER_NAMES as readonly string[]).includes(name)) throw unreadable(`it has a header ${name}`);
  return {
    content: contentId(fields.text('content')),
    sizeBytes: fields.count('sizeBytes'),
    chunkSizeBytes: fields.count('chunkSizeBytes'),
    modifiedMs: fields.number('modifiedMs'),
    headers: headers as ObjectHeaders,
    metadata: fields.textMap('metadata'),
  };
}

function contentId(text: string): ContentId {
  const id = parseContentId(text);
  if (id === undefined) throw unreadable(`${JSON.stringify(text)} is no content id`);
  return id;
}

function baseFrom(fields: Fields): Base {
  const origin = fields.textOr('origin', (found) => ({ etag: found.text('etag') }));
  if (typeof origin === 'string' && origin !== 'absent' && origin !== 'unknown')
    throw unreadable(`its base is ${JSON.stringify(origin)}`);
  const ownDelete = fields.optional('ownDelete', () => fields.flag('ownDelete'));
  if (ownDelete === false) throw unreadable('"ownDelete" is true or absent');
  const base: Base = {
    origin: origin as Base['origin'],
    own: fields.texts('own', baseOwnMax).map(contentId),
    ...(ownDelete && { ownDelete }),
    ...lateFrom(fields),
  };
  fields.end();
  return base;
}

function orderFrom(fields: Fields): VersionOrder {
  const committedRevision = fields.optional('committedRevision', () => fields.count('committedRevision'));
  const dirtySince = fields.optional('dirtySince', () => fields.count('dirtySince'));
  return {
    begunRevision: fields.count('begunRevision'),
    ...(committedRevision !== undefined && { committedRevision }),
    ...(dirtySince !== undefined && { dirtySince }),
  };
}

function troubleFrom(fields: Fields): Trouble | undefined {
  return fields.optional('trouble', () => {
    const found = fields.fields('trouble');
    const parked = found.optional('parked', () => parkedFrom(found.fields('parked')));
    const trouble = {
      kind: found.oneOf('kind', TROUBLES),
      message: found.text('message'),
      ...(parked && { parked }),
    };
    found.end();
    return trouble;
  });
}

function parkedFrom(fields: Fields): NonNullable<Trouble['parked']> {
  const parked = { key: fields.text('key'), etag: fields.text('etag') };
  fields.end();
  return parked;
}
