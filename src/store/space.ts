/**
 * Accounts of the cache disk: what is taken, what is promised to fills, and what may be taken in all. Pure arithmetic;
 * `eviction.ts` makes room.
 */
import { assert } from '../core/assert.ts';

/** Above this share of the capacity, room is made in the background; below the lower one it stops. */
const HIGH_WATERMARK = 0.95;
const LOW_WATERMARK = 0.9;

export class Space {
  readonly configuredBytes: number;
  #capacityBytes: number;
  #usedBytes = 0;
  #reservedBytes = 0;

  constructor(capacityBytes: number) {
    this.configuredBytes = capacityBytes;
    this.#capacityBytes = capacityBytes;
  }

  get capacityBytes(): number {
    return this.#capacityBytes;
  }

  get usedBytes(): number {
    return this.#usedBytes;
  }

  get reservedBytes(): number {
    return this.#reservedBytes;
  }

  /** The disk has less room than configured. */
  get shrunk(): boolean {
    return this.#capacityBytes < this.configuredBytes;
  }

  /** Bytes to free before `bytes` more fit. */
  lacking(bytes: number): number {
    return Math.max(0, this.#usedBytes + this.#reservedBytes + bytes - this.#capacityBytes);
  }

  /** Bytes to free to come from above the high watermark down to the low one. */
  surplus(): number {
    const taken = this.#usedBytes + this.#reservedBytes;
    return taken > HIGH_WATERMARK * this.#capacityBytes ? taken - LOW_WATERMARK * this.#capacityBytes : 0;
  }

  reserve(bytes: number): Reservation {
    assert(this.lacking(bytes) === 0, 'space is reserved where there is room');
    this.#reservedBytes += bytes;
    return new Reservation(this, bytes);
  }

  /** A promise of nothing, to which others are added. */
  promise(): Reservation {
    return new Reservation(this, 0);
  }

  /** Moves promised bytes to taken ones. */
  settle(reservedBytes: number, usedBytes: number): void {
    this.#reservedBytes -= reservedBytes;
    this.#usedBytes += usedBytes;
    assert(this.#reservedBytes >= 0, 'reserved space is given back once');
  }

  take(bytes: number): void {
    this.#usedBytes += bytes;
  }

  free(bytes: number): void {
    this.#usedBytes -= bytes;
    assert(this.#usedBytes >= 0, 'space is freed once');
  }

  /** The file system said how much is free; `marginBytes` of it stay free. */
  limit(freeBytes: number, marginBytes: number): void {
    this.#capacityBytes = Math.max(0, Math.min(this.configuredBytes, this.#usedBytes + freeBytes - marginBytes));
  }
}

/** Promised space. `use` takes from it, `release` gives back the rest; both may be called until it is empty. */
export class Reservation {
  readonly #space: Space;
  #bytes: number;

  constructor(space: Space, bytes: number) {
    this.#space = space;
    this.#bytes = bytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  use(bytes: number): void {
    assert(bytes <= this.#bytes, 'a fill takes no more space than it reserved');
    this.#bytes -= bytes;
    this.#space.settle(bytes, bytes);
  }

  /** Takes over what another promised. */
  absorb(other: Reservation): void {
    this.#bytes += other.#bytes;
    other.#bytes = 0;
  }

  release(): void {
    this.#space.settle(this.#bytes, 0);
    this.#bytes = 0;
  }
}
