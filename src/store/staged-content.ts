/**
 * A content while it is written, or pulled as a replica: `Staging`.
 *
 * Bytes go into the content's own file as they come; each block counts as present, and can be given to peers, once all of it
 * was written and summed. Contents below `smallContentMaxBytes` stay in memory until `sum` and go into a pack.
 *
 * Bounds:  space is reserved before it is written (`staged-space.ts`).
 * Crash:   before `seal` nothing of it is left after a restart; after `seal` all of it is there. In `seal`, data and table
 *          are synced before the journal says that they exist.
 */
import { crc32 } from 'node:zlib';
import { assert } from '../core/assert.ts';
import { BLOCK_SIZE_BYTES, blockCount, blocksRange } from '../core/chunk.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { smallContentMaxBytes, stagedReserveBytes, stagedRetryMs, writebackBytes } from '../core/limits.ts';
import type { Clock, Disk, File } from '../io/io.ts';
import { BlockCover, BlockSet } from './block-cover.ts';
import type { Receiving } from './block-transfer.ts';
import { type ContentRow, FLAG_DOOMED } from './content-table.ts';
import type { JournalRecord } from './journal-record.ts';
import type { Gate } from './shared-sync.ts';
import type { Reservation } from './space.ts';
import type { SpaceClaim, StagedSpace } from './staged-space.ts';
import type { DirtyNote, Sealed, Staging } from './staging.ts';
import { smallFootprintBytes } from './store-index.ts';
import type { StoreParts } from './store-parts.ts';
import { tableHash, writeTable } from './table-file.ts';

export interface StagedParts {
  readonly parts: StoreParts;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly spaces: StagedSpace;
  /** Syncs of large files hold up the disk for everybody: a few at once. */
  readonly syncs: Gate;
  readonly append: (record: JournalRecord, kept: boolean) => number;
  /** The last holder of a content let go. */
  readonly released: (row: ContentRow) => void;
  readonly ended: (staged: StagedContent) => void;
}

export interface StagedStart {
  readonly id: ContentId;
  readonly row: ContentRow;
  readonly claim: SpaceClaim;
  readonly reservation: Reservation;
  /** Known from the start. */
  readonly sizeBytes: number | undefined;
  readonly onBlock: ((block: number) => void) | undefined;
}

interface Segment {
  readonly block: number;
  readonly start: number;
  readonly lengthBytes: number;
  readonly cover: BlockCover;
}

export class StagedContent implements Staging {
  readonly id: ContentId;
  readonly reservation: Reservation;
  readonly #io: StagedParts;
  readonly #row: ContentRow;
  readonly #claim: SpaceClaim;
  readonly #onBlock: ((block: number) => void) | undefined;
  #state: 'open' | 'summed' | 'ended' = 'open';
  #sizeBytes: number | undefined;
  /** The bytes so far of what may turn out small; `undefined` once they are in a file. */
  #memory: Buffer | undefined;
  #spilled: Promise<void> | undefined;
  /** Blocks that are not whole, or not summed. */
  readonly #covers = new Map<number, BlockCover>();
  /** Blocks whose space this has taken. */
  readonly #touched = new BlockSet();
  #usedBytes = 0;
  /** Bytes that were here before. */
  readonly #foundBytes: number;
  #growing: Promise<void> | undefined;
  #working = 0;
  #idle: (() => void)[] = [];
  #isTooLong = false;
  #hasTable = false;
  #checksums: Uint32Array = new Uint32Array(0);
  readonly #unflushed = { start: 0, end: 0, bytes: 0, isBusy: false };

  /** The row is held, marked as staged, and journalled so. Use `Store.stage`. */
  constructor(io: StagedParts, start: StagedStart) {
    this.#io = io;
    this.id = start.id;
    this.#row = start.row;
    this.#claim = start.claim;
    this.reservation = start.reservation;
    this.#onBlock = start.onBlock;
    this.#sizeBytes = start.sizeBytes;
    const { contents } = io.parts.index;
    this.#foundBytes = contents.isSmall(start.row) ? 0 : this.#presentBytes;
    const mayBeSmall = start.sizeBytes === undefined || start.sizeBytes < smallContentMaxBytes;
    if (mayBeSmall && contents.presentBlocks(start.row) === 0) this.#memory = Buffer.alloc(0);
  }

