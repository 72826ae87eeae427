/**
 * What of a volume may be finalised at the origin now (S-7), as a pure decider over the changes of its records.
 *
 * An object may be finalised when nothing of its own directory and below it is missing at the origin that was committed before
 * the object was begun, or replaces what was. Of two objects of one directory that replaced each other's predecessors
 * before the origin had these, the one that was committed first goes first, for a circle would drain never. Versions settle
 * for `settleMs` first, unless they are urgent or something urgent waits for them. What the origin refuses, somebody else
 * changed or was lost holds back whatever waits for it, unless the volume lets followers through.
 *
 * Costs: about the logarithm of the pending records per change; whoever waits, waits for one other at a time and is looked at again
 * when that one is through.
 */
import type { DirtyRecord, ObjectRecord, Tombstone } from '../write/object-record.ts';
import type { RecordChange } from '../write/records.ts';
import { committedRevision, dirtySince, pendingOf } from '../write/version-order.ts';
import { DrainDirectory, directoriesOf, directoryOf, type OrderEntry } from './drain-directory.ts';

/** A version that waits for the origin. The same object for as long as it is the same version, in trouble or not. */
export interface PendingVersion extends OrderEntry {
  /** As the record is now. */
  readonly version: DirtyRecord | Tombstone;
  readonly record: ObjectRecord;
  /** The record's, for the next commit to compare. */
  readonly revision: number;
  /** When this node heard of it. */
  readonly knownMs: number;
  /** Somebody waits for it, or for something that it must go before. */
  readonly isUrgent: boolean;
}

export interface DrainOrderOptions {
  readonly settleMs: number;
  readonly onConflict: 'hold' | 'skip';
  readonly drainOrder: 'directory' | 'none';
}

interface Entry extends PendingVersion {
  version: DirtyRecord | Tombstone;
  record: ObjectRecord;
  revision: number;
  /** The origin lacks it, as far as is known. */
  isLive: boolean;
  /** Holds others back. */
  blocks: boolean;
  isUrgent: boolean;
  /** One of those that must go first. */
  blocker: Entry | undefined;
  readonly waiters: Set<Entry>;
}

export class DrainOrder {
  readonly #options: DrainOrderOptions;
  readonly #entries = new Map<string, Entry>();
  readonly #directories = new Map<string, DrainDirectory<Entry>>();
  /** Those that nobody holds back. */
  readonly #free = new Set<Entry>();
  #newestBegun = 0;

  constructor(options: DrainOrderOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#entries.size;
  }

  get(key: string): PendingVersion | undefined {
    return this.#entries.get(key);
  }

  /** In no order. */
  all(): IterableIterator<PendingVersion> {
    return this.#entries.values();
  }

