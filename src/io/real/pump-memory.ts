/**
 * Memory that the control thread and the pumps share. A job is a slot in one table; each pump has two rings of slot
 * numbers, one for jobs that come and one for those that are done. Only numbers cross, so nothing is copied or parsed.
 *
 * Who may touch a job is decided by its OWNER word alone: the pump changes it from "mine" to "mine, in sendfile" and
 * back by compare-and-swap around every call, and the control thread takes a job away, or gives it to another pump,
 * by the same operation. So a pump that hangs in one job keeps no other.
 */
/** Jobs at most: one per connection. A power of two, for the rings. */
export const JOBS_MAX = 16_384;

/** Words of a job. */
export const OWNER = 0;
/** Counts calls that moved bytes. */
export const PROGRESS = 1;
export const RESULT = 2;
export const SOCKET_FD = 3;
export const FILE_FD = 4;
/** Differs for each job of a slot. */
export const TICKET = 5;
const JOB_WORDS = 8;

/** Values of OWNER beside those of `ownedBy`. */
export const NOBODY = -1;

/** Values of RESULT beside errno numbers. */
export const SENT = 0;
/** The file ended before the range did. */
export const SHORT = -1;

/** Words of a pump. */
/** Counts jobs given; an idle pump sleeps on it. */
export const GIVEN = 0;
/** Counts jobs done. */
export const DONE = 1;
/** 1 while a message to the control thread is under way. */
export const TOLD = 2;
/** 1 while the pump waits in the kernel for sockets: it must be woken by its event counter. */
export const POLLING = 3;
/** Counts calls of sendfile. */
export const CALLS = 4;
/** The slot of the job that is in sendfile, or -1. */
export const CURRENT = 5;
export const STOPPING = 6;
const PUMP_WORDS = 16;

export interface PumpWorkerData {
  readonly pump: number;
  readonly jobs: SharedArrayBuffer;
  readonly memory: SharedArrayBuffer;
  readonly eventFd: number;
}

/** OWNER of a job that waits with a pump; one more while it is in sendfile. */
export function ownedBy(pump: number): number {
  return pump * 2;
}

export class JobTable {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #positions: Float64Array;

  constructor(memory = new SharedArrayBuffer(JOBS_MAX * (JOB_WORDS * 4 + 16))) {
    this.memory = memory;
    this.#positions = new Float64Array(memory, 0, JOBS_MAX * 2);
    this.#words = new Int32Array(memory, JOBS_MAX * 16, JOBS_MAX * JOB_WORDS);
  }

  get(slot: number, word: number): number {
    return Atomics.load(this.#words, slot * JOB_WORDS + word);
  }

  set(slot: number, word: number, value: number): void {
    Atomics.store(this.#words, slot * JOB_WORDS + word, value);
  }

  /** Changes OWNER from one value to another; false when it has another. */
  hand(slot: number, from: number, to: number): boolean {
    return Atomics.compareExchange(this.#words, slot * JOB_WORDS + OWNER, from, to) === from;
  }

  /** Read and written by whoever owns the job. */
  position(slot: number): number {
    return this.#positions[slot * 2] as number;
  }

  setPosition(slot: number, position: number): void {
    this.#positions[slot * 2] = position;
  }

  end(slot: number): number {
    return this.#positions[slot * 2 + 1] as number;
  }

  setEnd(slot: number, end: number): void {
    this.#positions[slot * 2 + 1] = end;
  }
}

export class PumpMemory {
  readonly memory: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly #given: Int32Array;
  readonly #done: Int32Array;

  constructor(memory = new SharedArrayBuffer((PUMP_WORDS + 2 * JOBS_MAX) * 4)) {
    this.memory = memory;
    this.words = new Int32Array(memory, 0, PUMP_WORDS);
    this.#given = new Int32Array(memory, PUMP_WORDS * 4, JOBS_MAX);
    this.#done = new Int32Array(memory, (PUMP_WORDS + JOBS_MAX) * 4, JOBS_MAX);
  }

  /** Puts a slot into the ring of jobs given or done. There is room: a ring has a place for every slot. */
  put(ring: typeof GIVEN | typeof DONE, slot: number): void {
    const count = Atomics.load(this.words, ring);
    (ring === GIVEN ? this.#given : this.#done)[count & (JOBS_MAX - 1)] = slot;
    Atomics.add(this.words, ring, 1);
  }

  at(ring: typeof GIVEN | typeof DONE, count: number): number {
    return (ring === GIVEN ? this.#given : this.#done)[count & (JOBS_MAX - 1)] as number;
  }
}
