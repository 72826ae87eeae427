import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PeakSpeed } from './peak-speed.ts';

test('the best of the last windows is the speed, and time in which nothing is on its way does not count', () => {
  const speed = new PeakSpeed(1000);
  assert.equal(speed.bytesPerS, undefined);
  speed.set(0, false);
  assert.equal(speed.received(100, 500), false);
  assert.equal(speed.received(200, 500), true);
  assert.equal(speed.bytesPerS, 5000);
  speed.set(200, undefined);
  speed.set(10_000, false);
  assert.equal(speed.received(10_100, 1000), true);
  assert.equal(speed.bytesPerS, 10_000);
  for (let at = 10_200; at <= 10_500; at += 100) speed.received(at, 100);
  for (const at of [12_000, 13_000, 14_000, 15_000]) assert.equal(speed.received(at, 1000), true);
  assert.equal(speed.bytesPerS, 1000, 'a peak is forgotten after four windows');
});

test('a link counts as saturated after two windows in which all sources were busy throughout', () => {
  const speed = new PeakSpeed(1000);
  speed.set(0, true);
  speed.received(1000, 1000);
  assert.equal(speed.saturated, false);
  speed.received(2000, 1000);
  assert.equal(speed.saturated, true);
  speed.set(2500, false);
  speed.set(2600, true);
  speed.received(3000, 1000);
  assert.equal(speed.saturated, false, 'one source had nothing for a moment');
});
