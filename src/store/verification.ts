/**
 * Checks bytes on the disk against the checksums in the index (S-9), and drops blocks that are wrong. One check of a chunk
 * at a time, shared by all who need it.
 */
import { BLOCK_SIZE_BYTES } from '../core/chunk.ts';
import type { ContentId } from '../core/ids.ts';
import { type Disk, DiskError } from '../io/io.ts';
import type { Emit, Event } from '../observe/events.ts';
import { CHUNK_BLOCKS_MAX, CHUNK_UNVERIFIED, type ChunkRow } from './chunk-table.ts';
import { type ContentRow, FLAG_LENT, FLAG_STAGED, FLAG_VALUE } from './content-table.ts';
import type { DiskHealth } from './disk-health.ts';
import type { OpenFiles } from './open-files.ts';
import type { Packs } from './packs.ts';
import type { Removal } from './removal.ts';
import type { StoreIndex } from './store-index.ts';
import { PACK_NONE } from './value-index.ts';

export type FoundBy = Extract<Event, { kind: 'store.corrupt' }>['found'];

export interface VerificationOptions {
  readonly index: StoreIndex;
  readonly files: OpenFiles;
  readonly packs: Packs;
  readonly removal: Removal;
  readonly disk: Disk;
  readonly health: DiskHealth;
  readonly dataPath: (id: ContentId) => string;
  /** Called when a content's last holder let go. */
  readonly released: (row: ContentRow) => void;
  /** Bytes of a value were wrong, and are dropped. */
  readonly damaged: (row: ContentRow) => void;
  readonly emit: Emit;
}

export class Verification {
  readonly #options: VerificationOptions;
  readonly #running = new Map<ChunkRow, Promise<void>>();
  /** The ctime at which a lent file was last found right. */
  readonly #lentChanged = new Map<ContentId, bigint>();
  corruptBlocks = 0;

  constructor(options: VerificationOptions) {
    this.#options = options;
  }

  /** Checks the present blocks of a chunk and drops those that are wrong. Throws DiskError, diskUnavailable. */
  chunk(chunk: ChunkRow, found: FoundBy): Promise<void> {
    const running = this.#running.get(chunk);
    if (running !== undefined) return running;
    const done = this.#check(chunk, found).finally(() => this.#running.delete(chunk));
    this.#running.set(chunk, done);
    return done;
  }

  /** Drops a block whose bytes are wrong. Of a lent content everything goes: its file is never written again. */
  dropBlock(row: ContentRow, block: number, found: FoundBy): void {
    const { index, removal, emit } = this.#options;
    const id = index.contents.id(row);
    this.corruptBlocks += 1;
    emit({ kind: 'store.corrupt', content: id, block, found });
    let removed: { bytes: number };
    if (index.contents.isSmall(row)) removed = removal.removeSmall(row);
    else if (index.contents.has(row, FLAG_LENT)) removed = removal.replaceFile(row);
    else removed = removal.removeBlocks(row, { first: block, count: 1 });
    emit({ kind: 'store.dropped', content: id, bytes: removed.bytes, reason: 'corrupt' });
    if (index.contents.isLive(row) && index.contents.has(row, FLAG_VALUE)) this.#options.damaged(row);
  }

  /** A lent file may have been changed by those who have it: when its ctime moved, it counts as unverified. */
  async lent(row: ContentRow): Promise<void> {
    const { index, disk, health, dataPath } = this.#options;
    const id = index.contents.id(row);
    const stat = await health.run(() => disk.stat(dataPath(id)));
    if (stat === undefined || this.#lentChanged.get(id) === stat.changedNs) return;
    this.#lentChanged.set(id, stat.changedNs);
    for (const chunk of index.chunksOf(row)) index.chunks.set(chunk, CHUNK_UNVERIFIED, true);
  }

  /** The bytes of a lent file are right as of this ctime. */
  lentSeen(id: ContentId, changedNs: bigint): void {
    this.#lentChanged.set(id, changedNs);
  }

  async #check(chunk: ChunkRow, found: FoundBy): Promise<void> {
    const { index, released } = this.#options;
    const row = index.chunks.content(chunk);
    if (index.contents.has(row, FLAG_STAGED)) {
      // Its blocks change while they are read; they are summed as they are written.
      index.chunks.set(chunk, CHUNK_UNVERIFIED, false);
      return;
    }
    index.contents.addHolds(row, 1);
    index.chunks.addUses(chunk, 1);
    const present = index.chunks.present(chunk);
    const first = index.chunks.index(chunk) * index.contents.chunkBlocks(row);
    try {
      const actual = await this.#checksums(row, chunk, { first, present });
      for (let block = 0; block < CHUNK_BLOCKS_MAX; block += 1) {
        // A block that came meanwhile was verified when it came, and one that went needs no verdict.
        if (((present >>> block) & 1) === 0 || !index.chunks.hasBlock(chunk, block)) continue;
        if (actual[block] !== index.chunks.checksum(chunk, block)) this.dropBlock(row, first + block, found);
      }
      index.chunks.set(chunk, CHUNK_UNVERIFIED, false);
    } finally {
      index.chunks.addUses(chunk, -1);
      index.dropEmptyChunk(chunk);
      if (index.contents.addHolds(row, -1) === 0) released(row);
    }
  }

  /** The checksums of a chunk's blocks as they are on the disk, by block; missing where the file ends before. */
  async #checksums(
    row: ContentRow,
    chunk: ChunkRow,
    at: { first: number; present: number },
  ): Promise<readonly (number | undefined)[]> {
    const { index, files, packs, health, dataPath } = this.#options;
    const sizeBytes = index.contents.sizeBytes(row);
    if (at.present === 0) return [];
    if (index.contents.isSmall(row)) {
      const expected = { sizeBytes, checksum: index.chunks.checksum(chunk, 0) };
      const place = index.chunks.place(chunk);
      if (place.pack === PACK_NONE) return [expected.checksum];
      const bytes = await health.run(() => packs.read(place, expected).catch(missingIsUndefined));
      return [bytes !== undefined || index.chunks.place(chunk).pack !== place.pack ? expected.checksum : undefined];
    }
    const low = 31 - Math.clz32(at.present & -at.present);
    const high = 31 - Math.clz32(at.present);
    const range = {
      start: (at.first + low) * BLOCK_SIZE_BYTES,
      end: Math.min((at.first + high + 1) * BLOCK_SIZE_BYTES, sizeBytes),
    };
    const opened = await health.run(() =>
      files.acquire(dataPath(index.contents.id(row)), 'read').catch(missingIsUndefined),
    );
    if (opened === undefined) return [];
    try {
      const checksums = await health.run(() => opened.file.checksums(range, BLOCK_SIZE_BYTES));
      return [...Array.from<undefined>({ length: low }), ...checksums];
    } finally {
      opened.release();
    }
  }
}

export function missingIsUndefined(error: unknown): undefined {
  if (error instanceof DiskError && error.code === 'ENOENT') return undefined;
  throw error;
}
