/** The node under simulation: the real store and the real read path over simulated io. */
import { fillsInFlightMax, MiB } from '../src/core/limits.ts';
import { createReader } from '../src/read/read.ts';
import { openStore } from '../src/store/open-store.ts';
import type { NodeStart, SimNode } from './sim-node.ts';

export async function startNode(start: NodeStart): Promise<SimNode> {
  const { clock, emit, volume, origin } = start;
  const store = await openStore({ ...start, factBytes: 4 * MiB });
  const reader = createReader({
    store,
    volumes: new Map([[volume.name, { volume, origin }]]),
    clock,
    emit,
    fillsMax: fillsInFlightMax,
  });
  return {
    reader,
    status: () => store.status,
    close: async () => {
      await reader.close();
      await store.close();
    },
  };
}
