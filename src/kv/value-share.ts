/**
 * Room for values within the volume's share of the cache: whole entries go, the one used longest ago first; what is leased or open is passed
 * over. The cache gives way where the disk is full: what a volume does not use, it has.
 */
import { ForebayError } from '../core/errors.ts';
import type { Reservation } from '../store/space.ts';
import type { ValueRow } from '../store/value-table.ts';
import type { Values } from '../store/values.ts';
import { type VolumeValues, valueFootprintBytes } from '../store/volume-values.ts';

export interface ValueShareOptions {
  readonly values: VolumeValues;
  readonly store: Values;
  readonly shareBytes: number;
  readonly mayEvict: (row: ValueRow) => boolean;
  readonly evict: (row: ValueRow) => void;
}

export class ValueShare {
  readonly #options: ValueShareOptions;
  evicted = 0;

  constructor(options: ValueShareOptions) {
    this.#options = options;
  }

  get shareBytes(): number {
    return this.#options.shareBytes;
  }

  /** More than that is not leased. */
  get leasedMaxBytes(): number {
    return this.#options.shareBytes / 2;
  }

  /** Room for a value of this size, where that takes no wait. */
  takeNow(sizeBytes: number): Reservation | undefined {
    const { values, store, shareBytes } = this.#options;
    const bytes = valueFootprintBytes(sizeBytes);
    if (values.footprintBytes + bytes > shareBytes) return undefined;
    return store.reserveNow(bytes);
  }

  /** As `takeNow`, making room. Throws diskFull where all is leased or in use, diskUnavailable. */
  async take(sizeBytes: number, signal: AbortSignal): Promise<Reservation> {
    const { values, store, shareBytes } = this.#options;
    const bytes = valueFootprintBytes(sizeBytes);
    while (values.footprintBytes + bytes > shareBytes) {
      signal.throwIfAborted();
      if (bytes > shareBytes || !this.#evictOldest())
        throw new ForebayError('diskFull', `no room for ${bytes} bytes in the share of ${values.name}`);
      await values.settle();
    }
    const reservation = await store.reserve(bytes);
    if (reservation !== undefined) return reservation;
    throw new ForebayError('diskFull', 'no room on the disk that may be taken from the cache');
  }

  #evictOldest(): boolean {
    const { values, mayEvict, evict } = this.#options;
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
    return false;
  }
}
