/**
 * The values of one kv volume as the store has them: key → content, bytes in packs and files, space. What may go when is decided in `kv/`.
 *
 * A key's row and its bytes become visible in one step, and go in one step; then, in the order of `removal.ts`, the journal says so, readers
 * end, and the space is free. Nothing is synced: a value that a crash loses is a miss.
 */
import { assert } from '../core/assert.ts';
import { BLOCK_SIZE_BYTES, blockCount, CHUNK_SIZE_DEFAULT_BYTES } from '../core/chunk.ts';
import type { ContentId } from '../core/ids.ts';
import { smallContentMaxBytes } from '../core/limits.ts';
import type { Range } from '../core/range.ts';
import type { File } from '../io/io.ts';
import type { Acquisition } from './acquisition.ts';
import { CHUNK_UNVERIFIED } from './chunk-table.ts';
import { type ContentRow, FLAG_DOOMED, FLAG_VALUE } from './content-table.ts';
import type { JournalRecord } from './journal-record.ts';
import { compactPack, emptiestPack } from './pack-compaction.ts';
import type { PackPlace } from './packs.ts';
import type { Piece } from './piece.ts';
import type { Reservation } from './space.ts';
import { smallFootprintBytes } from './store-index.ts';
import type { StoreParts } from './store-parts.ts';
import { type UnwrittenValue, type ValueBacklog, type ValueLane, valueBatchMaxBytes } from './value-backlog.ts';
import { PACK_NONE } from './value-index.ts';
import type { ValueRow, ValueTable, ValueTimes } from './value-table.ts';

export interface ValueMeta extends ValueTimes {
  readonly contentType?: string | undefined;
}

/** A value's file, open for its blocks. */
export interface ReceivingValue {
  readonly file: File;
  /** A block was written at its own place, with this CRC32. */
  stored(block: number, checksum: number): void;
  close(): void;
}

export interface VolumeValuesOptions {
  readonly name: string;
  readonly parts: StoreParts;
  readonly acquisition: Acquisition;
  readonly backlog: ValueBacklog;
  readonly append: (record: JournalRecord) => number;
  /** Contents whose key has gone and which are still read, with their volume. */
  readonly leaving: Map<ContentRow, VolumeValues>;
}

export class VolumeValues implements ValueLane {
  readonly name: string;
  readonly table: ValueTable;
  readonly #options: VolumeValuesOptions;
  readonly #parts: StoreParts;
  /** Of values in files, those included that are still read or not yet off the disk. */
  #fileBytes = 0;
  /** Of values that are not in their pack yet. */
  #unwrittenBytes = 0;
  #liveBytes = 0;
  /** Of small values, headers counted, those included whose key has gone and which are still read. */
  #smallBytes = 0;
  /** Of files that are on their way off the disk. */
  #goingBytes = 0;
  batchMaxBytes = valueBatchMaxBytes;
  /** Larger values lie in files of their own. */
  packedMaxBytes = smallContentMaxBytes - 1;
  readonly #removals = new Set<Promise<unknown>>();
  /** A value went that this node had: its bytes were wrong, or could not be written. Its row is still there. */
  onLost: ((row: ValueRow) => void) | undefined;

  constructor(options: VolumeValuesOptions) {
    this.name = options.name;
    this.#options = options;
    this.#parts = options.parts;
    this.table = options.parts.index.values.table(options.name);
    const { contents, chunks } = this.#parts.index;
    for (const row of this.table.rows()) {
      const content = this.table.content(row);
      this.#liveBytes += contents.sizeBytes(content);
      if (!contents.isSmall(content)) this.#fileBytes += contents.sizeBytes(content);
      else if (contents.sizeBytes(content) > 0) this.#smallBytes += smallFootprintBytes(contents.sizeBytes(content));
      const chunk = contents.isSmall(content) ? chunks.find(content, 0) : undefined;
      if (chunk !== undefined) this.#parts.packs.assign(chunks.place(chunk).pack, this.name);
    }
  }

  /** Space taken on the disk: values, what still is read of removed ones, and what is dead in packs. */
  get footprintBytes(): number {
    return this.#fileBytes + this.#unwrittenBytes + this.#parts.packs.laneBytes(this.name);
  }

  /** What would be taken if nothing were dead in packs, and what goes were gone. */
  get keptBytes(): number {
    return this.#fileBytes - this.#goingBytes + this.#smallBytes;
  }

