/** The node under simulation: the real store and the real read path, with everything around them, over simulated io. */
import { diskDeadlineMs, fillsInFlightMax, MiB } from '../src/core/limits.ts';
import { withDeadline } from '../src/io/deadline-disk.ts';
import { observed } from '../src/origin/observed.ts';
import { retry } from '../src/origin/retry.ts';
import { throttle } from '../src/origin/throttle.ts';
import { createReader } from '../src/read/read.ts';
import { openStore } from '../src/store/open-store.ts';
import type { NodeStart, SimNode } from './sim-node.ts';
import { startClusterNode } from './start-cluster-node.ts';

export async function startNode(start: NodeStart): Promise<SimNode> {
  if (start.cluster) return startClusterNode(start);
  const { clock, random, emit, volume, directory } = start;
  const disk = withDeadline(start.disk, { clock, deadlineMs: diskDeadlineMs, path: directory, emit });
  const origin = retry(throttle(observed(start.origin, { clock, emit }), { clock }), { clock, random, emit });
  const store = await openStore({ ...start, disk, factBytes: 4 * MiB });
  const reader = createReader({
    store,
    volumes: new Map([[volume.name, { volume, origin }]]),
    clock,
    random,
    emit,
    fillsMax: fillsInFlightMax,
  });
  return {
    reader,
    writer: undefined,
    written: (name, key) => reader.written(name, key),
    status: () => store.status,
    holds: (content, block) => store.hasBlock(content, block),
    close: async () => {
      await reader.close();
      await store.close();
      disk.close();
    },
  };
}
