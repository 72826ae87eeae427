/**
 * The bytes that this node holds (DESIGN.md section 4): one sparse file per content, small contents in packs, an index in
 * memory, and a journal that rebuilds it.
 *
 * Promises: a block is given out only after its checksum was verified, when it arrived (S-9) or, after the machine started
 * anew, before its first use. What is pinned, leased, lent or being read is not removed (S-4). Space never passes the
 * capacity (S-12). `kill -9` loses at most what was not yet journalled; nothing half-written counts as present (S-14).
 */
import { crc32 } from 'node:zlib';
import { assert } from '../core/assert.ts';
import { BLOCK_SIZE_BYTES, blockCount, blockRange } from '../core/chunk.ts';
import { isForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { MiB, smallContentMaxBytes } from '../core/limits.ts';
import type { ObjectFact } from '../core/object.ts';
import type { Range } from '../core/range.ts';
import type { StoreStatus } from '../core/store-status.ts';
import { type Clock, type Disk, DiskError, type Random } from '../io/io.ts';
import type { BlockRun } from '../io/peers.ts';
import type { DropReason, Emit } from '../observe/events.ts';
import { Acquisition } from './acquisition.ts';
import { BlockTransfer, type Receiving } from './block-transfer.ts';
import { type ContentRow, FLAG_DOOMED, FLAG_LENT, FLAG_PINNED, FLAG_STAGED, FLAG_VALUE } from './content-table.ts';
import type { Piece } from './piece.ts';
import type { Reservation } from './space.ts';
import type { DirtyContent, DirtyNote, Staging, StagingOptions } from './staging.ts';
import { Stagings } from './stagings.ts';
import { smallFootprintBytes } from './store-index.ts';
import type { StoreParts } from './store-parts.ts';
import { presentBytesOf, reportStore } from './store-report.ts';
import type { FileStagingOptions, TakenFile } from './taken-file.ts';
import { Values } from './values.ts';

export interface StoreOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  /** Absolute path of the cache directory; created with mode 0700. */
  readonly directory: string;
  readonly capacityBytes: number;
  /** Budget for small contents kept in memory. */
  readonly hotBytes: number;
  /** The same for small values of kv volumes; none unless given. */
  readonly valueHotBytes?: number;
  /** Budget for what is known of keys. */
  readonly factBytes: number;
  /** Rate of the scrubber; 0 switches it off. */
  readonly scrubBytesPerS: number;
  /** Length of the journal from which a snapshot takes its place; 16 MiB unless given. */
  readonly snapshotAfterBytes?: number;
  readonly emit: Emit;
}

export interface ContentShape {
  readonly id: ContentId;
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
}

const closeDeadlineMs = 5000;

function ignoreDisk(error: unknown): void {
  if (!(error instanceof DiskError) && !isForebayError(error, 'diskFull', 'diskUnavailable', 'shuttingDown'))
    throw error;
}

/** Holds a content: its row stays, and its file is not unlinked. */
export interface Hold {
  release(): void;
}

export class Store {
  readonly #parts: StoreParts;
  readonly #acquisition: Acquisition;
  readonly #transfer: BlockTransfer;
  readonly #stagings: Stagings;
  readonly #options: StoreOptions;
  readonly values: Values;
  #snapshotting = false;
  readonly #stop = new AbortController();
  #background: Promise<unknown> = Promise.resolve();

