/**
 * Takes bytes off the disk, always in the same order: the index forgets them and the journal says so; when that is
 * written, the bytes go; then their space counts as free. A block is not written again before that has happened
 * (`settled`), so a late punch never hits new bytes and a killed daemon never takes a hole for data.
 */
import { blockCount, blocksRange } from '../core/chunk.ts';
import { isForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { orphanKeepMs } from '../core/limits.ts';
import type { Clock, Disk } from '../io/io.ts';
import { DiskError } from '../io/io.ts';
import type { ContentRow } from './content-table.ts';
import { FLAG_LENT, FLAG_VALUE } from './content-table.ts';
import type { HotCache } from './hot-cache.ts';
import type { Journal } from './journal.ts';
import type { OpenFiles } from './open-files.ts';
import type { Packs } from './packs.ts';
import type { Space } from './space.ts';
import type { StoreIndex } from './store-index.ts';
import type { ValueBytes } from './value-bytes.ts';

export interface RemovalOptions {
  readonly index: StoreIndex;
  readonly journal: Journal;
  readonly packs: Packs;
  readonly files: OpenFiles;
  readonly space: Space;
  readonly hot: HotCache<ContentId>;
  readonly valueBytes: ValueBytes;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly dataPath: (id: ContentId) => string;
}

export class Removal {
  readonly #options: RemovalOptions;
  /** The last removal under way of each content. */
  readonly #pending = new Map<ContentId, Promise<unknown>>();
  /** Orphaned files: path → length and when they became so, by the wall. */
  readonly orphans = new Map<string, { readonly bytes: number; readonly sinceMs: number }>();

  constructor(options: RemovalOptions) {
    this.#options = options;
  }

  /** Resolves when no removal of this content is under way. */
  async settled(id: ContentId): Promise<void> {
    for (let pending = this.#pending.get(id); pending !== undefined; pending = this.#pending.get(id)) await pending;
  }

  isSettled(id: ContentId): boolean {
    return !this.#pending.has(id);
  }

  get underWay(): number {
    return this.#pending.size;
  }

  /** Removes blocks of a content that is not small, of chunks that nobody uses. */
  removeBlocks(row: ContentRow, blocks: { first: number; count: number }): { bytes: number; done: Promise<number> } {
    const { index, journal } = this.#options;
    const id = index.contents.id(row);
    const sizeBytes = index.contents.sizeBytes(row);
    const before = index.presentBytes;
    for (let block = blocks.first; block < blocks.first + blocks.count; block += 1) index.clearBlock(row, block);
    const bytes = before - index.presentBytes;
    const empty = index.contents.presentBlocks(row) === 0 && index.contents.holds(row) === 0;
    const lent = index.contents.has(row, FLAG_LENT);
    const gone = empty && !index.contents.isWritten(row);
    if (empty && !index.contents.isKept(row)) index.removeContent(row);
    const record = journal.append(
      gone ? { type: 'gone', id } : { type: 'absent', id, firstBlock: blocks.first, count: blocks.count },
    );
    const done = this.#after(id, record, async () => {
      if (gone) await this.#unlink(id);
      else if (this.#options.disk.canPunch && !lent) await this.#punch(id, blocks, sizeBytes);
      this.#options.space.free(bytes);
      return bytes;
    });
    return { bytes, done };
  }

  /** Removes a whole file also while the content is held: readers go on with the old one, and a new one is begun. */
  replaceFile(row: ContentRow): { bytes: number; done: Promise<number> } {
    const { index, journal, space } = this.#options;
    const id = index.contents.id(row);
    const before = index.presentBytes;
    for (let block = 0; block < blockCount(index.contents.sizeBytes(row)); block += 1) index.clearBlock(row, block);
    index.contents.set(row, FLAG_LENT, false);
    const bytes = before - index.presentBytes;
    const count = blockCount(index.contents.sizeBytes(row));
    const isWritten = index.contents.isWritten(row);
    // The row of what is not in the origin stays: until its file has gone it counts as lent, for it is somebody else's.
    if (!isWritten) journal.append(index.flagsRecord(row));
    const record = journal.append(isWritten ? { type: 'absent', id, firstBlock: 0, count } : { type: 'gone', id });
    const done = this.#after(id, record, async () => {
      await this.#unlink(id);
      const now = index.contents.find(id);
      if (isWritten && now !== undefined) journal.append(index.flagsRecord(now));
      space.free(bytes);
      return bytes;
    });
    return { bytes, done };
  }

  /** Frees what lies on the disk of the absent blocks of one chunk, unless somebody fills it just now. */
  async punchAbsent(row: ContentRow, blocks: { first: number; count: number }): Promise<void> {
    const { index } = this.#options;
    const chunk = index.chunkOf(row, blocks.first);
    if (chunk !== undefined && index.chunks.uses(chunk) > 0) return;
    const runs: { first: number; count: number }[] = [];
    for (let block = blocks.first; block < blocks.first + blocks.count; block += 1) {
      const last = runs.at(-1);
      if (index.hasBlock(row, block)) continue;
      if (last !== undefined && last.first + last.count === block) last.count += 1;
      else runs.push({ first: block, count: 1 });
    }
    const id = index.contents.id(row);
    const sizeBytes = index.contents.sizeBytes(row);
    // Registered before the first wait: a fill that begins from here on writes after the punch.
    await this.#after(id, this.#options.journal.appended, async () => {
      for (const run of runs) await this.#punch(id, run, sizeBytes);
      return 0;
    });
  }

  /** Removes a small content; its space comes back with its pack. */
  removeSmall(row: ContentRow): { bytes: number } {
    const { index, journal, hot, valueBytes } = this.#options;
    const id = index.contents.id(row);
    const before = index.presentBytes;
    index.clearBlock(row, 0);
    if (index.contents.has(row, FLAG_VALUE)) valueBytes.delete(row);
    else hot.delete(id);
    const written = index.contents.isWritten(row);
    if (index.contents.holds(row) === 0 && !index.contents.isKept(row)) index.removeContent(row);
    journal.append(written ? { type: 'absent', id, firstBlock: 0, count: 1 } : { type: 'gone', id });
    return { bytes: before - index.presentBytes };
  }

  /** Removes a pack in which nothing lives. Returns the bytes freed. */
  async removePack(pack: number): Promise<number> {
    const { journal, packs, space, index } = this.#options;
    // Records so far say where its contents went, or that they are gone.
    await journal.writtenThrough(journal.appended);
    const bytes = await packs.remove(pack);
    index.packLive.delete(pack);
    space.free(bytes);
    return bytes;
  }

  /** Removes the file of a content that has no blocks and no holder any more. */
  removeFile(id: ContentId): Promise<number> {
    return this.#after(id, this.#options.journal.appended, async () => {
      await this.#unlink(id);
      return 0;
    });
  }

  /** Deletes orphans: those past their time, or all when room is needed. Returns the bytes freed. */
  async dropOrphans(options: { expiredOnly: boolean } = { expiredOnly: false }): Promise<number> {
    const { disk, space, clock } = this.#options;
    let freed = 0;
    for (const [path, orphan] of this.orphans) {
      if (options.expiredOnly && clock.wallMs() - orphan.sinceMs < orphanKeepMs) continue;
      this.orphans.delete(path);
      try {
        await disk.unlink(path).catch(ignoreMissing);
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
        this.orphans.set(path, orphan);
        return freed;
      }
      space.free(orphan.bytes);
      freed += orphan.bytes;
    }
    return freed;
  }

  /** Runs a step after a record is written and after earlier removals of the content. Failures leave the space taken. */
  #after(id: ContentId, record: number, step: () => Promise<number>): Promise<number> {
    const earlier = this.#pending.get(id);
    const run = async () => {
      await earlier;
      try {
        await this.#options.journal.writtenThrough(record);
        return await step();
      } catch (error) {
        if (error instanceof DiskError || isForebayError(error, 'shuttingDown')) return 0;
        throw error;
      }
    };
    const done = run().finally(() => {
      if (this.#pending.get(id) === done) this.#pending.delete(id);
    });
    this.#pending.set(id, done);
    return done;
  }

  async #unlink(id: ContentId): Promise<void> {
    const path = this.#options.dataPath(id);
    this.#options.files.forget(path);
    await this.#options.disk.unlink(path).catch(ignoreMissing);
  }

  async #punch(id: ContentId, blocks: { first: number; count: number }, sizeBytes: number): Promise<void> {
    const opened = await this.#options.files.acquire(this.#options.dataPath(id), 'write');
    try {
      await opened.file.punch(blocksRange(blocks, sizeBytes));
    } finally {
      opened.release();
    }
  }
}

function ignoreMissing(error: unknown): void {
  if (!(error instanceof DiskError) || error.code !== 'ENOENT') throw error;
}
