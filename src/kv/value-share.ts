/**
 * Room for values within the volume's share of the cache: whole entries go, the one used longest ago first; what is leased or open is passed
 * over. The cache gives way where the disk is full: what a volume does not use, it has.
 *
 * What goes of small values is dead in its pack until the pack is compacted, and that needs room for a moment: puts leave that much of the share
 * free, and above another such step space is made in the background. Packs of which half is dead are compacted before anything is evicted, so of
 * values that go in the order in which they came next to nothing is left dead; and at most an eighth of what small values take, in whatever order they go.
 */
import { ForebayError } from '../core/errors.ts';
import { valueFullMemoryMs, valuePackedMaxBytes } from '../core/kv-limits.ts';
import { KiB, MiB } from '../core/limits.ts';
import { type Clock, DiskError } from '../io/io.ts';
import type { Reservation } from '../store/space.ts';
import type { ValueRow } from '../store/value-table.ts';
import type { Values } from '../store/values.ts';
import type { VolumeValues } from '../store/volume-values.ts';

export interface ValueShareOptions {
  readonly values: VolumeValues;
  readonly store: Values;
  readonly clock: Clock;
  readonly shareBytes: number;
  readonly keysMax: number;
  /** Larger values get files of their own; absent: as the share allows. */
  readonly packedMaxBytes?: number | undefined;
  readonly mayEvict: (row: ValueRow) => boolean;
  readonly evict: (row: ValueRow) => void;
}

/** Room that was found. `reservation` is of the disk; call `settle` once its bytes count in the volume's footprint, or are given up. */
export interface Room {
  readonly reservation: Reservation;
  readonly settle: () => void;
}

/** Of small values; with more of it dead a pack is compacted whatever that moves. */
const DEAD_SHARE_MAX = 1 / 8;
/** Of the share: so little is a pack that what is kept free for its compaction costs few hits. */
const PACK_SHARE = 1 / 256;
/** Of the share: a larger value has a file of its own, for where fewer fit what packs leave dead costs too many hits. */
const PACKED_SHARE = 1 / 32_768;

export class ValueShare {
  readonly #options: ValueShareOptions;
  /** Packs are about that long; compaction needs at most twice as much for a moment. */
  readonly #packBytes: number;
  /** Found for puts that do not count in the footprint yet. */
  #promisedBytes = 0;
  #trimming = false;
  #step: Promise<boolean> | undefined;
  /** When all that is here was found to be leased or open. */
  #fullMs = Number.NEGATIVE_INFINITY;
  evicted = 0;

