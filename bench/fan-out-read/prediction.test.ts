import assert from 'node:assert/strict';
import { test } from 'node:test';
import { floorSeconds } from './floor.ts';
import { predictedS } from './prediction.ts';

const MIB = 2 ** 20;

for (const nodes of [2, 4, 8])
  test(`the simulator predicts for ${nodes} nodes no less than the floor of the links as measured, and little more`, () => {
    const goodput = { link: 29.5e6, origin: 58.2e6 };
    const floorS = floorSeconds({ nodes, sizeBytes: 64 * 8 * MIB, goodput });
    const seconds = predictedS({ chunks: 64, chunkMiB: 8 }, { nodes, goodput });
    assert.ok(seconds >= floorS * 0.999 && seconds < floorS * 1.1, `${seconds} s, floor ${floorS} s`);
  });
