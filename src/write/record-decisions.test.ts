import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contentOf, dirty, stub, tombstone } from '../../tests/write/samples.ts';
import { type ErrorCode, isForebayError } from '../core/errors.ts';
import { baseOwnMax } from '../core/limits.ts';
import type { DirtyRecord, ObjectRecord, Tombstone } from './object-record.ts';
import {
  type DeleteWish,
  decideDelete,
  decideRename,
  decideWrite,
  drainedOf,
  forgotten,
  stubOf,
  type WriteWish,
} from './record-decisions.ts';
import type { Recorded } from './records.ts';

const NONE: Recorded = { record: undefined, revision: 0 };
const at = (current: NonNullable<ObjectRecord['current']>, revision = 50): Recorded => ({
  record: { current },
  revision,
});

function wish(n: number, changes: Partial<WriteWish> = {}): WriteWish {
  const { content, sizeBytes, chunkSizeBytes, modifiedMs, headers, metadata } = dirty(n);
  return {
    content: { content, sizeBytes, chunkSizeBytes, modifiedMs, headers, metadata },
    level: 'local',
    replicas: ['a'],
    table: '0'.repeat(64),
    urgent: false,
    begunRevision: 40,
    origin: { has: 'absent' },
    ...changes,
  };
}

const gone = (changes: Partial<DeleteWish> = {}): DeleteWish => ({
  modifiedMs: 9,
  begunRevision: 40,
  origin: { has: 'absent' },
  ...changes,
});

const fails = (code: ErrorCode) => (error: unknown) => isForebayError(error, code);

test('a first write rests on what the origin was found to have', () => {
  assert.deepEqual(decideWrite(NONE, wish(1)).current.base, { origin: 'absent', own: [] });
  const etag = { etag: '"o"' };
  assert.deepEqual(decideWrite(NONE, wish(1, { origin: { has: etag } })).current.base, { origin: etag, own: [] });
  assert.deepEqual(decideWrite(NONE, wish(1, { origin: { has: 'unknown' } })).current.base, {
    origin: 'unknown',
    own: [],
  });
});

test('S-8: an overwrite names every version of ours that may have reached the origin, and deletes', () => {
  const first = decideWrite(NONE, wish(1, { origin: { has: { etag: '"o"' } } }));
  const second = decideWrite({ record: first.record, revision: 50 }, wish(2));
  assert.deepEqual(second.current.base, { origin: { etag: '"o"' }, own: [contentOf(1)] });
  assert.equal(second.replaced, contentOf(1));
  assert.equal(second.current.dirtySince, 50, 'what came before it is not in the origin since then');
  const deleted = decideDelete({ record: second.record, revision: 60 }, gone());
  assert.deepEqual(deleted?.current.base, { origin: { etag: '"o"' }, own: [contentOf(1), contentOf(2)] });
  assert.equal(deleted?.replaced, contentOf(2));
  const third = decideWrite({ record: deleted?.record, revision: 70 }, wish(3));
  const own = [contentOf(1), contentOf(2)];
  assert.deepEqual(third.current.base, { origin: { etag: '"o"' }, own, ownDelete: true });
  assert.equal(third.current.dirtySince, 50);
  assert.equal(third.replaced, undefined, 'a tombstone has no bytes');
});

test('the chain of a key that is overwritten while the origin is away is bounded, the newest kept', () => {
  let read: Recorded = NONE;
  for (let n = 1; n <= baseOwnMax + 10; n += 1)
    read = { record: decideWrite(read, wish(n, { origin: { has: 'unknown' } })).record, revision: 50 + n };
  const last = read.record?.current as DirtyRecord;
  const { own, origin } = last.base;
  assert.equal(own.length, baseOwnMax);
  assert.equal(own.at(-1), contentOf(baseOwnMax + 9));
  assert.equal(origin, 'unknown');
});

