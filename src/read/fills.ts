/**
 * Fills: bytes from the origin into the store, each block asked for once however many wait for it (S-11).
 *
 * A flight fetches consecutive absent blocks of one chunk, beginning with the block that was asked for, and stores each as
 * it comes, so that readers go on while the rest still arrives. It is registered before its first wait: whoever needs one
 * of its blocks from then on waits for it.
 *
 * Bounds:  `flightsMax` flights, `fillBuffersMax` blocks in memory each.
 * Errors:  diskFull and diskUnavailable tell the reader to go round the store; the origin's errors are the reader's.
 * Crash:   blocks that were stored are kept, the rest of a flight is as if it had never been.
 */
import { assert } from '../core/assert.ts';
import { BLOCK_SIZE_BYTES, blockCount, blockRange } from '../core/chunk.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { fillBuffersMax, smallContentMaxBytes } from '../core/limits.ts';
import type { ObjectFact } from '../core/object.ts';
import { rangeLength } from '../core/range.ts';
import { type Clock, DiskError } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import type { Reservation } from '../store/space.ts';
import { type ContentShape, type Store, smallFootprintBytes } from '../store/store.ts';
import { abortable } from './abortable.ts';
import { BlockBuffers } from './block-buffers.ts';
import { Slots } from './slots.ts';
import type { VolumeSource } from './volume-source.ts';

export interface FillTarget extends ContentShape {
  readonly source: VolumeSource;
  readonly fact: ObjectFact;
}

interface Waiter {
  readonly block: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

interface Flight {
  readonly first: number;
  readonly end: number;
  waiters: Waiter[];
}

export class Fills {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #emit: Emit;
  readonly #slots: Slots;
  readonly #buffers: BlockBuffers;
  readonly #flights = new Map<ContentId, Flight[]>();
  readonly #stop = new AbortController();

  constructor(options: { store: Store; clock: Clock; emit: Emit; flightsMax: number }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#emit = options.emit;
    this.#slots = new Slots(options.flightsMax);
    this.#buffers = new BlockBuffers(() => this.#store.disk, options.flightsMax * (fillBuffersMax + 1));
  }

