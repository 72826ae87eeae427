import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TokenBucket } from './token-bucket.ts';

test('a bucket makes bytes wait for their rate, and lets an idle link run ahead by its burst only', () => {
  const bucket = new TokenBucket(1_000_000, { burstMs: 4 });
  assert.equal(bucket.take(4000, 0), 0);
  assert.equal(bucket.take(1000, 0), 1);
  assert.equal(bucket.take(1000, 0), 2);
  assert.equal(bucket.take(1000, 2), 1);
  assert.equal(bucket.take(5000, 1000), 1);
  bucket.setRate(100_000);
  assert.equal(bucket.take(1000, 1001), 10);
});

test('over any long time the rate is kept, however the bytes are cut', () => {
  const bucket = new TokenBucket(50_000_000, { burstMs: 4 });
  let nowMs = 0;
  let bytes = 0;
  for (let i = 0; i < 10_000; i++) {
    const piece = 1000 + ((i * 7919) % 60_000);
    nowMs += bucket.take(piece, nowMs);
    bytes += piece;
  }
  const rate = bytes / (nowMs / 1000);
  assert.ok(Math.abs(rate / 50_000_000 - 1) < 0.01, `${rate}`);
});
