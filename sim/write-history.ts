/**
 * Everything that clients of the write scenario asked for and were told, per key. Every write has a number of its own,
 * from which its bytes follow and which it carries as metadata, so that whoever sees bytes anywhere knows whose they are.
 */
import type { Level } from '../src/core/volume.ts';

/** Numbers of versions that someone else makes at an origin are below. */
const FIRST_NUMBER = 20_000;
/** The name of the metadata that says which write an object is of. */
export const NUMBER_METADATA = 'write';

/** One write, of the target of a copy or rename too; a rename is also a `delete` of its source. */
export interface WriteOperation {
  readonly volume: string;
  readonly key: string;
  readonly kind: 'put' | 'delete';
  /** 0 for a delete. */
  readonly number: number;
  readonly sizeBytes: number;
  readonly node: string;
  readonly how: string;
  readonly level: Level | undefined;
  /** What the key had to hold: nothing, or this write. */
  readonly condition: 'absent' | number | undefined;
  readonly askedMs: number;
  /** All that takes effect at once with it. */
  group?: readonly WriteOperation[];
  /** When it was answered; infinity while it is not, and where the answer tells nothing. */
  endedMs: number;
  /** `refused`: it never takes effect, for its condition does not hold. `unknown`: it may have, or may yet. */
  outcome: 'open' | 'done' | 'refused' | 'unknown';
}

/** What a client was told of a key. */
export interface Observation {
  readonly volume: string;
  readonly key: string;
  readonly node: string;
  readonly askedMs: number;
  readonly answeredMs: number;
  /** `some`: an object of so many bytes (a listing). */
  readonly saw: { readonly number: number } | 'absent' | { readonly sizeBytes: number };
}

export interface KeyHistory {
  readonly volume: string;
  readonly key: string;
  readonly writes: WriteOperation[];
  readonly observations: Observation[];
}

type Asked = Omit<WriteOperation, 'endedMs' | 'outcome' | 'number' | 'group'> & { readonly number?: number };

export class WriteHistory {
  readonly #keys = new Map<string, KeyHistory>();
  readonly #begunMs = new Map<number, number>();
  readonly #sizes = new Map<number, number>();
  /** Uploads in parts that their clients may have left without an end: their bytes stay until they are idle for long. */
  leftUploads = 0;
  #last = FIRST_NUMBER;

  /** A number for a content that is about to be written. */
  number(sizeBytes: number, nowMs = 0): number {
    this.#last++;
    this.#begunMs.set(this.#last, nowMs);
    this.#sizes.set(this.#last, sizeBytes);
    return this.#last;
  }

  /** When a number was given out. */
  begunMs(number: number): number {
    return this.#begunMs.get(number) ?? 0;
  }

  sizeOf(number: number): number | undefined {
    return this.#sizes.get(number);
  }

  asked(asked: Asked): WriteOperation {
    const operation: WriteOperation = { number: 0, ...asked, endedMs: Number.POSITIVE_INFINITY, outcome: 'open' };
    this.of(asked.volume, asked.key).writes.push(operation);
    return operation;
  }

  observed(observation: Observation): void {
    this.of(observation.volume, observation.key).observations.push(observation);
  }

  keys(): KeyHistory[] {
    return [...this.#keys.values()];
  }

  /** Writes that nobody has been told the outcome of yet. */
  open(): WriteOperation[] {
    return this.keys().flatMap(({ writes }) => writes.filter(({ outcome }) => outcome === 'open'));
  }

  of(volume: string, key: string): KeyHistory {
    const name = `${volume}/${key}`;
    const known = this.#keys.get(name);
    if (known) return known;
    const made: KeyHistory = { volume, key, writes: [], observations: [] };
    this.#keys.set(name, made);
    return made;
  }

  /** Writes of a content to a key: several where it was renamed away and back. */
  writesOf(volume: string, key: string, number: number): WriteOperation[] {
    return this.of(volume, key).writes.filter((write) => write.kind === 'put' && write.number === number);
  }
}

/** Certainly before: it was answered before the other was asked for. */
export function isBefore(a: WriteOperation, b: WriteOperation): boolean {
  return a.endedMs < b.askedMs;
}

/** It may have taken effect. */
export function mayCount(write: WriteOperation): boolean {
  return write.outcome !== 'refused';
}
