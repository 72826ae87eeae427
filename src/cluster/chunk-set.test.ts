import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { ChunkSet, rangesOf } from './chunk-set.ts';

const step = fc.record({ add: fc.boolean(), chunk: fc.integer({ min: -3, max: 103 }) });

test('a set of chunks does what a set of numbers does, and comes back from its ranges', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 100 }), fc.array(step), (bound, steps) => {
      const set = new ChunkSet(bound);
      const expected = new Set<number>();
      for (const { add, chunk } of steps) {
        const inside = chunk >= 0 && chunk < bound;
        if (add) assert.equal(set.add(chunk), inside && !expected.has(chunk));
        else assert.equal(set.delete(chunk), expected.has(chunk));
        if (add && inside) expected.add(chunk);
        if (!add) expected.delete(chunk);
      }
      const ascending = [...expected].sort((a, b) => a - b);
      assert.equal(set.count, expected.size);
      assert.equal(set.full, expected.size === bound);
      assert.deepEqual(set.ranges(), rangesOf(ascending));
      const again = new ChunkSet(bound, set.ranges());
      assert.deepEqual(again.words, set.words);
      assert.equal(
        set.firstAbsent(),
        ascending.findIndex((chunk, i) => chunk !== i) < 0
          ? ascending.length
          : ascending.findIndex((chunk, i) => chunk !== i),
      );
    }),
  );
});

test('ranges from a message that lie outside are left out', () => {
  const set = new ChunkSet(10, [
    [-5, 2],
    [8, 1e9],
    [5, 4],
  ]);
  assert.deepEqual(set.ranges(), [
    [0, 2],
    [8, 10],
  ]);
  set.clear();
  assert.equal(set.count, 0);
});
