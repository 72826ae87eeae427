import assert from 'node:assert/strict';
import { test } from 'node:test';
import { GiB, MiB } from '../core/limits.ts';
import { unitsOf } from './drain-units.ts';

const TiB = 1024 * GiB;

test('units cover an object without gaps, in parts that both origins take', () => {
  for (const size of [0, 1, 16 * MiB, 16 * MiB + 1, 4000 * 16 * MiB, 4000 * 16 * MiB + 5, 5 * TiB, 6 * TiB]) {
    const units = unitsOf(size);
    let at = 0;
    for (const [index, { number, start, end }] of units.entries()) {
      assert.equal(number, index + 1);
      assert.equal(start, at);
      assert.ok(end > start);
      at = end;
    }
    assert.equal(at, size);
    assert.ok(units.length <= 10_000, `${units.length} parts`);
  }
});

test('units grow: 4,000 of 16 MiB, 3,000 of 256 MiB, then 2 GiB', () => {
  const units = unitsOf(6 * TiB);
  const sizeOf = (number: number) => (units[number - 1]?.end ?? 0) - (units[number - 1]?.start ?? 0);
  assert.deepEqual([sizeOf(4000), sizeOf(4001), sizeOf(7000), sizeOf(7001)], [16 * MiB, 256 * MiB, 256 * MiB, 2 * GiB]);
});