  apply(change: RecordChange, nowMs: number): void {
    if (change.kind === 'change') {
      this.#set(change.key, change, nowMs);
      return;
    }
    const named = new Set(change.records.map(({ key }) => key));
    for (const key of Array.from(this.#entries.keys()))
      if (!named.has(key)) this.#set(key, { record: undefined, revision: change.revision }, nowMs);
    for (const recorded of change.records) this.#set(recorded.key, recorded, nowMs);
  }

  /** The origin has the version, whatever its record says yet: it holds nobody back. */
  arrived(pending: PendingVersion): void {
    const entry = this.#entries.get(pending.key);
    if (entry === pending) this.#holdNobody(entry);
  }

  /** What may be finalised now, in the order in which it was freed. */
  *finalisable(nowMs: number, options: { urgent?: boolean } = {}): Generator<PendingVersion> {
    for (const entry of this.#free)
      if (!entry.version.trouble && (options.urgent === true || this.#settledMs(entry) <= nowMs)) yield entry;
  }

  /** When the next of what nobody holds back will have settled; Infinity where there is nothing to wait for. */
  nextMs(nowMs: number): number {
    let next = Number.POSITIVE_INFINITY;
    for (const entry of this.#free) {
      const settledMs = this.#settledMs(entry);
      if (!entry.version.trouble && settledMs > nowMs && settledMs < next) next = settledMs;
    }
    return next;
  }

  /** Nothing will go on by itself: all that nobody holds back is in trouble. */
  get isStuck(): boolean {
    for (const entry of this.#free) if (!entry.version.trouble) return false;
    return this.#entries.size > 0;
  }

  /** One of those that a version waits for. */
  blockerOf(key: string): PendingVersion | undefined {
    return this.#entries.get(key)?.blocker;
  }

  #settledMs(entry: Entry): number {
    return entry.isUrgent ? entry.knownMs : entry.knownMs + this.#options.settleMs;
  }

  #set(key: string, { record, revision }: { record: ObjectRecord | undefined; revision: number }, nowMs: number): void {
    const before = this.#entries.get(key);
    const version = pendingOf(record);
    if (record === undefined || version === undefined) {
      this.#entries.delete(key);
      if (before !== undefined) this.#leave(before);
      return;
    }
    const next = this.#entry(key, { record, revision, version, knownMs: nowMs });
    if (before !== undefined && isSameVersion(before, next)) {
      Object.assign(before, { record, revision, version });
      if (version.urgent && !before.isUrgent) this.#hurry(before);
      return;
    }
    this.#entries.set(key, next);
    if (next.blocks) this.#join(next);
    if (before !== undefined) this.#leave(before);
    this.#newestBegun = Math.max(this.#newestBegun, next.begun);
    // What comes in the order of revisions cannot hold back what was looked at before.
    const isLate = next.blocks && before?.blocks !== true && next.since <= this.#newestBegun;
    if (isLate) for (const free of Array.from(this.#free)) this.#examine(free);
    this.#examine(next);
  }

  #entry(key: string, from: Pick<Entry, 'record' | 'revision' | 'version' | 'knownMs'>): Entry {
    const { version, revision } = from;
    return {
      key,
      ...from,
      begun: version.begunRevision,
      committed: committedRevision(version, revision),
      since: dirtySince(version, revision),
      isLive: true,
      blocks: this.#options.drainOrder === 'directory' && !(version.trouble && this.#options.onConflict === 'skip'),
      isUrgent: version.urgent === true,
      blocker: undefined,
      waiters: new Set(),
    };
  }

  #join(entry: Entry): void {
    const [own, ...above] = directoriesOf(entry.key);
    this.#directory(own as string).addOwn(entry);
    for (const path of above) this.#directory(path).addDeeper(entry);
  }

  #leave(entry: Entry): void {
    this.#free.delete(entry);
    entry.blocker?.waiters.delete(entry);
    this.#holdNobody(entry);
  }

  #holdNobody(entry: Entry): void {
    if (!entry.isLive) return;
    entry.isLive = false;
    if (entry.blocks) {
      const [own, ...above] = directoriesOf(entry.key);
      this.#directory(own as string).ownDied(entry);
      for (const path of above) this.#directory(path).deeperDied();
      for (const path of [own as string, ...above])
        if (this.#directories.get(path)?.isEmpty) this.#directories.delete(path);
    }
    for (const waiter of Array.from(entry.waiters)) this.#examine(waiter);
  }

  #directory(path: string): DrainDirectory<Entry> {
    let directory = this.#directories.get(path);
    if (directory === undefined) this.#directories.set(path, (directory = new DrainDirectory()));
    return directory;
  }

  /** Finds whom the entry waits for now. */
  #examine(entry: Entry): void {
    entry.blocker?.waiters.delete(entry);
    const blocker = this.#directories.get(directoryOf(entry.key))?.blockerOf(entry);
    entry.blocker = blocker;
    if (blocker === undefined) {
      this.#free.add(entry);
      return;
    }
    this.#free.delete(entry);
    const isNewsToUrgent = entry.isUrgent && !blocker.isUrgent;
    blocker.waiters.add(entry);
    if (isNewsToUrgent) this.#hurry(entry);
  }

  /** What is urgent makes urgent what must go before it. */
  #hurry(first: Entry): void {
    const hurried = [first];
    for (let entry = hurried.pop(); entry !== undefined; entry = hurried.pop()) {
      entry.isUrgent = true;
      if (entry.blocker === undefined) continue;
      for (const other of this.#directory(directoryOf(entry.key)).blockersOf(entry)) {
        if (other.isUrgent) continue;
        other.isUrgent = true;
        hurried.push(other);
      }
    }
  }
}

function isSameVersion(a: Entry, b: Entry): boolean {
  if (a.begun !== b.begun || a.committed !== b.committed || a.since !== b.since || a.blocks !== b.blocks) return false;
  if ((a.version.trouble === undefined) !== (b.version.trouble === undefined)) return false;
  if (a.version.kind === 'dirty') return b.version.kind === 'dirty' && a.version.content === b.version.content;
  return b.version.kind === 'tombstone';
}
