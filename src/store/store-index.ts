/**
 * The index of the store: contents, chunks and facts, rebuilt from journal records and written out as such. Pure: it
 * touches no disk and no clock. Every change that must outlive the process has its record, made here or applied here.
 */
import { assert } from '../core/assert.ts';
import { BLOCK_SIZE_BYTES, blockCount, blockRange, CHUNK_SIZE_DEFAULT_BYTES } from '../core/chunk.ts';
import type { ContentId } from '../core/ids.ts';
import { rangeLength } from '../core/range.ts';
import { CHUNK_UNVERIFIED, type ChunkRow, ChunkTable } from './chunk-table.ts';
import {
  type ContentRow,
  ContentTable,
  FLAG_DIRTY,
  FLAG_LENT,
  FLAG_PACKED,
  FLAG_PINNED,
  FLAG_STAGED,
  FLAG_VALUE,
} from './content-table.ts';
import { setFactChecked } from './fact-record.ts';
import { FactTable } from './fact-table.ts';
import type { JournalRecord } from './journal-record.ts';
import type { DirtyContent, DirtyNote } from './staging.ts';
import { ValueIndex } from './value-index.ts';

/** Bytes in front of a small content in its pack. */
export const PACK_HEADER_BYTES = 28;

/** What a small content takes on the disk. */
export function smallFootprintBytes(sizeBytes: number): number {
  return sizeBytes + PACK_HEADER_BYTES;
}

/** Blocks stated by one record at most. */
const BLOCKS_PER_RECORD_MAX = 32;

export interface BlockPlace {
  readonly chunk: number;
  readonly block: number;
}

export class StoreIndex {
  readonly contents = new ContentTable();
  readonly chunks = new ChunkTable();
  readonly facts: FactTable;
  /** Keys of kv volumes. */
  readonly values: ValueIndex;
  /** Bytes present, by block lengths. */
  presentBytes = 0;
  smallContents = 0;
  /** Bytes that live in each pack, headers counted. */
  readonly packLive = new Map<number, number>();
  /** Whose the dirty contents are. */
  readonly notes = new Map<ContentId, DirtyNote>();
  /** Sizes of the dirty contents. */
  dirtyBytes = 0;
  /** Written contents in each pack. */
  readonly #packWritten = new Map<number, number>();
  readonly #bootId: string;
  #replayedBootId = '';

  constructor(options: { bootId: string; factBytesMax: number }) {
    this.#bootId = options.bootId;
    this.values = new ValueIndex(this);
    this.facts = new FactTable({
      bytesMax: options.factBytesMax,
      isHere: (id) => this.contents.find(id) !== undefined,
    });
  }

  /** Memory in bytes. */
  get bytes(): number {
    return this.contents.bytes + this.chunks.bytes + this.facts.bytes + this.values.bytes;
  }

  /** The boot that the journal's last life ran in; empty for a new directory. */
  get replayedBootId(): string {
    return this.#replayedBootId;
  }

  place(row: ContentRow, block: number): BlockPlace {
    const blocks = this.contents.chunkBlocks(row);
    return { chunk: Math.floor(block / blocks), block: block % blocks };
  }

  chunkOf(row: ContentRow, block: number): ChunkRow | undefined {
    return this.chunks.find(row, this.place(row, block).chunk);
  }

  hasBlock(row: ContentRow, block: number): boolean {
    const at = this.place(row, block);
    const chunk = this.chunks.find(row, at.chunk);
    return chunk !== undefined && this.chunks.hasBlock(chunk, at.block);
  }

  isWhole(row: ContentRow): boolean {
    return this.contents.presentBlocks(row) === blockCount(this.contents.sizeBytes(row));
  }

  isWholeChunk(row: ContentRow, chunk: ChunkRow): boolean {
    const blocks = this.contents.chunkBlocks(row);
    const first = this.chunks.index(chunk) * blocks;
    return this.chunks.presentCount(chunk) === Math.min(blocks, blockCount(this.contents.sizeBytes(row)) - first);
  }