  /** Of small values, headers counted. */
  get smallBytes(): number {
    return this.#smallBytes;
  }

  /** Dead in packs. */
  get deadBytes(): number {
    return this.#parts.packs.laneBytes(this.name) + this.#unwrittenBytes - this.#smallBytes;
  }

  get isGoing(): boolean {
    return this.#removals.size > 0;
  }

  /** Bounds the length of this volume's packs to about twice as much, and what is packed, small contents aside. */
  bound({ packMaxBytes, packedMaxBytes }: { readonly packMaxBytes: number; readonly packedMaxBytes: number }): void {
    this.#parts.packs.bound(this.name, packMaxBytes);
    this.batchMaxBytes = Math.min(valueBatchMaxBytes, packMaxBytes);
    // A pack of one or two values would give back nothing until all of them went.
    this.packedMaxBytes = Math.max(smallContentMaxBytes - 1, Math.min(packedMaxBytes, packMaxBytes / 2));
  }

  /** What a value of this size takes on the disk. */
  footprintOf(sizeBytes: number): number {
    return sizeBytes <= this.packedMaxBytes ? smallFootprintBytes(sizeBytes) : sizeBytes;
  }

  /**
   * Gives back the space of the pack with most dead bytes; false where no pack has any to speak of. `cheaply`: only where no more is moved than comes
   * back. Throws DiskError, diskFull, diskUnavailable.
   */
  async compact({ cheaply }: { readonly cheaply: boolean }): Promise<boolean> {
    const leastShare = cheaply ? PACK_DEAD_SHARE_CHEAP : PACK_DEAD_SHARE_MIN;
    const pack = emptiestPack(this.#parts, this.name, { leastShare, filledToo: !cheaply });
    if (pack === undefined) return false;
    const freed = await compactPack({ parts: this.#parts, lane: this.name, append: this.#options.append }, pack);
    return freed > 0;
  }

  /** Bytes of the values that are here. */
  get liveBytes(): number {
    return this.#liveBytes;
  }

  /** Resolves when what was removed, and is not read any more, is off the disk. */
  async settle(): Promise<void> {
    await Promise.all(this.#removals);
  }

  /** Of a content that was begun. */
  contentId(content: ContentRow): ContentId {
    return this.#parts.index.contents.id(content);
  }

  sizeBytes(row: ValueRow): number {
    return this.#parts.index.contents.sizeBytes(this.table.content(row));
  }

  id(row: ValueRow): ContentId {
    return this.#parts.index.contents.id(this.table.content(row));
  }

  /** It lies in a pack, or will. */
  isPacked(row: ValueRow): boolean {
    return this.#parts.index.contents.isSmall(this.table.content(row));
  }

  isOpen(row: ValueRow): boolean {
    return this.#parts.index.contents.holds(this.table.content(row)) > 0;
  }

  /** CRC32 of a block of a value that is here. */
  checksum(row: ValueRow, block: number): number {
    const { index } = this.#parts;
    const content = this.table.content(row);
    const chunk = index.chunkOf(content, block);
    assert(chunk !== undefined, 'a value is whole');
    return index.chunks.checksum(chunk, index.place(content, block).block);
  }

  /** The bytes of a packed value, where they are in memory. */
  hot(row: ValueRow): Uint8Array | undefined {
    const { index, valueBytes } = this.#parts;
    const content = this.table.content(row);
    return index.contents.sizeBytes(content) === 0 ? EMPTY : valueBytes.get(content);
  }

  /** Whether bytes of it have to be checked before their first use. */
  isUnverified(row: ValueRow): boolean {
    const { index } = this.#parts;
    const content = this.table.content(row);
    if (index.contents.isSmall(content)) return false;
    for (const chunk of index.chunksOf(content)) if (index.chunks.has(chunk, CHUNK_UNVERIFIED)) return true;
    return false;
  }

  /** Checks what is unverified. Wrong bytes make the value go (`onLost`). */
  async verify(row: ValueRow): Promise<void> {
    const { index, verification } = this.#parts;
    const content = this.table.content(row);
    const held = this.hold(row);
    try {
      for (const chunk of Array.from(index.chunksOf(content)))
        if (index.chunks.isLive(chunk) && index.chunks.has(chunk, CHUNK_UNVERIFIED))
          await verification.chunk(chunk, 'first-use');
    } finally {
      this.release(held);
    }
  }

  // ---- reading ------------------------------------------------------------------------------------------------------

  /** Its bytes stay until released, also when it is removed. */
  hold(row: ValueRow): ContentRow {
    const content = this.table.content(row);
    this.#parts.index.contents.addHolds(content, 1);
    return content;
  }

  release(content: ContentRow): void {
    if (this.#parts.index.contents.addHolds(content, -1) === 0) this.released(content);
  }

  /** The last holder of a content let go. */
  released(content: ContentRow): void {
    if (this.#parts.index.contents.has(content, FLAG_DOOMED)) this.#free(content);
  }

  /** Bytes from `range.start` on, of a held content; `undefined` where they were found wrong. */
  acquire(content: ContentRow, range: Range, options: { verify: boolean }): Promise<Piece | undefined> {
    return this.#options.acquisition.acquire(content, range, options);
  }

  // ---- putting ------------------------------------------------------------------------------------------------------

  /** At once. `bytes` are kept; `reservation` covers their footprint. What the key had goes. */
  putSmall(
    key: string,
    value: { id: ContentId; bytes: Uint8Array; checksum: number; reservation: Reservation },
    meta: ValueMeta,
  ): ValueRow {
    const { index, valueBytes } = this.#parts;
    const { id, bytes, checksum, reservation } = value;
    const content = this.#newContent(id, bytes.length);
    const footprint = smallFootprintBytes(bytes.length);
    if (bytes.length > 0) {
      reservation.use(footprint);
      this.#unwrittenBytes += footprint;
      this.#smallBytes += footprint;
      index.setSmall(content, checksum, { pack: PACK_NONE, offset: 0 });
      valueBytes.wait(content, bytes);
    }
    const row = this.#name(key, content, meta);
    if (bytes.length > 0) this.#options.backlog.add(this, { content, id, bytes, checksum, row });
    else this.renote(row);
    return row;
  }

  /** Begins a value in a file; its blocks go there by `putBlock`, then `commit` or `abandon`. Held until then. */
  begin(id: ContentId, sizeBytes: number): ContentRow {
    const { index } = this.#parts;
    const content = this.#newContent(id, sizeBytes);
    index.contents.addHolds(content, 1);
    this.#options.append(index.flagsRecord(content));
    this.#fileBytes += sizeBytes;
    return content;
  }

  /** Writes a block. Throws DiskError, diskFull, diskUnavailable. */
  async putBlock(content: ContentRow, block: number, bytes: Uint8Array, reservation: Reservation): Promise<void> {
    const receiving = await this.receive(content, reservation);
    const write = () => receiving.file.writeSummed(block * BLOCK_SIZE_BYTES, bytes);
    try {
      receiving.stored(block, await this.#parts.health.run(write));
    } finally {
      receiving.close();
    }
  }

  /** Opens a begun value's file for blocks that somebody else writes. Close it exactly once. Throws as `putBlock`. */
  async receive(content: ContentRow, reservation: Reservation): Promise<ReceivingValue> {
    const { index, files, health, dataPath } = this.#parts;
    const id = index.contents.id(content);
    const opened = await health.run(() => files.acquire(dataPath(id), 'write'));
    return {
      file: opened.file,
      stored: (block, checksum) => this.#stored(content, { block, checksum, reservation }),
      close: () => opened.release(),
    };
  }

  #stored(content: ContentRow, at: { block: number; checksum: number; reservation: Reservation }): void {
    const { index } = this.#parts;
    const { block, checksum, reservation } = at;
    const sizeBytes = index.contents.sizeBytes(content);
    if (index.hasBlock(content, block)) return;
    reservation.use(index.blockLength(content, block));
    index.setBlock(content, block, checksum);
    this.#options.append({
      type: 'blocks',
      id: index.contents.id(content),
      sizeBytes,
      chunkSizeBytes: CHUNK_SIZE_DEFAULT_BYTES,
      firstBlock: block,
      checksums: [checksum],
    });
  }

  /** All blocks are there: the key has them from now on, and what it had before goes. */
  commit(key: string, content: ContentRow, meta: ValueMeta): ValueRow {
    assert(this.#parts.index.isWhole(content), 'a value is whole when it becomes visible');
    const row = this.#name(key, content, meta);
    this.renote(row);
    this.release(content);
    return row;
  }

  /** Nobody saw it; nothing of it stays. */
  abandon(content: ContentRow): void {
    this.#drop(content);
    this.release(content);
  }

  /** Journals what is known of a value, after its times changed. */
  renote(row: ValueRow): void {
    const { values } = this.#parts.index;
    const record = values.record(this.name, this.table, row);
    // What is not in its pack yet is journalled when it is.
    if (record.place?.pack !== PACK_NONE) this.#options.append(record);
  }

  // ---- removing -----------------------------------------------------------------------------------------------------

  /** The key is not there any more; its bytes go when their readers are done. */
  remove(row: ValueRow): void {
    const content = this.table.content(row);
    this.#options.append({ type: 'valueGone', volume: this.name, key: this.table.key(row), id: this.id(row) });
    this.#liveBytes -= this.sizeBytes(row);
    this.table.remove(row);
    this.#drop(content);
  }

  /** Called by the backlog. */
  settled(value: UnwrittenValue, end: { readonly place: PackPlace | undefined; readonly wanted: boolean }): void {
    const { index, space } = this.#parts;
    const footprint = smallFootprintBytes(value.bytes.length);
    this.#unwrittenBytes -= footprint;
    if (end.place === undefined) space.free(footprint);
    if (!end.wanted) return;
    const isNamed = this.table.isLive(value.row) && this.table.content(value.row) === value.content;
    if (end.place !== undefined) {
      index.setSmall(value.content, value.checksum, end.place);
      if (isNamed) this.renote(value.row);
    } else if (isNamed) {
      this.#lose(value.row);
    }
  }

  /** Bytes of one of these values were found wrong. */
  damaged(content: ContentRow): boolean {
    const row = this.table.rowOf(content);
    if (row !== undefined) this.#lose(row);
    return row !== undefined;
  }

  #lose(row: ValueRow): void {
    this.onLost?.(row);
    this.remove(row);
  }

  // ---- inside -------------------------------------------------------------------------------------------------------

  #newContent(id: ContentId, sizeBytes: number): ContentRow {
    const { index } = this.#parts;
    const content = index.contents.add(id, { sizeBytes, chunkSizeBytes: CHUNK_SIZE_DEFAULT_BYTES });
    index.setValue(content);
    return content;
  }

  #name(key: string, content: ContentRow, meta: ValueMeta): ValueRow {
    const { table } = this;
    let row = table.find(key);
    if (row === undefined) {
      row = table.add(key, content);
    } else {
      const before = table.content(row);
      table.setContent(row, content);
      table.touch(row);
      this.#liveBytes -= this.#parts.index.contents.sizeBytes(before);
      this.#drop(before);
    }
    this.#liveBytes += this.#parts.index.contents.sizeBytes(content);
    table.setTimes(row, meta);
    table.setContentType(row, meta.contentType);
    return row;
  }

  /** No key names the content any more. */
  #drop(content: ContentRow): void {
    const { contents } = this.#parts.index;
    contents.set(content, FLAG_DOOMED, true);
    this.#options.leaving.set(content, this);
    if (contents.holds(content) === 0) this.#free(content);
  }

  #free(content: ContentRow): void {
    const { index, removal, valueBytes } = this.#parts;
    this.#options.leaving.delete(content);
    index.contents.set(content, FLAG_VALUE, false);
    const sizeBytes = index.contents.sizeBytes(content);
    if (index.contents.isSmall(content)) {
      // Its record says where it was, and the one that ended it that it is not: no other is needed.
      valueBytes.delete(content);
      if (sizeBytes > 0) this.#smallBytes -= smallFootprintBytes(sizeBytes);
      index.clearBlock(content, 0);
      index.removeContent(content);
      return;
    }
    const removed = removal.removeBlocks(content, { first: 0, count: blockCount(sizeBytes) });
    this.#goingBytes += sizeBytes;
    this.#removals.add(removed.done);
    void removed.done.then(() => {
      this.#fileBytes -= sizeBytes;
      this.#goingBytes -= sizeBytes;
      this.#removals.delete(removed.done);
    });
  }
}

/** With less dead in it a pack is not worth rewriting. */
const PACK_DEAD_SHARE_MIN = 1 / 64;
const PACK_DEAD_SHARE_CHEAP = 1 / 2;

const EMPTY = new Uint8Array(0);
