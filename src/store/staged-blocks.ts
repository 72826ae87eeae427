/**
 * The blocks of a content that is written: what of them has come, their sums, the space that they take, and their file.
 */
import { BLOCK_SIZE_BYTES, blockCount, blocksRange } from '../core/chunk.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { stagedReserveBytes, stagedRetryMs } from '../core/limits.ts';
import type { Range } from '../core/range.ts';
import type { Clock, Disk, File } from '../io/io.ts';
import { BlockCover, BlockSet } from './block-cover.ts';
import type { Receiving } from './block-transfer.ts';
import { type ContentRow, FLAG_LENT } from './content-table.ts';
import { EarlyWriteback } from './early-writeback.ts';
import type { OpenedFile } from './open-files.ts';
import type { Reservation } from './space.ts';
import { type Segment, StagedRange } from './staged-range.ts';
import type { SpaceClaim, StagedSpace } from './staged-space.ts';
import type { ReceiveRange } from './staging.ts';
import type { StoreParts } from './store-parts.ts';

export interface StagedStart {
  readonly id: ContentId;
  readonly row: ContentRow;
  readonly claim: SpaceClaim;
  readonly reservation: Reservation;
  /** Known from the start. */
  readonly sizeBytes: number | undefined;
  readonly onBlock: ((block: number) => void) | undefined;
  readonly isCopy: boolean;
}

export interface StagedBlocksParts {
  readonly parts: StoreParts;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly spaces: StagedSpace;
  /** Something is being written that is no copy. */
  readonly hasOwn: () => boolean;
}

/** Blocks that are summed by one request to the disk. */
const TAKEN_AT_ONCE = 16;

export class StagedBlocks {
  readonly id: ContentId;
  readonly reservation: Reservation;
  readonly #io: StagedBlocksParts;
  readonly #row: ContentRow;
  readonly #claim: SpaceClaim;
  readonly #onBlock: ((block: number) => void) | undefined;
  readonly #isCopy: boolean;
  #sizeBytes: number | undefined;
  /** Blocks that are not whole, or not summed. */
  readonly #covers = new Map<number, BlockCover>();
  /** Blocks whose space this has taken. */
  readonly #touched = new BlockSet();
  #usedBytes = 0;
  /** Bytes that were here before, in a file. */
  readonly #foundBytes: number;
  #growing: Promise<void> | undefined;
  #working = 0;
  #idle: (() => void)[] = [];
  #isTooLong = false;
  #isEnded = false;
  readonly #writeback = new EarlyWriteback((range) => this.work(() => this.withFile((file) => file.writeback(range))));

  constructor(io: StagedBlocksParts, start: StagedStart) {
    this.#io = io;
    this.id = start.id;
    this.#row = start.row;
    this.#claim = start.claim;
    this.reservation = start.reservation;
    this.#onBlock = start.onBlock;
    this.#isCopy = start.isCopy;
    this.#sizeBytes = start.sizeBytes;
    this.#foundBytes = io.parts.index.contents.isSmall(start.row) ? 0 : this.#presentBytes;
  }

  /** Space taken on the disk. */
  get takenBytes(): number {
    return this.#usedBytes + this.#foundBytes;
  }

  get sizeBytes(): number | undefined {
    return this.#sizeBytes;
  }

  get isSmall(): boolean {
    return this.#io.parts.index.contents.isSmall(this.#row);
  }

  /** Nothing is summed or waited for any more. */
  end(): void {
    this.#isEnded = true;
  }

  /** The space of what is not a present block. */
  get looseBytes(): number {
    return this.takenBytes - this.#presentBytes;
  }

  /** Bytes of a block from its start on that were written. */
  wholeBytes(block: number): number {
    return this.#covers.get(block)?.wholeBytes ?? 0;
  }

  /** A piece of a block is here, not in the file yet. */
  note(block: number, start: number, bytes: Uint8Array): void {
    const cover = this.#covers.get(block) ?? new BlockCover();
    this.#covers.set(block, cover);
    cover.begin(start, bytes);
    cover.end(start, bytes.length, true);
  }

