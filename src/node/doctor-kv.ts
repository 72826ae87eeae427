/** What `forebay doctor` says of kv volumes: whether as many keys fit the memory as values fit the share. */
import { keyMemoryBytes } from '../core/kv-limits.ts';
import { MiB } from '../core/limits.ts';
import { formatSize } from '../core/quantity.ts';
import type { Config } from './config.ts';
import { type Finding, ok, warn } from './finding.ts';

/** Blocks of KV caches have 1 to 128 MiB. */
const SMALL_VALUE_BYTES = MiB;

export function diagnoseKv({ node, volumes }: Config): Finding[] {
  const kv = volumes.flatMap(({ volume }) => (volume.kv ? [{ name: volume.name, ...volume.kv }] : []));
  const keysMax = Math.floor(node.memoryBytes / keyMemoryBytes / kv.length);
  return kv.map(({ name, share }) => {
    const check = `kv volume ${name}`;
    const keys = `at most ${keysMax} keys (node.memory = ${formatSize(node.memoryBytes)})`;
    if (node.capacityBytes === undefined)
      return ok(check, `may take ${percent(share)} of the cache, which \`forebay status\` shows, and ${keys}`);
    const shareBytes = share * node.capacityBytes;
    const text = `may take ${formatSize(shareBytes)} (${percent(share)} of node.capacity) and ${keys}`;
    const smallest = shareBytes / keysMax;
    if (smallest <= SMALL_VALUE_BYTES) return ok(check, text);
    const memoryBytes = (shareBytes / SMALL_VALUE_BYTES) * keyMemoryBytes * kv.length;
    return warn(
      check,
      `${text}: with values smaller than ${formatSize(smallest)} on average the keys end before the share is full`,
      `Set node.memory to ${formatSize(memoryBytes)} for values of 1 MiB, or a smaller share.`,
    );
  });
}

function percent(share: number): string {
  return `${Math.round(1000 * share) / 10} %`;
}
