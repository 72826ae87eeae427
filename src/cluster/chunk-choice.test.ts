import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SimRandom } from '../../sim/sim-random.ts';
import { chooseChunk } from './chunk-choice.ts';
import { ChunkSet, rangesOf } from './chunk-set.ts';

const setOf = (bound: number, chunks: readonly number[]) => new ChunkSet(bound, rangesOf(chunks));
const chunks = fc.uniqueArray(fc.integer({ min: 0, max: 299 }));

test('the chosen chunk is one that the source has and nobody here has or awaits, whenever there is one', () => {
  fc.assert(
    fc.property(chunks, chunks, fc.array(chunks, { maxLength: 3 }), fc.nat(), (has, taken, others, seed) => {
      const random = new SimRandom(seed);
      const sets = others.map((list) => setOf(300, list));
      const newestFirst = seed % 2 === 1;
      const chosen = chooseChunk({ has: setOf(300, has), taken: setOf(300, taken), others: sets, newestFirst, random });
      const wanted = has.filter((chunk) => !taken.includes(chunk));
      if (wanted.length === 0) assert.equal(chosen, undefined);
      else assert.ok(wanted.includes(chosen as number));
      if (wanted.length === 0 || wanted.length > 32) return;
      const holders = (chunk: number) => sets.filter((set) => set.has(chunk)).length;
      const fewest = Math.min(...wanted.map(holders));
      assert.equal(holders(chosen as number), fewest);
      if (newestFirst) assert.equal(chosen, Math.max(...wanted.filter((chunk) => holders(chunk) === fewest)));
    }),
  );
});

test('equally rare chunks are drawn evenly, few or many, unless the newest goes first', () => {
  for (const count of [8, 250]) {
    const random = new SimRandom(count);
    const has = setOf(
      300,
      Array.from({ length: count }, (_, i) => i + 3),
    );
    const drawn = new Uint32Array(300);
    for (let i = 0; i < 100 * count; i++) {
      const chosen = chooseChunk({ has, taken: new ChunkSet(300), others: [], newestFirst: false, random }) as number;
      drawn[chosen] = (drawn[chosen] as number) + 1;
    }
    for (let i = 0; i < count; i++) assert.ok((drawn[i + 3] as number) > 50, `chunk ${i + 3}: ${drawn[i + 3]}`);
  }
});
