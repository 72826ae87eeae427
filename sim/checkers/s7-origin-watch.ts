/**
 * What an observer of the origin must never see, looked at after each of its changes: an object that is not whole or that
 * nobody committed (S-7, S-5); one that is there before what was committed below its own directory when it was begun
 * (S-7); a change of someone else overwritten by a write that did not know of it (S-8); an older version after a newer
 * one, or a deleted object that is back (S-16: somebody acted on a right that was over).
 */
import type { Volume } from '../../src/core/volume.ts';
import { MARKER } from '../../src/write/checkpoints.ts';
import { firstWrong } from '../sim-content.ts';
import type { OriginChange, SimOrigin, SimVersion } from '../sim-origin.ts';
import { isBefore, mayCount, NUMBER_METADATA, type WriteHistory, type WriteOperation } from '../write-history.ts';
import type { Findings } from './checker.ts';
import { textOf } from './s2-linearizable.ts';

/** What we keep at the origin beside the objects of users. */
const OURS = '.forebay/';

export const directoryOf = (key: string): string => key.slice(0, key.lastIndexOf('/') + 1);

/** The write that a version at the origin is of; `undefined` for versions of someone else. */
export function numberOf(version: SimVersion | undefined): number | undefined {
  const text = version?.metadata[NUMBER_METADATA];
  return text === undefined ? undefined : Number(text);
}

export interface OriginWatchPlaces {
  readonly findings: Findings;
  readonly history: WriteHistory;
  readonly origin: SimOrigin;
  readonly volume: Volume;
  /** Keys that nobody but the cluster writes. */
  readonly isOwn: (key: string) => boolean;
  /** Committed without knowing what the origin had: a number, or `<volume>/<key>` of a delete. */
  readonly isBaseless: (what: number | string) => boolean;
  /**
   * Whether a delete of the key has reached the origin and is still remembered: a request from before it that was on its way may
   * bring an older version back, which the drain looks for, and deletes.
   */
  readonly isDeleteDrained: (volume: string, key: string) => boolean;
  /** Told of every change of ours. */
  readonly finalised?: (key: string) => void;
  /** Whether a version of the key was shown as what cannot be drained. */
  readonly hadTrouble: (volume: string, key: string) => boolean;
}

export class OriginWatch {
  readonly #places: OriginWatchPlaces;
  /** Numbers that each key has shown, and when a delete of ours took effect. */
  readonly #shown = new Map<string, number[]>();
  readonly #deletedMs = new Map<string, number>();
  readonly #foreign = new Set<SimVersion>();

  constructor(places: OriginWatchPlaces) {
    this.#places = places;
    places.origin.onChange = (change) => this.#changed(change);
  }

  #changed(change: OriginChange): void {
    const { now, by } = change;
    if (change.key.startsWith(OURS)) return;
    if (change.key.endsWith(`/${MARKER}`)) {
      if (now) this.#marked(directoryOf(change.key));
      return;
    }
    if (by === undefined) {
      if (now) this.#foreign.add(now);
      return;
    }
    this.#places.finalised?.(change.key);
    if (change.before && this.#foreign.has(change.before)) this.#overForeign(change, change.before);
    if (now) this.#appeared(change.key, now);
    else this.#vanished(change);
  }

  /** The last object of a checkpoint is there: all of its objects are. */
  #marked(directory: string): void {
    const { history, volume } = this.#places;
    for (const { key, writes } of history.keys()) {
      if (!key.startsWith(directory)) continue;
      const isThere = writes.some((write) => write.volume === volume.name && write.group && this.#shows(write));
      const isOne = writes.some((write) => write.volume === volume.name && write.group && write.outcome === 'done');
      if (isOne && !isThere) this.#add('S-7', `the marker of ${directory} is there before ${key}`);
    }
  }

