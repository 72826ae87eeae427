import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulateFanIn } from './fan-in.ts';
import type { FanInParameters } from './parameters.ts';

const MiB = 2 ** 20;

const parametersOf = (change: Partial<FanInParameters> = {}): FanInParameters => ({
  nodes: 9,
  readers: 1,
  values: 64,
  valueBytes: MiB,
  holders: 8,
  linkBytesPerS: 1.25e9,
  latencyMs: 0.25,
  slow: 0,
  dead: 0,
  peerMs: 250,
  seed: 1,
  ...change,
});

test('one reader gets its values at the speed of its link, with one question to each owner and each holder', () => {
  const { gathers, floorMs } = simulateFanIn(parametersOf());
  const [gather] = gathers as [(typeof gathers)[0]];
  assert.ok(gather.ms > floorMs && gather.ms < floorMs / 0.9, `${gather.ms} ms, floor ${floorMs} ms`);
  assert.equal(gather.lookupMs, 1);
  assert.equal(gather.misses, 0);
  // At most nine owners and eight holders, asked and answering, and a pull for each value.
  assert.ok(gather.messages <= 2 * (9 + 8) + 64);
});

test('all nodes gather at once in little more time than one, where one node alone would serve them one after the other', () => {
  const { gathers: all, floorMs, oneNodeMs } = simulateFanIn(parametersOf({ nodes: 12, readers: 12, holders: 11 }));
  const gathers = all.toSorted((a, b) => a.ms - b.ms);
  const [median, last] = [gathers[gathers.length / 2], gathers.at(-1)].map((gather) => gather?.ms ?? Number.NaN);
  assert.ok((median as number) < 1.2 * floorMs, `median ${median} ms, floor ${floorMs} ms`);
  assert.ok((last as number) < oneNodeMs / 2, `last ${last} ms`);
});

test('large values come in runs of blocks, and nothing is lost of them', () => {
  const { gathers, floorMs } = simulateFanIn(parametersOf({ valueBytes: 50 * MiB + 1, values: 16 }));
  const [gather] = gathers as [(typeof gathers)[0]];
  assert.ok(gather.ms > floorMs && gather.ms < floorMs / 0.9, `${gather.ms} ms, floor ${floorMs} ms`);
});

test('dead nodes cost the configured delay for the question to owners and that to holders, and their values', () => {
  const { gathers, floorMs } = simulateFanIn(parametersOf({ dead: 1 }));
  const [gather] = gathers as [(typeof gathers)[0]];
  assert.ok(gather.misses >= 8 && gather.misses < 32, `${gather.misses} misses`);
  assert.ok(gather.lookupMs >= 250 && gather.lookupMs <= 500);
  assert.ok(gather.ms <= 500 + floorMs);
});

test('a slow node holds up what it has and nothing else, and the same seed gives the same figures', () => {
  const { gathers, floorMs } = simulateFanIn(parametersOf({ slow: 1 }));
  const [gather] = gathers as [(typeof gathers)[0]];
  const its = (10 * floorMs) / 8;
  assert.ok(gather.ms >= its && gather.ms < 1.1 * its, `${gather.ms} ms, its share takes ${its} ms`);
  assert.deepEqual(simulateFanIn(parametersOf({ slow: 1 })).gathers, gathers);
});