  /** Use `openStore`. */
  constructor(parts: StoreParts, options: StoreOptions) {
    this.#parts = parts;
    this.#acquisition = new Acquisition(parts);
    this.#options = options;
    this.#stagings = new Stagings({
      parts,
      disk: options.disk,
      clock: options.clock,
      reserve: (bytes) => this.reserve(bytes),
      append: (record, kept) => this.#append(record, kept),
      released: (row) => this.released(row),
      drop: (id) => this.drop(id, 'caller'),
    });
    this.values = new Values({
      parts,
      disk: options.disk,
      clock: options.clock,
      acquisition: this.#acquisition,
      reserve: (bytes) => this.reserve(bytes),
      append: (record) => this.#append(record),
    });
    this.#transfer = new BlockTransfer(parts, this.#acquisition, {
      append: (record) => void this.#append(record),
      arrived: (id, block, checksum) => this.#stagings.arrived(id, block, checksum),
    });
  }

  // ---- facts -------------------------------------------------------------------------------------------------------

  fact(volume: string, key: string): ObjectFact | undefined {
    return this.#parts.index.facts.get(volume, key);
  }

  setFact(fact: ObjectFact): void {
    this.#append({ type: 'fact', fact: this.#parts.index.facts.set(fact) });
  }

  /** The origin was asked at `checkedMs` and has the same version. Kept in memory only: after a restart it is asked again. */
  touchFact(fact: ObjectFact, checkedMs: number): ObjectFact {
    return this.#parts.index.facts.touch(fact, checkedMs);
  }

  dropFact(volume: string, key: string): void {
    if (this.#parts.index.facts.delete(volume, key)) this.#append({ type: 'forgotten', volume, key });
  }

  /** All facts, in no order; those that change meanwhile may be seen twice. */
  facts(): Generator<ObjectFact> {
    return this.#parts.index.facts.all();
  }

  // ---- what is here ------------------------------------------------------------------------------------------------

  hasBlock(id: ContentId, block: number): boolean {
    const row = this.#parts.index.contents.find(id);
    return row !== undefined && this.#parts.index.hasBlock(row, block);
  }

  /** Bytes of a content that are here. */
  presentBytes(content: { id: ContentId; sizeBytes: number }): number {
    const row = this.#parts.index.contents.find(content.id);
    return row === undefined ? 0 : presentBytesOf(this.#parts.index, row, content.sizeBytes);
  }

  isPinned(id: ContentId): boolean {
    const row = this.#parts.index.contents.find(id);
    return row !== undefined && this.#parts.index.contents.has(row, FLAG_PINNED);
  }

  /** A small content's bytes, where they are in memory. */
  hot(id: ContentId): Uint8Array | undefined {
    return this.#parts.hot.get(id);
  }

  /** Keeps the content's row and file until released. A content that was doomed is wanted again. */
  hold(content: ContentShape): Hold {
    const { index } = this.#parts;
    const row = index.ensureContent(content.id, content);
    if (!index.contents.has(row, FLAG_VALUE)) index.contents.set(row, FLAG_DOOMED, false);
    index.contents.addHolds(row, 1);
    let held = true;
    return {
      release: () => {
        assert(held, 'a hold is released once');
        held = false;
        if (index.contents.addHolds(row, -1) === 0) this.released(row);
      },
    };
  }

  /**
   * As `hold`, for a content of which something is here or on its way; `undefined` where there is nothing. A content that was
   * written here is found under any size: a peer may have asked before its size was known.
   */
  holdKnown(id: ContentId, sizeBytes: number): (Hold & { readonly chunkSizeBytes: number }) | undefined {
    const { contents } = this.#parts.index;
    const row = contents.find(id);
    if (row === undefined || contents.has(row, FLAG_DOOMED)) return undefined;
    if (contents.sizeBytes(row) !== sizeBytes && !contents.isWritten(row)) return undefined;
    const chunkSizeBytes = contents.chunkBlocks(row) * BLOCK_SIZE_BYTES;
    return { ...this.hold({ id, sizeBytes, chunkSizeBytes }), chunkSizeBytes };
  }

  /** Every chunk that is here whole, in no order, but of contents that are being written. */
  *wholeChunks(): Generator<{ readonly content: ContentId; readonly chunk: number }> {
    const { index } = this.#parts;
    for (const row of index.contents.rows()) {
      if (index.contents.has(row, FLAG_STAGED | FLAG_VALUE)) continue;
      for (const chunk of index.chunksOf(row))
        if (index.isWholeChunk(row, chunk)) yield { content: index.contents.id(row), chunk: index.chunks.index(chunk) };
    }
  }

  /** The chunks of a content that are here whole. */
  *wholeChunksOf(id: ContentId): Generator<number> {
    const { index } = this.#parts;
    const row = index.contents.find(id);
    if (row === undefined || index.contents.has(row, FLAG_STAGED)) return;
    for (const chunk of index.chunksOf(row)) if (index.isWholeChunk(row, chunk)) yield index.chunks.index(chunk);
  }

  /**
   * The present bytes from `range.start` on, at most to `range.end`; `undefined` when the first block is absent. The caller
   * holds the content. With `verify` each block is read and checked, and bytes are returned.
   */
  async acquire(id: ContentId, range: Range, options: { verify: boolean }): Promise<Piece | undefined> {
    const { index } = this.#parts;
    const row = index.contents.find(id);
    if (row === undefined || range.end <= range.start) return undefined;
    return this.#acquisition.acquire(row, range, options);
  }

  /**
   * For a peer: the present blocks from `blocks.first` on with their checksums; `undefined` when the first is absent. The caller holds the
   * content. Under another size than the content's own, which is right while it is written, blocks of the same length are given.
   */
  async acquireBlocks(
    id: ContentId,
    blocks: { first: number; count: number },
    sizeBytes?: number,
  ): Promise<BlockRun | undefined> {
    return this.#transfer.acquire(id, blocks, sizeBytes);
  }

  // ---- filling -----------------------------------------------------------------------------------------------------

  /** Promises space for a fill, making room where it must; `undefined` when nothing may be evicted for it. */
  async reserve(bytes: number): Promise<Reservation | undefined> {
    const { space, eviction, journal } = this.#parts;
    await journal.room();
    await this.#parts.health.askSpace();
    for (let lacking = space.lacking(bytes); lacking > 0; lacking = space.lacking(bytes)) {
      if (bytes > space.capacityBytes || (await eviction.pass(lacking)) === 0) {
        if (space.lacking(bytes) > 0) return undefined;
      }
    }
    const reservation = space.reserve(bytes);
    const surplus = space.surplus();
    // Nobody waits for it: what a failing disk does not let go now, a later pass takes.
    if (surplus > 0) eviction.pass(surplus).catch(ignoreDisk);
    return reservation;
  }

  /** Takes one block of a held content that is not small. Throws DiskError, or diskFull. The block counts as present when the promise resolves. */
  async putBlock(content: ContentShape, block: number, bytes: Uint8Array, reservation: Reservation): Promise<void> {
    const { index, files, removal } = this.#parts;
    const { start, end } = blockRange(block, content.sizeBytes);
    assert(bytes.length === end - start, 'a block is whole');
    const row = index.contents.find(content.id);
    assert(row !== undefined && index.contents.holds(row) > 0, 'a content that is filled is held');
    const chunk = index.ensureChunk(row, index.place(row, block).chunk);
    index.chunks.addUses(chunk, 1);
    try {
      const checksum = crc32(bytes);
      await removal.settled(content.id);
      const opened = await files.acquire(this.#parts.dataPath(content.id), 'write');
      try {
        await this.#parts.health.run(() => opened.file.write(start, bytes));
      } finally {
        opened.release();
      }
      if (index.hasBlock(row, block) || this.#stagings.arrived(content.id, block, checksum)) return;
      reservation.use(bytes.length);
      index.setBlock(row, block, checksum);
      this.#append({ type: 'blocks', ...content, firstBlock: block, checksums: [checksum] });
    } finally {
      index.chunks.addUses(chunk, -1);
      index.dropEmptyChunk(chunk);
    }
  }

  /** Opens a held content's file for blocks of the chunk of `block` that somebody else writes. Throws as `putBlock`. */
  async receive(content: ContentShape, block: number): Promise<Receiving> {
    return this.#transfer.receive(content, block);
  }

  /** Takes a whole small content, held. Throws as `putBlock`. */
  async putSmall(content: ContentShape, bytes: Uint8Array, reservation: Reservation): Promise<void> {
    const { index, packs, hot } = this.#parts;
    assert(bytes.length === content.sizeBytes && bytes.length < smallContentMaxBytes, 'a small content is whole');
    const checksum = crc32(bytes);
    const place = await this.#parts.health.run(() => packs.append(content.id, bytes, checksum));
    try {
      reservation.use(smallFootprintBytes(content.sizeBytes));
      const row = index.contents.find(content.id);
      if (row === undefined || index.contents.holds(row) === 0 || index.hasBlock(row, 0)) return;
      if (index.contents.has(row, FLAG_STAGED)) return;
      const chunk = index.setSmall(row, checksum, place);
      this.#append(index.smallRecord(row, chunk));
      hot.put(content.id, bytes);
    } finally {
      place.settle();
    }
  }

  // ---- writing -----------------------------------------------------------------------------------------------------

  /**
   * Begins to write a content, or to pull it as a replica. Rejects with diskFull where there is no room in time, overloaded
   * at the bound of contents, conflict when it is being written or dirty already, diskUnavailable, DiskError. What of it is here
   * as cache is taken over.
   */
  stage(options: StagingOptions): Promise<Staging> {
    return this.#stagings.stage(options);
  }

  /**
   * As `stage`, of a finished file, whose bytes it takes over. Rejects as `stage`, and with noSuchKey, invalidArgument (no
   * file), versionChanged when the file changed meanwhile.
   */
  stageFile(options: FileStagingOptions): Promise<TakenFile> {
    return this.#stagings.stageFile(options);
  }

  /** What is sealed here and not in the origin. */
  dirtyContents(): Generator<DirtyContent> {
    return this.#stagings.dirtyContents();
  }

  dirty(id: ContentId): DirtyContent | undefined {
    return this.#stagings.dirty(id);
  }

  /** Replaces what is journalled with a dirty content; not synced. */
  renote(id: ContentId, note: DirtyNote): void {
    this.#stagings.renote(id, note);
  }

  /** The origin has it: ordinary cache from now on. After a crash it may be dirty again. */
  cleaned(id: ContentId): void {
    this.#stagings.cleaned(id);
  }

  /** Nobody needs it any more: freed once its readers are gone. */
  discard(id: ContentId): void {
    this.#stagings.discard(id);
  }

  // ---- removing ----------------------------------------------------------------------------------------------------

  /** Removes a content that is wrong, stale or unwanted: at once, or when its last holder lets go. One that is not in the origin stays (S-4). */
  drop(id: ContentId, reason: DropReason): void {
    const { index } = this.#parts;
    const row = index.contents.find(id);
    if (row === undefined || index.contents.isWritten(row) || index.contents.has(row, FLAG_VALUE)) return;
    index.contents.set(row, FLAG_PINNED, false);
    if (index.contents.holds(row) > 0) index.contents.set(row, FLAG_DOOMED, true);
    else this.#removeAll(row, reason);
  }

  /** Frees what nothing forbids to free of a content; returns the bytes freed. */
  async evict(id: ContentId): Promise<number> {
    const { index, eviction } = this.#parts;
    const row = index.contents.find(id);
    return row === undefined ? 0 : eviction.content(row);
  }

  /** Forbids or allows eviction of a content, also of what is filled later. */
  pin(content: ContentShape, pinned: boolean): void {
    const { index } = this.#parts;
    if (!pinned && index.contents.find(content.id) === undefined) return;
    const row = index.ensureContent(content.id, content);
    index.contents.set(row, FLAG_PINNED, pinned);
    this.#append(index.flagsRecord(row));
    if (!pinned && index.contents.holds(row) === 0) this.released(row);
  }

  /** Forbids eviction of what is here of a content for `ms` from now; later ends win. False when it is not here. */
  lease(id: ContentId, ms: number): boolean {
    const { index } = this.#parts;
    const row = index.contents.find(id);
    if (row === undefined) return false;
    index.contents.extendLease(row, this.#options.clock.boottimeMs() + ms);
    return true;
  }

  /** Marks a whole content as lent before its file is handed out; false when it is not whole or is small. */
  async lend(id: ContentId): Promise<boolean> {
    const { index, journal } = this.#parts;
    const row = index.contents.find(id);
    if (row === undefined || index.contents.isSmall(row) || !index.isWhole(row)) return false;
    index.contents.set(row, FLAG_LENT, true);
    await journal.writtenThrough(this.#append(index.flagsRecord(row)));
    return true;
  }

  // ---- checking ----------------------------------------------------------------------------------------------------

  /** Re-reads and checks every present block of a held content; wrong ones are dropped. Returns how many were wrong. */
  async verify(id: ContentId, found: 'check' | 'scrub'): Promise<number> {
    const { index, hot } = this.#parts;
    const row = index.contents.find(id);
    if (row === undefined) return 0;
    const before = this.#parts.verification.corruptBlocks;
    hot.delete(id);
    for (const chunk of Array.from(index.chunksOf(row)))
      if (index.chunks.isLive(chunk)) await this.#parts.verification.chunk(chunk, found);
    return this.#parts.verification.corruptBlocks - before;
  }

  /** The share of the disk that is taken by what cannot be evicted: dirty and staged bytes, and those promised. */
  get keptShare(): number {
    return this.#stagings.keptBytes / this.#parts.space.capacityBytes;
  }

  get status(): StoreStatus {
    return reportStore(this.#parts, {
      directory: this.#options.directory,
      stagedBytes: this.#stagings.stagedBytes,
    });
  }

  /** Where a content's file is, for `warm --to` and `inspect`. */
  dataPath(id: ContentId): string {
    return this.#parts.dataPath(id);
  }

  get disk(): Disk {
    return this.#options.disk;
  }

  /** Starts the work that goes on beside requests. */
  start(background: (signal: AbortSignal) => Promise<unknown>): void {
    this.#background = background(this.#stop.signal).catch(() => undefined);
  }

  /**
   * Stops, writes what waits and lets go of the directory. Pieces that were given out are waited for, within a bound, and
   * stay readable; nothing new is.
   */
  async close(): Promise<void> {
    const { journal, packs, files, lock } = this.#parts;
    this.#stop.abort();
    await Promise.race([this.#background, this.#options.clock.sleep(closeDeadlineMs)]);
    await Promise.race([this.values.drained(), this.#options.clock.sleep(closeDeadlineMs)]);
    await journal.close(closeDeadlineMs);
    await packs.close();
    await Promise.race([files.close(), this.#options.clock.sleep(closeDeadlineMs)]);
    // the end of the process lets go of it, too
    await lock.release().catch(ignoreDisk);
  }

  // ---- inside ------------------------------------------------------------------------------------------------------

  #append(record: Parameters<StoreParts['journal']['append']>[0], kept = false): number {
    const { journal, index } = this.#parts;
    const number = journal.append(record, kept);
    const { snapshotAfterBytes = 16 * MiB } = this.#options;
    if (!this.#snapshotting && journal.logBytes > Math.max(snapshotAfterBytes, journal.snapshotBytes)) {
      this.#snapshotting = true;
      const boot = { bootId: this.#options.clock.bootId, wallMs: this.#options.clock.wallMs() };
      void journal
        .snapshot(() => index.records(boot))
        .catch(() => undefined)
        .finally(() => {
          this.#snapshotting = false;
        });
    }
    return number;
  }

  /** The last holder of a content let go. For `verification.ts`. */
  released(row: ContentRow): void {
    const { index, removal } = this.#parts;
    if (index.contents.has(row, FLAG_VALUE)) {
      this.values.released(row);
    } else if (index.contents.has(row, FLAG_DOOMED) && !index.contents.isWritten(row)) {
      this.#removeAll(row, 'stale');
    } else if (index.contents.presentBlocks(row) === 0 && !index.contents.isKept(row)) {
      const id = index.contents.id(row);
      const small = index.contents.isSmall(row);
      index.removeContent(row);
      if (!small) void removal.removeFile(id);
    }
  }

  #removeAll(row: ContentRow, reason: DropReason): void {
    const { index, removal } = this.#parts;
    const id = index.contents.id(row);
    const removed = index.contents.isSmall(row)
      ? removal.removeSmall(row)
      : removal.removeBlocks(row, { first: 0, count: blockCount(index.contents.sizeBytes(row)) });
    if (removed.bytes > 0) this.#options.emit({ kind: 'store.dropped', content: id, bytes: removed.bytes, reason });
  }
}
