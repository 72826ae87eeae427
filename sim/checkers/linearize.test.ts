import assert from 'node:assert/strict';
import { test } from 'node:test';
import { linearize, type Step } from './linearize.ts';

const write = (number: number, fromMs: number, toMs: number): Step => ({
  fromMs,
  toMs,
  isOptional: toMs === Number.POSITIVE_INFINITY,
  isRead: false,
  text: `write ${number}`,
  next: () => number,
});

const read = (number: number, fromMs: number, toMs: number): Step => ({
  fromMs,
  toMs,
  isOptional: false,
  isRead: true,
  text: `read ${number}`,
  next: (state) => (state === number ? state : undefined),
});

const kindOf = (steps: readonly Step[]) => linearize(steps).kind;

test('S-2: a read after a write sees it', () => {
  assert.equal(kindOf([write(1, 0, 1), read(1, 2, 3)]), 'yes');
  assert.equal(kindOf([write(1, 0, 1), read(0, 2, 3)]), 'no');
  assert.equal(kindOf([write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)]), 'no');
});

test('S-2: a read during a write sees the old or the new, and later ones do not go back', () => {
  const during = [write(1, 0, 1), write(2, 2, 10)];
  assert.equal(kindOf([...during, read(1, 3, 4), read(2, 5, 6)]), 'yes');
  assert.equal(kindOf([...during, read(2, 3, 4), read(1, 5, 6)]), 'no');
  assert.equal(kindOf([...during, read(2, 3, 6), read(1, 5, 8)]), 'yes');
});

test('S-2: a write whose answer was lost may have happened, may happen later, or never', () => {
  const lost = write(2, 2, Number.POSITIVE_INFINITY);
  assert.equal(kindOf([write(1, 0, 1), lost, read(1, 100, 101)]), 'yes');
  assert.equal(kindOf([write(1, 0, 1), lost, read(1, 100, 101), read(2, 200, 201)]), 'yes');
  assert.equal(kindOf([write(1, 0, 1), lost, read(2, 100, 101), read(1, 200, 201)]), 'no');
  assert.equal(kindOf([write(1, 0, 1), read(2, 1.5, 1.8), lost]), 'no');
});

test('S-2: all states are told that a key can end in', () => {
  const found = linearize([write(1, 0, 5), write(2, 0, 5), write(3, 1, Number.POSITIVE_INFINITY)]);
  assert.deepEqual(found.kind === 'yes' && [...found.ends].sort((a, b) => a - b), [1, 2, 3]);
});

test('S-2: what does not fit is named', () => {
  const found = linearize([write(1, 0, 1), write(2, 2, 3), read(1, 4, 5)]);
  assert.equal(found.kind === 'no' && found.stuck?.text, 'read 1');
});

test('a hundred operations at once are decided in a moment', () => {
  const writes = Array.from({ length: 12 }, (_, index) => write(index + 1, 0, Number.POSITIVE_INFINITY));
  const reads = Array.from({ length: 90 }, (_, index) => read(1 + Math.floor(index / 10), 10 * index, 10 * index + 15));
  assert.equal(kindOf([...writes, ...reads]), 'yes');
});
