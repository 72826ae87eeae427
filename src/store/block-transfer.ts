/**
 * Blocks as they come from and go to other nodes: into a content's file by whoever receives them, and out of it with their
 * checksums.
 */
import { crc32 } from 'node:zlib';
import { assert } from '../core/assert.ts';
import { BLOCK_SIZE_BYTES, blockRange, blocksRange } from '../core/chunk.ts';
import type { ContentId } from '../core/ids.ts';
import type { File } from '../io/io.ts';
import type { BlockRun } from '../io/peers.ts';
import type { Acquisition } from './acquisition.ts';
import type { JournalRecord } from './journal-record.ts';
import type { Reservation } from './space.ts';
import type { ContentShape } from './store.ts';
import type { StoreParts } from './store-parts.ts';

/** The file of a content, open for blocks of one chunk. Close it exactly once. */
export interface Receiving {
  readonly file: File;
  /** A block was written at its own place, and its checksum proved right: it counts as present from now on. */
  stored(block: number, checksum: number, reservation: Reservation): void;
  close(): void;
}

export interface BlockSink {
  readonly append: (record: JournalRecord) => void;
  /** A block came of a content that is being written, whose own account it is then; false when it is not. */
  readonly arrived: (id: ContentId, block: number, checksum: number) => boolean;
}

export class BlockTransfer {
  readonly #parts: StoreParts;
  readonly #acquisition: Acquisition;
  readonly #into: BlockSink;

  constructor(parts: StoreParts, acquisition: Acquisition, into: BlockSink) {
    this.#parts = parts;
    this.#acquisition = acquisition;
    this.#into = into;
  }

  /** The caller holds the content, which is not small, and writes only blocks of the chunk of `block` that are absent. */
  async receive(content: ContentShape, block: number): Promise<Receiving> {
    const { index, files, removal, health } = this.#parts;
    const row = index.contents.find(content.id);
    assert(row !== undefined && index.contents.holds(row) > 0, 'a content that is filled is held');
    const chunk = index.ensureChunk(row, index.place(row, block).chunk);
    index.chunks.addUses(chunk, 1);
    const unuse = () => {
      index.chunks.addUses(chunk, -1);
      index.dropEmptyChunk(chunk);
    };
    try {
      await removal.settled(content.id);
      const opened = await health.run(() => files.acquire(this.#parts.dataPath(content.id), 'write'));
      return {
        file: opened.file,
        stored: (at, checksum, reservation) => {
          if (index.hasBlock(row, at) || this.#into.arrived(content.id, at, checksum)) return;
          const { start, end } = blockRange(at, content.sizeBytes);
          reservation.use(end - start);
          index.setBlock(row, at, checksum);
          this.#into.append({ type: 'blocks', ...content, firstBlock: at, checksums: [checksum] });
        },
        close: () => {
          opened.release();
          unuse();
        },
      };
    } catch (error) {
      unuse();
      throw error;
    }
  }

  /** The present blocks from `blocks.first` on, at most `blocks.count`; `undefined` when the first is absent. The caller holds the content. */
  async acquire(
    id: ContentId,
    blocks: { first: number; count: number },
    namedBytes?: number,
  ): Promise<BlockRun | undefined> {
    const { index } = this.#parts;
    const row = index.contents.find(id);
    if (row === undefined) return undefined;
    const range = blocksRange(blocks, commonBytes(index.contents.sizeBytes(row), namedBytes));
    if (range.end <= range.start) return undefined;
    const piece = await this.#acquisition.acquire(row, range, { verify: false });
    if (piece === undefined) return undefined;
    const { first } = blocks;
    const release = (damaged?: boolean) => piece.release(damaged);
    if (piece.kind === 'bytes')
      return { first, checksums: [crc32(piece.bytes)], source: { kind: 'bytes', bytes: piece.bytes }, release };
    const checksums: number[] = [];
    for (let block = first; block * BLOCK_SIZE_BYTES < piece.range.end; block += 1) {
      const chunk = index.chunkOf(row, block);
      assert(chunk !== undefined, 'a chunk in use stays');
      checksums.push(index.chunks.checksum(chunk, index.place(row, block).block));
    }
    return { first, checksums, source: { kind: 'file', file: piece.file }, release };
  }
}

/** Up to where blocks are the same under two sizes. */
function commonBytes(sizeBytes: number, namedBytes = sizeBytes): number {
  if (sizeBytes === namedBytes) return sizeBytes;
  return Math.floor(Math.min(sizeBytes, namedBytes) / BLOCK_SIZE_BYTES) * BLOCK_SIZE_BYTES;
}
