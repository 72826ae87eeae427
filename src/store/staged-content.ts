/**
 * A content while it is written, or pulled as a replica: `Staging`.
 *
 * Bytes go into the content's own file as they come; each block counts as present, and can be given to peers, once all of it
 * was written and summed (`staged-blocks.ts`). What may be below `smallContentMaxBytes` stays in memory until `sum` and goes into a pack.
 *
 * Bounds:  space is reserved before it is written (`staged-space.ts`).
 * Crash:   before `seal` nothing of it is left after a restart; after `seal` all of it is there. In `seal`, data and table
 *          are synced before the journal says that they exist.
 */
import { crc32 } from 'node:zlib';
import { assert } from '../core/assert.ts';
import { BLOCK_SIZE_BYTES } from '../core/chunk.ts';
import { ForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { smallContentMaxBytes } from '../core/limits.ts';
import type { Range } from '../core/range.ts';
import type { Receiving } from './block-transfer.ts';
import { type ContentRow, FLAG_DOOMED, FLAG_LENT } from './content-table.ts';
import type { JournalRecord } from './journal-record.ts';
import type { Reservation } from './space.ts';
import { StagedBlocks, type StagedBlocksParts, type StagedStart } from './staged-blocks.ts';
import type { SpaceClaim } from './staged-space.ts';
import type { DirtyNote, ReceiveRange, Sealed, Staging } from './staging.ts';
import { smallFootprintBytes } from './store-index.ts';
import type { SyncTurns } from './sync-turns.ts';
import { tableHash, writeTable } from './table-file.ts';

export interface StagedParts extends StagedBlocksParts {
  readonly syncs: SyncTurns;
  readonly append: (record: JournalRecord, kept: boolean) => number;
  /** The last holder of a content let go. */
  readonly released: (row: ContentRow) => void;
  readonly ended: (staged: StagedContent) => void;
}

export class StagedContent implements Staging {
  readonly id: ContentId;
  readonly reservation: Reservation;
  readonly isCopy: boolean;
  readonly #io: StagedParts;
  readonly #row: ContentRow;
  readonly #claim: SpaceClaim;
  readonly #blocks: StagedBlocks;
  #state: 'open' | 'summed' | 'ended' = 'open';
  /** The bytes so far of what may turn out small; `undefined` once they are in a file. */
  #memory: Buffer | undefined;
  #spilled: Promise<void> | undefined;
  #hasTable = false;
  #left: Promise<void> | undefined;
  #checksums: Uint32Array = new Uint32Array(0);

  /** The row is held, marked as staged, and journalled so. Use `Store.stage`. */
  constructor(io: StagedParts, start: StagedStart) {
    this.#io = io;
    this.id = start.id;
    this.#row = start.row;
    this.#claim = start.claim;
    this.reservation = start.reservation;
    this.isCopy = start.isCopy;
    this.#blocks = new StagedBlocks(io, start);
    const mayBeSmall = start.sizeBytes === undefined || start.sizeBytes < smallContentMaxBytes;
    if (mayBeSmall && io.parts.index.contents.presentBlocks(start.row) === 0) this.#memory = Buffer.alloc(0);
  }

  /** It was abandoned: settles when it is out of the way. */
  get left(): Promise<void> | undefined {
    return this.#left;
  }

  get age(): number {
    return this.#claim.age;
  }

  /** Space taken on the disk, or to be taken. */
  get stagedBytes(): number {
    return this.#blocks.takenBytes + (this.#memory?.length ?? 0);
  }

  hasBlock(block: number): boolean {
    return this.#blocks.hasBlock(block);
  }

  wholeBlocks(): Iterable<number> {
    return this.#blocks.wholeBlocks();
  }

  async write(position: number, bytes: Uint8Array): Promise<void> {
    assert(this.#state === 'open', 'bytes are written before they are summed');
    this.#claim.signal?.throwIfAborted();
    const end = position + bytes.length;
    this.#checkWithin(position, end);
    if (bytes.length === 0) return;
    if (this.#memory !== undefined && end < smallContentMaxBytes) {
      this.#remember(position, bytes);
      return;
    }
    await this.#blocks.work(async () => {
      await this.#spill();
      await this.#blocks.write(position, bytes);
    });
  }

  async receive(block: number): Promise<Receiving> {
    assert(this.#state === 'open', 'blocks are received before they are summed');
    return this.#blocks.work(async () => {
      await this.#spill();
      return this.#blocks.receive(block);
    });
  }

  async receiveRange(range: Range, receive: ReceiveRange): Promise<void> {
    assert(this.#state === 'open', 'bytes are received before they are summed');
    this.#claim.signal?.throwIfAborted();
    this.#checkWithin(range.start, range.end);
    await this.#blocks.work(async () => {
      await this.#spill();
      await this.#blocks.receiveRange(range, receive);
    });
  }

  /** The content's file is put in its place by `place`, which says whether others have a name for it too. */
  async takeFile(sizeBytes: number, place: () => Promise<'own' | 'shared'>): Promise<void> {
    assert(this.#state === 'open' && this.#spilled === undefined, 'nothing was written');
    await this.#blocks.work(async () => {
      this.#memory = undefined;
      const { contents } = this.#io.parts.index;
      if ((await place()) === 'shared') contents.set(this.#row, FLAG_LENT, true);
      await this.#blocks.takeFile(sizeBytes);
    });
  }

  /** A block was written at its own place by somebody else. */
  arrived(block: number, checksum: number): void {
    this.#blocks.arrived(block, checksum);
  }

  sized(sizeBytes: number): void {
    if (this.#state === 'open') this.#blocks.sized(sizeBytes);
  }

  #checkWithin(start: number, end: number): void {
    const { sizeBytes } = this.#blocks;
    if (sizeBytes !== undefined && end > sizeBytes)
      throw new ForebayError('invalidArgument', `bytes ${start}–${end} lie beyond the length of ${sizeBytes}`);
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
    this.#blocks.note(0, position, bytes);
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
    await this.#blocks.ensure(0, 0);
    await this.#blocks.withFile((file) => file.write(0, memory));
  }

  async sum(sizeBytes: number): Promise<Sealed> {
    assert(this.#state === 'open', 'a content is summed once');
    await this.#blocks.quiet();
    this.#blocks.sized(sizeBytes);
    await this.#blocks.quiet();
    if (this.#blocks.isSmall) await this.#sumSmall(sizeBytes);
    else this.#checksums = await this.#blocks.sum(sizeBytes);
    this.#state = 'summed';
    this.#blocks.end();
    this.reservation.release();
    return { sizeBytes, table: tableHash(this.#checksums) };
  }

  async #sumSmall(sizeBytes: number): Promise<void> {
    const { index, packs, health, hot } = this.#io.parts;
    const blocks = this.#blocks;
    const present = index.chunks.find(this.#row, 0);
    if (present !== undefined && index.hasBlock(this.#row, 0)) {
      this.#checksums = Uint32Array.of(index.chunks.checksum(present, 0));
      return;
    }
    if (blocks.wholeBytes(0) < sizeBytes) blocks.throwMissing(blocks.wholeBytes(0));
    if (sizeBytes === 0) return;
    const bytes = this.#memory?.subarray(0, sizeBytes) ?? (await blocks.withFile((file) => file.read(0, sizeBytes)));
    if (bytes.length < sizeBytes) blocks.throwMissing(bytes.length);
    const checksum = crc32(bytes);
    const footprint = smallFootprintBytes(sizeBytes);
    if (this.reservation.bytes < footprint) await blocks.grow(footprint);
    const place = await blocks.persist(() => health.run(() => packs.append(this.id, bytes, checksum)));
    try {
      this.reservation.use(footprint);
      index.setSmall(this.#row, checksum, place);
    } finally {
      place.settle();
    }
    this.#checksums = Uint32Array.of(checksum);
    hot.put(this.id, Uint8Array.from(bytes));
    this.#memory = undefined;
    blocks.dropFile();
  }

  async seal(note: DirtyNote): Promise<void> {
    assert(this.#state === 'summed', 'a content is summed before it is sealed');
    await this.#blocks.work(() => this.#seal(note));
    this.#checkKept();
    this.#state = 'ended';
    this.#leave();
  }

  async #seal(note: DirtyNote): Promise<void> {
    const { index, journal } = this.#io.parts;
    const isEmpty = index.contents.presentBlocks(this.#row) === 0;
    assert(!isEmpty || this.#blocks.sizeBytes === 0, 'a summed content has its blocks');
    if (!isEmpty) await (this.#blocks.isSmall ? this.#syncPack() : this.#syncFiles(note));
    this.#checkKept();
    // In one step with the records, so that a snapshot sees either both or neither.
    index.setDirty(this.#row, note);
    if (index.contents.has(this.#row, FLAG_LENT)) this.#io.append(index.flagsRecord(this.#row), true);
    for (const record of Array.from(index.presenceRecords(this.#row))) this.#io.append(record, true);
    await journal.syncedThrough(this.#io.append({ type: 'dirty', ...note, ...this.#shape }, true));
  }

  /** Whoever asked for it may have given it up while it was synced. */
  #checkKept(): void {
    if (this.#state === 'ended') throw new ForebayError('notHeld', `${this.id} was abandoned before it was sealed`);
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
      syncs.run(() => this.#blocks.withFile((file) => file.sync()), this),
      this.#blocks.persist(() => parts.health.run(() => writeTable(disk, parts.layout.table(this.id), table))),
    ]);
    await parts.health.run(() => disk.syncDirectory(parts.layout.fan(this.id)));
  }

  abandon(): void {
    if (this.#state === 'ended') return;
    this.#state = 'ended';
    this.#blocks.end();
    // Writes under way would otherwise make the file anew.
    this.#left = this.#blocks.quiet().then(() => this.#abandonNow());
  }

  #abandonNow(): void {
    const { index, space, layout } = this.#io.parts;
    index.setClean(this.#row);
    index.contents.set(this.#row, FLAG_DOOMED, true);
    if (this.#blocks.isSmall) this.#blocks.dropFile();
    else space.free(this.#blocks.looseBytes);
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
}
