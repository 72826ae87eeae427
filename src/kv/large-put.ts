/**
 * Takes a value into a file of its own, block by block. While its bytes equal those that the key has already, nothing is written; at the first
 * difference what was equal is copied over.
 */
import { crc32 } from 'node:zlib';
import { assert } from '../core/assert.ts';
import { BLOCK_SIZE_BYTES, blockRange } from '../core/chunk.ts';
import { ForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { valueBlocksInFlightMax } from '../core/kv-limits.ts';
import type { ContentRow } from '../store/content-table.ts';
import type { Reservation } from '../store/space.ts';
import type { ValueRow } from '../store/value-table.ts';
import type { VolumeValues } from '../store/volume-values.ts';
import type { ValueBody } from './kv.ts';
import { type Block, type BlockMemory, blocksOf } from './value-blocks.ts';
import type { Room } from './value-share.ts';

export interface LargePutOptions {
  readonly values: VolumeValues;
  readonly memory: BlockMemory;
  readonly body: ValueBody;
  readonly signal: AbortSignal;
  /** What the key has, of the same size. */
  readonly before: ValueRow | undefined;
  readonly newId: () => ContentId;
  /** Room for the whole value. Rejects with diskFull. */
  readonly room: () => Promise<Room>;
}

/** The content, whole, begun and not committed; `same`: its bytes are those that the key had. Rejects with the body's and the disk's errors: nothing is kept then. */
export async function putLarge(options: LargePutOptions): Promise<ContentRow | 'same'> {
  const { values, body, before, memory, signal } = options;
  if (before === undefined && body.receive !== undefined) return receiveLarge(options, body.receive.bind(body));
  const held = before === undefined ? undefined : values.hold(before);
  const old = held === undefined || before === undefined ? undefined : new HeldBytes(values, { before, held });
  let writer: Writer | undefined;
  try {
    for await (const block of blocksOf(body, memory, signal)) {
      try {
        if (writer === undefined && old !== undefined && (await old.has(block))) {
          memory.give(block.memory, true);
          continue;
        }
        if (writer === undefined) {
          writer = await Writer.begin(options);
          for (let index = 0; index < block.index; index += 1) await writer.copy(index, old as HeldBytes);
        }
      } catch (error) {
        memory.give(block.memory, true);
        throw error;
      }
      await writer.add(block);
    }
    if (writer === undefined) return 'same';
    return await writer.end();
  } catch (error) {
    await writer?.abandon();
    throw error;
  } finally {
    if (held !== undefined) values.release(held);
  }
}

/** Somebody else writes the bytes into the value's file. */
async function receiveLarge(
  { values, body, newId, room }: LargePutOptions,
  receive: NonNullable<ValueBody['receive']>,
): Promise<ContentRow> {
  const { reservation, settle } = await room();
  const content = values.begin(newId(), body.lengthBytes);
  settle();
  try {
    const receiving = await values.receive(content, reservation);
    try {
      await receive(receiving.file, (block, checksum) => receiving.stored(block, checksum));
    } finally {
      receiving.close();
    }
    if (reservation.bytes > 0)
      throw new ForebayError('invalidArgument', `${reservation.bytes} bytes of the value did not come`);
    return content;
  } catch (error) {
    values.abandon(content);
    throw error;
  } finally {
    reservation.release();
  }
}

/** The bytes that a key has. */
class HeldBytes {
  readonly #values: VolumeValues;
  readonly #content: ContentRow;
  readonly #checksums: readonly number[];
  readonly #sizeBytes: number;

  constructor(values: VolumeValues, of: { before: ValueRow; held: ContentRow }) {
    this.#values = values;
    this.#content = of.held;
    this.#sizeBytes = values.sizeBytes(of.before);
    const blocks = Math.ceil(this.#sizeBytes / BLOCK_SIZE_BYTES);
    this.#checksums = Array.from({ length: blocks }, (_, block) => values.checksum(of.before, block));
  }

  async has(block: Block): Promise<boolean> {
    if (crc32(block.bytes) !== this.#checksums[block.index]) return false;
    const bytes = await this.read(block.index);
    return bytes !== undefined && Buffer.compare(block.bytes, bytes) === 0;
  }

  /** Checked; `undefined` where they were wrong. */
  async read(block: number): Promise<Uint8Array | undefined> {
    const piece = await this.#values.acquire(this.#content, blockRange(block, this.#sizeBytes), { verify: true });
    if (piece === undefined) return undefined;
    assert(piece.kind === 'bytes', 'a checked piece is in memory');
    piece.release();
    return piece.bytes;
  }
}

class Writer {
  readonly #options: LargePutOptions;
  readonly #content: ContentRow;
  readonly #reservation: Reservation;
  readonly #under = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  private constructor(options: LargePutOptions, begun: { content: ContentRow; reservation: Reservation }) {
    this.#options = options;
    this.#content = begun.content;
    this.#reservation = begun.reservation;
  }

  static async begin(options: LargePutOptions): Promise<Writer> {
    const { reservation, settle } = await options.room();
    const content = options.values.begin(options.newId(), options.body.lengthBytes);
    settle();
    return new Writer(options, { content, reservation });
  }

  /** Writes a block, beside others; takes its memory over. */
  async add(block: Block): Promise<void> {
    const { values, memory } = this.#options;
    const written = values
      .putBlock(this.#content, block.index, block.bytes, this.#reservation)
      .then(
        () => memory.give(block.memory, true),
        (error: unknown) => {
          this.#failure ??= { error };
          memory.give(block.memory, false);
        },
      )
      .finally(() => this.#under.delete(written));
    this.#under.add(written);
    if (this.#under.size >= valueBlocksInFlightMax) await Promise.race(this.#under);
    if (this.#failure !== undefined) throw this.#failure.error;
  }

  async copy(index: number, from: HeldBytes): Promise<void> {
    const bytes = await from.read(index);
    if (bytes === undefined) throw new ForebayError('corrupt', 'bytes that the key had were found wrong; put it again');
    await this.#options.values.putBlock(this.#content, index, bytes, this.#reservation);
  }

  async end(): Promise<ContentRow> {
    await Promise.all(this.#under);
    if (this.#failure !== undefined) throw this.#failure.error;
    this.#reservation.release();
    return this.#content;
  }

  async abandon(): Promise<void> {
    await Promise.all(this.#under);
    this.#reservation.release();
    this.#options.values.abandon(this.#content);
  }
}
