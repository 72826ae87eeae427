/** A node's part in its cluster, put together: messages, directory, holdings, metadata. */
import { Cluster } from '../cluster/cluster.ts';
import { Directory } from '../cluster/directory.ts';
import { DirectoryOwner } from '../cluster/directory-owner.ts';
import { Holder } from '../cluster/holder.ts';
import { Locator } from '../cluster/locator.ts';
import { checkVolumes } from '../cluster/volume-identity.ts';
import { assert } from '../core/assert.ts';
import type { FillPeers } from '../read/fills.ts';
import type { ReadThrough } from '../read/read.ts';
import type { Store } from '../store/store.ts';
import type { VolumeConfig } from './config.ts';
import type { NodeCluster, NodeOptions } from './node.ts';

export interface NodePeers extends FillPeers {
  /** Becomes a member, once everything that peers may ask for is there. */
  join(reader: ReadThrough, volumes: readonly VolumeConfig[]): Promise<void>;
}

export function createPeers(
  options: NodeOptions & { cluster: NodeCluster; store: Store; capacityBytes: number },
): NodePeers {
  const { config, io, emit, store, capacityBytes } = options;
  const { coordinator, listenPeers, secrets } = options.cluster;
  assert(config.doors.peer, 'a node of a cluster has a peer door');
  const cluster = new Cluster({
    name: config.cluster.name,
    node: { name: config.node.name, zone: config.node.zone ?? 'default', capacityBytes },
    coordinator,
    listenPeers,
    peer: {
      address: config.doors.peer,
      advertise: config.node.advertise,
      secrets,
      transport: config.cluster.transport,
    },
    peerBytesPerS: config.bandwidth.peerBytesPerS,
    clock: io.clock,
    emit,
  });
  const locator = new Locator({ cluster, holdings: () => store.wholeChunks() });
  const owner = new DirectoryOwner(cluster, new Directory());
  return {
    cluster,
    locator,
    async join(reader, volumes) {
      new Holder({
        cluster,
        store,
        arriving: (id, block) => reader.arriving(id, block),
        onServe: (id, from, chunk) => reader.serving(id, from, chunk),
      });
      await checkVolumes(coordinator, volumes.map(identityOf));
      // The daemon has its directory to itself: whoever had it before on this boot of this machine has ended.
      const directory = await io.disk.stat(config.node.cacheDir);
      await cluster.join(directory && `${io.clock.bootId} ${directory.device} ${directory.inode}`);
      void owner.run().catch(() => undefined);
    },
  };
}

function identityOf({ volume }: VolumeConfig) {
  const { name, origin, kv, chunkSizeBytes } = volume;
  return { name, origin, kind: kv === undefined ? 'objects' : 'kv', chunkSizeBytes };
}
