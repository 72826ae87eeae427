import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bootstrap, difference, interleave, judge, median, quantile, ratio, seededFraction } from './statistics.ts';

/** Pairs of a machine whose speed drifts by a factor of two and jitters by a tenth, both sides alike but for `factor`. */
function drifting(count: number, seed: number, factor: number): { ours: number; baseline: number }[] {
  const next = seededFraction(seed);
  return Array.from({ length: count }, (_, i) => {
    const speed = 1.5 + 0.5 * Math.sin(i / 5);
    const jitter = () => 0.9 + 0.2 * next();
    return { ours: speed * jitter() * factor, baseline: speed * jitter() };
  });
}

test('quantiles interpolate and do not depend on order', () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 2, 3]), 2.5);
  assert.equal(quantile([10, 0], 0.25), 2.5);
  assert.throws(() => median([]), RangeError);
});

test('the interval holds the median, lies within the values, and is the same for the same trials', () => {
  fc.assert(
    fc.property(
      fc.array(fc.double({ min: 0.001, max: 1e6, noNaN: true }), { minLength: 1, maxLength: 40 }),
      (values) => {
        const interval = bootstrap(values);
        assert.ok(interval.low <= interval.median && interval.median <= interval.high);
        assert.ok(interval.low >= Math.min(...values) && interval.high <= Math.max(...values));
        assert.deepEqual(bootstrap(values), interval);
      },
    ),
    { numRuns: 25 },
  );
});

test('the same thing against itself comes out as no difference', () => {
  let told = 0;
  for (let seed = 1; seed <= 40; seed++) if (difference(ratio(drifting(30, seed, 1))) !== 'no difference') told++;
  assert.ok(told <= 1, `${told} of 40 comparisons of equal things were told apart`);
});

test('a tenth of a difference is seen through a drift of a factor of two', () => {
  assert.equal(difference(ratio(drifting(60, 7, 1.1))), 'higher');
  assert.equal(difference(ratio(drifting(60, 7, 0.9))), 'lower');
});

test('a target is met or missed by the whole interval, else inconclusive', () => {
  const interval = { median: 1, low: 0.9, high: 1.1 };
  assert.equal(judge(interval, undefined), 'shown');
  assert.equal(judge(interval, { atLeast: 0.9 }), 'met');
  assert.equal(judge(interval, { atLeast: 1 }), 'inconclusive');
  assert.equal(judge(interval, { atLeast: 1.2 }), 'missed');
  assert.equal(judge(interval, { atMost: 1.1 }), 'met');
  assert.equal(judge(interval, { atMost: 1 }), 'inconclusive');
  assert.equal(judge(interval, { atMost: 0.8 }), 'missed');
});

test('pairs are interleaved, each side first in every other pair', async () => {
  const order: string[] = [];
  const side = (name: string) => async () => {
    order.push(name);
    return name;
  };
  const pairs = await interleave(3, { ours: side('o'), baseline: side('b') });
  assert.equal(order.join(''), 'obboob');
  assert.deepEqual(pairs[1], { ours: 'o', baseline: 'b' });
});
