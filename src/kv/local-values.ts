/**
 * The values of one kv volume that this node holds (DESIGN.md section 9): use, time and space of them, over the store.
 *
 * Promises: what is served is whole and right (S-9, S-14); what is leased or open stays, unless a client deletes or replaces it (S-4, S-10); the
 * volume stays within its share, leases within half of it (S-12).
 *
 * Bounds:  the share; `valueBacklogMaxBytes` of small values wait for the disk, `valueBlocksMax` blocks of large ones.
 * Crash:   what was put in the last moments is a miss; what was deleted may be back, unless `written` was waited for.
 */
import { ForebayError } from '../core/errors.ts';
import { type ContentId, newContentId } from '../core/ids.ts';
import { valueBlocksMax, valueKeyMaxBytes, valueMaxBytes, valueSweepMs, valueSweepRowsMax } from '../core/kv-limits.ts';
import type { Volume } from '../core/volume.ts';
import type { Clock, Random } from '../io/io.ts';
import type { ContentRow } from '../store/content-table.ts';
import type { Reservation } from '../store/space.ts';
import type { Store } from '../store/store.ts';
import type { ValueRow, ValueTable } from '../store/value-table.ts';
import type { ValueMeta, VolumeValues } from '../store/volume-values.ts';
import type { OpenValue, ValueBody, ValueFact } from './kv.ts';
import { putLarge } from './large-put.ts';
import { LeaseBook } from './lease-book.ts';
import { LocalOpen } from './local-open.ts';
import { keysAfter } from './sorted-keys.ts';
import { BlockMemory, copyOf, wholeOf, withKeeping } from './value-blocks.ts';
import { ValueShare } from './value-share.ts';
import type { LocalOutcome, LocalPut, LocalValues, LocalValuesStatus } from './values.ts';

export interface LocalValuesOptions {
  readonly store: Store;
  /** With `kv`. */
  readonly volume: Volume;
  /** Of the node's cache. */
  readonly capacityBytes: number;
  /** Keys at most: their index is in memory. Infinity unless given. */
  readonly keysMax?: number;
  /** Larger values get files of their own; absent: as the share allows. */
  readonly packedMaxBytes?: number;
  readonly clock: Clock;
  readonly random: Random;
}

/** Begins to serve a volume's values. Close it before the store. */
export function openLocalValues(options: LocalValuesOptions): LocalValues {
  return new VolumeLocalValues(options);
}

const randomIds = 256;

class VolumeLocalValues implements LocalValues {
  readonly #options: LocalValuesOptions;
  readonly #values: VolumeValues;
  readonly #table: ValueTable;
  readonly #leases = new LeaseBook();
  readonly #share: ValueShare;
  readonly #memory: BlockMemory;
  readonly #suffixes: readonly string[];
  readonly #ttlMs: number;
  readonly #stop = new AbortController();
  /** Small values that are being read into memory, by content. */
  readonly #loads = new Map<number, Promise<void>>();
  #random: Uint8Array = new Uint8Array(0);
  #hits = 0;
  #misses = 0;
  #expired = 0;
  #leasedLost = 0;
  onGone: ((key: string, content: ContentId) => void) | undefined;

