import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contentOf, dirty, stub, tombstone } from '../../tests/write/samples.ts';
import { originContentId } from '../core/ids.ts';
import { isNewerThan } from './recovered-version.ts';

const over = (...ns: number[]) => ({ base: { origin: 'absent', own: ns.map(contentOf) } }) as const;

test('what a version was written over is older, whatever the clocks say', () => {
  assert.equal(isNewerThan(dirty(1, over(2)), dirty(2)), true);
  assert.equal(isNewerThan(dirty(2), dirty(1, over(2))), false);
  assert.equal(isNewerThan(dirty(2), tombstone(over(2))), false, 'a delete of it');
  const overStub = dirty(1, { base: { origin: { etag: '"e"' }, own: [] } });
  assert.equal(isNewerThan(overStub, stub(2, '"e"')), true, 'over what the origin has of it');
});

test('where neither names the other the later bytes are newer, and a version is not newer than itself', () => {
  assert.equal(isNewerThan(dirty(2), dirty(1)), true);
  assert.equal(isNewerThan(dirty(1), dirty(2)), false);
  assert.equal(isNewerThan(dirty(1), dirty(1)), false);
  assert.equal(isNewerThan(dirty(1), stub(1)), false);
  assert.equal(isNewerThan(dirty(1), undefined), true);
  assert.equal(isNewerThan(dirty(1), tombstone({ modifiedMs: 2_000_000 })), false);
  assert.equal(isNewerThan(dirty(1), tombstone({ modifiedMs: 5 })), true);
  const content = originContentId({ volume: 'v', key: 'k', etag: '"x"' });
  assert.equal(isNewerThan(dirty(1), { ...stub(1), content, modifiedMs: 2_000_000 }), false, 'theirs, by its date');
});
