import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { RowHash } from './row-hash.ts';

/** As tables look for a row. */
function isFound(hash: RowHash, row: number, home: number): boolean {
  const { cells } = hash;
  const mask = cells.length - 1;
  for (let at = home & mask; cells[at] !== 0; at = (at + 1) & mask) if (cells[at] === row) return true;
  return false;
}

test('every row that is here is found, and no other, whatever comes and goes and however the hashes collide', () => {
  const step = fc.record({ row: fc.integer({ min: 1, max: 60 }), home: fc.integer({ min: 0, max: 40 }) });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
      const hash = new RowHash(16);
      let room = 16;
      const here = new Map<number, number>();
      for (const { row, home: low } of steps) {
        const home = (low * 0x9e3779b1) >>> 0;
        if (here.delete(row)) hash.remove(row);
        else {
          for (; row >= room; room *= 2) hash.grow(room * 2);
          hash.add(row, home);
          here.set(row, home);
        }
        for (const [each, at] of here) assert.ok(isFound(hash, each, at), `row ${each}`);
        if (!here.has(row)) assert.ok(!isFound(hash, row, home));
      }
      assert.equal(
        hash.cells.reduce((count, cell) => count + Number(cell !== 0), 0),
        here.size,
      );
    }),
  );
});

test('a row that is not here cannot be removed', () => {
  const hash = new RowHash(16);
  hash.add(3, 7);
  hash.remove(3);
  assert.throws(() => hash.remove(3), { message: /in its hash table/ });
});
