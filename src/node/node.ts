/**
 * One node: the store, the origins, the read and the write path, put together over the io that it is given. Used by the
 * daemon, by tests and by the simulator alike; doors are opened over it by `node/daemon.ts`.
 */

import { Adoptions } from '../adopt/adoptions.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { isForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { keyMemoryBytes } from '../core/kv-limits.ts';
import { factShare, fillMemoryBytes, fillsInFlightMax, hotShare, scrubBytesPerS } from '../core/limits.ts';
import type { ObjectVersion } from '../core/object.ts';
import type { StoreStatus } from '../core/store-status.ts';
import type { Drain } from '../drain/drain.ts';
import type { Coordinator } from '../io/coordinator.ts';
import type { Disk, Io } from '../io/io.ts';
import type { ListenPeers } from '../io/peers.ts';
import type { Kv } from '../kv/kv.ts';
import { openLocalValues } from '../kv/local-values.ts';
import { createKv } from '../kv/open-kv.ts';
import { Budget } from '../mover/budget.ts';
import type { Emit } from '../observe/events.ts';
import type { Origin } from '../origin/origin.ts';
import { createReader } from '../read/read.ts';
import type { Reader } from '../read/reader.ts';
import type { VolumeSource } from '../read/volume-source.ts';
import { openStore } from '../store/open-store.ts';
import type { Store } from '../store/store.ts';
import type { Checkpoints } from '../write/checkpoints.ts';
import type { DirtyKeeping } from '../write/dirty-keeping.ts';
import { createRecordView } from '../write/record-view.ts';
import type { Records } from '../write/records.ts';
import { createRoutedWriter } from '../write/routed-writer.ts';
import { createWriter } from '../write/write-through.ts';
import type { Target, Writer } from '../write/writer.ts';
import { decideCapacity } from './capacity.ts';
import type { Config, VolumeConfig } from './config.ts';
import { createPeers } from './node-peers.ts';
import { createNodeWrites, type NodeWrites } from './node-writes.ts';

export interface NodeOptions {
  readonly config: Pick<Config, 'node' | 'volumes' | 'cluster' | 'doors' | 'bandwidth'>;
  readonly io: Io;
  /** Opens the origin of a volume, without asking it anything. */
  readonly openOrigin: (volume: VolumeConfig) => Origin;
  readonly emit: Emit;
  /** Absent for a node alone. */
  readonly cluster?: NodeCluster;
  /** How fast the scrubber reads what is here; absent: the named limit. */
  readonly scrubBytesPerS?: number;
}

/** What a node of a cluster needs of the world. The node closes the coordinator. */
export interface NodeCluster {
  readonly coordinator: Coordinator;
  readonly listenPeers: ListenPeers;
  /** The cluster's secrets, as they are now: the first signs. */
  readonly secrets: () => readonly Uint8Array[];
}

export interface Node {
  readonly reader: Reader;
  readonly writer: Writer;
  /** Those with an origin. */
  readonly volumes: ReadonlyMap<string, VolumeSource>;
  /** Values without one. Absent where no kv volume is configured. */
  readonly kv: Kv | undefined;
  readonly storeStatus: StoreStatus;
  /** Whether a block of a content is here. */
  holds(content: ContentId, block: number): boolean;
  /** Absent for a node alone. */
  readonly cluster: Cluster | undefined;
  /** Absent where no volume is staged. */
  readonly records: Records | undefined;
  readonly keeping: DirtyKeeping | undefined;
  readonly checkpoints: Checkpoints | undefined;
  /** Brings what is written to the origins. Absent where nothing is staged. */
  readonly drain: Drain | undefined;
  /** Takes over the files of directories. Absent where nothing is staged. */
  readonly adoptions: Adoptions | undefined;
  /** Ends fills, closes the store and the origins; the io stays open. Call it once, after the doors are closed. */
  close(): Promise<void>;
}

