import assert from 'node:assert/strict';
import { test } from 'node:test';
import { metricSeriesMax } from '../core/limits.ts';
import { Counter, Histogram } from './tally.ts';

test('a counter adds up by label values', () => {
  const counter = new Counter('c', 'help', ['volume', 'reason']);
  counter.add(1, 'a', 'x');
  counter.add(2, 'a', 'x');
  counter.add(5, 'a', 'y');
  assert.deepEqual(
    [...counter.series],
    [
      { labels: { volume: 'a', reason: 'x' }, value: 3 },
      { labels: { volume: 'a', reason: 'y' }, value: 5 },
    ],
  );
});

test('past the bound of series everything is counted as other, and nothing is lost', () => {
  const counter = new Counter('c', 'help', ['volume']);
  for (let index = 0; index < metricSeriesMax + 100; index++) counter.add(1, `v${index}`);
  const series = [...counter.series];
  assert.equal(series.length, metricSeriesMax + 1);
  assert.deepEqual(series.at(-1), { labels: { volume: 'other' }, value: 100 });
});

test('an observation falls into the first bucket whose bound it does not pass', () => {
  const histogram = new Histogram('h', 'help', []);
  for (const value of [0, histogram.bounds[0] as number, (histogram.bounds[0] as number) * 1.01, 1e9])
    histogram.observe(value);
  const [series] = [...histogram.series];
  assert.equal(series?.count, 4);
  assert.deepEqual([series?.buckets[0], series?.buckets[1], series?.buckets.at(-1)], [2, 1, 1]);
});
