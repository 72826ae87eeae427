/**
 * Bodies of clients on their way into staged contents: gathered into whole blocks, so that each is summed and written once,
 * out of buffers that the disk takes without another copy.
 *
 * Bounds: stagedBodiesMax bodies at once, stagedBlocksInFlightMax blocks of each on their way to the disk.
 */
import { BLOCK_SIZE_BYTES } from '../core/chunk.ts';
import { ForebayError } from '../core/errors.ts';
import { stagedBlocksInFlightMax, stagedBodiesMax, stageInlineMaxBytes } from '../core/limits.ts';
import { Places } from '../core/places.ts';
import type { Range } from '../core/range.ts';
import type { Disk, File } from '../io/io.ts';
import type { ReceiveRange } from '../store/staging.ts';
import type { WriteBody } from './writer.ts';

/** Buffers that are kept for the next body. */
const KEPT_MAX = 64;

export interface StageTarget {
  write(position: number, bytes: Uint8Array): Promise<void>;
  /** As `Staging.receiveRange`. */
  receiveRange(range: Range, receive: ReceiveRange): Promise<void>;
}

/** A file of its own as a target. */
export function fileTarget(file: File): StageTarget {
  return {
    write: (position, bytes) => file.write(position, bytes),
    receiveRange: (_range, receive) => receive(file, () => {}),
  };
}

export class BodyStager {
  readonly #disk: Disk;
  readonly #kept: Uint8Array[] = [];
  readonly #places = new Places(stagedBodiesMax);

  constructor(disk: Disk) {
    this.#disk = disk;
  }

  /**
   * Writes a body at `at`. Rejects with the body's own error (also incompleteBody), the target's, or the signal's reason; some
   * of it may be written then. Returns the bytes of a small body.
   */
  async stage(body: WriteBody, target: StageTarget, at: number, signal: AbortSignal): Promise<Uint8Array | undefined> {
    if (body.lengthBytes <= stageInlineMaxBytes) return this.#stageSmall(body, target, at);
    await this.#places.take(signal);
    try {
      if (body.receiveInto !== undefined) await receive(body.receiveInto, body, target, at, signal);
      else await this.#stageLarge(body, target, at, signal);
      return undefined;
    } finally {
      this.#places.release();
    }
  }

  async #stageSmall(body: WriteBody, target: StageTarget, at: number): Promise<Uint8Array> {
    const bytes = Buffer.allocUnsafe(body.lengthBytes);
    let length = 0;
    for await (const piece of body.stream()) {
      checkLength(body, length + piece.length);
      bytes.set(piece, length);
      length += piece.length;
    }
    checkWhole(body, length);
    if (length > 0) await target.write(at, bytes);
    return bytes;
  }

  async #stageLarge(body: WriteBody, target: StageTarget, at: number, signal: AbortSignal): Promise<void> {
    const writes = new Writes(target, this.#kept);
    let block: Uint8Array | undefined;
    let filled = 0;
    let length = 0;
    try {
      for await (const piece of body.stream()) {
        checkLength(body, length + piece.length);
        for (let from = 0; from < piece.length; ) {
          const place = at + length;
          const room = BLOCK_SIZE_BYTES - (place % BLOCK_SIZE_BYTES);
          block ??= this.#kept.pop() ?? this.#disk.allocate(BLOCK_SIZE_BYTES);
          const taken = Math.min(room, piece.length - from);
          // `set` copies into shared memory word by word
          bytesOf(piece).copy(block, filled, from, from + taken);
          filled += taken;
          from += taken;
          length += taken;
          if (taken < room) continue;
          await writes.add(at + length - filled, block, filled);
          block = undefined;
          filled = 0;
        }
        signal.throwIfAborted();
      }
      checkWhole(body, length);
      if (block !== undefined) await writes.add(at + length - filled, block, filled);
    } finally {
      await writes.settle();
    }
    writes.check();
  }
}

/** The bytes go to the file without passing here. */
async function receive(
  receiveInto: NonNullable<WriteBody['receiveInto']>,
  { lengthBytes }: WriteBody,
  target: StageTarget,
  at: number,
  signal: AbortSignal,
): Promise<void> {
  await target.receiveRange({ start: at, end: at + lengthBytes }, (file, onSlice) =>
    receiveInto({ file, position: at, sliceBytes: BLOCK_SIZE_BYTES, onSlice, signal }),
  );
}

/** Blocks of one body on their way to the disk. */
class Writes {
  readonly #target: StageTarget;
  readonly #kept: Uint8Array[];
  readonly #underWay = new Set<Promise<void>>();
  #failure: { readonly error: unknown } | undefined;

  constructor(target: StageTarget, kept: Uint8Array[]) {
    this.#target = target;
    this.#kept = kept;
  }

  /** Resolves when another may come. Throws what an earlier one failed with. */
  async add(position: number, block: Uint8Array, length: number): Promise<void> {
    const write = this.#target.write(position, length === block.length ? block : block.subarray(0, length)).then(
      () => {
        if (this.#kept.length < KEPT_MAX) this.#kept.push(block);
      },
      (error: unknown) => {
        this.#failure ??= { error };
      },
    );
    const settled: Promise<void> = write.finally(() => this.#underWay.delete(settled));
    this.#underWay.add(settled);
    while (this.#underWay.size >= stagedBlocksInFlightMax) await Promise.race(this.#underWay);
    this.check();
  }

  async settle(): Promise<void> {
    await Promise.all(this.#underWay);
  }

  check(): void {
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}

function bytesOf(piece: Uint8Array): Buffer {
  return Buffer.isBuffer(piece) ? piece : Buffer.from(piece.buffer, piece.byteOffset, piece.length);
}

function checkLength(body: WriteBody, length: number): void {
  if (length > body.lengthBytes)
    throw new ForebayError('incompleteBody', `the body is longer than the declared ${body.lengthBytes} bytes`);
}

function checkWhole(body: WriteBody, length: number): void {
  if (length !== body.lengthBytes)
    throw new ForebayError('incompleteBody', `the body ended after ${length} of ${body.lengthBytes} bytes`);
}
