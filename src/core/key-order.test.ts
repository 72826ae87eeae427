import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { compareKeys } from './key-order.ts';

test('keys compare as their UTF-8 bytes do', () => {
  const key = fc.string({ unit: 'binary', maxLength: 12 });
  fc.assert(
    fc.property(key, key, (a, b) => {
      const expected = Buffer.compare(Buffer.from(a, 'utf8'), Buffer.from(b, 'utf8'));
      assert.equal(Math.sign(compareKeys(a, b)), expected);
    }),
    { numRuns: 2000 },
  );
  assert.ok(compareKeys('\u{10000}', '\uffff') > 0);
});
