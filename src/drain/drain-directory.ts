/**
 * One directory of keys, for the order of S-7: what lies directly in it, and what lies deeper. Says who must be at the origin
 * before an object of the directory; one of them at a time, which suffices: when that one is, it is asked again.
 */
import type { DirtyRecord, Tombstone } from '../write/object-record.ts';
import { SinceHeap } from './since-heap.ts';

/** A version that the origin does not have yet. `begun` < `committed`, and `since` ≤ `committed`. */
export interface OrderEntry {
  readonly key: string;
  readonly version: DirtyRecord | Tombstone;
  readonly begun: number;
  readonly committed: number;
  /** `committed` of the first of the key's versions that the origin lacks. */
  readonly since: number;
  readonly isLive: boolean;
}

/** Dead entries are taken out once there are this many more than live ones. */
const DEAD_SLACK = 32;

export class DrainDirectory<E extends OrderEntry> {
  /** By `committed`. */
  #own: E[] = [];
  /** Everything before it is dead. */
  #head = 0;
  #dead = 0;
  /** By `since`: those that are committed later than that. */
  readonly #replacing: E[] = [];
  readonly #deeper = new SinceHeap<E>();
  #live = 0;

  get isEmpty(): boolean {
    return this.#live === 0;
  }

  addOwn(entry: E): void {
    this.#live++;
    const at = this.#firstNotBefore(entry.committed);
    this.#own.splice(at, 0, entry);
    this.#head = Math.min(this.#head, at);
    if (entry.since < entry.committed) this.#replacing.splice(this.#firstSince(entry.since), 0, entry);
  }

  ownDied(entry: E): void {
    if (entry.since < entry.committed) this.#replacing.splice(this.#replacing.indexOf(entry), 1);
    this.#live--;
    this.#dead++;
    while (this.#own[this.#head]?.isLive === false) this.#head++;
    if (this.#dead <= this.#own.length / 2 + DEAD_SLACK) return;
    this.#own = this.#own.filter(({ isLive }) => isLive);
    this.#head = 0;
    this.#dead = 0;
  }

  addDeeper(entry: E): void {
    this.#live++;
    this.#deeper.add(entry);
  }

  deeperDied(): void {
    this.#live--;
    this.#deeper.died();
  }

  /** Somebody who must be at the origin before `entry`, which lies directly in this directory. */
  blockerOf(entry: E): E | undefined {
    for (let at = this.#firstNotBefore(entry.begun + 1) - 1; at >= this.#head; at--) {
      const other = this.#own[at] as E;
      if (other.isLive && other !== entry) return other;
    }
    for (const other of this.#replacing) {
      if (other.since > entry.begun) break;
      if (isBefore(other, entry)) return other;
    }
    const deepest = this.#deeper.first();
    return deepest !== undefined && deepest.since <= entry.begun ? deepest : undefined;
  }

  /** All who must be at the origin before `entry`. */
  *blockersOf(entry: E): Generator<E> {
    for (let at = this.#head; at < this.#own.length; at++) {
      const other = this.#own[at] as E;
      if (other.committed > entry.committed) break;
      if (other.isLive && isBefore(other, entry)) yield other;
    }
    yield* this.#deeper.upTo(entry.begun);
  }

  #firstSince(since: number): number {
    let low = 0;
    let high = this.#replacing.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#replacing[middle] as E).since < since) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #firstNotBefore(committed: number): number {
    let low = 0;
    let high = this.#own.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#own[middle] as E).committed < committed) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

/**
 * Whether `other`, of the same directory, goes first. Of two that replaced versions in turn while the other was under way, each would have
 * to: then the one that was committed first does, and of two that one checkpoint committed the one that was begun first.
 */
function isBefore(other: OrderEntry, entry: OrderEntry): boolean {
  if (other === entry || other.since > entry.begun) return false;
  if (other.committed !== entry.committed) return other.committed < entry.committed;
  return other.begun < entry.begun;
}

/** The directory of a key, `''` for none, and those above it, the nearest first. */
export function directoriesOf(key: string): string[] {
  const found: string[] = [];
  for (let at = key.lastIndexOf('/'); at >= 0; at = at === 0 ? -1 : key.lastIndexOf('/', at - 1))
    found.push(key.slice(0, at + 1));
  return [...found, ''];
}

export function directoryOf(key: string): string {
  return key.slice(0, key.lastIndexOf('/') + 1);
}