test('after a drain a write rests on what the drain left, unless the origin was asked later', () => {
  const drained = at(stub(1, '"d"'), 50);
  const asked = { origin: { has: { etag: '"stranger"' } } };
  assert.deepEqual(decideWrite(drained, wish(2, { ...asked, begunRevision: 49 })).current.base.origin, { etag: '"d"' });
  const later = decideWrite(drained, wish(2, { ...asked, begunRevision: 50 }));
  assert.deepEqual(later.current.base, { origin: { etag: '"stranger"' }, own: [] });
  const away = decideWrite(drained, wish(2, { origin: { has: 'unknown' }, begunRevision: 60 }));
  assert.deepEqual(away.current.base.origin, { etag: '"d"' });
  const emptied = at(tombstone({ drained: true }), 50);
  assert.deepEqual(decideWrite(emptied, wish(2, { ...asked, begunRevision: 49 })).current.base.origin, 'absent');
  assert.equal(later.replaced, undefined, 'what is in the origin is ordinary cache');
});

test('conditions on a dirty object are decided by its record', () => {
  const read = at(dirty(1));
  const names = `"${contentOf(1)}-1"`;
  const given = (condition: WriteWish['condition']) => decideWrite(read, wish(2, condition && { condition }));
  assert.equal(given({ ifMatch: names }).current.content, contentOf(2));
  assert.equal(given({ ifMatch: '*' }).current.content, contentOf(2));
  assert.throws(() => given({ ifMatch: '"other"' }), fails('preconditionFailed'));
  assert.throws(() => given({ ifNoneMatch: '*' }), fails('preconditionFailed'));
  const hidden = at(tombstone());
  assert.throws(() => decideWrite(hidden, wish(2, { condition: { ifMatch: '*' } })), fails('preconditionFailed'));
  decideWrite(hidden, wish(2, { condition: { ifNoneMatch: '*' } }));
  assert.throws(() => decideDelete(read, gone({ condition: { ifMatch: '"other"' } })), fails('preconditionFailed'));
  assert.equal(decideDelete(read, gone({ condition: { ifMatch: names } }))?.current.kind, 'tombstone');
});

test('a drained object answers to both of its names, and one only in the origin to what was asked there', () => {
  const read = at(stub(1, '"d"'));
  const given = (ifMatch: string, changes: Partial<WriteWish> = {}) =>
    decideWrite(read, wish(2, { origin: { has: 'unknown' }, condition: { ifMatch }, ...changes }));
  given('"d"');
  given(`"${contentOf(1)}-1"`);
  assert.throws(() => given('"x"'), fails('preconditionFailed'));
  const same = { origin: { has: { etag: '"d"' } }, begunRevision: 60 };
  given(`"${contentOf(1)}-1"`, same);
  const other = { origin: { has: { etag: '"x"' }, doorEtag: '"door"' }, begunRevision: 60 };
  assert.throws(() => given(`"${contentOf(1)}-1"`, other), fails('preconditionFailed'));
  given('"x"', other);
  given('"door"', other);
  const alone = (origin: WriteWish['origin'], condition: WriteWish['condition']) =>
    decideWrite(NONE, wish(2, { origin, ...(condition && { condition }) }));
  alone({ has: { etag: '"x"' } }, { ifMatch: '"x"' });
  alone({ has: 'absent' }, { ifNoneMatch: '*' });
  assert.throws(() => alone({ has: { etag: '"x"' } }, { ifNoneMatch: '*' }), fails('preconditionFailed'));
  assert.throws(() => alone({ has: 'absent' }, { ifMatch: '*' }), fails('preconditionFailed'));
  assert.throws(() => alone({ has: 'unknown' }, { ifNoneMatch: '*' }), fails('originUnavailable'));
});

