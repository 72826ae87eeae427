/** A node of a cluster under simulation: the whole of `createNode` over simulated io, with nothing left out but the doors. */
import { assert } from '../src/core/assert.ts';
import { diskDeadlineMs, hotShare } from '../src/core/limits.ts';
import { withDeadline } from '../src/io/deadline-disk.ts';
import type { Network } from '../src/io/io.ts';
import { createNode } from '../src/node/node.ts';
import { observed } from '../src/origin/observed.ts';
import { retry } from '../src/origin/retry.ts';
import { throttle } from '../src/origin/throttle.ts';
import type { NodeStart, SimNode } from './sim-node.ts';

/** Doors use it, and there are none. */
const NO_NETWORK: Network = {
  path: 'portable',
  listen: () => Promise.reject(new Error('a simulated node opens no doors')),
  sendFile: () => Promise.reject(new Error('a simulated node opens no doors')),
  receiveInto: () => Promise.reject(new Error('a simulated node opens no doors')),
};

export async function startClusterNode(start: NodeStart): Promise<SimNode> {
  const { clock, random, emit, volume, directory, cluster } = start;
  assert(cluster, 'a node of a cluster has a place in it');
  const disk = withDeadline(start.disk, { clock, deadlineMs: diskDeadlineMs, path: directory, emit });
  const served = [{ volume, origin: start.origin }, ...(start.others ?? [])];
  const origins = new Map(
    served.map(({ volume: { name }, origin }) => [
      name,
      retry(throttle(observed(origin, { clock, emit }), { clock }), { clock, random, emit }),
    ]),
  );
  const node = await createNode({
    config: {
      node: {
        name: cluster.node,
        zone: cluster.zone,
        cacheDir: directory,
        capacityBytes: start.capacityBytes,
        memoryBytes: Math.ceil(start.hotBytes / hotShare),
        ffi: 'off',
        advertise: undefined,
      },
      doors: {
        s3: false,
        resp: false,
        admin: false,
        peer: cluster.address,
        anonymous: false,
        domain: undefined,
        hosts: [],
      },
      bandwidth: { peerBytesPerS: Infinity, repairBytesPerS: Infinity, originBytesPerS: Infinity },
      cluster: {
        name: cluster.cluster,
        coordinator: 'simulated',
        coordinatorUser: undefined,
        coordinatorPasswordFile: undefined,
        coordinatorCaFile: undefined,
        coordinatorCertificateFile: undefined,
        coordinatorKeyFile: undefined,
        secretFile: undefined,
        transport: 'plain',
      },
      volumes: served.map((each) => ({ volume: each.volume, endpoint: undefined, region: undefined })),
    },
    io: { clock, random, disk, network: NO_NETWORK },
    openOrigin: (entry) => {
      const origin = origins.get(entry.volume.name);
      assert(origin, 'each volume has an origin');
      return origin;
    },
    scrubBytesPerS: start.scrubBytesPerS,
    emit,
    cluster: { coordinator: cluster.coordinator, listenPeers: cluster.listenPeers, secrets: cluster.secrets },
  });
  return {
    reader: node.reader,
    writer: node.writer,
    checkpoints: node.checkpoints,
    recover: async (name) => node.drain?.recover(name, { force: false, signal: new AbortController().signal }),
    kv: node.kv,
    written: () => Promise.reject(new Error('writes go through the writer')),
    status: () => node.storeStatus,
    holds: (content, block) => node.holds(content, block),
    close: async () => {
      await node.close();
      disk.close();
    },
  };
}
