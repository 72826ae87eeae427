/** The values of all kv volumes (DESIGN.md section 9), as the store has them. */
import { valuePackedMaxBytes } from '../core/kv-limits.ts';
import { smallContentMaxBytes } from '../core/limits.ts';
import { type Clock, type Disk, DiskError } from '../io/io.ts';
import type { Acquisition } from './acquisition.ts';
import type { ContentRow } from './content-table.ts';
import type { JournalRecord } from './journal-record.ts';
import { FORMAT_PACKED_VALUES, FORMAT_VALUES } from './layout.ts';
import type { Reservation } from './space.ts';
import { smallFootprintBytes } from './store-index.ts';
import type { StoreParts } from './store-parts.ts';
import { ValueBacklog } from './value-backlog.ts';
import { VolumeValues } from './volume-values.ts';

export interface ValuesOptions {
  readonly parts: StoreParts;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly acquisition: Acquisition;
  readonly append: (record: JournalRecord) => number;
  readonly reserve: (bytes: number) => Promise<Reservation | undefined>;
}

export class Values {
  readonly #options: ValuesOptions;
  readonly #backlog: ValueBacklog;
  readonly #volumes = new Map<string, VolumeValues>();
  readonly #leaving = new Map<ContentRow, VolumeValues>();
  /** Of earlier lives. */
  readonly #packs: readonly number[];
  #trimming = false;

  constructor(options: ValuesOptions) {
    this.#options = options;
    const { parts, disk } = options;
    this.#packs = Array.from(parts.packs.lengths.keys());
    this.#backlog = new ValueBacklog({
      disk,
      packs: parts.packs,
      bytes: parts.valueBytes,
      run: (operation) => parts.health.run(operation),
    });
    for (const name of parts.index.values.tables.keys()) this.volume(name);
  }

  /** The volume's values, none at first. */
  volume(name: string): VolumeValues {
    let volume = this.#volumes.get(name);
    if (volume === undefined) {
      const { parts, acquisition, append } = this.#options;
      volume = new VolumeValues({
        name,
        parts,
        acquisition,
        append,
        backlog: this.#backlog,
        leaving: this.#leaving,
      });
      this.#volumes.set(name, volume);
    }
    return volume;
  }

  /** Removes the packs of earlier lives in which nothing lives. */
  async removeDeadPacks(): Promise<void> {
    const { index, removal } = this.#options.parts;
    for (const pack of this.#packs)
      if ((index.packLive.get(pack) ?? 0) === 0) await removal.removePack(pack).catch(ignoreDisk);
  }

  /** Removes the values of all volumes but these: nobody could reach them. */
  keepOnly(names: ReadonlySet<string>): void {
    for (const volume of this.#volumes.values()) {
      if (names.has(volume.name)) continue;
      for (const row of Array.from(volume.table.rows())) volume.remove(row);
    }
  }

  /**
   * Promises space for a value at once; `undefined` where that takes a wait (`reserve`): the disk lacks room or is in trouble, too much waits to
   * be written, or no such value was ever put into this directory.
   */
  reserveNow(bytes: number): Reservation | undefined {
    const { space, health, eviction, format } = this.#options.parts;
    if (!format.has(formatOf(bytes)) || health.state !== 'ok' || this.#backlog.isFull || space.lacking(bytes) > 0)
      return undefined;
    const reservation = space.reserve(bytes);
    const surplus = space.surplus();
    if (surplus > 0 && !this.#trimming) {
      this.#trimming = true;
      void eviction
        .pass(surplus)
        .catch(ignoreDisk)
        .finally(() => {
          this.#trimming = false;
        });
    }
    return reservation;
  }

  /** As `reserveNow`, in time; `undefined` where nothing may be evicted for it. Throws DiskError, diskFull, diskUnavailable when the last write of values failed. */
  async reserve(bytes: number): Promise<Reservation | undefined> {
    const { health, format } = this.#options.parts;
    const version = formatOf(bytes);
    if (!format.has(version)) await health.run(() => format.raise(version));
    if (this.#backlog.isFull) await this.#backlog.written();
    return this.#options.reserve(bytes);
  }

  /** Resolves when everything put and removed so far survives a killed daemon, as far as the disk took it. */
  async written(): Promise<void> {
    const { journal } = this.#options.parts;
    await this.#backlog.written();
    await journal.writtenThrough(journal.appended);
  }

  /** Resolves when the small values put so far are in their packs, or lost. */
  drained(): Promise<void> {
    return this.#backlog.written();
  }

  /** Why values cannot be written just now. */
  get failure(): unknown {
    return this.#options.parts.health.state === 'ok' ? undefined : this.#backlog.failure;
  }

  /** The last holder of a value's content let go. For `store.ts`. */
  released(content: ContentRow): void {
    this.#leaving.get(content)?.released(content);
  }

  /** Bytes of a value were found wrong. For `verification.ts`. */
  damaged(content: ContentRow): void {
    for (const volume of this.#volumes.values()) if (volume.damaged(content)) return;
  }

  get hotBytes(): number {
    return this.#options.parts.valueBytes.bytes + this.#backlog.bytes;
  }
}

/** The layout that a value of this footprint needs. */
function formatOf(bytes: number): number {
  const isSmall = bytes < smallFootprintBytes(smallContentMaxBytes);
  return isSmall || bytes > smallFootprintBytes(valuePackedMaxBytes) ? FORMAT_VALUES : FORMAT_PACKED_VALUES;
}

function ignoreDisk(error: unknown): void {
  if (!(error instanceof DiskError)) throw error;
}