  /** A pack with bytes that are not in the origin. */
  isPackWritten(pack: number): boolean {
    return (this.#packWritten.get(pack) ?? 0) > 0;
  }

  /** Sets or clears FLAG_STAGED or FLAG_DIRTY. */
  mark(row: ContentRow, flag: typeof FLAG_STAGED | typeof FLAG_DIRTY, on: boolean): void {
    const { contents } = this;
    if (contents.has(row, flag) === on) return;
    const before = contents.isWritten(row);
    contents.set(row, flag, on);
    if (flag === FLAG_DIRTY) this.dirtyBytes += on ? contents.sizeBytes(row) : -contents.sizeBytes(row);
    if (before === contents.isWritten(row) || !contents.isSmall(row) || contents.presentBlocks(row) === 0) return;
    const chunk = this.chunks.find(row, 0);
    if (chunk !== undefined) this.#countWritten(this.chunks.place(chunk).pack, on ? 1 : -1);
  }

  #countWritten(pack: number, delta: 1 | -1): void {
    const count = (this.#packWritten.get(pack) ?? 0) + delta;
    if (count > 0) this.#packWritten.set(pack, count);
    else this.#packWritten.delete(pack);
  }

  /** Dirty from now on. */
  setDirty(row: ContentRow, note: DirtyNote): void {
    this.notes.set(this.contents.id(row), { volume: note.volume, key: note.key, record: note.record });
    this.mark(row, FLAG_DIRTY, true);
    this.mark(row, FLAG_STAGED, false);
  }

  /** Bytes of a value from now on: eviction does not look at them. */
  setValue(row: ContentRow): void {
    if (this.contents.has(row, FLAG_VALUE)) return;
    this.contents.set(row, FLAG_VALUE, true);
    for (const chunk of this.chunksOf(row)) this.chunks.keep(chunk);
  }

  /** Neither staged nor dirty any more. */
  setClean(row: ContentRow): void {
    this.notes.delete(this.contents.id(row));
    this.mark(row, FLAG_DIRTY, false);
    this.mark(row, FLAG_STAGED, false);
  }

  dirtyContent(row: ContentRow): DirtyContent | undefined {
    const id = this.contents.id(row);
    const note = this.notes.get(id);
    if (note === undefined || !this.contents.has(row, FLAG_DIRTY)) return undefined;
    return { ...note, ...this.#shape(row) };
  }

  #shape(row: ContentRow): { id: ContentId; sizeBytes: number; chunkSizeBytes: number } {
    return {
      id: this.contents.id(row),
      sizeBytes: this.contents.sizeBytes(row),
      chunkSizeBytes: this.contents.chunkBlocks(row) * BLOCK_SIZE_BYTES,
    };
  }

  /** The content's row, added when missing. */
  ensureContent(id: ContentId, content: { sizeBytes: number; chunkSizeBytes: number }): ContentRow {
    return this.contents.find(id) ?? this.contents.add(id, content);
  }

  /** The chunk's row, added when missing. */
  ensureChunk(row: ContentRow, chunk: number): ChunkRow {
    const found = this.chunks.find(row, chunk);
    if (found !== undefined) return found;
    const whole = this.contents.chunkBlocks(row);
    // The size of what is being written may still grow.
    const blocks = this.contents.has(row, FLAG_STAGED)
      ? whole
      : Math.min(whole, blockCount(this.contents.sizeBytes(row)) - chunk * whole);
    const added = this.chunks.add(row, chunk, blocks);
    if (this.contents.has(row, FLAG_VALUE)) this.chunks.keep(added);
    return added;
  }

  blockLength(row: ContentRow, block: number): number {
    return rangeLength(blockRange(block, this.contents.sizeBytes(row)));
  }

  /** States that a block is present. */
  setBlock(row: ContentRow, block: number, checksum: number): ChunkRow {
    const at = this.place(row, block);
    const chunk = this.ensureChunk(row, at.chunk);
    if (!this.chunks.hasBlock(chunk, at.block)) {
      this.contents.addPresentBlocks(row, 1);
      this.presentBytes += this.blockLength(row, block);
    }
    this.chunks.setBlock(chunk, at.block, checksum);
    return chunk;
  }

  /** States that a block is not present; its chunk's row goes with its last block when nobody uses it. */
  clearBlock(row: ContentRow, block: number): void {
    const at = this.place(row, block);
    const chunk = this.chunks.find(row, at.chunk);
    if (chunk === undefined || !this.chunks.hasBlock(chunk, at.block)) return;
    if (this.contents.isSmall(row)) this.#removePlace(row, chunk);
    this.chunks.clearBlock(chunk, at.block);
    this.contents.addPresentBlocks(row, -1);
    this.presentBytes -= this.blockLength(row, block);
    this.dropEmptyChunk(chunk);
  }

  dropEmptyChunk(chunk: ChunkRow): void {
    if (this.chunks.present(chunk) === 0 && this.chunks.uses(chunk) === 0) this.chunks.remove(chunk);
  }

  /** States where a content lies that is packed: a small one, or a value. */
  setSmall(row: ContentRow, checksum: number, place: { pack: number; offset: number }): ChunkRow {
    const had = this.chunks.find(row, 0);
    if (had !== undefined && this.chunks.hasBlock(had, 0)) this.#removePlace(row, had);
    if (!this.contents.isSmall(row)) this.contents.set(row, FLAG_PACKED, true);
    const chunk = this.setBlock(row, 0, checksum);
    this.chunks.setPlace(chunk, place);
    this.smallContents += 1;
    const length = this.contents.sizeBytes(row) + PACK_HEADER_BYTES;
    this.packLive.set(place.pack, (this.packLive.get(place.pack) ?? 0) + length);
    if (this.contents.isWritten(row)) this.#countWritten(place.pack, 1);
    return chunk;
  }

  /** Removes a content whose blocks are all absent and which nobody holds. */
  removeContent(row: ContentRow): void {
    assert(this.contents.presentBlocks(row) === 0, 'a removed content has no blocks');
    this.contents.remove(row);
  }

  /** Chunk rows of a content. */
  *chunksOf(row: ContentRow): Generator<ChunkRow> {
    const blocks = this.contents.chunkBlocks(row);
    const count = Math.ceil(blockCount(this.contents.sizeBytes(row)) / blocks);
    for (let index = 0; index < count; index += 1) {
      const chunk = this.chunks.find(row, index);
      if (chunk !== undefined) yield chunk;
    }
  }

  /** Applies a journal record. */
  apply(record: JournalRecord): void {
    switch (record.type) {
      case 'boot':
        this.#replayedBootId = record.bootId;
        break;
      case 'blocks':
        this.#applyBlocks(record);
        break;
      case 'absent':
        this.#applyAbsent(record.id, record.firstBlock, record.count);
        break;
      case 'gone': {
        const row = this.contents.find(record.id);
        if (row === undefined) break;
        this.setClean(row);
        this.#applyAbsent(record.id, 0, blockCount(this.contents.sizeBytes(row)));
        break;
      }
      case 'small': {
        const row = this.ensureContent(record.id, {
          sizeBytes: record.sizeBytes,
          chunkSizeBytes: CHUNK_SIZE_DEFAULT_BYTES,
        });
        this.#resize(row, record.sizeBytes);
        this.#applied(this.setSmall(row, record.checksum, record));
        break;
      }
      case 'staged': {
        const row = this.ensureContent(record.id, { ...record, sizeBytes: record.chunkSizeBytes });
        this.mark(row, FLAG_STAGED, true);
        break;
      }
      case 'dirty': {
        const row = this.ensureContent(record.id, record);
        this.#resize(row, record.sizeBytes);
        this.setDirty(row, record);
        break;
      }
      case 'clean': {
        const row = this.contents.find(record.id);
        if (row === undefined) break;
        this.setClean(row);
        if (this.contents.presentBlocks(row) === 0 && !this.contents.isKept(row)) this.contents.remove(row);
        break;
      }
      case 'fact': {
        const fact = Buffer.from(record.fact);
        if (this.#replayedBootId !== this.#bootId) setFactChecked(fact, 0, Number.NEGATIVE_INFINITY);
        this.facts.setEncoded(fact);
        break;
      }
      case 'forgotten':
        this.facts.delete(record.volume, record.key);
        break;
      case 'flags': {
        const row = this.ensureContent(record.id, record);
        this.contents.set(row, FLAG_PINNED, record.pinned);
        this.contents.set(row, FLAG_LENT, record.lent);
        if (record.value) this.setValue(row);
        break;
      }
      case 'value':
      case 'valueGone':
        this.values.apply(record);
        break;
      case 'end':
        break;
    }
  }

  /**
   * Ends replay: contents without a block or flag go, and those whose writing did not end, which are returned; with
   * `unverified`, every chunk is checked before its first use.
   */
  settle(options: { unverified: boolean }): ContentId[] {
    const unsealed: ContentId[] = [];
    for (const row of this.contents.rows()) {
      if (this.contents.has(row, FLAG_STAGED)) {
        unsealed.push(this.contents.id(row));
        this.setClean(row);
        for (let block = 0; block < blockCount(this.contents.sizeBytes(row)); block += 1) this.clearBlock(row, block);
      }
      const kept = this.contents.presentBlocks(row) > 0 || this.contents.isKept(row);
      if (!kept) this.contents.remove(row);
    }
    if (options.unverified) for (const chunk of this.chunks.rows()) this.chunks.set(chunk, CHUNK_UNVERIFIED, true);
    return unsealed;
  }

  /** The state as records. May be read slowly while the state changes (see `Journal.snapshot`). */
  *records(boot: { bootId: string; wallMs: number }): Generator<JournalRecord> {
    // Under no boot first: what is not checked yet must not count as checked after the next start.
    yield { type: 'boot', bootId: '', wallMs: boot.wallMs };
    for (const row of this.contents.rows()) {
      if (this.contents.isLive(row)) yield* this.#contentRecords(row, { unverifiedOnly: true });
    }
    yield { type: 'boot', ...boot };
    for (const row of this.contents.rows()) {
      if (this.contents.isLive(row)) yield* this.#contentRecords(row, { unverifiedOnly: false });
    }
    for (const fact of this.facts.encoded()) yield { type: 'fact', fact };
    yield* this.values.records();
  }

  *#contentRecords(row: ContentRow, options: { unverifiedOnly: boolean }): Generator<JournalRecord> {
    const isValue = this.contents.has(row, FLAG_VALUE);
    // Where a packed value is stands in its own record.
    if (isValue && this.contents.isSmall(row)) return;
    const content = this.#shape(row);
    if (this.contents.has(row, FLAG_STAGED)) {
      // Its blocks are journalled when it is sealed.
      if (!options.unverifiedOnly) yield { type: 'staged', id: content.id, chunkSizeBytes: content.chunkSizeBytes };
      return;
    }
    const flags = this.flagsRecord(row);
    if (!options.unverifiedOnly && (flags.pinned || flags.lent || isValue)) yield flags;
    // The rows are read at once and yielded afterwards: between two yields anything may change.
    const records: JournalRecord[] = [];
    for (const chunk of this.chunksOf(row)) {
      if (this.chunks.present(chunk) === 0) continue;
      if (options.unverifiedOnly && !this.chunks.has(chunk, CHUNK_UNVERIFIED)) continue;
      if (this.contents.isSmall(row)) records.push(this.smallRecord(row, chunk));
      else records.push(...this.#blockRecords(chunk, content, this.contents.chunkBlocks(row)));
    }
    const dirty = options.unverifiedOnly ? undefined : this.dirtyRecord(row);
    if (dirty !== undefined) records.push(dirty);
    yield* records;
  }

  flagsRecord(row: ContentRow): Extract<JournalRecord, { type: 'flags' }> {
    return {
      type: 'flags',
      id: this.contents.id(row),
      sizeBytes: this.contents.sizeBytes(row),
      chunkSizeBytes: this.contents.chunkBlocks(row) * BLOCK_SIZE_BYTES,
      pinned: this.contents.has(row, FLAG_PINNED),
      lent: this.contents.has(row, FLAG_LENT),
      ...(this.contents.has(row, FLAG_VALUE) ? { value: true as const } : {}),
    };
  }

  dirtyRecord(row: ContentRow): JournalRecord | undefined {
    const dirty = this.dirtyContent(row);
    return dirty && { type: 'dirty', ...dirty };
  }

  /** What a restart must know of the blocks that are here. */
  *presenceRecords(row: ContentRow): Generator<JournalRecord> {
    for (const chunk of this.chunksOf(row)) {
      if (this.chunks.present(chunk) === 0) continue;
      if (this.contents.isSmall(row)) yield this.smallRecord(row, chunk);
      else yield* this.#blockRecords(chunk, this.#shape(row), this.contents.chunkBlocks(row));
    }
  }

  smallRecord(row: ContentRow, chunk: ChunkRow): JournalRecord {
    return {
      type: 'small',
      id: this.contents.id(row),
      sizeBytes: this.contents.sizeBytes(row),
      ...this.chunks.place(chunk),
      checksum: this.chunks.checksum(chunk, 0),
    };
  }

  *#blockRecords(
    chunk: ChunkRow,
    content: { id: ContentId; sizeBytes: number; chunkSizeBytes: number },
    chunkBlocks: number,
  ): Generator<JournalRecord> {
    const base = this.chunks.index(chunk) * chunkBlocks;
    let checksums: number[] = [];
    for (let block = 0; block <= chunkBlocks; block += 1) {
      const present = block < chunkBlocks && this.chunks.hasBlock(chunk, block);
      if (present) checksums.push(this.chunks.checksum(chunk, block));
      if (checksums.length > 0 && (!present || checksums.length === BLOCKS_PER_RECORD_MAX)) {
        const end = present ? block + 1 : block;
        yield { type: 'blocks', ...content, firstBlock: base + end - checksums.length, checksums };
        checksums = [];
      }
    }
  }

  #applyBlocks(record: Extract<JournalRecord, { type: 'blocks' }>): void {
    const row = this.ensureContent(record.id, record);
    this.#resize(row, record.sizeBytes);
    for (const [index, checksum] of record.checksums.entries())
      this.#applied(this.setBlock(row, record.firstBlock + index, checksum));
  }

