import assert from 'node:assert/strict';
import { test } from 'node:test';
import { repairAfterMs } from '../core/limits.ts';
import { copiesNeeded } from './copies-needed.ts';

const view = (options: { self?: string; gone?: Record<string, number>; wanted?: number }) => {
  const { self = 'a', gone = {}, wanted = 3 } = options;
  return { self, wanted, isMember: (node: string) => !(node in gone), goneMs: (node: string) => gone[node] ?? 0 };
};

test('copies that were never made are made at once, by the writer', () => {
  assert.deepEqual(copiesNeeded(['a'], view({})), { count: 2, left: 1, isRepair: false });
  assert.equal(copiesNeeded(['a', 'b'], view({})).count, 1);
  assert.equal(copiesNeeded(['a', 'b'], view({ self: 'b' })).count, 0);
  assert.equal(copiesNeeded(['a', 'b', 'c'], view({})).count, 0);
});

test('a lost copy is made anew after a while, at once where one is left, by the first that lives', () => {
  const replicas = ['a', 'b', 'c'];
  assert.equal(copiesNeeded(replicas, view({ gone: { b: 1000 } })).count, 0);
  assert.deepEqual(copiesNeeded(replicas, view({ gone: { b: repairAfterMs } })), { count: 1, left: 2, isRepair: true });
  assert.equal(copiesNeeded(replicas, view({ self: 'c', gone: { a: 0, b: 0 } })).count, 2);
  assert.equal(copiesNeeded(replicas, view({ self: 'b', gone: { a: repairAfterMs } })).count, 1);
  assert.equal(copiesNeeded(replicas, view({ self: 'c', gone: { a: repairAfterMs } })).count, 0);
  assert.equal(copiesNeeded(['a', 'b'], view({ gone: { b: 0 }, wanted: 2 })).count, 1);
});
