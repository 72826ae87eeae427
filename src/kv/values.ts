/**
 * The values that this node holds of its kv volumes: what `kv/local-values.ts` does over the store, and what the cluster's part
 * (`kv/kv-volume.ts`) builds on. Nothing here asks another node.
 *
 * A value is one *entry* with one or two parts: `<k>metadata` and `<k>kv_bytes` (suffixes of the volume's) are parts of the entry `<k>`, any other key is
 * an entry of one part. An entry's parts are leased, used and evicted together.
 */
import type { ContentId } from '../core/ids.ts';
import type { OpenValue, PutOptions, ValueBody, ValueFact } from './kv.ts';

export interface LocalPut extends Omit<PutOptions, 'onlyIfAbsent'> {
  /** Just before the value becomes visible; when it rejects nothing is kept. */
  readonly admit?: (content: ContentId) => Promise<void>;
}

export type LocalOutcome = { readonly outcome: 'stored' | 'same'; readonly fact: ValueFact };

export interface LocalValues {
  /** As `KvVolume.put`, here only. Equal bytes under the key write nothing (their TTL is renewed). */
  put(key: string, body: ValueBody, options: LocalPut): Promise<LocalOutcome>;
  find(key: string): ValueFact | undefined;
  /** At once; a use, for the eviction. `undefined` where it is not here. */
  open(key: string): OpenValue | undefined;
  /** True where this key, and every other part of its entry that is here, stays for `ms` from now; false at the bound of leased bytes, and where it is not here. */
  lease(key: string, ms: number): boolean;
  expire(key: string, ttlMs: number): boolean;
  /** Hides a key at once, leased or not; its bytes go when their readers are done. With `content` only that version. False where it is not here. */
  drop(key: string, content?: ContentId): boolean;
  /** All keys, in no order, for owners that are told anew; those that change meanwhile may be seen or not. */
  all(): Generator<{ readonly key: string; readonly fact: ValueFact }>;
  /** In byte order, from `after` (exclusive) on. */
  page(request: {
    readonly prefix: string;
    readonly after?: string;
    readonly limit: number;
  }): readonly { readonly key: string; readonly fact: ValueFact }[];
  /** A key went by itself: evicted, expired, damaged. */
  onGone: ((key: string, content: ContentId) => void) | undefined;
}
