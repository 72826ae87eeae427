/**
 * One version of an object, opened: its bytes in order, from the store where they are there, else after a fill, else, when
 * the cache disk is full or does not answer, straight from the origin.
 */
import { BLOCK_SIZE_BYTES, blockCount } from '../core/chunk.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { readAheadChunksMax, refillsPerBlockMax, warmProgressMs } from '../core/limits.ts';
import type { ObjectFact } from '../core/object.ts';
import { type Range, rangeLength } from '../core/range.ts';
import { type Clock, DiskError } from '../io/io.ts';
import type { Emit, RefillReason } from '../observe/events.ts';
import type { Hold, Store } from '../store/store.ts';
import type { Broadcasts } from './broadcasts.ts';
import type { FillTarget } from './fill-target.ts';
import type { Fills } from './fills.ts';
import type { OpenObject, Piece } from './reader.ts';
import { isUndrained } from './recorded.ts';
import type { Sequences } from './sequences.ts';
import type { Slots } from './slots.ts';
import type { VolumeSource } from './volume-source.ts';

export interface OpenedParts {
  readonly store: Store;
  readonly fills: Fills;
  readonly broadcasts: Broadcasts | undefined;
  readonly sequences: Sequences;
  /** Reads round the store at once. */
  readonly bypasses: Slots;
  readonly clock: Clock;
  readonly emit: Emit;
  /** The origin has another version than the one opened. */
  readonly changed: (fact: ObjectFact) => void;
}

export class Opened implements OpenObject {
  readonly fact: ObjectFact;
  readonly stale: boolean;
  readonly #parts: OpenedParts;
  readonly #target: FillTarget;
  readonly #hold: Hold | undefined;
  readonly #openedMs: number;
  #hitBytes = 0;
  #bytes = 0;

  constructor(parts: OpenedParts, source: VolumeSource, opened: { fact: ObjectFact; stale: boolean }) {
    this.#parts = parts;
    this.fact = opened.fact;
    this.stale = opened.stale;
    const { content: id, sizeBytes } = opened.fact;
    this.#target = { id, sizeBytes, chunkSizeBytes: source.volume.chunkSizeBytes, source, fact: opened.fact };
    this.#hold = sizeBytes > 0 ? parts.store.hold(this.#target) : undefined;
    this.#openedMs = parts.clock.boottimeMs();
  }

  get target(): FillTarget {
    return this.#target;
  }

  get hot(): Uint8Array | undefined {
    if (this.fact.sizeBytes === 0) return EMPTY;
    const bytes = this.#parts.store.hot(this.fact.content);
    if (bytes !== undefined) this.#count(bytes.length, bytes.length);
    return bytes;
  }

