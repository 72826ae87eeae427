/** What a node says of itself: to the admin door, to orchestrators and to Prometheus. */
import { formatAddress } from '../core/address.ts';
import type { StoreStatus } from '../core/store-status.ts';
import type { DrainProgress } from '../drain/volume-drain.ts';
import type { NodeStatus, Readiness, VolumeStatus } from '../front/admin/node-status.ts';
import type { Gauge } from '../observe/metrics.ts';
import { type WritesStatus, writesStatus } from '../write/writes-status.ts';
import type { Config } from './config.ts';
import { kvGauges, kvStatuses } from './kv-report.ts';
import type { Node } from './node.ts';
import type { NodeHealth } from './node-health.ts';

export function volumeStatuses(node: Node, health: NodeHealth): VolumeStatus[] {
  const writes = writesOf(node);
  return Array.from(node.volumes.values(), ({ volume, origin }) => ({
    name: volume.name,
    origin: origin.url,
    write: volume.write,
    revalidateMs: bounded(volume.revalidateMs),
    staleIfErrorMs: bounded(volume.staleIfErrorMs),
    chunkSizeBytes: volume.chunkSizeBytes,
    verify: volume.verify,
    writes: writes.get(volume.name) ?? null,
    kv: null,
    ...health.of(volume.name),
  }));
}

function writesOf({ keeping, cluster, volumes }: Node): ReadonlyMap<string, WritesStatus> {
  if (keeping === undefined || cluster === undefined) return new Map();
  return writesStatus(
    Array.from(volumes.values(), ({ volume }) => volume),
    { keeping, cluster },
  );
}

/** JSON has no infinity. */
function bounded(ms: number): number | null {
  return Number.isFinite(ms) ? ms : null;
}

/**
 * Ready: the store is open, and each volume's origin has answered, or may be away because stale answers are allowed. A
 * disk that is ejected is gone round, so it makes a node slow, not unready.
 */
export function readinessOf(node: Node, health: NodeHealth): Readiness {
  const reasons = new Set<string>();
  for (const { volume } of node.volumes.values()) {
    const { reach } = health.of(volume.name);
    if (reach === 'unknown') reasons.add('an origin has not answered yet');
    if (reach === 'denied') reasons.add('an origin refuses this node');
    if (reach === 'away' && volume.staleIfErrorMs === 0)
      reasons.add('an origin is away whose objects may not be served stale');
  }
  return { ready: reasons.size === 0, reasons: [...reasons] };
}

/** The store learns of an ejected disk only when it asks something of it. */
function storeSummary(node: Node, health: NodeHealth): StoreStatus {
  const status = node.storeStatus;
  return health.diskEjected ? { ...status, disk: 'ejected' } : status;
}

export interface ReportParts {
  readonly config: Config;
  readonly node: Node;
  readonly health: NodeHealth;
  readonly version: string;
  readonly doors: Readonly<Record<string, string>>;
  readonly network: NodeStatus['network'];
  readonly uptimeMs: number;
}

export function statusOf(parts: ReportParts): NodeStatus {
  const { config, node, health } = parts;
  const { heapUsed, rss } = process.memoryUsage();
  return {
    name: config.node.name,
    zone: config.node.zone ?? null,
    cluster: config.cluster.name,
    version: parts.version,
    pid: process.pid,
    uptimeMs: Math.round(parts.uptimeMs),
    ready: readinessOf(node, health).ready,
    doors: parts.doors,
    network: parts.network,
    memory: { rssBytes: rss, heapBytes: heapUsed, budgetBytes: config.node.memoryBytes },
    store: storeSummary(node, health),
    volumes: [...volumeStatuses(node, health), ...kvStatuses(config, node)],
    membership: membershipOf(node),
  };
}

function membershipOf({ cluster }: Node): NodeStatus['membership'] {
  if (cluster === undefined) return null;
  const { epoch, members } = cluster.members;
  return {
    epoch,
    isFrozen: cluster.isFrozen,
    mayAct: cluster.mayAct(),
    members: members.map(({ node, zone, address, capacityBytes }) => ({
      node,
      zone,
      address: formatAddress(address),
      capacityBytes,
      trouble: cluster.troubleWith(node) ?? null,
    })),
  };
}

