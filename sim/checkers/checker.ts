/**
 * What checkers see. One checker per promise of DESIGN.md section 3; each is told everything that clients observe and
 * that the code under test emits, and adds a finding when the promise is broken. The first finding ends a run.
 */
import type { ObjectFact } from '../../src/core/object.ts';
import type { Range } from '../../src/core/range.ts';
import type { Event } from '../../src/observe/events.ts';
import type { Listing, ListRequest } from '../../src/read/reader.ts';
import type { Life } from '../sim-clock.ts';

export interface Finding {
  /** The promise, e.g. `S-1`, or `liveness`, `leaks`, `internal`. */
  readonly promise: string;
  readonly message: string;
  readonly atMs: number;
}

export class Findings {
  readonly all: Finding[] = [];
  readonly #now: () => number;

  constructor(now: () => number) {
    this.#now = now;
  }

  add(promise: string, message: string): void {
    this.all.push({ promise, message, atMs: this.#now() });
  }

  get isEmpty(): boolean {
    return this.all.length === 0;
  }
}

/** One object that a client opened. Times are virtual milliseconds: when it asked, when it was answered. */
export interface OpenSeen {
  readonly life: Life;
  readonly key: string;
  readonly fact: ObjectFact;
  readonly stale: boolean;
  readonly askedMs: number;
  readonly answeredMs: number;
}

/** A key that a client was told does not exist. */
export interface AbsenceSeen {
  readonly key: string;
  readonly askedMs: number;
  readonly answeredMs: number;
}

export interface ListingSeen {
  readonly request: ListRequest;
  readonly listing: Listing;
  readonly askedMs: number;
  readonly answeredMs: number;
}

export interface Checker {
  opened?(seen: OpenSeen): void;
  absent?(seen: AbsenceSeen): void;
  listed?(seen: ListingSeen): void;
  /** Consecutive bytes of the opened object that lie at `at`. */
  bytes?(seen: OpenSeen, at: number, bytes: Uint8Array, from: 'file' | 'memory'): void;
  /** A client has all of `range`. */
  readDone?(seen: OpenSeen, range: Range): void;
  /** A client's read or open failed with an error. */
  readFailed?(key: string, error: unknown): void;
  /** A write that took effect at `effectMs` is acknowledged: opens that begin from now on see it or a later one. */
  written?(key: string, effectMs: number): void;
  event?(life: Life, event: Event): void;
  crashed?(life: Life, kind: 'process' | 'machine'): void;
  started?(life: Life): void;
}

type Told<K extends keyof Checker> = Parameters<NonNullable<Checker[K]>>;

/** Tells every checker. */
export class Checkers {
  readonly #checkers: readonly Checker[];

  constructor(checkers: readonly Checker[]) {
    this.#checkers = checkers;
  }

  tell<K extends keyof Checker>(what: K, ...told: Told<K>): void {
    for (const checker of this.#checkers) {
      const method = checker[what] as ((...args: Told<K>) => void) | undefined;
      method?.apply(checker, told);
    }
  }
}
