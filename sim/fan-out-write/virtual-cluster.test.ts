import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MiB } from '../../src/core/limits.ts';
import { VirtualCluster, type VirtualOptions, type VirtualTimes } from './virtual-cluster.ts';

/** Two ranks on each of four nodes in three zones, a large file and a small one each. */
const RANK = [6 * MiB, MiB];

async function saved(
  change: Partial<VirtualOptions>,
  how: readonly { asCheckpoint: boolean }[],
): Promise<VirtualTimes[]> {
  const nodes = [0, 1, 2, 3].map(() => [RANK, RANK]);
  const cluster = new VirtualCluster({ nodes, linkMiBPerS: 8, originLinks: 2, zones: 3, seed: 7, ...change });
  await cluster.start();
  const times: VirtualTimes[] = [];
  for (const [index, each] of how.entries()) times.push(await cluster.save(`step-${index}`, each));
  await cluster.close();
  return times;
}

test('a step is safe as soon as links allow, whatever drains, and durable as soon as the origin can take it after that', async () => {
  const [plain, checkpoint] = (await saved({}, [{ asCheckpoint: false }, { asCheckpoint: true }])) as [
    VirtualTimes,
    VirtualTimes,
  ];
  for (const [what, times] of Object.entries({ plain, checkpoint })) {
    const { safeMs, safeFloorMs, durableMs, originFloorMs } = times;
    assert.ok(safeMs <= 1.15 * safeFloorMs, `${what}: safe after ${safeMs} ms, at least ${safeFloorMs}`);
    const drainedMs = durableMs - safeMs;
    assert.ok(drainedMs <= 1.08 * originFloorMs, `${what}: drained in ${drainedMs} ms, at least ${originFloorMs}`);
  }
});

test('where one node writes everything all who hold copies drain them', async () => {
  const all = Array.from({ length: 6 }, () => RANK);
  const [times] = (await saved({ nodes: [all, [], [], []], originLinks: 4 }, [{ asCheckpoint: true }])) as [
    VirtualTimes,
  ];
  assert.ok(times.safeMs <= 1.1 * times.safeFloorMs, `safe after ${times.safeMs} ms, at least ${times.safeFloorMs}`);
  // its own link alone would take as long as its copies took
  assert.ok(
    times.durableMs - times.safeMs <= 0.5 * times.originFloorMs,
    `drained in ${times.durableMs - times.safeMs} ms`,
  );
});