const STORE_GAUGES = {
  capacityBytes: ['forebay_store_capacity_bytes', 'Space that the store may take'],
  usedBytes: ['forebay_store_used_bytes', 'Space that the store takes'],
  stagedBytes: ['forebay_store_staged_bytes', 'Bytes of contents that are being written'],
  dirtyBytes: ['forebay_store_dirty_bytes', 'Bytes of contents that the origin does not have'],
  reservedBytes: ['forebay_store_reserved_bytes', 'Space set aside for what is on its way'],
  presentBytes: ['forebay_store_present_bytes', 'Bytes of contents that are here'],
  pinnedBytes: ['forebay_store_pinned_bytes', 'Bytes here that are pinned'],
  contents: ['forebay_store_contents', 'Contents with a file of their own'],
  smallContents: ['forebay_store_small_contents', 'Contents packed together'],
  facts: ['forebay_store_facts', 'Objects remembered'],
  orphans: ['forebay_store_orphans', 'Files without a record'],
  indexBytes: ['forebay_store_index_bytes', 'Memory of the index'],
} as const;

const WRITES_GAUGES: readonly (readonly [string, string, (status: WritesStatus) => number])[] = [
  ['forebay_dirty_bytes', 'Bytes held here that the origin does not have', ({ dirty }) => dirty.bytes],
  ['forebay_dirty_objects', 'Objects held here that the origin does not have', ({ dirty }) => dirty.objects],
  ['forebay_exposed_bytes', 'Bytes that only this node has', ({ exposed }) => exposed.bytes],
  ['forebay_exposed_objects', 'Objects that only this node has', ({ exposed }) => exposed.objects],
  ['forebay_replaced_bytes', 'Bytes held here for readers of what was replaced', ({ replaced }) => replaced.bytes],
  [
    'forebay_uncommitted_bytes',
    'Bytes sealed here and not known to be committed',
    ({ uncommitted }) => uncommitted.bytes,
  ],
  [
    'forebay_writes_degraded',
    'Fewer nodes are there than the volume wants copies',
    ({ isDegraded }) => (isDegraded ? 1 : 0),
  ],
];

/** Gauges read at each scrape. */
export function gaugesOf(node: Node, health: NodeHealth, version: string): Gauge[] {
  const names = Object.entries(STORE_GAUGES) as [keyof typeof STORE_GAUGES, readonly [string, string]][];
  const store = names.map(
    ([field, [name, help]]): Gauge => ({
      name,
      help,
      read: () => [{ labels: {}, value: node.storeStatus[field] }],
    }),
  );
  return [
    ...store,
    ...WRITES_GAUGES.map(
      ([name, help, of]): Gauge => ({
        name,
        help,
        read: () => Array.from(writesOf(node), ([volume, status]) => ({ labels: { volume }, value: of(status) })),
      }),
    ),
    {
      name: 'forebay_disk_ok',
      help: 'The cache disk answers and has space',
      read: () => [{ labels: {}, value: storeSummary(node, health).disk === 'ok' ? 1 : 0 }],
    },
    {
      name: 'forebay_volume_reachable',
      help: "The volume's origin answered when it was last asked",
      read: () =>
        Array.from(node.volumes.keys(), (volume) => ({
          labels: { volume },
          value: health.of(volume).reach === 'reachable' ? 1 : 0,
        })),
    },
    ...drainGauges(node),
    ...kvGauges(node),
    { name: 'forebay_build_info', help: 'The version that runs', read: () => [{ labels: { version }, value: 1 }] },
  ];
}

/** Of the volumes that this node is keeper of. */
function drainGauges({ drain }: Node): Gauge[] {
  const gauge = (name: string, help: string, value: (progress: DrainProgress) => number): Gauge => ({
    name,
    help,
    read: () =>
      (drain?.kept ?? []).map((progress) => ({ labels: { volume: progress.volume }, value: value(progress) })),
  });
  return [
    gauge('forebay_drain_pending_objects', 'Objects that wait for the origin', ({ pendingObjects }) => pendingObjects),
    gauge('forebay_drain_pending_bytes', 'Bytes that wait for the origin', ({ pendingBytes }) => pendingBytes),
    gauge(
      'forebay_drain_oldest_seconds',
      'For how long the oldest of them has been waiting',
      ({ oldestMs }) => oldestMs / 1000,
    ),
    gauge(
      'forebay_drain_troubled_objects',
      'Objects that somebody has to decide about',
      ({ troubledObjects }) => troubledObjects,
    ),
  ];
}
