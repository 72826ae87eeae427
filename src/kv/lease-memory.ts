/**
 * What other nodes have promised to this one: key → holder, until the lease ends. A get goes straight there.
 *
 * Bounds: `entriesMax`; the oldest promise is forgotten first, which costs a question to the owner.
 */
import { kvLeasesKeptMax } from '../core/kv-limits.ts';
import type { ValueFact } from './kv.ts';

export interface Promised {
  readonly node: string;
  /** The life of the holder's daemon that promised. */
  readonly session: string;
  readonly fact: ValueFact;
  /** Boottime of this node; counted from before the holder was asked. */
  readonly endMs: number;
}

export class LeaseMemory {
  readonly #entries = new Map<string, Promised>();
  readonly #entriesMax: number;

  constructor(entriesMax = kvLeasesKeptMax) {
    this.#entriesMax = entriesMax;
  }

  get(nowMs: number, key: string): Promised | undefined {
    const promised = this.#entries.get(key);
    if (promised === undefined || promised.endMs > nowMs) return promised;
    this.#entries.delete(key);
    return undefined;
  }

  set(key: string, promised: Promised): void {
    this.#entries.delete(key);
    this.#entries.set(key, promised);
    if (this.#entries.size <= this.#entriesMax) return;
    // many at once: looking for the oldest of a Map walks over all that were deleted before it
    let left = Math.ceil(this.#entriesMax / 8);
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      if (--left === 0) return;
    }
  }

  delete(key: string): void {
    this.#entries.delete(key);
  }
}
