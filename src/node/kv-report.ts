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

const GAUGES: readonly (readonly [string, string, (status: KvStatus) => number])[] = [
  ['forebay_kv_values', 'Values of a kv volume that this node holds', ({ values }) => values],
  ['forebay_kv_bytes', 'Space that they take', ({ bytes }) => bytes],
  ['forebay_kv_share_bytes', 'Space that they may take', ({ shareBytes }) => shareBytes],
  ['forebay_kv_leased_bytes', 'Space of those that a lookup has promised', ({ leasedBytes }) => leasedBytes],
];

/** Read at each scrape. */
export function kvGauges({ kv }: Pick<Node, 'kv'>): Gauge[] {
  return GAUGES.map(([name, help, of]) => ({
    name,
    help,
    read: () =>
      Array.from(kv?.volumes.values() ?? [], (volume) => ({
        labels: { volume: volume.name },
        value: of(volume.status),
      })),
  }));
}
