/**
 * Present bytes as pieces: runs of a file with a use count on each chunk that they touch, or bytes in memory. What is found wrong
 * on the way is dropped, and counts as absent.
 */
import { crc32 } from 'node:zlib';
import { BLOCK_SIZE_BYTES, blockRange } from '../core/chunk.ts';
import { ForebayError } from '../core/errors.ts';
import { MiB } from '../core/limits.ts';
import type { Range } from '../core/range.ts';
import { DiskError } from '../io/io.ts';
import { isEjected } from '../io/wrapped-file.ts';
import { CHUNK_UNVERIFIED, CHUNK_VISITED, type ChunkRow } from './chunk-table.ts';
import { type ContentRow, FLAG_LENT, FLAG_VALUE } from './content-table.ts';
import type { Piece } from './piece.ts';
import type { StoreParts } from './store-parts.ts';
import { missingIsUndefined } from './verification.ts';

/** Bytes of one piece at most: long enough that handing over costs nothing, short enough that eviction is not held up. */
const pieceMaxBytes = 128 * MiB;

export class Acquisition {
  readonly #parts: StoreParts;

  constructor(parts: StoreParts) {
    this.#parts = parts;
  }

  /** The present bytes from `range.start` on, at most to `range.end`; `undefined` when the first block is absent. */
  async acquire(row: ContentRow, range: Range, options: { verify: boolean }): Promise<Piece | undefined> {
    const { index, verification } = this.#parts;
    const block = Math.floor(range.start / BLOCK_SIZE_BYTES);
    if (!index.hasBlock(row, block)) return undefined;
    if (index.contents.isSmall(row)) return this.#acquireSmall(row, range);
    if (index.contents.has(row, FLAG_LENT)) await verification.lent(row);
    const first = index.chunkOf(row, block);
    if (first !== undefined && index.chunks.has(first, CHUNK_UNVERIFIED)) await verification.chunk(first, 'first-use');
    return options.verify ? this.#acquireChecked(row, range) : this.#acquireRun(row, range);
  }

  async #acquireSmall(row: ContentRow, range: Range): Promise<Piece | undefined> {
    const { index, hot, packs, valueBytes } = this.#parts;
    const id = index.contents.id(row);
    const isValue = index.contents.has(row, FLAG_VALUE);
    const chunk = index.chunks.find(row, 0) as ChunkRow;
    index.chunks.set(chunk, CHUNK_VISITED, true);
    let bytes = isValue ? valueBytes.get(row) : hot.get(id);
    if (bytes === undefined) {
      const expected = { sizeBytes: index.contents.sizeBytes(row), checksum: index.chunks.checksum(chunk, 0) };
      const place = index.chunks.place(chunk);
      bytes = await this.#parts.health.run(() => packs.read(place, expected).catch(missingIsUndefined));
      const moved = index.chunks.find(row, 0);
      const same =
        moved !== undefined && index.chunks.hasBlock(moved, 0) && index.chunks.place(moved).offset === place.offset;
      if (bytes === undefined) {
        if (same) this.#parts.verification.dropBlock(row, 0, 'read');
        return undefined;
      }
      if (isValue) valueBytes.put(row, bytes);
      else hot.put(id, bytes);
    }
    return { kind: 'bytes', bytes: bytes.subarray(range.start, range.end), release: () => undefined };
  }

  async #acquireRun(row: ContentRow, range: Range): Promise<Piece | undefined> {
    const { index, files } = this.#parts;
    const used: ChunkRow[] = [];
    const limit = Math.min(range.end, range.start + pieceMaxBytes);
    let end = range.start;
    while (end < limit) {
      const block = Math.floor(end / BLOCK_SIZE_BYTES);
      const chunk = index.chunkOf(row, block);
      if (chunk === undefined || !index.hasBlock(row, block) || index.chunks.has(chunk, CHUNK_UNVERIFIED)) break;
      if (used.at(-1) !== chunk) {
        index.chunks.addUses(chunk, 1);
        index.chunks.set(chunk, CHUNK_VISITED, true);
        used.push(chunk);
      }
      end = Math.min((block + 1) * BLOCK_SIZE_BYTES, limit);
    }
    if (used.length === 0) return undefined;
    try {
      const opened = await this.#parts.health.run(() =>
        files.acquire(this.#parts.dataPath(index.contents.id(row)), 'read'),
      );
      if (isEjected(opened.file)) {
        opened.release();
        throw new ForebayError('diskUnavailable', 'the cache disk does not answer');
      }
      return {
        kind: 'file',
        file: opened.file,
        range: { start: range.start, end },
        release: (damaged = false) => {
          opened.release();
          this.#unuse(used, damaged);
        },
      };
    } catch (error) {
      const missing = error instanceof DiskError && error.code === 'ENOENT';
      this.#unuse(used, missing);
      if (!missing) throw error;
      // The file is gone: the check finds every block missing and drops it.
      for (const chunk of used) if (index.chunks.isLive(chunk)) await this.#parts.verification.chunk(chunk, 'read');
      return undefined;
    }
  }

  /** Reads one block, checks it and returns what lies in `range`; `undefined` after dropping a wrong one. */
  async #acquireChecked(row: ContentRow, range: Range): Promise<Piece | undefined> {
    const { index } = this.#parts;
    const block = Math.floor(range.start / BLOCK_SIZE_BYTES);
    const chunk = index.chunkOf(row, block);
    if (chunk === undefined || !index.hasBlock(row, block)) return undefined;
    const checksum = index.chunks.checksum(chunk, index.place(row, block).block);
    const blockBytes = blockRange(block, index.contents.sizeBytes(row));
    const piece = await this.#acquireRun(row, blockBytes);
    if (piece === undefined || piece.kind !== 'file') return piece;
    const bytes = await this.#parts.health
      .run(() => piece.file.read(blockBytes.start, blockBytes.end - blockBytes.start))
      .finally(() => piece.release());
    if (bytes.length !== blockBytes.end - blockBytes.start || crc32(bytes) !== checksum) {
      this.#parts.verification.dropBlock(row, block, 'read');
      return undefined;
    }
    const end = Math.min(range.end, blockBytes.end);
    return {
      kind: 'bytes',
      bytes: bytes.subarray(range.start - blockBytes.start, end - blockBytes.start),
      release: () => undefined,
    };
  }

  #unuse(used: readonly ChunkRow[], damaged: boolean): void {
    const { chunks } = this.#parts.index;
    for (const chunk of used) {
      if (damaged) chunks.set(chunk, CHUNK_UNVERIFIED, true);
      chunks.addUses(chunk, -1);
      this.#parts.index.dropEmptyChunk(chunk);
    }
  }
}
