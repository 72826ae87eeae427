import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { editDistance, nearestName } from './nearest-name.ts';

test('a mistyped name finds the one that was meant', () => {
  const known = ['origin', 'endpoint', 'region', 'revalidate', 'staleIfError', 'chunkSize'];
  for (const [typed, meant] of Object.entries({
    orgin: 'origin',
    oirgin: 'origin',
    stale_if_error: 'staleIfError',
    chunksize: 'chunkSize',
    revalidation: 'revalidate',
    endpont: 'endpoint',
  }))
    assert.equal(nearestName(typed, known), meant);
  assert.equal(nearestName('x', []), undefined);
});

test('edit distance is zero only for equals, symmetric, and bounded by the longer text', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 20 }), fc.string({ maxLength: 20 }), (a, b) => {
      const distance = editDistance(a, b);
      assert.equal(distance === 0, a === b);
      assert.equal(distance, editDistance(b, a));
      assert.ok(distance <= Math.max(a.length, b.length));
    }),
  );
});
