import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { firstWrong, patternSlice, patternSlices } from './pattern.ts';

const MiB = 1 << 20;

test('slices of one object fit together, and the check accepts them', () => {
  const whole = Buffer.concat([...patternSlices(3, 3 * MiB + 5)]);
  assert.equal(whole.length, 3 * MiB + 5);
  fc.assert(
    fc.property(fc.nat(3 * MiB), fc.nat(MiB - 1), (at, length) => {
      const slice = patternSlice(3, at, Math.min(length, whole.length - at));
      assert.ok(whole.subarray(at, at + slice.length).equals(slice));
    }),
    { numRuns: 50 },
  );
  assert.equal(firstWrong(3, 0, whole), undefined);
  assert.equal(firstWrong(3, 100, whole.subarray(100)), undefined);
});

test('the check finds one flipped byte, zeros, a shifted block and another object', () => {
  const whole = Buffer.concat([...patternSlices(1, 2 * MiB)]);
  whole[MiB + 17]! ^= 1;
  assert.equal(firstWrong(1, 0, whole), MiB + 17);
  assert.equal(firstWrong(1, 5 * MiB, Buffer.alloc(MiB)) !== undefined, true);
  for (const chunks of [1, 16, 64]) assert.equal(firstWrong(1, chunks * MiB, patternSlice(1, 0, MiB)), chunks * MiB);
  assert.equal(firstWrong(2, 0, patternSlice(1, 0, MiB)), 0);
});
