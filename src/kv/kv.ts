/**
 * What doors ask of kv volumes, and what they get (DESIGN.md section 9). `kv/kv-volume.ts` implements it.
 *
 * Keys are bytes, one character each (`latin1`): doors whose keys are text encode it as UTF-8 first. A key that is not there, an entry that
 * points to a node that is gone, a value whose holder does not answer in time: each is a miss, `undefined`, and never an error.
 */
import type { ContentId } from '../core/ids.ts';
import type { Range } from '../core/range.ts';
import type { File } from '../io/io.ts';
import type { Piece } from '../store/piece.ts';

/** A value on its way in. */
export interface ValueBody {
  /** 1 byte to `valueMaxBytes`. */
  readonly lengthBytes: number;
  /** All bytes, where they are in hand: then `stream` need not be asked. Not to be kept without `mayKeep`: copy them. */
  readonly whole?: Uint8Array;
  /** Nobody changes `whole` any more, and hardly anything else is kept with it: it may be. */
  readonly mayKeep?: boolean;
  /**
   * Receives all bytes into `file` from its start on, without JavaScript in between where the platform can; used instead of `stream`, by
   * stores of large values. `onBlock` takes the CRC32 of each MiB (the last is shorter) in order. Rejects as `stream` throws; then nobody writes to
   * the file any more.
   */
  receive?(file: File, onBlock: (block: number, checksum: number) => void): Promise<void>;
  /** Yields exactly `lengthBytes`; throws before it ends when they are not what was declared, so that nothing is kept. */
  stream(): AsyncIterable<Uint8Array>;
}

export interface PutOptions {
  /** From now; absent: the volume's. */
  readonly ttlMs?: number;
  /** Only where no value is there and no such put of another client is under way: a lock that one of several gets. */
  readonly onlyIfAbsent?: boolean;
  /** Asked when all bytes have come, and then as `onlyIfAbsent`: for doors that read conditions behind the bytes. */
  readonly mustBeAbsent?: () => boolean;
  /** Shown by doors that have such headers. */
  readonly contentType?: string;
  /** Called before the put resolves with what is under the key then, `exists` aside: for answers that carry an ETag. */
  readonly onKept?: (fact: ValueFact) => void;
  readonly signal: AbortSignal;
}

/** `same`: equal bytes were there, and nothing was written. `exists`: of `onlyIfAbsent`. */
export type PutOutcome = 'stored' | 'same' | 'exists';

export interface ValueFact {
  readonly content: ContentId;
  readonly sizeBytes: number;
  /** Until it is forgotten. */
  readonly remainingMs: number;
  /** Wall milliseconds since 1970, for display. */
  readonly modifiedMs: number;
  readonly contentType?: string | undefined;
}

/** One value, opened: its bytes stay until it is closed, also when it is deleted or replaced meanwhile. Close it exactly once. */
export interface OpenValue {
  readonly fact: ValueFact;
  /** All bytes, where they are in memory here: no piece, no release. */
  readonly hot: Uint8Array | undefined;
  /**
   * The bytes of `range` (within the value) in order. The consumer releases each piece before it asks for the next. Rejects where the
   * holder is lost midway: then the only honest end is a broken answer.
   */
  pieces(range: Range, signal: AbortSignal): AsyncIterable<Piece>;
  close(): void;
}

export interface Lookup {
  /** How many of the keys, from the first on, are there: each was granted by its holder, whole, until its lease ends (S-10). */
  readonly leading: number;
  /** Of those. */
  readonly facts: readonly ValueFact[];
}

export interface KeyPage {
  readonly keys: readonly { readonly key: string; readonly fact: ValueFact }[];
  /** Where the next page begins; absent after the last. */
  readonly next?: string;
}

export interface KvStatus {
  readonly values: number;
  readonly bytes: number;
  /** This node's share of its cache for this volume. */
  readonly shareBytes: number;
  readonly leasedBytes: number;
  readonly evicted: number;
  readonly expired: number;
  /** Of opens. */
  readonly hits?: number;
  readonly misses?: number;
  /** Promised by a lookup and then gone by themselves: wrong bytes, a failed disk. */
  readonly leasedLost?: number;
  /** Memory of the index of keys. */
  readonly indexBytes?: number;
}

export interface KvVolume {
  readonly name: string;
  /** Acknowledged when the bytes are stored here and the key's owner knows, or `kvTellMs` have passed. Throws tooLarge, diskFull (all is leased or being written), invalidArgument, the body's errors. */
  put(key: string, body: ValueBody, options: PutOptions): Promise<PutOutcome>;
  /** At once, where the value is in memory here. For the fast path of doors. */
  openHot(key: string): OpenValue | undefined;
  /** From here, or from the node that has it. */
  open(key: string, signal: AbortSignal): Promise<OpenValue | undefined>;
  /** The longest leading run of keys that are there, leased for `leaseMs` (absent: `kvLeaseMs`). One question per owner and one per holder. */
  lookup(
    keys: readonly string[],
    options: { readonly leaseMs?: number; readonly signal: AbortSignal },
  ): Promise<Lookup>;
  /** Each key's value in the order asked for, brought in parallel; a miss is `undefined`. The consumer closes each before it asks for the next. */
  getMany(keys: readonly string[], signal: AbortSignal): AsyncIterable<OpenValue | undefined>;
  /** How many were there. Nobody sees them afterwards, leased or not. */
  delete(keys: readonly string[], signal: AbortSignal): Promise<number>;
  /** Without a lease and without bytes: EXISTS takes `lookup`, STRLEN and TTL this. */
  stat(key: string, signal: AbortSignal): Promise<ValueFact | undefined>;
  /** False where there is no such key; `ttlMs` of 0 or less deletes. */
  expire(key: string, ttlMs: number, signal: AbortSignal): Promise<boolean>;
  /** Keys of the whole cluster in byte order, from `after` (exclusive) on. Nodes that do not answer in time are left out. */
  list(
    request: { readonly prefix: string; readonly after?: string; readonly limit: number },
    signal: AbortSignal,
  ): Promise<KeyPage>;
  /** Values of the whole cluster, as each node last said. */
  count(signal: AbortSignal): Promise<number>;
  /** Of this node. */
  readonly status: KvStatus;
}

export interface Kv {
  readonly volumes: ReadonlyMap<string, KvVolume>;
  /** The volume of a number of SELECT. */
  byNumber(number: number): KvVolume | undefined;
  close(): Promise<void>;
}
