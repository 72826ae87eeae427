/**
 * The values that this node holds of its kv volumes: what `kv/local-values.ts` does over the store, and what the cluster's part
 * (`kv/kv-volume.ts`) builds on. Nothing here asks another node.
 *
 * A value is one *entry* with one or two parts: `<k>metadata` and `<k>kv_bytes` (suffixes of the volume's) are parts of the entry `<k>`, any other key is
 * an entry of one part. An entry's parts are leased, used and evicted together.
 */
import type { ContentId } from '../core/ids.ts';
import type { OpenValue, PutOptions, ValueBody, ValueFact } from './kv.ts';

export interface LocalPut extends Omit<PutOptions, 'onlyIfAbsent' | 'mustBeAbsent'> {
  /** Just before the value becomes visible; when it rejects nothing is kept. */
  readonly admit?: (content: ContentId) => Promise<void>;
}

/** `fact` is to be read before anything else happens. */
export type LocalOutcome = { readonly outcome: 'stored' | 'same'; readonly fact: ValueFact };

export interface LocalValuesStatus {
  readonly values: number;
  /** Of values alone. */
  readonly bytes: number;
  /** Taken on the disk: what is dead in packs and what is still read of removed ones besides. */
  readonly footprintBytes: number;
  readonly shareBytes: number;
  readonly leasedBytes: number;
  readonly hits: number;
  readonly misses: number;
  readonly evicted: number;
  readonly expired: number;
  /** Values that were leased and went by themselves: their bytes were found wrong, or could not be written. */
  readonly leasedLost: number;
  /** Memory of the index of its keys, in bytes. */
  readonly indexBytes: number;
}

export interface LocalValues {
  /** `put`, where no wait is needed: bytes in memory that are packed, with room for them. `undefined`: call `put`. Copies the bytes unless they may be kept. */
  putNow(
    key: string,
    bytes: Uint8Array,
    options: { readonly ttlMs?: number; readonly contentType?: string; readonly mayKeep?: boolean },
  ): LocalOutcome | undefined;
  /**
   * What has to be waited for before `open` or `lease` of a key: small bytes that are not in memory are read and checked, large ones checked where
   * the machine was started anew since they were written; wrong ones go. `undefined`: nothing. Rejects when the disk does.
   */
  prepare(key: string): Promise<void> | undefined;
  /** Resolves when everything put and dropped before survives a killed daemon. For DEL: a deleted value must not come back. */
  written(): Promise<void>;
  /** As `KvVolume.put`, here only. Equal bytes under the key write nothing (their TTL is renewed). */
  put(key: string, body: ValueBody, options: LocalPut): Promise<LocalOutcome>;
  find(key: string): ValueFact | undefined;
  /** At once; a use, for the eviction. `undefined` where it is not here. */
  open(key: string): OpenValue | undefined;
  /** Not before what `prepare` names. True where this key, and every other part of its entry that is here, stays for `ms` from now; false at the bound of leased bytes, and where it is not here. */
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
  readonly status: LocalValuesStatus;
  /** Ends what goes on beside requests. */
  close(): void;
}
