import assert from 'node:assert/strict';
import { test } from 'node:test';
import { simulateFanOutWrite } from './fan-out-write.ts';
import type { FanOutWriteParameters } from './parameters.ts';

const MiB = 2 ** 20;
const GB = 1e9;

/** Nodes that each write a few files of 64 MiB. */
function parametersOf(change: Partial<FanOutWriteParameters> = {}): FanOutWriteParameters {
  const ranks = Array.from({ length: 4 }, () => [64 * MiB, 64 * MiB]);
  return {
    nodes: Array.from({ length: 8 }, () => ranks),
    linkBytesPerS: 1.25 * GB,
    originBytesPerS: 2.5 * GB,
    diskBytesPerS: 5 * GB,
    latencyMs: 0.25,
    originMs: 20,
    replicas: 2,
    zones: 4,
    ...change,
  };
}

const SHARE = 8 * 64 * MiB;

const isNear = (value: number, expected: number, tolerance: number, what: string) =>
  assert.ok(Math.abs(value / expected - 1) <= tolerance, `${what}: ${value} instead of ${expected}`);

test('ranks are blocked as long as a plain write takes, for copies of others yield to them', () => {
  const { ours, copy } = simulateFanOutWrite(parametersOf());
  isNear(ours.blockedMs, (1000 * SHARE) / (5 * GB), 0.2, 'blocked');
  isNear(copy.blockedMs, (1000 * SHARE) / (5 * GB), 0.001, 'blocked by plain files');
});

test('a checkpoint is safe long before it is durable, and near the floor of links and disks', () => {
  const { ours, copy, safeFloorMs } = simulateFanOutWrite(parametersOf());
  assert.ok(ours.safeMs >= safeFloorMs);
  assert.ok(ours.safeMs < 2.2 * safeFloorMs, `safe ${ours.safeMs}, floor ${safeFloorMs}`);
  assert.ok(ours.safeMs < copy.safeMs);
  assert.ok(ours.safeMs < ours.durableMs);
});

test('the copy is bound by the origin, and a copy of one node alone by its link', () => {
  const even = simulateFanOutWrite(parametersOf());
  isNear(even.copy.durableMs - even.copy.blockedMs, (1000 * 8 * SHARE) / (2.5 * GB), 0.05, 'even');
  const [ranks] = parametersOf().nodes as [readonly (readonly number[])[]];
  const alone = simulateFanOutWrite(parametersOf({ nodes: [ranks, [], [], [], [], [], [], []] }));
  isNear(alone.copy.durableMs - alone.copy.blockedMs, (1000 * SHARE) / (1.25 * GB), 0.2, 'alone');
  const drained = alone.ours.durableMs - alone.ours.safeMs;
  assert.ok(drained < 0.8 * (alone.copy.durableMs - alone.copy.blockedMs), 'replicas drain beside the writer');
});

test('a lost node comes back at its own link from replicas, whatever the origin gives', () => {
  const slowOrigin = simulateFanOutWrite(parametersOf({ originBytesPerS: 0.5 * GB }));
  isNear(slowOrigin.restoreNodeMs, (1000 * SHARE) / (1.25 * GB), 0.1, 'from replicas');
  isNear(slowOrigin.copyRestoreNodeMs, (1000 * SHARE) / (0.5 * GB), 0.1, 'from the origin');
  assert.ok(slowOrigin.restoreAllMs < slowOrigin.copyRestoreAllMs / 5);
});

test('every file is committed a fixed number of times, and the same case gives the same figures', () => {
  const figures = simulateFanOutWrite(parametersOf());
  // local, replicated, folded into the checkpoint, upload begun, drained; the marker has no upload
  assert.equal(figures.commits, 5 * 64 + 4 + 1);
  assert.ok(figures.transactions < figures.commits);
  assert.deepEqual(simulateFanOutWrite(parametersOf()), figures);
});