  async *pieces(range: Range, signal: AbortSignal): AsyncGenerator<Piece> {
    const sequence = this.#parts.sequences.begin(this.#target, range);
    let at = range.start;
    let refills = 0;
    let filledFrom = -1;
    while (at < range.end) {
      signal.throwIfAborted();
      const ahead = { end: sequence.end, windowChunks: sequence.window(at) };
      const held = await this.#acquire({ start: at, end: range.end });
      if (held !== undefined && held !== 'bypass') {
        const length = held.kind === 'file' ? rangeLength(held.range) : held.bytes.length;
        this.#count(length, filledFrom === at ? 0 : length);
        at += length;
        this.#ahead(at, ahead);
        yield held;
        continue;
      }
      refills = filledFrom === at ? refills + 1 : 0;
      let reason: RefillReason | undefined;
      if (held === 'bypass') reason = 'disk-unavailable';
      else if (refills > refillsPerBlockMax) reason = 'evicted';
      else {
        // What the reader waits for is asked for first.
        const filled = this.#filled(at, signal);
        this.#ahead(at, ahead);
        reason = await filled;
      }
      filledFrom = at;
      if (reason === undefined) continue;
      for await (const bytes of this.#bypass(
        { start: at, end: Math.min(range.end, this.#chunkEnd(at)) },
        reason,
        signal,
      )) {
        at += bytes.length;
        yield { kind: 'bytes', bytes, release: () => undefined };
      }
    }
  }

  /** Fills the whole content; yields the bytes that are here as they grow. Throws diskFull when they do not fit. */
  async *fillWhole(signal: AbortSignal): AsyncGenerator<number> {
    yield* this.#broadcast(signal);
    const count = blockCount(this.fact.sizeBytes);
    for (let block = 0; block < count; block += 1) {
      signal.throwIfAborted();
      const position = block * BLOCK_SIZE_BYTES;
      if (this.#parts.store.hasBlock(this.fact.content, block)) continue;
      const filled = this.#parts.fills.need(this.#target, block, signal);
      this.#ahead(position, { end: this.fact.sizeBytes, windowChunks: readAheadChunksMax });
      await filled.catch((error: unknown) => this.#noteChange(error));
      yield this.#parts.store.presentBytes({ id: this.fact.content, sizeBytes: this.fact.sizeBytes });
    }
  }

  /** Takes part in a broadcast of the content, where one is worth while; yields as `fillWhole`. */
  async *#broadcast(signal: AbortSignal): AsyncGenerator<number> {
    const { broadcasts, store, clock } = this.#parts;
    const { content: id, sizeBytes } = this.fact;
    if (!broadcasts?.isWorth(this.#target) || store.presentBytes({ id, sizeBytes }) === sizeBytes) return;
    let isOver = false;
    const work = broadcasts.bring(this.#target, signal).finally(() => {
      isOver = true;
    });
    work.catch(() => undefined);
    while (!isOver) {
      await Promise.race([work, clock.sleep(warmProgressMs, signal)]).catch(() => undefined);
      yield store.presentBytes({ id, sizeBytes });
    }
    await work.catch((error: unknown) => this.#noteChange(error));
  }

  close(): void {
    const { volume, key, content } = this.fact;
    const known = this.#parts.store.fact(volume, key);
    // Opened by an answer from before a write, which had this version dropped already: it would stay for nobody.
    const isOutdated = known === undefined ? !this.#parts.store.isPinned(content) : known.content !== content;
    if (this.#hold !== undefined && isOutdated) this.#parts.store.drop(content, 'stale');
    this.#hold?.release();
    const ms = this.#parts.clock.boottimeMs() - this.#openedMs;
    this.#parts.emit({ kind: 'read.done', volume: this.fact.volume, bytes: this.#bytes, hitBytes: this.#hitBytes, ms });
  }

  #count(bytes: number, hitBytes: number): void {
    this.#bytes += bytes;
    this.#hitBytes += hitBytes;
  }

  #chunkEnd(at: number): number {
    return (Math.floor(at / this.#target.chunkSizeBytes) + 1) * this.#target.chunkSizeBytes;
  }

  /** Fills in front of a reader: the rest of this chunk, and as many after it as the window says. */
  #ahead(at: number, ahead: { end: number; windowChunks: number }): void {
    let position = at;
    for (let chunk = 0; chunk < ahead.windowChunks && position < ahead.end; chunk += 1) {
      // The first block that the reader waits for is asked for with urgency, not here.
      const block = Math.floor(position / BLOCK_SIZE_BYTES);
      if (chunk > 0) this.#parts.fills.ahead(this.#target, block);
      position = this.#chunkEnd(position);
    }
  }

  async #acquire(range: Range): Promise<Piece | 'bypass' | undefined> {
    try {
      const verify = this.#target.source.volume.verify === 'always';
      return await this.#parts.store.acquire(this.fact.content, range, { verify });
    } catch (error) {
      if (error instanceof DiskError || isForebayError(error, 'diskUnavailable', 'diskFull')) return 'bypass';
      throw error;
    }
  }

  /** Fills the block at a position; returns why the store has to be gone round, where it has to. */
  async #filled(at: number, signal: AbortSignal): Promise<RefillReason | undefined> {
    try {
      await this.#parts.fills.need(this.#target, Math.floor(at / BLOCK_SIZE_BYTES), signal);
      return undefined;
    } catch (error) {
      if (isForebayError(error, 'diskFull')) return 'disk-full';
      if (isForebayError(error, 'diskUnavailable')) return 'disk-unavailable';
      return this.#noteChange(error);
    }
  }

  async *#bypass(range: Range, reason: RefillReason, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    const { bypasses, emit } = this.#parts;
    const { volume, key, etag } = this.fact;
    await bypasses.acquire(true);
    try {
      if (!isUndrained(this.fact)) emit({ kind: 'origin.refill', volume, reason, bytes: rangeLength(range) });
      const stream = isUndrained(this.fact)
        ? this.#parts.fills.replicas.bytes(this.#target, range, signal)
        : await this.#target.source.origin.get(key, { etag, range, signal });
      let left = rangeLength(range);
      for await (const bytes of stream) {
        if (bytes.length > left)
          throw new ForebayError('originTruncated', 'the origin returned more bytes than were asked for');
        left -= bytes.length;
        this.#count(bytes.length, 0);
        yield bytes;
      }
      if (left > 0) throw new ForebayError('originTruncated', 'the origin returned fewer bytes than it promised');
    } catch (error) {
      this.#noteChange(error);
    } finally {
      bypasses.release();
    }
  }

  #noteChange(error: unknown): never {
    if (isForebayError(error, 'versionChanged')) this.#parts.changed(this.fact);
    throw error;
  }
}

export const EMPTY = new Uint8Array(0);
