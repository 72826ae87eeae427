import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseCopyRange, parseRange } from './byte-range.ts';

test('ranges of objects larger than 4 GiB keep every bit', () => {
  const size = 5 * 1024 ** 3;
  assert.deepEqual(parseRange(`bytes=${size - 2}-`, size), { start: size - 2, end: size });
  assert.deepEqual(parseRange('bytes=-1', size), { start: size - 1, end: size });
  assert.deepEqual(parseRange('bytes=4294967296-4294967297', size), { start: 2 ** 32, end: 2 ** 32 + 2 });
});

test('what a range selects always lies in the object', () => {
  fc.assert(
    fc.property(fc.nat(), fc.option(fc.nat()), fc.option(fc.nat()), (size, first, last) => {
      const range = parseRange(`bytes=${first ?? ''}-${last ?? ''}`, size);
      if (range === undefined || range === 'unsatisfiable') return;
      assert.ok(range.start >= 0 && range.start < range.end && range.end <= size);
      if (first !== null) assert.equal(range.start, first);
    }),
  );
});

test('the range of a copy must lie in its source', () => {
  assert.deepEqual(parseCopyRange('bytes=0-9', 10), { start: 0, end: 10 });
  for (const text of ['bytes=0-10', 'bytes=5-4', 'bytes=-5', 'bytes=0-', '0-9'])
    assert.equal(parseCopyRange(text, 10), undefined);
});
