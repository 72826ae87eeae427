import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Metrics } from './metrics.ts';

function sample(text: string, line: string): number {
  const found = text.split('\n').find((candidate) => candidate.startsWith(`${line} `));
  assert.ok(found, `no sample ${line}`);
  return Number(found.slice(line.length + 1));
}

test('events from before the first scrape are counted, keys never become labels', async () => {
  const metrics = new Metrics();
  metrics.count({ kind: 'read.done', volume: 'models', bytes: 100, hitBytes: 60, ms: 3 });
  metrics.count({ kind: 'fill.done', volume: 'models', key: 'secret/key', bytes: 40, ms: 20 });
  metrics.count({ kind: 'fill.failed', volume: 'models', key: 'secret/key', code: 'originUnavailable', message: 'm' });
  metrics.count({ kind: 'door.request', door: 's3', operation: 'GetObject', status: 206, bytes: 100, ms: 4 });
  metrics.count({ kind: 'origin.refill', volume: 'models', reason: 'evicted', bytes: 40 });
  const text = await metrics.text();
  assert.equal(sample(text, 'forebay_read_bytes_total{volume="models"}'), 100);
  assert.equal(sample(text, 'forebay_read_hit_bytes_total{volume="models"}'), 60);
  assert.equal(sample(text, 'forebay_fills_total{volume="models",result="ok"}'), 1);
  assert.equal(sample(text, 'forebay_fills_total{volume="models",result="originUnavailable"}'), 1);
  assert.equal(sample(text, 'forebay_origin_refills_total{volume="models",reason="evicted"}'), 1);
  assert.equal(sample(text, 'forebay_door_requests_total{door="s3",operation="GetObject",status="206"}'), 1);
  assert.doesNotMatch(text, /secret/);
});

test('histograms are cumulative and end in +Inf, sum and count', async () => {
  const metrics = new Metrics();
  for (const ms of [1, 2, 700, 90_000]) metrics.count({ kind: 'read.done', volume: 'v1', bytes: 0, hitBytes: 0, ms });
  const text = await metrics.text();
  assert.match(text, /# TYPE forebay_read_seconds histogram/);
  assert.equal(sample(text, 'forebay_read_seconds_bucket{le="0.001",volume="v1"}'), 1);
  assert.equal(sample(text, 'forebay_read_seconds_bucket{le="1",volume="v1"}'), 3);
  assert.equal(sample(text, 'forebay_read_seconds_bucket{le="60",volume="v1"}'), 3);
  assert.equal(sample(text, 'forebay_read_seconds_bucket{le="+Inf",volume="v1"}'), 4);
  assert.equal(sample(text, 'forebay_read_seconds_count{volume="v1"}'), 4);
  assert.ok(Math.abs(sample(text, 'forebay_read_seconds_sum{volume="v1"}') - 90.703) < 1e-9);
});

test('gauges are read at each scrape, and the process tells of itself', async () => {
  const metrics = new Metrics();
  let value = 1;
  metrics.addGauges([{ name: 'forebay_store_used_bytes', help: 'used', read: () => [{ labels: {}, value }] }]);
  assert.equal(sample(await metrics.text(), 'forebay_store_used_bytes'), 1);
  value = 2;
  const text = await metrics.text();
  assert.equal(sample(text, 'forebay_store_used_bytes'), 2);
  assert.ok(sample(text, 'process_resident_memory_bytes') > 0);
});
