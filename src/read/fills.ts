/**
 * Fills: bytes from the origin or from peers into the store, each block asked for once however many wait for it (S-11).
 *
 * A node alone: a flight fetches consecutive absent blocks of one chunk, beginning with the block that was asked for. In a
 * cluster a flight is for all absent blocks of its chunk, the one asked for first, and the chunk's owner says where they
 * come from. Blocks are stored as they come, so that readers, and peers that pull from here, go on while the rest still
 * arrives. A flight is registered before its first wait: whoever needs one of its blocks from then on waits for it.
 *
 * Bounds:  `flightsMax` flights, `fillBuffersMax` blocks in memory each.
 * Errors:  diskFull and diskUnavailable tell the reader to go round the store; the origin's errors are the reader's. A peer's
 *          errors are nobody's but the next source's.
 * Crash:   blocks that were stored are kept, the rest of a flight is as if it had never been.
 */

import type { Cluster } from '../cluster/cluster.ts';
import type { FailureReason } from '../cluster/directory.ts';
import type { Locator, Source } from '../cluster/locator.ts';
import { abortable } from '../core/abortable.ts';
import { assert } from '../core/assert.ts';
import { BLOCK_SIZE_BYTES, blockCount, blockRange, blocksRange } from '../core/chunk.ts';
import { type ErrorCode, ForebayError, isForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { fillBuffersMax, smallContentMaxBytes, sourcesTriedMax } from '../core/limits.ts';
import type { ObjectFact } from '../core/object.ts';
import { rangeLength } from '../core/range.ts';
import { type Clock, DiskError } from '../io/io.ts';
import type { PullWant } from '../mover/mover.ts';
import type { Emit } from '../observe/events.ts';
import type { Reservation } from '../store/space.ts';
import { type ContentShape, type Store, smallFootprintBytes } from '../store/store.ts';
import { BlockBuffers } from './block-buffers.ts';
import { Slots } from './slots.ts';
import type { VolumeSource } from './volume-source.ts';

export interface FillTarget extends ContentShape {
  readonly source: VolumeSource;
  readonly fact: ObjectFact;
}

/** What fills need of the cluster. */
export interface FillPeers {
  readonly cluster: Cluster;
  readonly locator: Locator;
}

/** Who wants to know what comes. */
export interface FillListener {
  received(id: ContentId, bytes: number): void;
  /** A chunk is here whole; `from` the peer that had the last of it, or the origin. */
  arrived(id: ContentId, chunk: number, from: string | undefined): void;
}

interface Waiter {
  readonly block: number;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

/** Blocks `[first, end)`. */
interface Run {
  readonly first: number;
  readonly end: number;
}

interface Flight extends Run {
  /** The block asked for: it comes first. */
  readonly urgentBlock: number;
  /** A peer that is known to have the chunk: asked before the chunk's owner is. */
  readonly via: string | undefined;
  waiters: Waiter[];
  /** The peer that the blocks came from last. */
  from: string | undefined;
  /** Settles when the flight is over. */
  readonly over: PromiseWithResolvers<void>;
}

export class Fills {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #emit: Emit;
  readonly #peers: FillPeers | undefined;
  readonly #slots: Slots;
  readonly #buffers: BlockBuffers;
  /** Set before the first fill, where there is one. */
  listener: FillListener | undefined = undefined;
  readonly #flights = new Map<ContentId, Flight[]>();
  readonly #stop = new AbortController();

  constructor(options: { store: Store; clock: Clock; emit: Emit; flightsMax: number; peers?: FillPeers | undefined }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#emit = options.emit;
    this.#peers = options.peers;
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
    const flight = this.#find(target.id, block) ?? this.#launch(target, block, { urgent: true });
    await abortable(stored(flight, block), signal);
  }

  /** Begins to fill what is absent from `block` to the end of its chunk, unless it is under way or everything is busy. */
  ahead(target: FillTarget, block: number): void {
    const { end } = this.#chunkOf(target, block);
    for (let at = block; at < end; at += 1) {
      if (this.#store.hasBlock(target.id, at) || this.#find(target.id, at) !== undefined) continue;
      if (this.#slots.free === 0) return;
      this.#launch(target, at, { urgent: false });
    }
  }

  /**
   * Brings a chunk here whole: from the peer `via`, or, without it, from where the chunk's owner says. Rejects with what
   * went wrong with `via`, while readers who wait for the chunk get it from elsewhere.
   */
  async chunk(target: FillTarget, chunk: number, options: { via?: string; signal: AbortSignal }): Promise<void> {
    const span = this.#chunkOf(target, chunk * (target.chunkSizeBytes / BLOCK_SIZE_BYTES));
    for (;;) {
      options.signal.throwIfAborted();
      const [run] = this.#absent(target, { ...span, urgentBlock: span.first });
      if (run === undefined) return;
      const known = this.#find(target.id, run.first);
      const { via } = options;
      const flight = known ?? this.#launch(target, run.first, { urgent: false, ...(via !== undefined && { via }) });
      await abortable(flight.over.promise, options.signal);
    }
  }

  /** The block is on its way here: resolves when it was stored, rejects when it does not come. `undefined`: it is not. */
  arriving(id: ContentId, block: number): Promise<void> | undefined {
    const flight = this.#find(id, block);
    return flight === undefined ? undefined : stored(flight, block);
  }

  close(): void {
    this.#stop.abort(new ForebayError('shuttingDown', 'the node is stopping'));
  }

  #chunkOf(target: ContentShape, block: number): Run {
    const blocks = target.chunkSizeBytes / BLOCK_SIZE_BYTES;
    const first = Math.floor(block / blocks) * blocks;
    return { first, end: Math.min(first + blocks, blockCount(target.sizeBytes)) };
  }

  #find(id: ContentId, block: number): Flight | undefined {
    return this.#flights.get(id)?.find((flight) => flight.first <= block && block < flight.end);
  }

  #launch(target: FillTarget, urgentBlock: number, how: { urgent: boolean; via?: string }): Flight {
    const span = this.#chunkOf(target, urgentBlock);
    let { first, end } = span;
    if (this.#peers === undefined) {
      first = urgentBlock;
      end = first + 1;
      while (end < span.end && !this.#store.hasBlock(target.id, end) && this.#find(target.id, end) === undefined)
        end += 1;
    }
    const over = Promise.withResolvers<void>();
    over.promise.catch(() => undefined);
    const flight: Flight = { first, end, urgentBlock, via: how.via, waiters: [], from: undefined, over };
    const flights = this.#flights.get(target.id);
    if (flights === undefined) this.#flights.set(target.id, [flight]);
    else flights.push(flight);
    void this.#fly(target, flight, how.urgent);
    return flight;
  }

  /** Runs of absent blocks of a flight, that with the block asked for first, then those after it, then those before. */
  #absent(target: ContentShape, flight: Run & { urgentBlock: number }): Run[] {
    const runs: Run[] = [];
    const collect = (from: number, to: number) => {
      for (let block = from; block < to; block += 1) {
        if (this.#store.hasBlock(target.id, block)) continue;
        const first = block;
        while (block + 1 < to && !this.#store.hasBlock(target.id, block + 1)) block += 1;
        runs.push({ first, end: block + 1 });
      }
    };
    collect(flight.urgentBlock, flight.end);
    collect(flight.first, flight.urgentBlock);
    return runs;
  }

  async #fly(target: FillTarget, flight: Flight, urgent: boolean): Promise<void> {
    let failure: unknown;
    await this.#slots.acquire(urgent);
    const hold = this.#store.hold(target);
    try {
      this.#stop.signal.throwIfAborted();
      if (this.#peers === undefined) await this.#fill(target, flight, flight);
      else {
        failure = await this.#bring(target, flight, this.#peers);
        if (failure === undefined) this.listener?.arrived(target.id, chunkOf(target, flight), flight.from);
      }
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
    if (failure === undefined) flight.over.resolve();
    else flight.over.reject(failure);
  }

  #report(target: FillTarget, failure: unknown): void {
    if (!isForebayError(failure)) throw failure;
    const { volume, key } = target.fact;
    this.#emit({ kind: 'fill.failed', volume, key, code: failure.code, message: failure.message });
  }

  /**
   * Gets a flight's blocks from where the chunk's owner says, from one source after another. Returns the error of `via`
   * when that failed and nobody waits for the chunk.
   */
  async #bring(target: FillTarget, flight: Flight, { locator }: FillPeers): Promise<unknown> {
    const ref = { content: target.id, chunk: chunkOf(target, flight) };
    if (flight.via !== undefined) {
      const failure = await this.#pullRuns(target, flight, flight.via);
      if (failure === undefined) {
        locator.held(ref);
        return undefined;
      }
      if (flight.waiters.length === 0) return failure;
    }
    for (let tried = 1; this.#absent(target, flight).length > 0; tried += 1) {
      const source: Source = await locator.locate(ref, this.#stop.signal);
      if (source.kind === 'fill' || tried > sourcesTriedMax) {
        const refill = source.kind === 'fill' ? source.refill : 'holders-failed';
        await this.#fillRuns(target, flight, refill).catch((error: unknown) => {
          locator.failed(ref, this.#stop.signal.aborted ? 'cancelled' : 'origin');
          throw error;
        });
        locator.done(ref);
        return undefined;
      }
      const failure = await this.#pullRuns(target, flight, source.from).catch((error: unknown) => {
        locator.failed(ref, 'cancelled', source.from);
        throw error;
      });
      if (failure === undefined) locator.done(ref);
      else locator.failed(ref, blameOf(failure) ?? 'unreachable', source.from);
    }
    return undefined;
  }

  async #fillRuns(
    target: FillTarget,
    flight: Flight,
    refill: Extract<Source, { kind: 'fill' }>['refill'],
  ): Promise<void> {
    for (const run of this.#absent(target, flight)) {
      const bytes = rangeLength(blocksRange({ first: run.first, count: run.end - run.first }, target.sizeBytes));
      if (refill !== undefined)
        this.#emit({ kind: 'origin.refill', volume: target.fact.volume, reason: refill, bytes });
      await this.#fill(target, flight, run);
    }
  }

  /** Returns a peer's error; rejects with this node's own. */
  async #pullRuns(target: FillTarget, flight: Flight, from: string): Promise<ForebayError | undefined> {
    try {
      for (const run of this.#absent(target, flight)) await this.#pull(target, flight, run, from);
      flight.from = from;
      return undefined;
    } catch (error) {
      if (!(error instanceof PeerFailure)) throw error;
      const { cause } = error;
      if (this.#stop.signal.aborted) throw cause;
      if (cause.code === 'peerCorrupt') this.#peers?.cluster.tell(from, 'blocks.suspect', target.id);
      return cause;
    }
  }

  async #pull(target: FillTarget, flight: Flight, run: Run, from: string): Promise<void> {
    const { cluster } = this.#peers as FillPeers;
    const count = run.end - run.first;
    const small = target.sizeBytes < smallContentMaxBytes;
    const bytes = small
      ? smallFootprintBytes(target.sizeBytes)
      : rangeLength(blocksRange({ first: run.first, count }, target.sizeBytes));
    const endpoint = peersOwn(() => cluster.endpoint(from));
    const reservation = await this.#reserve(bytes);
    const request = {
      from: endpoint,
      content: target.id,
      sizeBytes: target.sizeBytes,
      first: run.first,
      count,
      signal: this.#stop.signal,
    };
    try {
      if (small) {
        const onBlock = async (_block: number, _checksum: number, got: Uint8Array | undefined) => {
          assert(got !== undefined, 'a pull without a file hands over its bytes');
          await this.#store.putSmall(target, got, reservation);
        };
        await this.#pullBlocks({ ...request, into: undefined, onBlock });
        return;
      }
      const receiving = await this.#store.receive(target, run.first);
      const onBlock = (block: number, checksum: number) => {
        receiving.stored(block, checksum, reservation);
        this.#stored(target, flight, block);
      };
      await this.#pullBlocks({ ...request, into: receiving.file, onBlock }).finally(() => receiving.close());
    } finally {
      reservation.release();
    }
  }

  /** Pulls; what the peer is to blame for rejects as PeerFailure, what this node does not manage as it is. */
  async #pullBlocks(want: PullWant): Promise<void> {
    const { cluster } = this.#peers as FillPeers;
    let own: { readonly error: unknown } | undefined;
    const onBlock: PullWant['onBlock'] = async (...block) => {
      try {
        await want.onBlock(...block);
      } catch (error) {
        own = { error };
        throw error;
      }
    };
    try {
      await cluster.mover.pull({ ...want, onBlock });
    } catch (error) {
      if (own !== undefined) throw own.error;
      throw isForebayError(error) ? new PeerFailure(error) : error;
    }
  }

  #stored(target: FillTarget, flight: Flight, block: number): void {
    this.listener?.received(target.id, rangeLength(blockRange(block, target.sizeBytes)));
    wake(flight, block);
  }

  async #reserve(bytes: number): Promise<Reservation> {
    const reservation = await this.#store.reserve(bytes);
    if (reservation === undefined) throw new ForebayError('diskFull', 'no space in the cache may be evicted');
    return reservation;
  }

  async #fill(target: FillTarget, flight: Flight, run: Run): Promise<void> {
    const { volume, key, etag } = target.fact;
    const range = blocksRange({ first: run.first, count: run.end - run.first }, target.sizeBytes);
    const small = target.sizeBytes < smallContentMaxBytes;
    const reservation = await this.#reserve(small ? smallFootprintBytes(target.sizeBytes) : rangeLength(range));
    const begunMs = this.#clock.boottimeMs();
    try {
      this.#emit({ kind: 'fill.begun', volume, key, ...range });
      const stream = await target.source.origin.get(key, { etag, range, signal: this.#stop.signal });
      if (small) await this.#fillSmall(target, stream, reservation);
      else await this.#fillBlocks(target, { flight, run, stream, reservation });
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
    fill: { flight: Flight; run: Run; stream: AsyncIterable<Uint8Array>; reservation: Reservation },
  ): Promise<void> {
    const { flight, run, stream, reservation } = fill;
    const pending = new Set<Promise<void>>();
    const failures: unknown[] = [];
    const put = (block: number, bytes: Buffer) => {
      const done: Promise<void> = this.#store
        .putBlock(target, block, bytes, reservation)
        .then(() => {
          this.#buffers.give(bytes);
          this.#stored(target, flight, block);
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

/** `TypedArray.set` into shared memory copies word by word; this is a memcpy. */
function copyInto(target: Buffer, at: number, source: Uint8Array, start: number, length: number): void {
  const bytes = Buffer.isBuffer(source) ? source : Buffer.from(source.buffer, source.byteOffset, source.byteLength);
  bytes.copy(target, at, start, start + length);
}

function chunkOf(target: ContentShape, { first }: Run): number {
  return Math.floor(first / (target.chunkSizeBytes / BLOCK_SIZE_BYTES));
}

function stored(flight: Flight, block: number): Promise<void> {
  return new Promise<void>((resolve, reject) => flight.waiters.push({ block, resolve, reject }));
}

/** A peer did not give what was asked of it: another source is tried, whatever its trouble is. */
class PeerFailure extends Error {
  override name = 'PeerFailure';
  override readonly cause: ForebayError;

  constructor(cause: ForebayError) {
    super(cause.message, { cause });
    this.cause = cause;
  }
}

function peersOwn<T>(ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    throw isForebayError(error) ? new PeerFailure(error) : error;
  }
}

const BLAME: Partial<Record<ErrorCode, Blame>> = {
  peerUnreachable: 'unreachable',
  peerRefused: 'unreachable',
  peerTimeout: 'timeout',
  peerCorrupt: 'corrupt',
  notHeld: 'notHeld',
  corrupt: 'notHeld',
  diskUnavailable: 'notHeld',
  overloaded: 'overloaded',
};

type Blame = Extract<FailureReason, 'unreachable' | 'timeout' | 'corrupt' | 'notHeld' | 'overloaded'>;

/** What a failed pull says of its holder; `undefined`: nothing that has a name of its own. */
export function blameOf(error: ForebayError): Blame | undefined {
  return BLAME[error.code];
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
