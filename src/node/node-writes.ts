/** A node's part in fan-out writes, put together: records, what is kept, copies for others, the writer of staged volumes. */
import type { ChunkRef } from '../cluster/chunk-ref.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Locator } from '../cluster/locator.ts';
import { drainYieldKeptShareMax, stageCallsPerPeerMax } from '../core/limits.ts';
import type { WritePolicy } from '../core/volume.ts';
import { Drain } from '../drain/drain.ts';
import type { Coordinator } from '../io/coordinator.ts';
import type { Io } from '../io/io.ts';
import type { Budget } from '../mover/budget.ts';
import type { Emit } from '../observe/events.ts';
import type { ReadThrough } from '../read/read.ts';
import type { VolumeSource } from '../read/volume-source.ts';
import type { Store } from '../store/store.ts';
import type { Checkpoints } from '../write/checkpoints.ts';
import { createRecords } from '../write/coordinator-records.ts';
import { CopyTraffic } from '../write/copy-traffic.ts';
import { DirtyKeeping } from '../write/dirty-keeping.ts';
import { DrainWaits } from '../write/drain-waits.ts';
import { OriginBase } from '../write/origin-base.ts';
import { PeerSlots } from '../write/peer-slots.ts';
import { RecordFeed } from '../write/record-feed.ts';
import { RecordLineage } from '../write/record-lineage.ts';
import type { Records } from '../write/records.ts';
import { ReplicaRing } from '../write/replica-group.ts';
import { ReplicaPursuit } from '../write/replica-pursuit.ts';
import { ReplicaServer } from '../write/replica-server.ts';
import type { StagedParts, StagedVolume } from '../write/staged-parts.ts';
import { StagedUploads } from '../write/staged-uploads.ts';
import { StagedWriter } from '../write/staged-writer.ts';
import type { Adopter, Writer } from '../write/writer.ts';
import { createNodeCheckpoints, type NodeCheckpoints } from './node-checkpoints.ts';

export interface NodeWrites {
  readonly records: Records;
  readonly feed: RecordFeed;
  readonly keeping: DirtyKeeping;
  /** There once `writer` was called. */
  readonly checkpoints: Checkpoints | undefined;
  /** There once `writer` was called. */
  readonly drain: Drain | undefined;
  writer(parts: { reader: ReadThrough; writeThrough: Writer; directory: string }): Writer & Adopter;
  /** Once the node is in its cluster. */
  start(): void;
  /** Before the cluster and the store are closed. */
  close(): Promise<void>;
}

export interface NodeWritesOptions {
  readonly cluster: Cluster;
  readonly locator: Locator;
  readonly coordinator: Coordinator;
  readonly store: Store;
  readonly volumes: ReadonlyMap<string, VolumeSource>;
  readonly io: Io;
  /** What may be sent to origins. */
  readonly originBudget: Budget;
  /** What repairs may move. */
  readonly repairBudget: Budget;
  readonly emit: Emit;
}

/** Before the node joins its cluster. */
export function createNodeWrites(options: NodeWritesOptions): NodeWrites {
  const { cluster, coordinator, store, io, emit } = options;
  const { clock, random } = io;
  const onUnreadable = (key: string, error: Error) =>
    emit({ kind: 'node.warning', message: `the record of ${key} is left out: ${error.message}` });
  const records = createRecords({ coordinator, clock, onUnreadable });
  const lineage = new RecordLineage({ coordinator, random });
  const feed = new RecordFeed({ records, clock, emit });
  const volumes = stagedVolumes(options.volumes);
  const policyOf = (volume: string): WritePolicy | undefined => volumes.get(volume)?.policy;
  let checkpoints: NodeCheckpoints | undefined;
  const keeping = new DirtyKeeping({
    cluster,
    store,
    records,
    lineage,
    feed,
    emit,
    policyOf,
    onHeld: (ref: ChunkRef) => options.locator.held(ref),
    isOver: async (volume, attempt) => (await checkpoints?.checkpoints.isOver(volume, attempt)) ?? false,
  });
  const server = new ReplicaServer({ cluster, store, keeping });
  const slots = new PeerSlots(stageCallsPerPeerMax);
  const traffic = new CopyTraffic({ clock, isShortOfRoom: () => store.keptShare > drainYieldKeptShareMax });
  const groupFor = replicaGroups(cluster, traffic);
  const { repairBudget } = options;
  const pursuit = new ReplicaPursuit({ cluster, keeping, slots, traffic, groupFor, policyOf, repairBudget });
  const base = new OriginBase(clock);
  const parts: StagedParts = {
    cluster,
    store,
    records,
    keeping,
    base,
    slots,
    traffic,
    groupFor,
    clock,
    random,
    emit,
    underWay: new Set(),
  };
  let uploads: StagedUploads | undefined;
  let drain: Drain | undefined;
  let staged: Writer | undefined;
  return {
    records,
    feed,
    keeping,
    get checkpoints() {
      return checkpoints?.checkpoints;
    },
    get drain() {
      return drain;
    },
    writer({ reader, writeThrough, directory }) {
      const onWritten = (volume: string, key: string) => reader.written(volume, key);
      const { originBudget: budget } = options;
      drain = new Drain({ ...options, records, lineage, keeping, budget, traffic, clock, random, onWritten });
      uploads = new StagedUploads({ ...parts, volumes, directory });
      checkpoints = createNodeCheckpoints({ ...parts, coordinator, volumes, reader, io });
      const writer = new StagedWriter({
        ...parts,
        volumes,
        uploads,
        checkpoints: checkpoints.checkpoints,
        writeThrough,
        waits: new DrainWaits({ feed, clock }),
        openSource: (volume, key, signal) => reader.open(volume, key, signal),
        onWritten,
      });
      staged = writer;
      return writer;
    },
    start() {
      void keeping.learn().then(() => feed.start(volumes.keys()));
      void keeping.run();
      void pursuit.run();
      drain?.start();
      if (staged !== undefined) checkpoints?.start(staged);
    },
    async close() {
      checkpoints?.close();
      await drain?.close();
      uploads?.close();
      pursuit.close();
      keeping.close();
      feed.close();
      for (const replication of parts.underWay) replication.stop(false);
      await server.close();
    },
  };
}

/** The members as this node speaks with them, in its own order for copies. */
function replicaGroups(cluster: Cluster, traffic: CopyTraffic): (sizeBytes: number) => readonly string[] {
  const { self: node, zone } = cluster;
  let ring = new ReplicaRing([], { node, zone });
  cluster.onMembers(({ members }) => {
    ring = new ReplicaRing(members, { node, zone });
    traffic.keepOnly((name) => cluster.member(name) !== undefined);
  });
  return (sizeBytes) => ring.group(sizeBytes, (name) => traffic.loadOf(name));
}

function stagedVolumes(sources: ReadonlyMap<string, VolumeSource>): Map<string, StagedVolume> {
  const staged = new Map<string, StagedVolume>();
  for (const [name, { volume, origin }] of sources)
    if (volume.writes !== undefined)
      staged.set(name, { volume, policy: volume.writes, origin, chunkSizeBytes: volume.chunkSizeBytes });
  return staged;
}