  /** What was journalled in an earlier boot may be torn, and stays so however often the daemon starts in this boot. */
  #applied(chunk: ChunkRow): void {
    if (this.#replayedBootId !== this.#bootId) this.chunks.set(chunk, CHUNK_UNVERIFIED, true);
  }

  #applyAbsent(id: ContentId, firstBlock: number, count: number): void {
    const row = this.contents.find(id);
    if (row === undefined) return;
    for (let block = firstBlock; block < firstBlock + count; block += 1) this.clearBlock(row, block);
    if (this.contents.presentBlocks(row) === 0 && !this.contents.isKept(row)) this.contents.remove(row);
  }

  /** Of what was staged only the chunk size was journalled at first. */
  #resize(row: ContentRow, sizeBytes: number): void {
    if (!this.contents.has(row, FLAG_STAGED) || this.contents.sizeBytes(row) === sizeBytes) return;
    if (this.contents.presentBlocks(row) === 0) this.contents.setSize(row, sizeBytes);
  }

  #removePlace(row: ContentRow, chunk: ChunkRow): void {
    const { pack } = this.chunks.place(chunk);
    const length = this.contents.sizeBytes(row) + PACK_HEADER_BYTES;
    this.packLive.set(pack, (this.packLive.get(pack) ?? 0) - length);
    if (this.contents.isWritten(row)) this.#countWritten(pack, -1);
    this.smallContents -= 1;
  }
}