  get age(): number {
    return this.#claim.age;
  }

  /** Space taken on the disk. */
  get stagedBytes(): number {
    return this.#usedBytes + this.#foundBytes + (this.#memory?.length ?? 0);
  }

  hasBlock(block: number): boolean {
    return this.#io.parts.index.hasBlock(this.#row, block);
  }

  *wholeBlocks(): Iterable<number> {
    const { index } = this.#io.parts;
    const perChunk = index.contents.chunkBlocks(this.#row);
    for (const chunk of Array.from(index.chunksOf(this.#row))) {
      const first = index.chunks.index(chunk) * perChunk;
      for (let at = 0; at < perChunk; at += 1) if (this.hasBlock(first + at)) yield first + at;
    }
  }

  // ---- bytes come --------------------------------------------------------------------------------------------------

  async write(position: number, bytes: Uint8Array): Promise<void> {
    assert(this.#state === 'open', 'bytes are written before they are summed');
    this.#claim.signal?.throwIfAborted();
    const end = position + bytes.length;
    if (this.#sizeBytes !== undefined && end > this.#sizeBytes)
      throw new ForebayError('invalidArgument', `bytes ${position}–${end} lie beyond the length of ${this.#sizeBytes}`);
    if (bytes.length === 0) return;
    await this.#work(async () => {
      if (this.#memory !== undefined && end < smallContentMaxBytes) {
        this.#remember(position, bytes);
        return;
      }
      await this.#spill();
      await this.#writeFile(position, bytes);
    });
  }

  /** As `BlockTransfer.receive`, for the absent blocks from `block` to the end of its chunk. */
  async receive(block: number): Promise<Receiving> {
    assert(this.#state === 'open', 'blocks are received before they are summed');
    return this.#work(async () => {
      await this.#spill();
      const perChunk = this.#io.parts.index.contents.chunkBlocks(this.#row);
      const chunkEnd = (Math.floor(block / perChunk) + 1) * perChunk;
      const end = this.#sizeBytes === undefined ? chunkEnd : Math.min(chunkEnd, blockCount(this.#sizeBytes));
      await this.#ensure(block, Math.max(block, end - 1));
      const opened = await this.#io.parts.health.run(() => this.#open());
      return {
        file: opened.file,
        stored: (at, checksum) => this.arrived(at, checksum),
        close: () => opened.release(),
      };
    });
  }

  /** A block was written at its own place by somebody else. */
  arrived(block: number, checksum: number): void {
    if (this.#state === 'ended' || this.hasBlock(block)) return;
    this.#extend(block);
    this.#touch(block);
    if (this.#io.parts.index.contents.isSmall(this.#row)) {
      this.#covers.set(block, BlockCover.written(this.#lengthOf(block)));
      return;
    }
    this.#setBlock(block, checksum);
  }

  #remember(position: number, bytes: Uint8Array): void {
    const end = position + bytes.length;
    let memory = this.#memory as Buffer;
    if (end > memory.length) {
      const longer = Buffer.alloc(end);
      memory.copy(longer);
      memory = longer;
      this.#memory = memory;
    }
    memory.set(bytes, position);
    const cover = this.#covers.get(0) ?? new BlockCover();
    this.#covers.set(0, cover);
    cover.begin(position, bytes);
    cover.end(position, bytes.length, true);
  }

  /** What was in memory goes to the file. */
  #spill(): Promise<void> {
    this.#spilled ??= this.#spillNow();
    return this.#spilled;
  }

  async #spillNow(): Promise<void> {
    const memory = this.#memory;
    this.#memory = undefined;
    if (memory === undefined || memory.length === 0) return;
    await this.#ensure(0, 0);
    await this.#withFile((file) => file.write(0, memory));
  }

