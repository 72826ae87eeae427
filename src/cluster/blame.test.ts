import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Blame } from './blame.ts';

test('an asker avoids the source that failed it, the others only when a second one says so', () => {
  const blame = new Blame();
  assert.equal(blame.add(0, 'a', 's', 'timeout'), false);
  assert.deepEqual([blame.avoids(1, 'a', 's'), blame.avoids(1, 'b', 's')], [true, false]);
  assert.equal(blame.add(100, 'b', 's', 'unreachable'), true);
  assert.equal(blame.avoids(101, 'c', 's'), true);
  assert.equal(blame.avoids(5200, 'c', 's'), false);
  assert.equal(blame.avoids(10_001, 'a', 's'), false);
});

test('complaints that lie far apart do not add up', () => {
  const blame = new Blame();
  blame.add(0, 'a', 's', 'timeout');
  assert.equal(blame.add(20_000, 'b', 's', 'timeout'), false);
});

test('wrong bytes count at once and for longer', () => {
  const blame = new Blame();
  assert.equal(blame.add(0, 'a', 's', 'corrupt'), true);
  assert.equal(blame.avoids(59_000, 'b', 's'), true);
  assert.equal(blame.avoids(61_000, 'b', 's'), false);
  blame.forget('s');
  blame.add(0, 'a', 't', 'corrupt');
  blame.forget('t');
  assert.equal(blame.avoids(1, 'b', 't'), false);
});

test('who blames more than three is believed no more', () => {
  const blame = new Blame();
  const told = ['s', 't', 'u', 'v', 'w'].map((source) => blame.add(0, 'a', source, 'corrupt'));
  assert.deepEqual(told, [true, true, true, false, false]);
  assert.equal(blame.avoids(1, 'a', 'w'), true);
  assert.equal(blame.avoids(1, 'b', 'w'), false);
});

test('memory is bounded: of very many complaints the oldest are forgotten', () => {
  const blame = new Blame();
  for (let i = 0; i < 10_000; i++) blame.add(0, `a${i}`, 's', 'timeout');
  assert.equal(blame.avoids(6000, 'a0', 's'), false);
  assert.equal(blame.avoids(6000, 'a9999', 's'), true);
});