  constructor(options: LocalValuesOptions) {
    this.#options = options;
    const { store, volume, capacityBytes, clock } = options;
    this.#suffixes = volume.kv?.suffixes ?? [];
    this.#ttlMs = volume.kv?.ttlMs ?? Number.POSITIVE_INFINITY;
    this.#values = store.values.volume(volume.name);
    this.#table = this.#values.table;
    this.#memory = new BlockMemory(store.disk, valueBlocksMax);
    this.#share = new ValueShare({
      values: this.#values,
      store: store.values,
      clock,
      keysMax: options.keysMax ?? Number.POSITIVE_INFINITY,
      packedMaxBytes: options.packedMaxBytes,
      shareBytes: Math.floor((volume.kv?.share ?? 0) * capacityBytes),
      mayEvict: (row) => !this.#leases.isLeased(row, clock.boottimeMs()) && !this.#values.isOpen(row),
      evict: (row) => this.#goes(row),
    });
    this.#values.onLost = (row) => {
      if (this.#leases.isLeased(row, clock.boottimeMs())) this.#leasedLost += 1;
      this.#leases.remove(row);
      this.onGone?.(this.#table.key(row), this.#values.id(row));
    };
    for (const row of this.#table.rows()) this.#join(row, this.#table.key(row));
    void this.#sweep(this.#stop.signal).catch(() => undefined);
  }

  // ---- putting ------------------------------------------------------------------------------------------------------

  putNow(
    key: string,
    bytes: Uint8Array,
    options: { readonly ttlMs?: number; readonly contentType?: string; readonly mayKeep?: boolean },
  ): LocalOutcome | undefined {
    if (bytes.length > this.#values.packedMaxBytes) return undefined;
    const ttlMs = options.ttlMs ?? this.#ttlMs;
    if (!(ttlMs > 0)) return undefined;
    checkKey(key);
    const before = this.#live(key);
    const checksum = this.#options.store.disk.checksum(bytes);
    if (before !== undefined && this.#values.sizeBytes(before) === bytes.length) {
      if (bytes.length === 0) return this.#same(before, options);
      if (this.#values.checksum(before, 0) === checksum) {
        const had = this.#values.hot(before);
        if (had === undefined) return undefined;
        if (Buffer.compare(had, bytes) === 0) return this.#same(before, options);
      }
    }
    const reservation = this.#share.takeNow(bytes.length);
    if (reservation === undefined) return undefined;
    const kept = options.mayKeep === true ? bytes : copyOf(bytes);
    const outcome = this.#putSmall(key, { bytes: kept, checksum, reservation }, options);
    if (reservation.bytes > 0) reservation.release();
    return outcome;
  }

  async put(key: string, body: ValueBody, options: LocalPut): Promise<LocalOutcome> {
    options.signal.throwIfAborted();
    checkKey(key);
    const { lengthBytes } = body;
    if (!(lengthBytes >= 0 && lengthBytes <= valueMaxBytes))
      throw new ForebayError('tooLarge', `a value has at most ${valueMaxBytes} bytes, not ${lengthBytes}`);
    if (lengthBytes > this.#values.packedMaxBytes) return this.#putLarge(key, body, options);
    if (body.whole !== undefined && options.admit === undefined) {
      const outcome = this.putNow(key, body.whole, withKeeping(options, body));
      if (outcome !== undefined) return outcome;
    }
    const bytes = await wholeOf(body);
    const checksum = this.#options.store.disk.checksum(bytes);
    const before = this.#live(key);
    if (before !== undefined) {
      const compared = this.#table.content(before);
      const isEqual = await this.#isEqual(before, bytes, checksum);
      const still = this.#live(key);
      if (isEqual && still !== undefined && this.#table.content(still) === compared) return this.#same(still, options);
    }
    const { reservation, settle } = await this.#share.take(lengthBytes, options.signal);
    try {
      if (options.admit === undefined) return this.#putSmall(key, { bytes, checksum, reservation }, options);
      const id = this.#newId();
      await options.admit(id);
      return this.#putSmall(key, { bytes, checksum, reservation, id }, options);
    } finally {
      reservation.release();
      settle();
    }
  }

  /** Keeps the bytes. */
  #putSmall(
    key: string,
    value: { bytes: Uint8Array; checksum: number; reservation: Reservation; id?: ContentId },
    options: { readonly ttlMs?: number; readonly contentType?: string },
  ): LocalOutcome {
    const before = this.#table.find(key);
    if (before !== undefined) this.#leases.remove(before);
    const id = value.id ?? this.#newId();
    const { bytes, checksum, reservation } = value;
    const row = this.#values.putSmall(key, { id, bytes, checksum, reservation }, this.#meta(options));
    if (before === undefined) this.#join(row, key);
    return this.#put(row, 'stored');
  }

  async #putLarge(key: string, body: ValueBody, options: LocalPut): Promise<LocalOutcome> {
    const found = this.#live(key);
    const before = found !== undefined && this.#values.sizeBytes(found) === body.lengthBytes ? found : undefined;
    const compared = before === undefined ? undefined : this.#values.hold(before);
    const had = before === undefined ? undefined : this.#fact(before);
    let content: ContentRow | 'same';
    try {
      content = await putLarge({
        values: this.#values,
        memory: this.#memory,
        body,
        signal: options.signal,
        before,
        newId: () => this.#newId(),
        room: () => this.#share.take(body.lengthBytes, options.signal),
      });
      if (content === 'same') {
        const still = this.#live(key);
        if (still !== undefined && this.#table.content(still) === compared) return this.#same(still, options);
        // It was there when this put began, and another put or delete came after: as if they had come one after the other.
        return { outcome: 'same', fact: had as ValueFact };
      }
    } finally {
      if (compared !== undefined) this.#values.release(compared);
    }
    try {
      options.signal.throwIfAborted();
      await options.admit?.(this.#values.contentId(content));
    } catch (error) {
      this.#values.abandon(content);
      throw error;
    }
    const now = this.#table.find(key);
    if (now !== undefined) this.#leases.remove(now);
    const row = this.#values.commit(key, content, this.#meta(options));
    if (now === undefined) this.#join(row, key);
    return this.#put(row, 'stored');
  }

  async #isEqual(row: ValueRow, bytes: Uint8Array, checksum: number): Promise<boolean> {
    if (this.#values.sizeBytes(row) !== bytes.length) return false;
    if (bytes.length === 0) return true;
    if (this.#values.checksum(row, 0) !== checksum) return false;
    const content = this.#values.hold(row);
    try {
      const piece = await this.#values.acquire(content, { start: 0, end: bytes.length }, { verify: true });
      if (piece?.kind !== 'bytes') return false;
      piece.release();
      return Buffer.compare(piece.bytes, bytes) === 0;
    } finally {
      this.#values.release(content);
    }
  }

  /** Equal bytes are here: only the time is new. */
  #same(row: ValueRow, options: { readonly ttlMs?: number; readonly contentType?: string }): LocalOutcome {
    const { expiryMs } = this.#meta(options);
    const changed = expiryMs !== this.#table.expiryMs(row) || options.contentType !== this.#table.contentType(row);
    if (changed) {
      this.#table.setTimes(row, { ...this.#meta(options), modifiedMs: this.#table.modifiedMs(row) });
      this.#table.setContentType(row, options.contentType);
      this.#values.renote(row);
    }
    this.#use(row);
    return this.#put(row, 'same');
  }

  #put(row: ValueRow, outcome: LocalOutcome['outcome']): LocalOutcome {
    const fact = () => this.#fact(row);
    // Most callers want the outcome only.
    return {
      outcome,
      get fact() {
        return fact();
      },
    };
  }

  #meta(options: { readonly ttlMs?: number; readonly contentType?: string }): ValueMeta {
    const ttlMs = options.ttlMs ?? this.#ttlMs;
    const { clock } = this.#options;
    const wallMs = clock.wallMs();
    return {
      deadlineMs: clock.boottimeMs() + ttlMs,
      expiryMs: wallMs + ttlMs,
      modifiedMs: wallMs,
      contentType: options.contentType,
    };
  }

  // ---- reading ------------------------------------------------------------------------------------------------------

  find(key: string): ValueFact | undefined {
    const row = this.#live(key);
    return row === undefined ? undefined : this.#fact(row);
  }

  prepare(key: string): Promise<void> | undefined {
    const row = this.#live(key);
    if (row === undefined || this.#values.hot(row) !== undefined) return undefined;
    if (this.#values.isPacked(row)) return this.#load(row);
    return this.#values.isUnverified(row) ? this.#values.verify(row) : undefined;
  }

  /** Those who want the same bytes share one read. */
  #load(row: ValueRow): Promise<void> {
    const content = this.#table.content(row);
    let load = this.#loads.get(content);
    if (load === undefined) {
      load = this.#read(row).finally(() => this.#loads.delete(content));
      this.#loads.set(content, load);
    }
    return load;
  }

  async #read(row: ValueRow): Promise<void> {
    const content = this.#values.hold(row);
    try {
      const range = { start: 0, end: this.#values.sizeBytes(row) };
      const piece = await this.#values.acquire(content, range, { verify: false });
      piece?.release();
    } finally {
      this.#values.release(content);
    }
  }

  open(key: string): OpenValue | undefined {
    const row = this.#live(key);
    if (row === undefined) {
      this.#misses += 1;
      return undefined;
    }
    this.#hits += 1;
    this.#use(row);
    const hot = this.#values.hot(row);
    return new LocalOpen(this.#values, {
      fact: this.#fact(row),
      hot,
      content: hot === undefined ? this.#values.hold(row) : undefined,
      verify: this.#options.volume.verify === 'always',
    });
  }

  #fact(row: ValueRow): ValueFact {
    const contentType = this.#table.contentType(row);
    return {
      content: this.#values.id(row),
      sizeBytes: this.#values.sizeBytes(row),
      remainingMs: Math.max(0, this.#table.deadlineMs(row) - this.#options.clock.boottimeMs()),
      modifiedMs: this.#table.modifiedMs(row),
      ...(contentType === undefined ? {} : { contentType }),
    };
  }

  /** The key's row, unless its time is over: then it goes. What is leased stays until the lease ends (S-10). */
  #live(key: string): ValueRow | undefined {
    const row = this.#table.find(key);
    if (row === undefined) return undefined;
    const nowMs = this.#options.clock.boottimeMs();
    if (this.#table.deadlineMs(row) > nowMs || this.#leases.isLeased(row, nowMs)) return row;
    this.#expires(row);
    return undefined;
  }

  // ---- use, leases, time --------------------------------------------------------------------------------------------

  #use(row: ValueRow): void {
    this.#table.touch(row);
    for (let part = this.#table.sibling(row); part !== row; part = this.#table.sibling(part)) this.#table.touch(part);
  }

  lease(key: string, ms: number): boolean {
    const row = this.#live(key);
    if (row === undefined || this.#values.isUnverified(row)) return false;
    const nowMs = this.#options.clock.boottimeMs();
    const parts = this.#parts(row);
    let more = 0;
    for (const part of parts)
      if (!this.#leases.isLeased(part, nowMs)) more += this.#values.footprintOf(this.#values.sizeBytes(part));
    if (this.#leases.bytes(nowMs) + more > this.#share.leasedMaxBytes) return false;
    for (const part of parts)
      this.#leases.grant(part, this.#values.footprintOf(this.#values.sizeBytes(part)), nowMs + ms);
    this.#use(row);
    return true;
  }

  #parts(row: ValueRow): ValueRow[] {
    const parts = [row];
    for (let part = this.#table.sibling(row); part !== row; part = this.#table.sibling(part)) parts.push(part);
    return parts;
  }

  /** A key with a suffix belongs to the entry of its other parts. */
  #join(row: ValueRow, key: string): void {
    // at the start the other part may have joined it already
    if (this.#table.sibling(row) !== row) return;
    for (const suffix of this.#suffixes) {
      if (!key.endsWith(suffix)) continue;
      const base = key.slice(0, key.length - suffix.length);
      for (const other of this.#suffixes) {
        const part = other === suffix ? undefined : this.#table.find(base + other);
        if (part === undefined) continue;
        this.#table.join(row, part);
        return;
      }
      return;
    }
  }

  expire(key: string, ttlMs: number): boolean {
    const row = this.#live(key);
    if (row === undefined) return false;
    if (!(ttlMs > 0)) {
      this.#removes(row);
      return true;
    }
    const { deadlineMs, expiryMs } = this.#meta({ ttlMs });
    this.#table.setTimes(row, { deadlineMs, expiryMs, modifiedMs: this.#table.modifiedMs(row) });
    this.#values.renote(row);
    return true;
  }

  drop(key: string, content?: ContentId): boolean {
    const row = this.#live(key);
    if (row === undefined || (content !== undefined && this.#values.id(row) !== content)) return false;
    this.#removes(row);
    return true;
  }

  #removes(row: ValueRow): void {
    this.#leases.remove(row);
    this.#values.remove(row);
  }

  /** Goes by itself. */
  #goes(row: ValueRow): void {
    this.onGone?.(this.#table.key(row), this.#values.id(row));
    this.#removes(row);
  }

  #expires(row: ValueRow): void {
    this.#expired += 1;
    this.#goes(row);
  }

  /** Frees what is past its time, whether or not somebody asks for it. */
  async #sweep(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    for (let from = 0; ; from = from >= this.#table.rowsEnd ? 0 : from + valueSweepRowsMax) {
      await clock.sleep(from === 0 ? valueSweepMs : 1, signal);
      const nowMs = clock.boottimeMs();
      for (const row of this.#table.due(from, valueSweepRowsMax, nowMs)) {
        const isOver = this.#table.isLive(row) && this.#table.deadlineMs(row) <= nowMs;
        if (isOver && !this.#leases.isLeased(row, nowMs)) this.#expires(row);
      }
    }
  }

  // ---- listing ------------------------------------------------------------------------------------------------------

  *all(): Generator<{ readonly key: string; readonly fact: ValueFact }> {
    const nowMs = this.#options.clock.boottimeMs();
    for (const row of this.#table.rows())
      if (this.#table.deadlineMs(row) > nowMs) yield { key: this.#table.key(row), fact: this.#fact(row) };
  }

  page(request: {
    readonly prefix: string;
    readonly after?: string;
    readonly limit: number;
  }): readonly { readonly key: string; readonly fact: ValueFact }[] {
    const nowMs = this.#options.clock.boottimeMs();
    const found = keysAfter(this.#table, request, (row) => this.#table.deadlineMs(row) > nowMs);
    return found.map(({ key, row }) => ({ key, fact: this.#fact(row) }));
  }

  // ---- the rest -----------------------------------------------------------------------------------------------------

  written(): Promise<void> {
    return this.#options.store.values.written();
  }

  get status(): LocalValuesStatus {
    return {
      values: this.#table.count,
      bytes: this.#values.liveBytes,
      footprintBytes: this.#values.footprintBytes,
      shareBytes: this.#share.shareBytes,
      leasedBytes: this.#leases.bytes(this.#options.clock.boottimeMs()),
      hits: this.#hits,
      misses: this.#misses,
      evicted: this.#share.evicted,
      expired: this.#expired,
      leasedLost: this.#leasedLost,
      indexBytes: this.#table.bytes,
    };
  }

  close(): void {
    this.#stop.abort();
  }

  #newId(): ContentId {
    if (this.#random.length < 10) this.#random = this.#options.random.bytes(10 * randomIds);
    const random = this.#random.subarray(0, 10);
    this.#random = this.#random.subarray(10);
    return newContentId({ wallMs: this.#options.clock.wallMs(), random });
  }
}

function checkKey(key: string): void {
  if (key.length >= 1 && key.length <= valueKeyMaxBytes) return;
  throw new ForebayError('invalidArgument', `a key has 1 to ${valueKeyMaxBytes} bytes, not ${key.length}`);
}
