/** What `forebay doctor` says of kv volumes: whether the index of their keys fits the memory that the node may take. */
import { MiB } from '../core/limits.ts';
import { formatSize } from '../core/quantity.ts';
import type { Config } from './config.ts';
import { type Finding, ok, warn } from './finding.ts';

/** Of a key of 80 bytes, with the store's own rows. */
const BYTES_PER_KEY = 300;
/** Blocks of KV caches have 1 to 128 MiB. */
const SMALL_VALUE_BYTES = MiB;
/** The rest is for small contents, facts, fills and requests. */
const INDEX_SHARE = 0.5;

export function diagnoseKv({ node, volumes }: Config): Finding[] {
  const kv = volumes.flatMap(({ volume }) => (volume.kv ? [{ name: volume.name, ...volume.kv }] : []));
  if (kv.length === 0) return [];
  const check = kv.length === 1 ? `kv volume ${kv[0]?.name}` : `kv volumes ${kv.map(({ name }) => name).join(', ')}`;
  const share = kv.reduce((sum, volume) => sum + volume.share, 0);
  if (node.capacityBytes === undefined)
    return [ok(check, `may take ${percent(share)} of the cache; see \`forebay status\` for how much that is`)];
  const shareBytes = share * node.capacityBytes;
  const keysMax = (INDEX_SHARE * node.memoryBytes) / BYTES_PER_KEY;
  const smallest = shareBytes / keysMax;
  const text = `may take ${formatSize(shareBytes)} (${percent(share)} of node.capacity); with node.memory = ${formatSize(node.memoryBytes)} there is room for about ${Math.floor(keysMax / 1e5) / 10} million keys`;
  if (smallest <= SMALL_VALUE_BYTES) return [ok(check, text)];
  const memoryBytes = (shareBytes / SMALL_VALUE_BYTES) * (BYTES_PER_KEY / INDEX_SHARE);
  return [
    warn(
      check,
      `${text}: values smaller than ${formatSize(smallest)} on average would take more memory before the share is full`,
      `Set node.memory to ${formatSize(memoryBytes)} for values of 1 MiB, or a smaller share.`,
    ),
  ];
}

function percent(share: number): string {
  return `${Math.round(1000 * share) / 10} %`;
}
