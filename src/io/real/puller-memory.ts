/** What the control thread and a puller share, and say to each other. */
import type { DigestName } from '../../core/digest.ts';
import { pullsActiveMax } from '../../core/limits.ts';
import type { AnswerFailure } from './peer-answer.ts';

/** Words of a puller. */
/** Counts messages and other reasons to look around; an idle puller sleeps on it. */
export const GIVEN = 0;
/** 1 while the puller waits in the kernel for sockets: it must be woken by its event counter. */
export const POLLING = 1;
/** Counts writes. */
export const WRITES = 2;
/** The slot of the pull whose block is being written, or -1. Writes are counted and named by the writer's thread. */
export const CURRENT = 3;
export const STOPPING = 4;
const PULLER_WORDS = 8;

/** Words of a pull's slot. */
/** How many reports of blocks have settled. */
export const SETTLED = 0;
export const CANCELLED = 1;
/** 1 while the pull waits for reports to settle: then the puller must be woken. */
export const PAUSED = 2;
const SLOT_WORDS = 4;

export interface PullerWorkerData {
  readonly memory: SharedArrayBuffer;
  readonly eventFd: number;
  /** The way to the writer's thread. */
  readonly ring: SharedArrayBuffer;
  readonly nice: number;
}

/** A job for a puller. It uses the descriptors until it says `over`. */
interface Start {
  readonly slot: number;
  readonly socketFd: number;
  /** -1: the blocks go to the control thread. */
  readonly fileFd: number;
  readonly idleMs: number;
  /** Blocks that may be reported and not settled. */
  readonly aheadMax: number;
}

export interface PullStart extends Start {
  readonly kind: 'pull';
  readonly head: Uint8Array;
  readonly key: { readonly key: Uint8Array; readonly request: Uint8Array };
  readonly first: number;
  readonly count: number;
  readonly sizeBytes: number;
}

/** So many bytes of a client, cut into blocks at multiples of `sliceBytes` (at most BLOCK_SIZE_BYTES) in the file; reported as 0, 1, … */
export interface BodyStart extends Start {
  readonly kind: 'body';
  /** The first of them. */
  readonly first: Uint8Array;
  readonly lengthBytes: number;
  readonly position: number;
  readonly sliceBytes: number;
  readonly digests: readonly DigestName[];
}

export type JobStart = PullStart | BodyStart;

export type JobEnd =
  /** The answer was read to its end; `reusable`: the connection may take the next request. */
  | { readonly kind: 'answered'; readonly reusable: boolean; readonly failed: AnswerFailure | undefined }
  /** All of a body is here. */
  | { readonly kind: 'received'; readonly digests: readonly Uint8Array[] }
  /** `errno` 0: the other side closed the connection. `received`: something came before. */
  | { readonly kind: 'closed'; readonly errno: number; readonly received: boolean }
  | { readonly kind: 'idle' }
  | { readonly kind: 'disk'; readonly errno: number }
  | { readonly kind: 'cancelled' };

export interface PulledBlock {
  readonly block: number;
  readonly checksum: number;
  readonly bytes: Uint8Array<ArrayBuffer> | undefined;
}

/** From a puller: blocks that came, and that a job is over. */
export interface PullNews {
  readonly slot: number;
  readonly blocks: readonly PulledBlock[];
  readonly over: JobEnd | undefined;
}

export class PullerMemory {
  readonly memory: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly #slots: Int32Array;

  constructor(memory = new SharedArrayBuffer((PULLER_WORDS + pullsActiveMax * SLOT_WORDS) * 4)) {
    this.memory = memory;
    this.words = new Int32Array(memory, 0, PULLER_WORDS);
    this.#slots = new Int32Array(memory, PULLER_WORDS * 4, pullsActiveMax * SLOT_WORDS);
  }

  get(slot: number, word: number): number {
    return Atomics.load(this.#slots, slot * SLOT_WORDS + word);
  }

  set(slot: number, word: number, value: number): void {
    Atomics.store(this.#slots, slot * SLOT_WORDS + word, value);
  }
}
