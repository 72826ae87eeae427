/**
 * Blocks from the origin into the store, each stored as it comes.
 *
 * Bounds:  `fillBuffersMax` blocks of a fill in memory.
 * Errors:  the origin's, originTruncated, diskFull, DiskError; what was stored by then stays.
 */
import { assert } from '../core/assert.ts';
import { blockRange, blocksRange } from '../core/chunk.ts';
import { ForebayError } from '../core/errors.ts';
import { fillBuffersMax, smallContentMaxBytes } from '../core/limits.ts';
import { rangeLength } from '../core/range.ts';
import type { Clock } from '../io/io.ts';
import type { Budget } from '../mover/budget.ts';
import type { Emit } from '../observe/events.ts';
import type { Reservation } from '../store/space.ts';
import type { Store } from '../store/store.ts';
import { smallFootprintBytes } from '../store/store-index.ts';
import { BlockBuffers } from './block-buffers.ts';
import type { BlockRun, FillTarget, OnStored } from './fill-target.ts';

export interface FillHow {
  readonly signal: AbortSignal;
  readonly onStored: OnStored;
  /** The origin is being asked, and: it begins to answer. */
  readonly onAsked?: () => void;
  readonly onAnswer?: () => void;
}

export class OriginBlocks {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #emit: Emit;
  readonly #budget: Budget | undefined;
  readonly #buffers: BlockBuffers;

  constructor(options: { store: Store; clock: Clock; emit: Emit; flightsMax: number; budget?: Budget | undefined }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#emit = options.emit;
    this.#budget = options.budget;
    this.#buffers = new BlockBuffers(() => this.#store.disk, options.flightsMax * (fillBuffersMax + 1));
  }

  /** Fills consecutive absent blocks of a held content. */
  async fill(target: FillTarget, run: BlockRun, options: FillHow): Promise<void> {
    const { signal, onStored } = options;
    const { volume, key, etag } = target.fact;
    const range = blocksRange({ first: run.first, count: run.end - run.first }, target.sizeBytes);
    const small = target.sizeBytes < smallContentMaxBytes;
    const reservation = await reserve(this.#store, small ? smallFootprintBytes(target.sizeBytes) : rangeLength(range));
    const begunMs = this.#clock.boottimeMs();
    try {
      await this.#budget?.take(rangeLength(range), signal);
      this.#emit({ kind: 'fill.begun', volume, key, ...range });
      options.onAsked?.();
      const stream = await target.source.origin.get(key, { etag, range, signal });
      options.onAnswer?.();
      if (small) await this.#fillSmall(target, stream, reservation);
      else await this.#fillBlocks(target, { run, stream, reservation, onStored });
      this.#emit({ kind: 'fill.done', volume, key, bytes: rangeLength(range), ms: this.#clock.boottimeMs() - begunMs });
    } finally {
      reservation.release();
    }
  }

  async #fillSmall(target: FillTarget, stream: AsyncIterable<Uint8Array>, reservation: Reservation): Promise<void> {
    const bytes = Buffer.allocUnsafeSlow(target.sizeBytes);
    let length = 0;
    for await (const slice of stream) {
      checkRoom(length + slice.length, target.sizeBytes);
      bytes.set(slice, length);
      length += slice.length;
    }
    checkWhole(length, target.sizeBytes);
    await this.#store.putSmall(target, bytes, reservation);
  }

  async #fillBlocks(
    target: FillTarget,
    fill: { run: BlockRun; stream: AsyncIterable<Uint8Array>; reservation: Reservation; onStored: OnStored },
  ): Promise<void> {
    const { run, stream, reservation, onStored } = fill;
    const pending = new Set<Promise<void>>();
    const failures: unknown[] = [];
    const put = (block: number, bytes: Buffer) => {
      const done: Promise<void> = this.#store
        .putBlock(target, block, bytes, reservation)
        .then(() => {
          this.#buffers.give(bytes);
          onStored(block);
        })
        .catch((error: unknown) => void failures.push(error))
        .finally(() => pending.delete(done));
      pending.add(done);
    };
    let block = run.first;
    let buffer: Buffer | undefined;
    let filled = 0;
    try {
      for await (const slice of stream) {
        for (let at = 0; at < slice.length; ) {
          checkRoom(block, run.end - 1);
          buffer ??= this.#buffers.take(rangeLength(blockRange(block, target.sizeBytes)));
          const taken = Math.min(slice.length - at, buffer.length - filled);
          copyInto(buffer, filled, slice, at, taken);
          at += taken;
          filled += taken;
          if (filled < buffer.length) continue;
          put(block, buffer);
          block += 1;
          buffer = undefined;
          filled = 0;
          while (pending.size >= fillBuffersMax) await Promise.race(pending);
          if (failures.length > 0) throw failures[0];
        }
      }
      checkWhole(block, run.end);
    } finally {
      await Promise.all(pending);
      if (buffer !== undefined) this.#buffers.give(buffer);
    }
    if (failures.length > 0) throw failures[0];
  }
}

/** Space for what is to come, made where it must be. Throws diskFull. */
export async function reserve(store: Store, bytes: number): Promise<Reservation> {
  const reservation = await store.reserve(bytes);
  if (reservation === undefined) throw new ForebayError('diskFull', 'no space in the cache may be evicted');
  return reservation;
}

/** `TypedArray.set` into shared memory copies word by word; this is a memcpy. */
function copyInto(target: Buffer, at: number, source: Uint8Array, start: number, length: number): void {
  const bytes = Buffer.isBuffer(source) ? source : Buffer.from(source.buffer, source.byteOffset, source.byteLength);
  bytes.copy(target, at, start, start + length);
}

function checkRoom(reached: number, limit: number): void {
  if (reached > limit) throw new ForebayError('originTruncated', 'the origin returned more bytes than were asked for');
}

function checkWhole(reached: number, wanted: number): void {
  assert(reached <= wanted, 'a fill stays in its range');
  if (reached < wanted) throw new ForebayError('originTruncated', 'the origin returned fewer bytes than it promised');
}
