import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crossover } from './sweep.ts';

const points = (...speedups: number[]) => speedups.map((speedup, i) => ({ originLinks: 2 ** i, speedup }));

test('the crossover lies between the last point above one and the first below', () => {
  assert.equal(crossover(points(4, 2, 1.5, 0.5)), 4 * 2 ** 0.5);
  assert.equal(crossover(points(4, 2, 1, 0.5)), 4);
  assert.equal(crossover(points(4, 2, 1.5)), undefined);
  assert.equal(crossover(points(0.9, 0.8)), 1);
});