/** Throws locked, formatTooNew, config, or the disk's errors. */
export async function createNode(options: NodeOptions): Promise<Node> {
  const { config, io, openOrigin, emit } = options;
  const { clock, random, disk } = io;
  const { cacheDir, memoryBytes } = config.node;
  await ensureDirectory(disk, cacheDir);
  const capacityBytes = config.node.capacityBytes ?? (await decideCapacity(disk, cacheDir));
  const store = await openStore({
    disk,
    clock,
    random,
    directory: cacheDir,
    capacityBytes,
    ...hotMemory(config),
    factBytes: Math.floor(memoryBytes * factShare),
    scrubBytesPerS: options.scrubBytesPerS ?? scrubBytesPerS,
    emit,
  });
  const peers = options.cluster && createPeers({ ...options, cluster: options.cluster, store, capacityBytes });
  const volumes = new Map<string, VolumeSource>();
  let writes: NodeWrites | undefined;
  let kv: Kv | undefined;
  const closeAll = async (): Promise<void> => {
    await writes?.close();
    await kv?.close();
    await peers?.cluster.close();
    await store.close();
    await Promise.all(Array.from(volumes.values(), ({ origin }) => origin.close()));
  };
  try {
    for (const entry of config.volumes)
      if (entry.volume.kv === undefined)
        volumes.set(entry.volume.name, { volume: entry.volume, origin: openOrigin(entry) });
    kv = openValues(options, { store, capacityBytes, cluster: peers?.cluster });
    const originBudget = new Budget(clock, config.bandwidth.originBytesPerS);
    const repairBudget = new Budget(clock, config.bandwidth.repairBytesPerS);
    if (peers !== undefined && options.cluster !== undefined && config.volumes.some(({ volume }) => volume.writes))
      writes = createNodeWrites({
        ...peers,
        coordinator: options.cluster.coordinator,
        store,
        volumes,
        io,
        originBudget,
        repairBudget,
        emit,
      });
    const fillsMax = Math.min(
      fillsInFlightMax,
      Math.max(2, Math.floor((memoryBytes * (1 - hotShare - factShare)) / fillMemoryBytes)),
    );
    const reader = createReader({
      store,
      volumes,
      clock,
      random,
      emit,
      fillsMax,
      originBudget,
      ...(peers && { peers }),
      ...(writes && { records: createRecordView(writes.records) }),
    });
    const through = createWriter({
      volumes,
      openSource: (volume, key, signal) => reader.open(volume, key, signal),
      disk,
      directory: cacheDir,
      clock,
      random,
      emit,
      onWritten: (volume, key) => reader.written(volume, key),
    });
    const isStaged = (volume: string) => volumes.get(volume)?.volume.writes !== undefined;
    const staged = writes?.writer({ reader, writeThrough: through, directory: cacheDir });
    const writer = staged === undefined ? through : createRoutedWriter({ through, staged, isStaged });
    const adoptions =
      staged &&
      new Adoptions({
        disk,
        clock,
        watchDirectory: io.watchDirectory,
        adopter: staged,
        writer,
        isStaged,
        cacheDir,
        lookup: (target, signal) => versionOf(reader, target, signal),
      });
    await peers?.join(reader, config.volumes);
    writes?.start();
    return {
      reader,
      writer,
      volumes,
      kv,
      cluster: peers?.cluster,
      records: writes?.records,
      keeping: writes?.keeping,
      drain: writes?.drain,
      checkpoints: writes?.checkpoints,
      adoptions,
      holds: (content, block) => store.hasBlock(content, block),
      get storeStatus() {
        return store.status;
      },
      async close() {
        adoptions?.close();
        through.close();
        await reader.close();
        await closeAll();
      },
    };
  } catch (error) {
    await closeAll();
    throw error;
  }
}

/** What is kept in memory of small things: of values too, where there are any. */
function hotMemory({ node, volumes }: NodeOptions['config']): { hotBytes: number; valueHotBytes: number } {
  const bytes = Math.floor(node.memoryBytes * hotShare);
  const valueHotBytes = volumes.some(({ volume }) => volume.kv) ? Math.floor(bytes / 2) : 0;
  return { hotBytes: bytes - valueHotBytes, valueHotBytes };
}

/** The kv volumes; `undefined` where none is configured. To be called before the cluster is joined. */
function openValues(
  { config, io, emit }: NodeOptions,
  { store, capacityBytes, cluster }: { store: Store; capacityBytes: number; cluster: Cluster | undefined },
): Kv | undefined {
  const { clock, random } = io;
  const volumes = config.volumes.flatMap(({ volume }) => (volume.kv ? [{ volume, kv: volume.kv }] : []));
  store.values.keepOnly(new Set(volumes.map(({ volume }) => volume.name)));
  if (volumes.length === 0) return undefined;
  const keysMax = Math.floor(config.node.memoryBytes / keyMemoryBytes / volumes.length);
  return createKv({
    volumes: volumes.map(({ volume, kv }, index) => ({
      name: volume.name,
      suffixes: kv.suffixes,
      number: kv.respDb ?? index,
      local: openLocalValues({ store, volume, capacityBytes, keysMax, clock, random }),
    })),
    clock,
    random,
    emit,
    cluster,
  });
}

async function versionOf(
  reader: Reader,
  { volume, key }: Target,
  signal: AbortSignal,
): Promise<ObjectVersion | undefined> {
  try {
    const object = await reader.open(volume, key, signal);
    object.close();
    return object.fact;
  } catch (error) {
    if (isForebayError(error, 'noSuchKey')) return undefined;
    throw error;
  }
}

/** Makes a directory and those above it. */
export async function ensureDirectory(disk: Disk, path: string): Promise<void> {
  if (await disk.stat(path)) return;
  const parent = path.slice(0, path.lastIndexOf('/'));
  if (parent !== '') await ensureDirectory(disk, parent);
  try {
    await disk.makeDirectory(path, { mode: 0o700 });
  } catch (error) {
    // Another daemon may be starting at the same moment.
    if (!(await disk.stat(path))) throw error;
  }
}