test('a delete of nothing is nothing, and one of what never reached the origin leaves a tombstone all the same', () => {
  assert.equal(decideDelete(NONE, gone()), undefined);
  assert.equal(decideDelete(at(tombstone()), gone()), undefined);
  assert.equal(decideDelete(at(tombstone({ drained: true })), gone({ begunRevision: 60 })), undefined);
  const unsent = decideDelete(at(dirty(1)), gone());
  assert.deepEqual(unsent?.current.base, { origin: 'absent', own: [contentOf(1)] });
  assert.equal(unsent?.current.drained, false);
  const sent = decideDelete(at(stub(1, '"d"')), gone())?.current as Tombstone;
  assert.deepEqual(sent.base, { origin: { etag: '"d"' }, own: [contentOf(1)] }, 'it may be sent once more');
  const deleted = at({ ...sent, drained: true });
  assert.equal(decideDelete(deleted, gone({ begunRevision: 60 })), undefined);
  assert.deepEqual(decideWrite(deleted, wish(2)).current.base, { origin: 'absent', own: [contentOf(1)] });
  assert.equal(decideDelete(NONE, gone({ origin: { has: 'unknown' } }))?.current.base.origin, 'unknown');
});

test('S-2: a delete knows every version that a late request may bring back, also those of before what drained in between', () => {
  const first = decideWrite(NONE, wish(1));
  const second = decideWrite({ record: first.record, revision: 50 }, wish(2));
  const drained = stubOf(second.record, second.current, '"d"');
  assert.deepEqual(drained.current?.kind === 'stub' && drained.current.late, [contentOf(1), contentOf(2)]);
  const third = decideWrite({ record: drained, revision: 60 }, wish(3));
  const late = [contentOf(1), contentOf(2)];
  assert.deepEqual(third.current.base, { origin: { etag: '"d"' }, own: [], late }, 'it is put over "d" without a look');
  const deleted = decideDelete({ record: third.record, revision: 70 }, gone());
  assert.deepEqual(deleted?.current.base, { origin: { etag: '"d"' }, own: [contentOf(3)], late });
  const again = stubOf(third.record, third.current, '"e"');
  assert.deepEqual(
    again.current?.kind === 'stub' && again.current.late,
    late,
    'what needs a version there creates none',
  );
  const after = { record: drainedOf(deleted?.record ?? {}, deleted?.current as Tombstone), revision: 80 };
  assert.deepEqual(decideWrite(after, wish(4)).current.base, { origin: 'absent', own: [contentOf(3)], late });
});

test('a rename moves a dirty object over another in one step, and leaves a tombstone that knows it', () => {
  const trouble = { kind: 'refused', message: 'the name is too long' } as const;
  const from = { key: 'old', ...at(dirty(1, { upload: 'u', trouble, committedRevision: 7 }), 50) };
  const moved = decideRename(from, at(dirty(2), 51), gone());
  assert.deepEqual(moved.to.current.base, { origin: 'absent', own: [contentOf(2)] });
  assert.equal(moved.to.current.content, contentOf(1));
  assert.equal(moved.to.current.upload, undefined);
  assert.equal(moved.to.current.trouble, undefined);
  assert.equal(moved.to.current.committedRevision, undefined, 'it is committed under this key now');
  assert.equal(moved.to.replaced, contentOf(2));
  const left = moved.from.current;
  assert.deepEqual(left?.kind === 'tombstone' && left.base.own, [contentOf(1)]);
  assert.throws(() => decideRename({ key: 'old', ...at(stub(1)) }, NONE, gone()), fails('noSuchKey'));
});

test('intents of checkpoints stay beside whatever happens to the key', () => {
  const intents = [{ checkpoint: 'c', attempt: 'a', to: dirty(9) }];
  const read: Recorded = { record: { current: dirty(1), intents }, revision: 50 };
  assert.deepEqual(decideWrite(read, wish(2)).record.intents, intents);
  assert.deepEqual(decideDelete(read, gone())?.record.intents, intents);
  assert.deepEqual(stubOf({ current: dirty(1), intents }, dirty(1), '"d"').intents, intents);
  assert.deepEqual(forgotten({ current: stub(1), intents }), { intents });
});

test('a record that is the only trace of a write is never forgotten', () => {
  assert.equal(forgotten({ current: stub(1) }), undefined);
  const pending = tombstone();
  assert.equal(forgotten(drainedOf({ current: pending }, pending)), undefined);
  for (const current of [dirty(1), pending]) assert.deepEqual(forgotten({ current }), { current });
});