  get inFlight(): number {
    let count = 0;
    for (const flights of this.#flights.values()) count += flights.length;
    return count;
  }

  /** Resolves when the block was stored; it may be gone again. */
  async need(target: FillTarget, block: number, signal: AbortSignal): Promise<void> {
    if (this.#store.hasBlock(target.id, block)) return;
    const flight = this.#find(target.id, block) ?? this.#launch(target, block, true);
    const stored = new Promise<void>((resolve, reject) => flight.waiters.push({ block, resolve, reject }));
    await abortable(stored, signal);
  }

  /** Begins to fill what is absent from `block` to the end of its chunk, unless it is under way or everything is busy. */
  ahead(target: FillTarget, block: number): void {
    const end = this.#chunkEnd(target, block);
    for (let at = block; at < end; at += 1) {
      if (this.#store.hasBlock(target.id, at) || this.#find(target.id, at) !== undefined) continue;
      if (this.#slots.free === 0) return;
      this.#launch(target, at, false);
    }
  }

  close(): void {
    this.#stop.abort(new ForebayError('shuttingDown', 'the node is stopping'));
  }

  #chunkEnd(target: ContentShape, block: number): number {
    const blocks = target.chunkSizeBytes / BLOCK_SIZE_BYTES;
    return Math.min((Math.floor(block / blocks) + 1) * blocks, blockCount(target.sizeBytes));
  }

  #find(id: ContentId, block: number): Flight | undefined {
    return this.#flights.get(id)?.find((flight) => flight.first <= block && block < flight.end);
  }

  #launch(target: FillTarget, first: number, urgent: boolean): Flight {
    const limit = this.#chunkEnd(target, first);
    let end = first + 1;
    while (end < limit && !this.#store.hasBlock(target.id, end) && this.#find(target.id, end) === undefined) end += 1;
    const flight: Flight = { first, end, waiters: [] };
    const flights = this.#flights.get(target.id);
    if (flights === undefined) this.#flights.set(target.id, [flight]);
    else flights.push(flight);
    void this.#fly(target, flight, urgent);
    return flight;
  }

  async #fly(target: FillTarget, flight: Flight, urgent: boolean): Promise<void> {
    let failure: unknown;
    await this.#slots.acquire(urgent);
    const hold = this.#store.hold(target);
    try {
      this.#stop.signal.throwIfAborted();
      await this.#fill(target, flight);
    } catch (error) {
      failure = asFillError(error);
      this.#report(target, failure);
    }
    // The version may have been replaced meanwhile and its bytes dropped: what this flight brought would stay for nobody.
    const { volume, key } = target.fact;
    if (this.#store.fact(volume, key)?.content !== target.id) this.#store.drop(target.id, 'stale');
    hold.release();
    this.#slots.release();
    const flights = (this.#flights.get(target.id) as Flight[]).filter((each) => each !== flight);
    if (flights.length > 0) this.#flights.set(target.id, flights);
    else this.#flights.delete(target.id);
    for (const waiter of flight.waiters) {
      if (failure === undefined) waiter.resolve();
      else waiter.reject(failure);
    }
  }

  #report(target: FillTarget, failure: unknown): void {
    if (!isForebayError(failure)) throw failure;
    const { volume, key } = target.fact;
    this.#emit({ kind: 'fill.failed', volume, key, code: failure.code, message: failure.message });
  }

  async #fill(target: FillTarget, flight: Flight): Promise<void> {
    const { volume, key, etag } = target.fact;
    const range = { start: flight.first * BLOCK_SIZE_BYTES, end: blockRange(flight.end - 1, target.sizeBytes).end };
    const small = target.sizeBytes < smallContentMaxBytes;
    const reservation = await this.#store.reserve(small ? smallFootprintBytes(target.sizeBytes) : rangeLength(range));
    if (reservation === undefined) throw new ForebayError('diskFull', 'no space in the cache may be evicted');
    const begunMs = this.#clock.boottimeMs();
    try {
      this.#emit({ kind: 'fill.begun', volume, key, ...range });
      const stream = await target.source.origin.get(key, { etag, range, signal: this.#stop.signal });
      if (small) await this.#fillSmall(target, stream, reservation);
      else await this.#fillBlocks(target, flight, stream, reservation);
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
    flight: Flight,
    stream: AsyncIterable<Uint8Array>,
    reservation: Reservation,
  ): Promise<void> {
    const pending = new Set<Promise<void>>();
    const failures: unknown[] = [];
    const put = (block: number, bytes: Buffer) => {
      const done: Promise<void> = this.#store
        .putBlock(target, block, bytes, reservation)
        .then(() => {
          this.#buffers.give(bytes);
          wake(flight, block);
        })
        .catch((error: unknown) => void failures.push(error))
        .finally(() => pending.delete(done));
      pending.add(done);
    };
    let block = flight.first;
    let buffer: Buffer | undefined;
    let filled = 0;
    try {
      for await (const slice of stream) {
        for (let at = 0; at < slice.length; ) {
          checkRoom(block, flight.end - 1);
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
      checkWhole(block, flight.end);
    } finally {
      await Promise.all(pending);
      if (buffer !== undefined) this.#buffers.give(buffer);
    }
    if (failures.length > 0) throw failures[0];
  }
}

/** `TypedArray.set` into shared memory copies word by word; this is a memcpy. */
function copyInto(target: Buffer, at: number, source: Uint8Array, start: number, length: number): void {
  const bytes = Buffer.isBuffer(source) ? source : Buffer.from(source.buffer, source.byteOffset, source.byteLength);
  bytes.copy(target, at, start, start + length);
}

/** Lets go those who wait for a block that was stored. */
function wake(flight: Flight, block: number): void {
  const ready = flight.waiters.filter((waiter) => waiter.block === block);
  if (ready.length === 0) return;
  flight.waiters = flight.waiters.filter((waiter) => waiter.block !== block);
  for (const waiter of ready) waiter.resolve();
}

function checkRoom(reached: number, limit: number): void {
  if (reached > limit) throw new ForebayError('originTruncated', 'the origin returned more bytes than were asked for');
}

function checkWhole(reached: number, wanted: number): void {
  assert(reached <= wanted, 'a fill stays in its range');
  if (reached < wanted) throw new ForebayError('originTruncated', 'the origin returned fewer bytes than it promised');
}

/** What a disk refuses, the reader gets round the store. */
function asFillError(error: unknown): unknown {
  if (error instanceof DiskError)
    return new ForebayError('diskUnavailable', `the cache disk failed: ${error.message}`, { cause: error });
  return error;
}
