import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SimRandom } from '../sim-random.ts';
import { FluidLinks } from './fluid-links.ts';

const equal = (count: number) => Array.from({ length: count }, () => ({ up: 10, down: 10 }));

/** Runs to the end; returns when each transfer ended. */
function endsOf(links: FluidLinks, ids: readonly number[]): number[] {
  const ends = new Map<number, number>();
  while (links.nextMs < Number.POSITIVE_INFINITY) {
    const [nowMs, id] = [links.nextMs, links.nextId];
    assert.ok(Math.abs(links.came(nowMs, id) - links.end(nowMs, id)) < 1e-6);
    ends.set(id, nowMs);
  }
  return ids.map((id) => ends.get(id) as number);
}

const near = (actual: readonly number[], expected: readonly number[]) =>
  assert.deepEqual(
    actual.map((value) => Math.round(value * 1000) / 1000),
    expected,
  );

test('one transfer has the whole link, two share it, and who stays behind gets the rest', () => {
  const links = new FluidLinks(equal(3), 64);
  const ids = [100, 200].map((bytes, i) => links.begin(0, { source: 0, reader: 1 + i, bytes }));
  near(endsOf(links, ids), [20, 30]);
});

test('what a transfer cannot use, because it is held up at its other end, goes to the others', () => {
  const links = new FluidLinks([...equal(2), { up: 1, down: 1 }], 64);
  const fast = links.begin(0, { source: 0, reader: 1, bytes: 90 });
  const slow = links.begin(0, { source: 0, reader: 2, bytes: 20 });
  near(endsOf(links, [fast, slow]), [10, 20]);
});

test('a share that becomes free goes on to ends further away', () => {
  const links = new FluidLinks(equal(4), 64);
  const a = links.begin(0, { source: 0, reader: 2, bytes: 50 });
  const b = links.begin(0, { source: 0, reader: 3, bytes: 50 });
  const c = links.begin(0, { source: 1, reader: 3, bytes: 75 });
  near(endsOf(links, [a, b, c]), [10, 10, 12.5]);
});

test('a transfer that is given up has brought what came until then', () => {
  const links = new FluidLinks(equal(2), 64);
  const id = links.begin(0, { source: 0, reader: 1, bytes: 100 });
  assert.equal(links.end(4, id), 40);
  assert.equal(links.nextMs, Number.POSITIVE_INFINITY);
});

test('no end ever sends or receives more than it can, whatever begins and ends', () => {
  const event = fc.record({
    source: fc.nat(5),
    reader: fc.nat(5),
    bytes: fc.integer({ min: 1, max: 500 }),
    wait: fc.nat(9),
  });
  fc.assert(
    fc.property(fc.array(event, { minLength: 1, maxLength: 60 }), fc.nat(), (events, seed) => {
      const random = new SimRandom(seed);
      const ends = Array.from({ length: 6 }, () => ({ up: random.between(1, 20), down: random.between(1, 20) }));
      const links = new FluidLinks(ends, 1000);
      const under = new Map<number, { source: number; reader: number }>();
      let nowMs = 0;
      const check = () => {
        const rate = (id: number) => links.came(nowMs + 1e-3, id) - links.came(nowMs, id);
        for (const [end, { up, down }] of ends.entries()) {
          const sum = (ids: readonly number[]) => ids.reduce((total, id) => total + rate(id), 0) / 1e-3;
          assert.ok(sum(links.sendingOf(end)) <= up * 1.05, 'sends too much');
          assert.ok(sum(links.receivingOf(end)) <= down * 1.05, 'receives too much');
        }
      };
      for (const { source, reader, bytes, wait } of events) {
        while (links.nextMs <= nowMs + wait) {
          nowMs = links.nextMs;
          under.delete(links.nextId);
          links.end(nowMs, links.nextId);
          check();
        }
        nowMs += wait;
        under.set(links.begin(nowMs, { source, reader, bytes }), { source, reader });
        check();
      }
      assert.equal(
        ends.reduce((sum, _, end) => sum + links.sendingOf(end).length, 0),
        under.size,
      );
    }),
    { numRuns: 60 },
  );
});
