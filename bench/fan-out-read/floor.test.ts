import assert from 'node:assert/strict';
import { test } from 'node:test';
import { floorSeconds } from './floor.ts';

const floor = (nodes: number, link: number, origin: number) =>
  floorSeconds({ nodes, sizeBytes: 1000, goodput: { link, origin } });

test('the floor is the slowest of what must happen: leave the origin, enter a node, leave from somewhere N times', () => {
  assert.equal(floor(8, 100, 200), 10);
  assert.equal(floor(8, 100, 50), 20);
  assert.equal(floor(1, 100, 100), 10);
  // two nodes and an origin of half a link: the copies leave at 50 + 2 × 100
  assert.equal(floor(2, 100, 50), 20);
  // an origin so fast that links alone bind
  assert.equal(floor(64, 100, 100_000), 10);
});