  async #writeFile(position: number, bytes: Uint8Array): Promise<void> {
    const first = Math.floor(position / BLOCK_SIZE_BYTES);
    const last = Math.floor((position + bytes.length - 1) / BLOCK_SIZE_BYTES);
    await this.#ensure(first, last);
    this.#extend(last);
    const segments: Segment[] = [];
    for (let block = first; block <= last; block += 1) {
      const blockStart = block * BLOCK_SIZE_BYTES;
      const from = Math.max(position, blockStart);
      const to = Math.min(position + bytes.length, blockStart + BLOCK_SIZE_BYTES);
      segments.push(this.#begin(block, from - blockStart, bytes.subarray(from - position, to - position)));
    }
    let isWritten = false;
    try {
      await this.#withFile((file) => file.write(position, bytes));
      isWritten = true;
    } finally {
      for (const { cover, start, lengthBytes } of segments) cover.end(start, lengthBytes, isWritten);
    }
    for (const { block, cover } of segments) this.#complete(block, cover);
  }

  #begin(block: number, start: number, bytes: Uint8Array): Segment {
    const { index } = this.#io.parts;
    const isWhole = start === 0 && bytes.length === this.#lengthOf(block);
    let cover = isWhole ? undefined : this.#covers.get(block);
    if (index.hasBlock(this.#row, block)) {
      if (!isWhole) cover ??= BlockCover.written(this.#lengthOf(block));
      index.clearBlock(this.#row, block);
    }
    cover ??= new BlockCover();
    this.#covers.set(block, cover);
    cover.begin(start, bytes);
    return { block, start, lengthBytes: bytes.length, cover };
  }

  /** A block whose bytes are all written counts as present once its sum is known. */
  #complete(block: number, cover: BlockCover): void {
    const lengthBytes = this.#lengthOf(block);
    if (this.#covers.get(block) !== cover || cover.writing > 0 || cover.wholeBytes < lengthBytes) return;
    if (this.#state !== 'open' || this.#io.parts.index.contents.isSmall(this.#row)) return;
    const checksum = cover.checksum(lengthBytes);
    if (checksum !== undefined) this.#setBlock(block, checksum);
    // A disk that fails here fails again in `sum`, which tries once more.
    else void this.#work(() => this.#sumAgain(block, cover)).catch(() => undefined);
  }

  async #sumAgain(block: number, cover: BlockCover): Promise<void> {
    const { changes } = cover;
    const lengthBytes = this.#lengthOf(block);
    const start = block * BLOCK_SIZE_BYTES;
    const [checksum] = await this.#withFile((file) =>
      file.checksums({ start, end: start + lengthBytes }, BLOCK_SIZE_BYTES),
    );
    const isSame = this.#covers.get(block) === cover && cover.changes === changes && cover.writing === 0;
    if (isSame && lengthBytes === this.#lengthOf(block) && checksum !== undefined && this.#state === 'open')
      this.#setBlock(block, checksum);
  }

  #setBlock(block: number, checksum: number): void {
    this.#covers.delete(block);
    this.#io.parts.index.setBlock(this.#row, block, checksum);
    this.#flush(block);
    this.#onBlock?.(block);
  }

  /** Has the kernel begin to write to the disk what came lately: the final sync then has little left to wait for. */
  #flush(block: number): void {
    const late = this.#unflushed;
    const start = block * BLOCK_SIZE_BYTES;
    late.start = late.bytes === 0 ? start : Math.min(late.start, start);
    late.end = Math.max(late.bytes === 0 ? 0 : late.end, start + this.#lengthOf(block));
    late.bytes += this.#lengthOf(block);
    if (late.bytes < writebackBytes || late.isBusy) return;
    late.isBusy = true;
    const range = { start: late.start, end: late.end };
    late.bytes = 0;
    void this.#work(() => this.#withFile((file) => file.writeback(range)))
      .catch(() => undefined)
      .finally(() => {
        late.isBusy = false;
      });
  }

  // ---- sizes and space ---------------------------------------------------------------------------------------------

  sized(sizeBytes: number): void {
    if (this.#state !== 'open' || this.#sizeBytes === sizeBytes) return;
    const { index, space } = this.#io.parts;
    const had = index.contents.sizeBytes(this.#row);
    const firstBlock = Math.floor(Math.min(had, sizeBytes) / BLOCK_SIZE_BYTES);
    const changed: number[] = [];
    for (let block = firstBlock; block < Math.max(this.#touched.end, blockCount(had)); block += 1) {
      const was = this.#lengthOf(block);
      const is = Math.max(0, Math.min(BLOCK_SIZE_BYTES, sizeBytes - block * BLOCK_SIZE_BYTES));
      if (was === is) continue;
      if (index.hasBlock(this.#row, block)) {
        index.clearBlock(this.#row, block);
        this.#covers.set(block, BlockCover.written(Math.min(was, is)));
        this.#isTooLong ||= is < was;
      }
      if (this.#touched.has(block)) {
        if (is < was) space.free(was - is);
        else space.take(is - was);
        this.#usedBytes += is - was;
        if (is === 0) this.#touched.delete(block);
      }
      const cover = this.#covers.get(block);
      if (cover !== undefined && cover.wholeBytes > is) this.#isTooLong = true;
      cover?.cut(is);
      if (is === 0) this.#covers.delete(block);
      else changed.push(block);
    }
    index.contents.setSize(this.#row, sizeBytes);
    this.#sizeBytes = sizeBytes;
    if (this.#memory !== undefined) return;
    for (const block of changed) {
      const cover = this.#covers.get(block);
      if (cover !== undefined) this.#complete(block, cover);
    }
  }

  #lengthOf(block: number): number {
    if (this.#sizeBytes === undefined) return BLOCK_SIZE_BYTES;
    return Math.max(0, Math.min(BLOCK_SIZE_BYTES, this.#sizeBytes - block * BLOCK_SIZE_BYTES));
  }

  /** While the size is unknown it is, for the index, a whole number of chunks. */
  #extend(block: number): void {
    const { contents } = this.#io.parts.index;
    const chunkBytes = contents.chunkBlocks(this.#row) * BLOCK_SIZE_BYTES;
    const least = (block + 1) * BLOCK_SIZE_BYTES;
    if (this.#sizeBytes !== undefined || least <= contents.sizeBytes(this.#row)) return;
    contents.setSize(this.#row, Math.ceil(least / chunkBytes) * chunkBytes);
  }

  get #presentBytes(): number {
    let bytes = 0;
    for (const block of this.wholeBlocks()) bytes += this.#lengthOf(block);
    return bytes;
  }

  /** Takes the space of blocks, and waits for it where it must. */
  async #ensure(first: number, last: number): Promise<void> {
    for (;;) {
      let lackingBytes = 0;
      for (let block = first; block <= last; block += 1)
        if (!this.#isPaid(block)) lackingBytes += this.#lengthOf(block);
      if (lackingBytes <= this.reservation.bytes) break;
      await this.#grow(lackingBytes - this.reservation.bytes);
    }
    for (let block = first; block <= last; block += 1) this.#touch(block);
  }

  #isPaid(block: number): boolean {
    return this.#touched.has(block) || this.hasBlock(block);
  }

  #touch(block: number): void {
    if (this.#isPaid(block)) return;
    const lengthBytes = this.#lengthOf(block);
    this.#touched.add(block);
    this.#usedBytes += lengthBytes;
    if (lengthBytes <= this.reservation.bytes) this.reservation.use(lengthBytes);
    else this.#io.parts.space.take(lengthBytes);
  }

  #grow(leastBytes: number): Promise<void> {
    this.#growing ??= this.#reserveMore(leastBytes).finally(() => {
      this.#growing = undefined;
    });
    return this.#growing;
  }

  async #reserveMore(leastBytes: number): Promise<void> {
    const { spaces, parts } = this.#io;
    const known = this.#sizeBytes === undefined ? this.#usedBytes : leastBytes;
    const wishBytes = Math.min(stagedReserveBytes, Math.floor(parts.space.capacityBytes / 16), known);
    const more = await spaces.take(this.#claim, leastBytes, wishBytes);
    if (this.#state === 'ended') more.release();
    else this.reservation.absorb(more);
  }

  // ---- the end -----------------------------------------------------------------------------------------------------

  async sum(sizeBytes: number): Promise<Sealed> {
    assert(this.#state === 'open', 'a content is summed once');
    await this.#quiet();
    this.sized(sizeBytes);
    await this.#quiet();
    const { contents } = this.#io.parts.index;
    if (contents.isSmall(this.#row)) await this.#sumSmall(sizeBytes);
    else await this.#sumFile(sizeBytes);
    this.#state = 'summed';
    this.reservation.release();
    return { sizeBytes, table: tableHash(this.#checksums) };
  }

  async #sumSmall(sizeBytes: number): Promise<void> {
    const { index, packs, health, hot } = this.#io.parts;
    const present = index.chunks.find(this.#row, 0);
    if (present !== undefined && index.hasBlock(this.#row, 0)) {
      this.#checksums = Uint32Array.of(index.chunks.checksum(present, 0));
      return;
    }
    if ((this.#covers.get(0)?.wholeBytes ?? 0) < sizeBytes) this.#throwMissing(this.#covers.get(0)?.wholeBytes ?? 0);
    if (sizeBytes === 0) return;
    const bytes = this.#memory?.subarray(0, sizeBytes) ?? (await this.#withFile((file) => file.read(0, sizeBytes)));
    if (bytes.length < sizeBytes) this.#throwMissing(bytes.length);
    const checksum = crc32(bytes);
    const footprint = smallFootprintBytes(sizeBytes);
    if (this.reservation.bytes < footprint) await this.#grow(footprint);
    const place = await this.#persist(() => health.run(() => packs.append(this.id, bytes, checksum)));
    try {
      this.reservation.use(footprint);
      index.setSmall(this.#row, checksum, place);
    } finally {
      place.settle();
    }
    this.#checksums = Uint32Array.of(checksum);
    this.#covers.clear();
    hot.put(this.id, Uint8Array.from(bytes));
    this.#memory = undefined;
    if (this.#usedBytes > 0) this.#dropFile();
  }

  /** A small content that came through a file needs it no more. */
  #dropFile(): void {
    const { removal, space } = this.#io.parts;
    space.free(this.#usedBytes);
    this.#usedBytes = 0;
    void removal.removeFile(this.id);
  }

  async #sumFile(sizeBytes: number): Promise<void> {
    const { index, space } = this.#io.parts;
    const count = blockCount(sizeBytes);
    await this.#sumMissing(count, sizeBytes);
    if (this.#isTooLong) await this.#withFile((file) => file.truncate(sizeBytes));
    const surplus = this.#usedBytes + this.#foundBytes - sizeBytes;
    if (surplus > 0) space.free(surplus);
    else space.take(-surplus);
    this.#usedBytes -= surplus;
    this.#checksums = new Uint32Array(count);
    const perChunk = index.contents.chunkBlocks(this.#row);
    for (const chunk of index.chunksOf(this.#row)) {
      const first = index.chunks.index(chunk) * perChunk;
      for (let at = 0; at < perChunk && first + at < count; at += 1)
        this.#checksums[first + at] = index.chunks.checksum(chunk, at);
    }
  }

  async #sumMissing(count: number, sizeBytes: number): Promise<void> {
    for (let first = 0; first < count; first += 1) {
      let run = 0;
      for (; first + run < count && !this.hasBlock(first + run); run += 1) {
        const whole = this.#covers.get(first + run)?.wholeBytes ?? 0;
        if (whole < this.#lengthOf(first + run)) this.#throwMissing((first + run) * BLOCK_SIZE_BYTES + whole);
      }
      if (run === 0) continue;
      const range = blocksRange({ first, count: run }, sizeBytes);
      const checksums = await this.#withFile((file) => file.checksums(range, BLOCK_SIZE_BYTES));
      if (checksums.length < run) this.#throwMissing((first + checksums.length) * BLOCK_SIZE_BYTES);
      for (let at = 0; at < run; at += 1)
        if (!this.hasBlock(first + at)) this.#setBlock(first + at, checksums[at] as number);
      first += run;
    }
  }

  #throwMissing(at: number): never {
    throw new ForebayError('incompleteBody', `${this.id} has no bytes at ${at} of ${this.#sizeBytes}`);
  }

  async seal(note: DirtyNote): Promise<void> {
    assert(this.#state === 'summed', 'a content is summed before it is sealed');
    await this.#work(() => this.#seal(note));
    this.#state = 'ended';
    this.#leave();
  }

  async #seal(note: DirtyNote): Promise<void> {
    const { index, journal } = this.#io.parts;
    const { contents } = index;
    if (contents.presentBlocks(this.#row) === 0) assert(this.#sizeBytes === 0, 'a summed content has its blocks');
    else if (contents.isSmall(this.#row)) await this.#syncPack();
    else await this.#syncFiles(note);
    // In one step with the records, so that a snapshot sees either both or neither.
    index.setDirty(this.#row, note);
    for (const record of Array.from(index.presenceRecords(this.#row))) this.#io.append(record, true);
    await journal.syncedThrough(this.#io.append({ type: 'dirty', ...note, ...this.#shape }, true));
  }

  get #shape() {
    const { contents } = this.#io.parts.index;
    return {
      id: this.id,
      sizeBytes: contents.sizeBytes(this.#row),
      chunkSizeBytes: contents.chunkBlocks(this.#row) * BLOCK_SIZE_BYTES,
    };
  }

  /** Until the pack that it lies in is synced: it may have been moved meanwhile. */
  async #syncPack(): Promise<void> {
    const { index, packs, health } = this.#io.parts;
    const placed = () => {
      const chunk = index.chunks.find(this.#row, 0);
      if (chunk === undefined || !index.hasBlock(this.#row, 0))
        throw new ForebayError('corrupt', `the bytes of ${this.id} were lost before they were safe`);
      return index.chunks.place(chunk).pack;
    };
    for (let synced = -1; synced !== placed(); ) {
      const pack = placed();
      await health.run(() => packs.sync(pack));
      synced = pack;
    }
  }

  async #syncFiles(note: DirtyNote): Promise<void> {
    const { disk, parts, syncs } = this.#io;
    const table = { ...note, ...this.#shape, checksums: this.#checksums };
    this.#hasTable = true;
    await Promise.all([
      syncs.run(() => this.#withFile((file) => file.sync())),
      this.#persist(() => parts.health.run(() => writeTable(disk, parts.layout.table(this.id), table))),
    ]);
    await parts.health.run(() => disk.syncDirectory(parts.layout.fan(this.id)));
  }

  abandon(): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#covers.clear();
    // Writes under way would otherwise make the file anew.
    void this.#quiet().then(() => this.#abandonNow());
  }

  #abandonNow(): void {
    const { index, space, layout } = this.#io.parts;
    const isFile = !index.contents.isSmall(this.#row) || this.#usedBytes > 0;
    const present = isFile && !index.contents.isSmall(this.#row) ? this.#presentBytes : 0;
    index.setClean(this.#row);
    index.contents.set(this.#row, FLAG_DOOMED, true);
    if (isFile) space.free(this.#usedBytes + this.#foundBytes - present);
    if (this.#hasTable) void this.#io.disk.unlink(layout.table(this.id)).catch(() => undefined);
    this.#leave();
  }

  #leave(): void {
    const { contents } = this.#io.parts.index;
    this.#memory = undefined;
    this.reservation.release();
    this.#io.ended(this);
    if (contents.addHolds(this.#row, -1) === 0) this.#io.released(this.#row);
  }

  // ---- inside ------------------------------------------------------------------------------------------------------

  async #work<T>(work: () => Promise<T>): Promise<T> {
    this.#working += 1;
    try {
      return await work();
    } finally {
      this.#working -= 1;
      if (this.#working === 0) for (const resolve of this.#idle.splice(0)) resolve();
    }
  }

  /** Nothing is being written or summed. */
  async #quiet(): Promise<void> {
    while (this.#working > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  #open() {
    return this.#io.parts.files.acquire(this.#io.parts.dataPath(this.id), 'write');
  }

  #withFile<T>(step: (file: File) => Promise<T>): Promise<T> {
    return this.#persist(() =>
      this.#io.parts.health.run(async () => {
        const opened = await this.#open();
        try {
          return await step(opened.file);
        } finally {
          opened.release();
        }
      }),
    );
  }

  /** A disk that has less room than configured says so when it is written: room is made, or waited for. */
  async #persist<T>(step: () => Promise<T>): Promise<T> {
    const { clock, parts } = this.#io;
    const dueMs = clock.boottimeMs() + this.#claim.waitMs;
    for (;;) {
      try {
        return await step();
      } catch (error) {
        if (!isForebayError(error, 'diskFull') || clock.boottimeMs() >= dueMs || this.#state === 'ended') throw error;
      }
      this.#claim.signal?.throwIfAborted();
      await parts.eviction.pass(Math.max(BLOCK_SIZE_BYTES, parts.space.lacking(0)));
      await clock.sleep(stagedRetryMs);
    }
  }
}