  /** As `BlockTransfer.receive`, for the absent blocks from `block` to the end of its chunk. */
  async receive(block: number): Promise<Receiving> {
    const perChunk = this.#io.parts.index.contents.chunkBlocks(this.#row);
    const chunkEnd = (Math.floor(block / perChunk) + 1) * perChunk;
    const end = this.#sizeBytes === undefined ? chunkEnd : Math.min(chunkEnd, blockCount(this.#sizeBytes));
    await this.ensure(block, Math.max(block, end - 1));
    const opened = await this.#io.parts.health.run(() => this.#open());
    return {
      file: opened.file,
      stored: (at, checksum) => this.arrived(at, checksum),
      close: () => opened.release(),
    };
  }

  /** As `Staging.receiveRange`. */
  async receiveRange(range: Range, receive: ReceiveRange): Promise<void> {
    const first = Math.floor(range.start / BLOCK_SIZE_BYTES);
    const last = Math.floor((range.end - 1) / BLOCK_SIZE_BYTES);
    await this.ensure(first, last);
    await this.#io.parts.health.run(async () => {
      const opened = await this.#open();
      this.#extend(last);
      const segments = new StagedRange(range, ({ block, start, lengthBytes }) =>
        this.#coverFor(block, start, lengthBytes),
      );
      try {
        await receive(opened.file, (slice) => this.#stored(segments.stored(slice), slice.checksum));
      } finally {
        segments.end();
        opened.release();
      }
    });
  }

  #stored({ block, start, lengthBytes, cover }: Segment, checksum: number): void {
    const isWhole = start === 0 && lengthBytes === this.#lengthOf(block);
    if (!isWhole) cover.endSummed(start, lengthBytes, checksum);
    else {
      cover.end(0, lengthBytes, true);
      const isStill = this.#covers.get(block) === cover && cover.changes === 1;
      if (isStill && !this.#isEnded && !this.isSmall) {
        this.#setBlock(block, checksum);
        return;
      }
    }
    this.#complete(block, cover);
  }

  /** The file is needed no more. */
  dropFile(): void {
    if (this.#usedBytes === 0) return;
    this.#io.parts.space.free(this.#usedBytes);
    this.#usedBytes = 0;
    void this.#io.parts.removal.removeFile(this.id);
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

  /** A block was written at its own place by somebody else. */
  arrived(block: number, checksum: number): void {
    if (this.#isEnded || this.hasBlock(block)) return;
    this.#extend(block);
    this.#touch(block);
    if (this.#io.parts.index.contents.isSmall(this.#row)) {
      this.#covers.set(block, BlockCover.written(this.#lengthOf(block)));
      return;
    }
    this.#setBlock(block, checksum);
  }

  async write(position: number, bytes: Uint8Array): Promise<void> {
    const first = Math.floor(position / BLOCK_SIZE_BYTES);
    const last = Math.floor((position + bytes.length - 1) / BLOCK_SIZE_BYTES);
    await this.ensure(first, last);
    this.#extend(last);
    if (first === last && position === first * BLOCK_SIZE_BYTES && bytes.length === this.#lengthOf(first)) {
      await this.#writeWhole(first, bytes);
      return;
    }
    const segments: Segment[] = [];
    for (let block = first; block <= last; block += 1) {
      const blockStart = block * BLOCK_SIZE_BYTES;
      const from = Math.max(position, blockStart);
      const to = Math.min(position + bytes.length, blockStart + BLOCK_SIZE_BYTES);
      segments.push(this.#begin(block, from - blockStart, bytes.subarray(from - position, to - position)));
    }
    let isWritten = false;
    try {
      await this.withFile((file) => file.write(position, bytes));
      isWritten = true;
    } finally {
      for (const { cover, start, lengthBytes } of segments) cover.end(start, lengthBytes, isWritten);
    }
    for (const { block, cover } of segments) this.#complete(block, cover);
  }

  /** The usual case: the disk's own thread sums what it writes. */
  async #writeWhole(block: number, bytes: Uint8Array): Promise<void> {
    const { index } = this.#io.parts;
    const cover = new BlockCover();
    if (index.hasBlock(this.#row, block)) index.clearBlock(this.#row, block);
    this.#covers.set(block, cover);
    cover.beginWhole();
    let checksum: number | undefined;
    try {
      checksum = await this.withFile((file) => file.writeSummed(block * BLOCK_SIZE_BYTES, bytes));
    } finally {
      cover.end(0, bytes.length, checksum !== undefined);
    }
    const isStill = this.#covers.get(block) === cover && cover.changes === 1 && bytes.length === this.#lengthOf(block);
    if (isStill && checksum !== undefined && !this.#isEnded && !this.isSmall) this.#setBlock(block, checksum);
    else this.#complete(block, cover);
  }

  #begin(block: number, start: number, bytes: Uint8Array): Segment {
    const { cover } = this.#coverFor(block, start, bytes.length);
    cover.begin(start, bytes);
    return { block, start, lengthBytes: bytes.length, cover };
  }

  /** What is known of a block that is about to be written, in part or anew. */
  #coverFor(block: number, start: number, lengthBytes: number): { cover: BlockCover; isWhole: boolean } {
    const { index } = this.#io.parts;
    const isWhole = start === 0 && lengthBytes === this.#lengthOf(block);
    let cover = isWhole ? undefined : this.#covers.get(block);
    if (index.hasBlock(this.#row, block)) {
      if (!isWhole) cover ??= BlockCover.written(this.#lengthOf(block));
      index.clearBlock(this.#row, block);
    }
    cover ??= new BlockCover();
    this.#covers.set(block, cover);
    return { cover, isWhole };
  }

  /** A block whose bytes are all written counts as present once its sum is known. */
  #complete(block: number, cover: BlockCover): void {
    const lengthBytes = this.#lengthOf(block);
    if (this.#covers.get(block) !== cover || cover.writing > 0 || cover.wholeBytes < lengthBytes) return;
    if (this.#isEnded || this.#io.parts.index.contents.isSmall(this.#row)) return;
    const checksum = cover.checksum(lengthBytes);
    if (checksum !== undefined) this.#setBlock(block, checksum);
    // A disk that fails here fails again in `sum`, which tries once more.
    else void this.work(() => this.#sumAgain(block, cover)).catch(() => undefined);
  }

  async #sumAgain(block: number, cover: BlockCover): Promise<void> {
    const { changes } = cover;
    const lengthBytes = this.#lengthOf(block);
    const start = block * BLOCK_SIZE_BYTES;
    const [checksum] = await this.withFile((file) =>
      file.checksums({ start, end: start + lengthBytes }, BLOCK_SIZE_BYTES),
    );
    const isSame = this.#covers.get(block) === cover && cover.changes === changes && cover.writing === 0;
    if (isSame && lengthBytes === this.#lengthOf(block) && checksum !== undefined && !this.#isEnded)
      this.#setBlock(block, checksum);
  }

  #setBlock(block: number, checksum: number): void {
    this.#covers.delete(block);
    this.#io.parts.index.setBlock(this.#row, block, checksum);
    // What a client waits for has the disk first.
    if (!this.#isCopy || !this.#io.hasOwn()) this.#writeback.note(block * BLOCK_SIZE_BYTES, this.#lengthOf(block));
    this.#onBlock?.(block);
  }

  // ---- sizes and space ---------------------------------------------------------------------------------------------

  sized(sizeBytes: number): void {
    if (this.#isEnded || this.#sizeBytes === sizeBytes) return;
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
  async ensure(first: number, last: number): Promise<void> {
    for (;;) {
      let lackingBytes = 0;
      for (let block = first; block <= last; block += 1)
        if (!this.#isPaid(block)) lackingBytes += this.#lengthOf(block);
      if (lackingBytes <= this.reservation.bytes) break;
      await this.grow(lackingBytes - this.reservation.bytes);
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

  grow(leastBytes: number): Promise<void> {
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
    if (this.#isEnded) more.release();
    else this.reservation.absorb(more);
  }

  /** The content's file is here as a whole, by no doing of this: its blocks are summed from it. */
  async takeFile(sizeBytes: number): Promise<void> {
    const count = blockCount(sizeBytes);
    for (let first = 0; first < count; first += TAKEN_AT_ONCE) {
      this.#claim.signal?.throwIfAborted();
      const blocks = { first, count: Math.min(TAKEN_AT_ONCE, count - first) };
      await this.ensure(first, first + blocks.count - 1);
      const range = blocksRange(blocks, sizeBytes);
      const checksums = await this.withFile((file) => file.checksums(range, BLOCK_SIZE_BYTES));
      for (const [at, checksum] of checksums.entries()) this.arrived(first + at, checksum);
    }
  }

  // ---- sums --------------------------------------------------------------------------------------------------------

  /** Sums what is not yet, settles the account, and returns the sums of all blocks. Throws incompleteBody. */
  async sum(sizeBytes: number): Promise<Uint32Array> {
    const { index, space } = this.#io.parts;
    const count = blockCount(sizeBytes);
    await this.#sumMissing(count, sizeBytes);
    if (this.#isTooLong) await this.withFile((file) => file.truncate(sizeBytes));
    const surplus = this.takenBytes - sizeBytes;
    if (surplus > 0) space.free(surplus);
    else space.take(-surplus);
    this.#usedBytes -= surplus;
    const checksums = new Uint32Array(count);
    const perChunk = index.contents.chunkBlocks(this.#row);
    for (const chunk of index.chunksOf(this.#row)) {
      const first = index.chunks.index(chunk) * perChunk;
      for (let at = 0; at < perChunk && first + at < count; at += 1)
        checksums[first + at] = index.chunks.checksum(chunk, at);
    }
    return checksums;
  }

  async #sumMissing(count: number, sizeBytes: number): Promise<void> {
    for (let first = 0; first < count; first += 1) {
      let run = 0;
      for (; first + run < count && !this.hasBlock(first + run); run += 1) {
        const whole = this.#covers.get(first + run)?.wholeBytes ?? 0;
        if (whole < this.#lengthOf(first + run)) this.throwMissing((first + run) * BLOCK_SIZE_BYTES + whole);
      }
      if (run === 0) continue;
      const range = blocksRange({ first, count: run }, sizeBytes);
      const checksums = await this.withFile((file) => file.checksums(range, BLOCK_SIZE_BYTES));
      if (checksums.length < run) this.throwMissing((first + checksums.length) * BLOCK_SIZE_BYTES);
      for (let at = 0; at < run; at += 1)
        if (!this.hasBlock(first + at)) this.#setBlock(first + at, checksums[at] as number);
      first += run;
    }
  }

  throwMissing(at: number): never {
    throw new ForebayError('incompleteBody', `${this.id} has no bytes at ${at} of ${this.#sizeBytes}`);
  }

  // ---- inside ------------------------------------------------------------------------------------------------------

  #open(): Promise<OpenedFile> {
    // A file that others have a name for is never written.
    const isLent = this.#io.parts.index.contents.has(this.#row, FLAG_LENT);
    return this.#io.parts.files.acquire(this.#io.parts.dataPath(this.id), isLent ? 'read' : 'write');
  }

  async work<T>(work: () => Promise<T>): Promise<T> {
    this.#working += 1;
    try {
      return await work();
    } finally {
      this.#working -= 1;
      if (this.#working === 0) for (const resolve of this.#idle.splice(0)) resolve();
    }
  }

  /** Nothing is being written or summed. */
  async quiet(): Promise<void> {
    while (this.#working > 0) await new Promise<void>((resolve) => this.#idle.push(resolve));
  }

  withFile<T>(step: (file: File) => Promise<T>): Promise<T> {
    return this.persist(() =>
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
  async persist<T>(step: () => Promise<T>): Promise<T> {
    const { clock, parts } = this.#io;
    const dueMs = clock.boottimeMs() + this.#claim.waitMs;
    for (;;) {
      try {
        return await step();
      } catch (error) {
        if (!isForebayError(error, 'diskFull') || clock.boottimeMs() >= dueMs || this.#isEnded) throw error;
      }
      this.#claim.signal?.throwIfAborted();
      await parts.eviction.pass(Math.max(BLOCK_SIZE_BYTES, parts.space.lacking(0)));
      await clock.sleep(stagedRetryMs);
    }
  }
}