  #add(promise: string, message: string): void {
    this.#places.findings.add(promise, `at the origin: ${message}`);
  }

  #appeared(key: string, version: SimVersion): void {
    const { history, volume } = this.#places;
    const number = numberOf(version);
    if (number === undefined) {
      this.#add('S-7', `${key} does not say which write it is of`);
      return;
    }
    const writes = history.writesOf(volume.name, key, number).filter(mayCount);
    if (writes.length === 0) {
      this.#add('S-5', `${key} shows content ${number}, which nobody committed under it`);
      return;
    }
    this.#isWhole(key, number, version);
    this.#isNewest(key, number, writes);
    const shown = this.#shown.get(key);
    if (shown) shown.push(number);
    else this.#shown.set(key, [number]);
    if (volume.writes?.drainOrder !== 'none') for (const write of writes.slice(0, 1)) this.#isInOrder(write);
  }

  #isWhole(key: string, number: number, { bytes = new Uint8Array(), sizeBytes }: SimVersion): void {
    const expected = this.#places.history.sizeOf(number);
    if (sizeBytes !== expected)
      this.#add('S-7', `${key} has ${sizeBytes} bytes of the ${expected} of content ${number}`);
    const wrong = firstWrong(number, 0, bytes);
    if (wrong >= 0) this.#add('S-7', `${key} is wrong at ${wrong} for content ${number}`);
  }

  #isNewest(key: string, number: number, writes: readonly WriteOperation[]): void {
    const { history, volume, isDeleteDrained } = this.#places;
    if (isDeleteDrained(volume.name, key)) return;
    const newer = (this.#shown.get(key) ?? []).find((other) => {
      const others = history.writesOf(volume.name, key, other);
      return other !== number && others.length > 0 && writes.every((write) => others.every((o) => isBefore(write, o)));
    });
    if (newer !== undefined) this.#add('S-16', `${key} shows content ${number} after the newer ${newer}`);
    const deletedMs = this.#deletedMs.get(key);
    if (deletedMs === undefined) return;
    const deletes = history
      .of(volume.name, key)
      .writes.filter(({ kind, outcome }) => kind === 'delete' && outcome === 'done');
    const over = deletes.find((each) => each.askedMs < deletedMs && writes.every((write) => isBefore(write, each)));
    if (over) this.#add('S-16', `${key} is back as content ${number} after its ${textOf(over)} had reached the origin`);
  }

  #vanished({ key, before }: OriginChange): void {
    const { history, volume, origin } = this.#places;
    const number = numberOf(before);
    this.#deletedMs.set(key, origin.clock.nowMs);
    if (number === undefined) return;
    const written = history.writesOf(volume.name, key, number);
    const deletes = history.of(volume.name, key).writes.filter((write) => write.kind === 'delete' && mayCount(write));
    if (deletes.some((each) => !written.every((write) => isBefore(each, write)))) return;
    this.#add('S-16', `${key}, content ${number}, was deleted though nobody deleted it`);
  }

  /** Every key in the directory of the write and below shows what was committed when the write was asked for, or later. */
  #isInOrder(write: WriteOperation): void {
    const { history, volume, isOwn, hadTrouble, isDeleteDrained } = this.#places;
    const directory = directoryOf(write.key);
    // what is committed after it was written was begun long before
    const isStaged = write.group !== undefined || write.how === 'multipart';
    const begunMs = isStaged ? history.begunMs(write.number) : write.askedMs;
    for (const other of history.keys()) {
      if (other.volume !== volume.name || other.key === write.key) continue;
      if (!other.key.startsWith(directory) || !isOwn(other.key)) continue;
      if (volume.writes?.onConflict === 'skip' && hadTrouble(volume.name, other.key)) continue;
      for (const earlier of other.writes) {
        if (earlier.outcome !== 'done' || earlier.endedMs >= begunMs || this.#shows(earlier)) continue;
        if (this.#isCircle(write, earlier)) continue;
        if (earlier.kind === 'delete' && isDeleteDrained(volume.name, earlier.key)) continue;
        this.#add('S-7', `${textOf(write)} of ${write.key} is there before the ${textOf(earlier)} of ${earlier.key}`);
        return;
      }
    }
  }

  /**
   * Whether what replaced the earlier write, in the same directory, may have been committed after the later one: each would have
   * to wait for the other, and the one committed first goes first.
   */
  #isCircle(write: WriteOperation, earlier: WriteOperation): boolean {
    const { history, volume } = this.#places;
    if (directoryOf(earlier.key) !== directoryOf(write.key)) return false;
    const others = history.of(volume.name, earlier.key).writes.filter(mayCount);
    return others.some((other) => other !== earlier && !isBefore(other, earlier) && !isBefore(other, write));
  }

  /** Whether the origin shows a write, or what may have come after it. */
  #shows(write: WriteOperation): boolean {
    const { history, volume, origin } = this.#places;
    const number = numberOf(origin.current(write.key));
    const others = history.of(volume.name, write.key).writes.filter(mayCount);
    const shown =
      number === undefined
        ? others.filter(({ kind }) => kind === 'delete')
        : others.filter((other) => other.number === number);
    return shown.some((other) => other === write || !isBefore(other, write));
  }

  /** Whether the origin shows a write, or ever has, or something that may have come after it. */
  hasShown(write: WriteOperation): boolean {
    const { history, volume } = this.#places;
    if (this.#shows(write)) return true;
    const shown = this.#shown.get(write.key) ?? [];
    return history.of(volume.name, write.key).writes.some((other) => {
      const isThere = other.kind === 'put' && shown.includes(other.number);
      return isThere && (other === write || !isBefore(other, write));
    });
  }

  #overForeign({ key, now }: OriginChange, before: SimVersion): void {
    const { history, volume, isBaseless } = this.#places;
    const number = numberOf(now);
    const isUnknown = isBaseless(number ?? `${volume.name}/${key}`);
    if (isUnknown) return;
    const writes = history.of(volume.name, key).writes.filter(mayCount);
    const causes = writes.filter((write) => (number === undefined ? write.kind === 'delete' : write.number === number));
    // one that was not answered when the change was made may have seen it
    if (causes.some(({ endedMs }) => endedMs >= before.fromMs)) return;
    const what = now ? `content ${number}` : 'a delete';
    this.#add('S-8', `${what} replaced ${before.etag} of ${key}, which someone else had put at ${before.fromMs} ms`);
  }
}
