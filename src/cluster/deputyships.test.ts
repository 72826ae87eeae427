import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deputyMs } from '../core/limits.ts';
import { Deputyships } from './deputyships.ts';
import type { Slot } from './slot.ts';

const slots = (...numbers: readonly number[]) => numbers as readonly number[] as readonly Slot[];

test('a node answers for slots from when it stands in for their owner until that is back, and for no others', () => {
  const deputyships = new Deputyships();
  deputyships.begin(0, 'a', slots(1, 2));
  deputyships.begin(0, 'b', slots(7));
  assert.deepEqual(
    [1, 2, 3, 7].map((slot) => deputyships.covers(slot as Slot)),
    [true, true, false, true],
  );
  assert.deepEqual(
    deputyships.tick(1000, (owner) => owner === 'a'),
    [1, 2],
  );
  assert.deepEqual(deputyships.owners, ['b']);
  assert.equal(deputyships.covers(1 as Slot), false);
  assert.equal(deputyships.covers(7 as Slot), true);
});

test('a deputyship ends after deputyMs, so that what the members hold is asked for anew', () => {
  const deputyships = new Deputyships();
  deputyships.begin(0, 'a', slots(1));
  assert.deepEqual(
    deputyships.tick(deputyMs - 1, () => false),
    [],
  );
  assert.deepEqual(
    deputyships.tick(deputyMs, () => false),
    [1],
  );
  assert.equal(deputyships.isFor('a'), false);
});

test('a change of members ends them all', () => {
  const deputyships = new Deputyships();
  deputyships.begin(0, 'a', slots(1));
  deputyships.begin(0, 'b', slots(2));
  assert.deepEqual(deputyships.endAll(), [1, 2]);
  assert.deepEqual(deputyships.owners, []);
});
