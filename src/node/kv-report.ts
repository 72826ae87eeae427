/** What a node says of its kv volumes: in its status, and to Prometheus. */
import type { VolumeStatus } from '../front/admin/node-status.ts';
import type { KvStatus } from '../kv/kv.ts';
import type { Gauge } from '../observe/metrics.ts';
import type { Config } from './config.ts';
import type { Node } from './node.ts';

export function kvStatuses(config: Pick<Config, 'volumes'>, { kv }: Pick<Node, 'kv'>): VolumeStatus[] {
  return config.volumes.flatMap(({ volume }) => {
    const status = kv?.volumes.get(volume.name)?.status;
    if (status === undefined || volume.kv === undefined) return [];
    const { ttlMs, share, respDb } = volume.kv;
    return [
      {
        name: volume.name,
        origin: volume.origin,
        write: volume.write,
        revalidateMs: null,
        staleIfErrorMs: null,
        chunkSizeBytes: volume.chunkSizeBytes,
        verify: volume.verify,
        reach: 'none',
        writes: null,
        kv: { ...status, ttlMs: Number.isFinite(ttlMs) ? ttlMs : null, share, respDb: respDb ?? null },
      },
    ];
  });
}

const GAUGES: readonly (readonly [string, string, (status: KvStatus) => number | undefined])[] = [
  ['forebay_kv_values', 'Values of a kv volume that this node holds', ({ values }) => values],
  ['forebay_kv_bytes', 'Space that they take', ({ bytes }) => bytes],
  ['forebay_kv_share_bytes', 'Space that they may take', ({ shareBytes }) => shareBytes],
  ['forebay_kv_leased_bytes', 'Space of those that a lookup has promised', ({ leasedBytes }) => leasedBytes],
  ['forebay_kv_index_bytes', 'Memory of the index of keys', ({ indexBytes }) => indexBytes],
  ['forebay_kv_hits', 'Opens of values that were here, since the start', ({ hits }) => hits],
  ['forebay_kv_misses', 'Opens of values that were not here, since the start', ({ misses }) => misses],
  ['forebay_kv_evicted', 'Values that went for space, since the start', ({ evicted }) => evicted],
  ['forebay_kv_expired', 'Values whose time was over, since the start', ({ expired }) => expired],
  ['forebay_kv_leased_lost', 'Values that were promised and went by themselves', ({ leasedLost }) => leasedLost],
];

/** Read at each scrape. */
export function kvGauges({ kv }: Pick<Node, 'kv'>): Gauge[] {
  return GAUGES.map(([name, help, of]) => ({
    name,
    help,
    read: () =>
      Array.from(kv?.volumes.values() ?? [], (volume) => ({
        labels: { volume: volume.name },
        value: of(volume.status) ?? 0,
      })),
  }));
}
