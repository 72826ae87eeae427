/**
 * Blocks on their way from a puller to the thread that writes them: a ring in shared memory. Only numbers
 * cross; the bytes stay where the puller received them, and it keeps that memory until the write is done.
 */

import { pullsActiveMax } from '../../core/limits.ts';

/** Blocks given and not written: the puller receives while the disk writes, and the disk holds it up at this many. */
export const WRITES_MAX = 4;
/** A block that was begun before that is given all the same, one of each pull. A power of two. */
const RING_ENTRIES = 2 * pullsActiveMax;

/** Counts blocks given; the writer sleeps on it. */
const GIVEN = 0;
/** Counts blocks written, or failed. */
const DONE = 1;
/** 1 while the puller has nothing to do until a write is done. */
const AWAITED = 2;
const STOPPING = 3;
const HEAD_WORDS = 4;
const SLOT = 0;
const FILE_FD = 1;
const LENGTH = 2;
/** What the write returned. */
const RESULT = 3;
const ENTRY_WORDS = 4;

export interface RingWrite {
  /** The pull's. */
  readonly slot: number;
  readonly fileFd: number;
  readonly pointer: bigint;
  readonly length: number;
  readonly position: number;
}

export class WriteRing {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #positions: Float64Array;
  readonly #pointers: BigUint64Array;
  /** Of the side that takes: blocks taken, or results collected. */
  #taken = 0;

  constructor(memory = new SharedArrayBuffer(RING_ENTRIES * (16 + ENTRY_WORDS * 4) + HEAD_WORDS * 4)) {
    this.memory = memory;
    this.#positions = new Float64Array(memory, 0, RING_ENTRIES);
    this.#pointers = new BigUint64Array(memory, RING_ENTRIES * 8, RING_ENTRIES);
    this.#words = new Int32Array(memory, RING_ENTRIES * 16);
  }

  #entry(count: number, word: number): number {
    return HEAD_WORDS + (count & (RING_ENTRIES - 1)) * ENTRY_WORDS + word;
  }

  /** The puller gives a block; the ring has room for WRITES_MAX and one of each pull. */
  give({ slot, fileFd, pointer, length, position }: RingWrite): void {
    const given = Atomics.load(this.#words, GIVEN);
    this.#words[this.#entry(given, SLOT)] = slot;
    this.#words[this.#entry(given, FILE_FD)] = fileFd;
    this.#words[this.#entry(given, LENGTH)] = length;
    this.#positions[given & (RING_ENTRIES - 1)] = position;
    this.#pointers[given & (RING_ENTRIES - 1)] = pointer;
    Atomics.add(this.#words, GIVEN, 1);
    Atomics.notify(this.#words, GIVEN);
  }

  /** The puller's next result, in the order given; `undefined` when there is none yet. */
  collect(): number | undefined {
    if (this.#taken === Atomics.load(this.#words, DONE)) return undefined;
    return this.#words[this.#entry(this.#taken++ | 0, RESULT)];
  }

  /** The puller says whether it waits for a write; false when one is done already. */
  await(waits: boolean): boolean {
    Atomics.store(this.#words, AWAITED, waits ? 1 : 0);
    return this.#taken === Atomics.load(this.#words, DONE);
  }

  /** The writer's next block; sleeps until there is one. `undefined` when it is to end. */
  take(): RingWrite | undefined {
    for (;;) {
      const given = Atomics.load(this.#words, GIVEN);
      if (Atomics.load(this.#words, STOPPING) === 1) return undefined;
      if (this.#taken !== given) break;
      Atomics.wait(this.#words, GIVEN, given);
    }
    const taken = this.#taken;
    this.#taken = (taken + 1) | 0;
    return {
      slot: this.#words[this.#entry(taken, SLOT)] as number,
      fileFd: this.#words[this.#entry(taken, FILE_FD)] as number,
      length: this.#words[this.#entry(taken, LENGTH)] as number,
      position: this.#positions[taken & (RING_ENTRIES - 1)] as number,
      pointer: this.#pointers[taken & (RING_ENTRIES - 1)] as bigint,
    };
  }

  /** The writer has finished the block that it took last; true when the puller waits for that. */
  finish(result: number): boolean {
    const done = Atomics.load(this.#words, DONE);
    this.#words[this.#entry(done, RESULT)] = result;
    Atomics.add(this.#words, DONE, 1);
    return Atomics.load(this.#words, AWAITED) === 1;
  }

  stop(): void {
    Atomics.store(this.#words, STOPPING, 1);
    Atomics.add(this.#words, GIVEN, 1);
    Atomics.notify(this.#words, GIVEN);
  }
}
