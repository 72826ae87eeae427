/**
 * Contents that are written here: those under way, and those that are sealed and not in the origin (dirty).
 *
 * A dirty content is never evicted (S-4) and outlives restarts with its note (S-3, S-14); only `cleaned` and `discard`
 * end that.
 */
import { ForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { smallContentMaxBytes, stagedContentsMax, stagedWaitMs } from '../core/limits.ts';
import type { Clock, Disk } from '../io/io.ts';
import { CHUNK_UNVERIFIED } from './chunk-table.ts';
import { type ContentRow, FLAG_DIRTY, FLAG_DOOMED, FLAG_STAGED } from './content-table.ts';
import type { JournalRecord } from './journal-record.ts';
import { FORMAT_STAGED } from './layout.ts';
import type { Reservation } from './space.ts';
import { StagedContent, type StagedParts } from './staged-content.ts';
import { type SpaceClaim, StagedSpace } from './staged-space.ts';
import type { DirtyContent, DirtyNote, Staging, StagingOptions } from './staging.ts';
import { smallFootprintBytes } from './store-index.ts';
import type { StoreParts } from './store-parts.ts';
import { SyncTurns } from './sync-turns.ts';
import { changed, copyFile, type FileStagingOptions, linkFile, statFile, type TakenFile } from './taken-file.ts';

/** Large files synced at once: each holds a thread of the disk. */
const syncsAtOnce = 2;

export interface StagingsOptions {
  readonly parts: StoreParts;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly reserve: (bytes: number) => Promise<Reservation | undefined>;
  readonly append: (record: JournalRecord, kept?: boolean) => number;
  readonly released: (row: ContentRow) => void;
  readonly drop: (id: ContentId) => void;
}

export class Stagings {
  readonly #options: StagingsOptions;
  readonly #io: StagedParts;
  readonly #live = new Map<ContentId, StagedContent>();
  /** Ids whose staging is being begun. */
  readonly #begun = new Set<ContentId>();
  #age = 0;

  constructor(options: StagingsOptions) {
    this.#options = options;
    const { parts, clock, disk } = options;
    const spaces = new StagedSpace({
      space: parts.space,
      clock,
      reserve: options.reserve,
      keptBytes: () => this.keptBytes,
    });
    this.#io = {
      parts,
      disk,
      clock,
      spaces,
      syncs: new SyncTurns(syncsAtOnce, clock),
      hasOwn: () => this.#live.values().some(({ isCopy }) => !isCopy),
      append: options.append,
      released: options.released,
      ended: (staged) => {
        if (this.#live.get(staged.id) === staged) this.#live.delete(staged.id);
        spaces.end(staged.age);
      },
    };
  }

  /** Bytes that nothing can be evicted for: staged and dirty ones, and those promised. */
  get keptBytes(): number {
    const { index, space } = this.#options.parts;
    return this.stagedBytes + index.dirtyBytes + space.reservedBytes;
  }

  get stagedBytes(): number {
    let bytes = 0;
    for (const staged of this.#live.values()) bytes += staged.stagedBytes;
    return bytes;
  }

  /** See `Store.stage`. */
  async stage(options: StagingOptions): Promise<Staging> {
    const { id } = options;
    const { index } = this.#options.parts;
    if (this.#live.size + this.#begun.size >= stagedContentsMax)
      throw new ForebayError('overloaded', `${stagedContentsMax} contents are being written here`);
    await this.#live.get(id)?.left;
    if (this.#live.has(id) || this.#begun.has(id)) throw new ForebayError('conflict', `${id} is being written already`);
    const found = index.contents.find(id);
    if (found !== undefined && index.contents.has(found, FLAG_DIRTY))
      throw new ForebayError('conflict', `${id} is here already, and not in the origin yet`);
    const claim: SpaceClaim = {
      age: (this.#age += 1),
      waitMs: options.onFull === 'fail' ? 0 : stagedWaitMs,
      isWhole: options.lengthBytes !== undefined,
      signal: options.signal,
    };
    this.#begun.add(id);
    this.#io.spaces.begin(claim.age);
    try {
      return await this.#begin(options, claim);
    } catch (error) {
      this.#io.spaces.end(claim.age);
      throw error;
    } finally {
      this.#begun.delete(id);
    }
  }

  async #begin(options: StagingOptions, claim: SpaceClaim): Promise<StagedContent> {
    const { id, lengthBytes, chunkSizeBytes } = options;
    const { parts, append } = this.#options;
    const { index, space } = parts;
    await this.#raise();
    await parts.removal.settled(id);
    const hereBytes = await this.#verified(id, lengthBytes);
    const wantedBytes = lengthBytes === undefined ? 0 : Math.max(0, footprintBytes(lengthBytes) - hereBytes);
    const reservation =
      wantedBytes === 0 ? space.promise() : await this.#io.spaces.take(claim, wantedBytes, wantedBytes);
    // what was found wrong, or evicted since, takes its file along: the new one begins after that
    while (!parts.removal.isSettled(id)) await parts.removal.settled(id);
    const found = index.contents.find(id);
    const row = found ?? index.ensureContent(id, { sizeBytes: lengthBytes ?? chunkSizeBytes, chunkSizeBytes });
    index.contents.addHolds(row, 1);
    index.contents.set(row, FLAG_DOOMED, false);
    index.mark(row, FLAG_STAGED, true);
    append({ type: 'staged', id, chunkSizeBytes }, true);
    const sizeBytes = found === undefined ? lengthBytes : index.contents.sizeBytes(row);
    const { onBlock, isCopy = false } = options;
    const staged = new StagedContent(this.#io, { id, row, claim, reservation, sizeBytes, onBlock, isCopy });
    this.#live.set(id, staged);
    return staged;
  }

  /** See `Store.stageFile`. */
  async stageFile(options: FileStagingOptions): Promise<TakenFile> {
    const { parts, disk } = this.#options;
    const { from, ...rest } = options;
    const found = await statFile(parts, disk, from);
    const { sizeBytes } = found;
    if (options.lengthBytes !== undefined && options.lengthBytes !== sizeBytes) throw changed(from);
    const staging = await this.stage({ ...rest, lengthBytes: sizeBytes });
    try {
      if (sizeBytes < smallContentMaxBytes) await copyFile(this.#options, { from, found, staging });
      else if (!(await linkFile(this.#options, { from, found, staging: staging as StagedContent })))
        await copyFile(this.#options, { from, found, staging });
      return { staging, sizeBytes, modifiedMs: Number(found.modifiedNs / 1_000_000n) };
    } catch (error) {
      staging.abandon();
      throw error;
    }
  }

  /** What of the content is here as cache is checked before it may count as written; returns its bytes. */
  async #verified(id: ContentId, lengthBytes: number | undefined): Promise<number> {
    const { index, verification } = this.#options.parts;
    const row = index.contents.find(id);
    if (row === undefined) return 0;
    if (lengthBytes !== undefined && index.contents.sizeBytes(row) !== lengthBytes)
      throw new ForebayError(
        'conflict',
        `${id} is here with ${index.contents.sizeBytes(row)} bytes, not ${lengthBytes}`,
      );
    index.contents.addHolds(row, 1);
    try {
      for (const chunk of Array.from(index.chunksOf(row)))
        if (index.chunks.isLive(chunk) && index.chunks.has(chunk, CHUNK_UNVERIFIED))
          await verification.chunk(chunk, 'first-use');
      let bytes = 0;
      for (const chunk of index.chunksOf(row)) bytes += index.chunks.presentCount(chunk);
      return bytes * (1 << 20);
    } finally {
      if (index.contents.addHolds(row, -1) === 0) this.#options.released(row);
    }
  }

  /** From the first staging on older daemons, which would take its records for damage, refuse the directory. */
  async #raise(): Promise<void> {
    const { format, health } = this.#options.parts;
    if (!format.has(FORMAT_STAGED)) await health.run(() => format.raise(FORMAT_STAGED));
  }

  /** A block of a content that is being written came by another way; false when it is not being written. */
  arrived(id: ContentId, block: number, checksum: number): boolean {
    const staged = this.#live.get(id);
    staged?.arrived(block, checksum);
    return staged !== undefined;
  }

  dirty(id: ContentId): DirtyContent | undefined {
    const { index } = this.#options.parts;
    const row = index.contents.find(id);
    return row === undefined ? undefined : index.dirtyContent(row);
  }

  *dirtyContents(): Generator<DirtyContent> {
    for (const id of Array.from(this.#options.parts.index.notes.keys())) {
      const content = this.dirty(id);
      if (content !== undefined) yield content;
    }
  }

  renote(id: ContentId, note: DirtyNote): void {
    const { parts, append } = this.#options;
    const row = parts.index.contents.find(id);
    if (row === undefined || !parts.index.contents.has(row, FLAG_DIRTY)) return;
    parts.index.setDirty(row, note);
    const record = parts.index.dirtyRecord(row);
    if (record !== undefined) append(record, true);
  }

  cleaned(id: ContentId): void {
    const { parts, append, disk } = this.#options;
    const { index } = parts;
    const row = index.contents.find(id);
    if (row === undefined || !index.contents.has(row, FLAG_DIRTY) || this.#live.has(id)) return;
    const isFile = !index.contents.isSmall(row);
    index.setClean(row);
    const record = append({ type: 'clean', id }, true);
    if (isFile) {
      // The table goes after the journal says so; one that stays is found at the next start.
      const unlink = () => (this.dirty(id) === undefined ? disk.unlink(parts.layout.table(id)) : undefined);
      void parts.journal
        .writtenThrough(record)
        .then(unlink)
        .catch(() => undefined);
    }
    this.#io.spaces.wake();
    if (index.contents.holds(row) === 0) this.#options.released(row);
  }

  discard(id: ContentId): void {
    if (this.dirty(id) === undefined || this.#live.has(id)) return;
    this.cleaned(id);
    this.#options.drop(id);
    this.#io.spaces.wake();
  }
}

function footprintBytes(sizeBytes: number): number {
  return sizeBytes < smallContentMaxBytes ? smallFootprintBytes(sizeBytes) : sizeBytes;
}