  constructor(options: ValueShareOptions) {
    this.#options = options;
    this.#packBytes = Math.min(64 * MiB, Math.max(32 * KiB, Math.floor(options.shareBytes * PACK_SHARE)));
    const packedMaxBytes = Math.min(valuePackedMaxBytes, options.shareBytes * PACKED_SHARE);
    options.values.bound({ packMaxBytes: this.#packBytes, packedMaxBytes: options.packedMaxBytes ?? packedMaxBytes });
  }

  get shareBytes(): number {
    return this.#options.shareBytes;
  }

  /** More than that is not leased. */
  get leasedMaxBytes(): number {
    return this.#options.shareBytes / 2;
  }

  /** Puts leave room for the compaction of a pack. */
  get #hardBytes(): number {
    const { values, shareBytes } = this.#options;
    return values.smallBytes > 0 || values.deadBytes > 0 ? shareBytes - 2 * this.#packBytes : shareBytes;
  }

  /** Room for a value of this size, where that takes no wait. */
  takeNow(sizeBytes: number): Reservation | undefined {
    const { values, store, keysMax } = this.#options;
    if (values.table.count >= keysMax && !this.#evictOldest()) return undefined;
    const bytes = values.footprintOf(sizeBytes);
    const left = this.#hardBytes - values.footprintBytes - this.#promisedBytes - bytes;
    if (left < 2 * this.#packBytes) this.#trim();
    return left < 0 ? undefined : store.reserveNow(bytes);
  }

  /** As `takeNow`, making room. Throws diskFull where all is leased or in use, diskUnavailable. */
  async take(sizeBytes: number, signal: AbortSignal): Promise<Room> {
    const { values, store, keysMax } = this.#options;
    if (values.table.count >= keysMax && !this.#evictOldest())
      throw new ForebayError('diskFull', `${values.name} has ${keysMax} keys, all of them leased or in use`);
    const bytes = values.footprintOf(sizeBytes);
    while (values.footprintBytes + this.#promisedBytes + bytes > this.#hardBytes) {
      signal.throwIfAborted();
      const wanted = this.#hardBytes - this.#promisedBytes - bytes;
      if (wanted < 0 || !(await this.#makeRoom(wanted)))
        throw new ForebayError(
          'diskFull',
          `no room for ${bytes} bytes in the share of ${values.name}: ${wanted < 0 ? 'it is too small' : 'all that it has is leased or in use'}`,
        );
    }
    this.#promisedBytes += bytes;
    const settle = () => {
      this.#promisedBytes -= bytes;
    };
    try {
      const reservation = await store.reserve(bytes);
      if (reservation !== undefined) return { reservation, settle };
    } catch (error) {
      settle();
      throw error;
    }
    settle();
    throw new ForebayError('diskFull', 'no room on the disk that may be taken from the cache');
  }

  /** Makes space in the background, so that puts need not wait for it. */
  #trim(): void {
    if (this.#trimming) return;
    this.#trimming = true;
    void this.#trimDown()
      .catch(ignoreTrouble)
      .finally(() => {
        this.#trimming = false;
      });
  }

  async #trimDown(): Promise<void> {
    const { values } = this.#options;
    const isAbove = () => values.footprintBytes > this.#hardBytes - 3 * this.#packBytes;
    while (isAbove() && (await this.#makeRoom(this.#hardBytes - 3 * this.#packBytes)));
  }

  /** One step towards a footprint of `wanted` bytes; false where there is none. Those who come meanwhile share it. */
  #makeRoom(wanted: number): Promise<boolean> {
    this.#step ??= this.#stepTowards(wanted).finally(() => {
      this.#step = undefined;
    });
    return this.#step;
  }

  async #stepTowards(wanted: number): Promise<boolean> {
    const { values, store } = this.#options;
    if (values.isGoing) {
      await values.settle();
      return true;
    }
    // A value that is still being written lies in no pack yet.
    await store.drained();
    const isMuchDead = values.deadBytes > DEAD_SHARE_MAX * values.smallBytes;
    if (await values.compact({ cheaply: !isMuchDead })) return true;
    return this.#evictBytes(values.footprintBytes - wanted) || (await values.compact({ cheaply: false }));
  }

  /** What was put together goes together: the packs of what is evicted next are soon worth their compaction. */
  #evictBytes(bytes: number): boolean {
    const { values } = this.#options;
    const least = values.smallBytes > 0 ? this.#packBytes / 4 : 0;
    const before = values.keptBytes;
    let evicted = false;
    while (before - values.keptBytes < Math.max(bytes, least) && this.#evictOldest()) evicted = true;
    return evicted;
  }

  #evictOldest(): boolean {
    const { values, clock, mayEvict, evict } = this.#options;
    const nowMs = clock.boottimeMs();
    if (nowMs - this.#fullMs < valueFullMemoryMs) return false;
    const { table } = values;
    for (let tries = table.count; tries > 0; tries -= 1) {
      const row = table.oldest;
      if (row === undefined) return false;
      const parts = [row];
      for (let part = table.sibling(row); part !== row; part = table.sibling(part)) parts.push(part);
      if (parts.every(mayEvict)) {
        this.evicted += parts.length;
        for (const part of parts) evict(part);
        return true;
      }
      for (const part of parts) table.touch(part);
    }
    this.#fullMs = nowMs;
    return false;
  }
}

/** Nobody waits for it: puts that find no room say why. */
function ignoreTrouble(error: unknown): void {
  if (!(error instanceof ForebayError) && !(error instanceof DiskError)) throw error;
}
