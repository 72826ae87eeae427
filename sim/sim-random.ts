/**
 * Seeded randomness: xoshiro128** seeded through splitmix32 (Blackman and Vigna, "Scrambled linear pseudorandom number
 * generators"). Streams are forked by name, so that a new draw in one part of a scenario does not shift the draws of
 * another.
 */
import { assert } from '../src/core/assert.ts';
import type { Random } from '../src/io/io.ts';

function splitmix32(state: number): () => number {
  let at = state >>> 0;
  return () => {
    at = (at + 0x9e3779b9) >>> 0;
    let z = at;
    z = Math.imul(z ^ (z >>> 16), 0x21f0aaad);
    z = Math.imul(z ^ (z >>> 15), 0x735a2d97);
    return (z ^ (z >>> 15)) >>> 0;
  };
}

const rotate = (x: number, bits: number): number => (x << bits) | (x >>> (32 - bits));

export class SimRandom implements Random {
  readonly #origin: readonly [number, number];
  #a: number;
  #b: number;
  #c: number;
  #d: number;

  /** `seed` is a non-negative safe integer. */
  constructor(seed: number, salt = 0) {
    assert(Number.isSafeInteger(seed) && seed >= 0, `a seed is a non-negative integer, not ${seed}`);
    this.#origin = [(seed % 0x1_0000_0000) >>> 0, (Math.floor(seed / 0x1_0000_0000) ^ salt) >>> 0];
    const high = splitmix32(this.#origin[1]);
    const low = splitmix32(this.#origin[0] ^ high());
    this.#a = low();
    this.#b = low();
    this.#c = low();
    this.#d = low() | 1;
  }

  /** A stream of its own, the same for the same seed and name whatever was drawn from this one before. */
  fork(name: string): SimRandom {
    let salt = 0x811c9dc5;
    for (let i = 0; i < name.length; i++) salt = Math.imul(salt ^ name.charCodeAt(i), 0x01000193);
    const [low, high] = this.#origin;
    return new SimRandom(low, (Math.imul(high, 0x85ebca6b) ^ salt) >>> 0);
  }

  word(): number {
    const result = Math.imul(rotate(Math.imul(this.#b, 5), 7), 9) >>> 0;
    const t = this.#b << 9;
    this.#c ^= this.#a;
    this.#d ^= this.#b;
    this.#b ^= this.#c;
    this.#a ^= this.#d;
    this.#c ^= t;
    this.#d = rotate(this.#d, 11);
    return result;
  }

  fraction(): number {
    return (this.word() * 0x20_0000 + (this.word() >>> 11)) / 0x20_0000_0000_0000;
  }

  integer(bound: number): number {
    assert(bound > 0, 'a bound is positive');
    return Math.floor(this.fraction() * bound);
  }

  bytes(length: number): Uint8Array {
    const bytes = new Uint8Array(length);
    for (let i = 0; i < length; i++) bytes[i] = this.word();
    return bytes;
  }

  /** True with probability `p`. */
  chance(p: number): boolean {
    return this.fraction() < p;
  }

  /** Uniform in `[low, high]`, whole numbers. */
  between(low: number, high: number): number {
    return low + this.integer(high - low + 1);
  }

  pick<T>(items: readonly T[]): T {
    assert(items.length > 0, 'something to pick from');
    return items[this.integer(items.length)] as T;
  }

  /** Exponentially distributed with the given mean: gaps between random events. */
  exponential(mean: number): number {
    return -mean * Math.log(1 - this.fraction());
  }
}
