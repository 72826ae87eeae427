/**
 * Which file of an adopted directory is taken over when, and in which order. Pure: it is told what happens, and the time.
 *
 * A file is taken over `adoptSettleMs` after it was closed or renamed (so that `x.tmp`, renamed at once, is taken as `x`), or
 * when nobody was seen to close it and it did not change for `adoptQuietMs`. A version that has been taken over and is renamed
 * is renamed in the volume; one that changed is a new version. Files are begun in the order in which they were finished, and
 * each names those before it, in its directory and below, that must be committed first: so the volume has the order of the
 * directory, and the origin too (S-7).
 */
import { adoptQuietMs, adoptRetryMaxMs, adoptRetryMinMs, adoptSettleMs } from '../core/limits.ts';

/** One state of a file: device inode, size, time of the last write. */
export type Version = string;

interface Entry {
  path: string;
  /** As last seen; `undefined`: to be looked at. */
  version: Version | undefined;
  sizeBytes: number;
  /** When it may be taken over; infinite while there is nothing to do. */
  ripeMs: number;
  /** When it was finished, among the others. */
  order: number;
  /** Under which name the volume has it, and which version. */
  committedAs: string | undefined;
  committed: Version | undefined;
  /** When it was last told of, among all that was. */
  heard: number;
  /** Somebody was seen to finish it. */
  isFresh: boolean;
  isBusy: boolean;
  isGone: boolean;
  tries: number;
  failure: string | undefined;
}

export type AdoptStep =
  /** `known`: the version that the volume has under this name. `mayBeThere`: it was found, not seen to be written, and an earlier run may have taken it. */
  | {
      readonly kind: 'adopt';
      readonly path: string;
      readonly order: number;
      readonly known: Version | undefined;
      readonly mayBeThere: boolean;
    }
  | { readonly kind: 'rename'; readonly from: string; readonly path: string; readonly order: number }
  | { readonly kind: 'delete'; readonly path: string; readonly order: number };

export type AdoptOutcome =
  /** `version`: that of the file before and after; `undefined` when it changed meanwhile. */
  | { readonly kind: 'done'; readonly version: Version | undefined; readonly sizeBytes: number }
  /** There is no such file any more. */
  | { readonly kind: 'missing' }
  /** It is still being written. */
  | { readonly kind: 'later' }
  | { readonly kind: 'failed'; readonly message: string }
  /** It would fail again. */
  | { readonly kind: 'refused'; readonly message: string };

export interface SeenFile {
  readonly version: Version;
  readonly sizeBytes: number;
  readonly ripeInMs: number;
}

export interface AdoptTotals {
  readonly files: number;
  readonly filesDone: number;
  readonly bytes: number;
  readonly bytesDone: number;
  readonly failed: readonly { readonly path: string; readonly message: string }[];
}

export class AdoptPlan {
  readonly #deletes: boolean;
  readonly #entries = new Map<string, Entry>();
  /** Entries to be looked at when they are ripe: in order, and those that failed. */
  readonly #waiting = new Set<Entry>();
  readonly #retrying = new Set<Entry>();
  /** Names that a step under way changes, with the entry it is for. */
  readonly #busyNames = new Set<string>();
  readonly #underWay = new Map<number, { readonly entry: Entry; readonly names: readonly string[] }>();
  #order = 0;
  #heard = 0;

  constructor(options: { deletes: boolean }) {
    this.#deletes = options.deletes;
  }

  /** For a look that begins now: what is told of after it is newer than what the look sees. */
  get heard(): number {
    return this.#heard;
  }

  /**
   * A file was seen, as it is, by a look that began at `since`; `ripeInMs`: when it counts as finished though nobody was seen
   * to close it, if ever.
   */
  seen(path: string, file: SeenFile, since: number, nowMs: number): void {
    const entry = this.#entries.get(path) ?? this.#add(path);
    if (entry.heard > since) return;
    entry.isGone = false;
    if (entry.version === file.version) {
      const isSooner = nowMs + file.ripeInMs < entry.ripeMs && entry.committed !== entry.version && entry.tries === 0;
      if (isSooner && !entry.isBusy) this.#ripen(entry, nowMs + file.ripeInMs);
      return;
    }
    const isFinished = entry.version === undefined && Number.isFinite(entry.ripeMs);
    entry.version = file.version;
    entry.sizeBytes = file.sizeBytes;
    if (entry.committed === file.version) {
      if (entry.committedAs === path) this.#stop(entry);
      else this.#ripen(entry, nowMs);
    } else if (!isFinished) this.#ripen(entry, nowMs + file.ripeInMs);
  }

  /** A file was closed after it was written, or came under its final name. */
  finished(path: string, nowMs: number): void {
    const entry = this.#entries.get(path) ?? this.#add(path);
    entry.isGone = false;
    entry.version = undefined;
    entry.isFresh = true;
    this.#hear(entry);
    this.#ripen(entry, nowMs + adoptSettleMs);
  }

  /** A file, or a directory with all below it, got another name. True when nothing was known of it. */
  moved(from: string, to: string, nowMs: number): boolean {
    const movers = this.#below(from);
    this.#replaced(to);
    for (const entry of movers) {
      this.#entries.delete(entry.path);
      entry.path = to + entry.path.slice(from.length);
      this.#entries.set(entry.path, entry);
      this.#hear(entry);
      this.#ripen(entry, nowMs + (entry.committedAs === undefined ? adoptSettleMs : 0));
    }
    return movers.length === 0;
  }

  gone(path: string, nowMs: number): void {
    for (const entry of this.#below(path)) {
      entry.isGone = true;
      this.#hear(entry);
      if (this.#deletes && entry.committedAs !== undefined) this.#ripen(entry, nowMs);
      else if (!entry.isBusy) this.#remove(entry);
    }
  }

  /** After everything below a directory was seen, by a look that began at `since`: what was not is gone, unless told of later. */
  onlySeen(directory: string, paths: ReadonlySet<string>, since: number, nowMs: number): void {
    for (const entry of this.#below(directory))
      if (!paths.has(entry.path) && entry.heard <= since) this.gone(entry.path, nowMs);
  }

  /** What to do now, at most so many steps; each is answered by `settled`. */
  begin(nowMs: number, room: number): AdoptStep[] {
    const steps: AdoptStep[] = [];
    const tryOne = (entry: Entry) => {
      if (entry.isBusy || entry.ripeMs > nowMs) return;
      const step = this.#beginOne(entry);
      if (step !== undefined) steps.push(step);
    };
    // What others wait for has room of its own.
    for (const entry of Array.from(this.#retrying).sort((a, b) => a.order - b.order)) tryOne(entry);
    for (const entry of this.#waiting) {
      if (steps.length >= room) break;
      if (entry.tries === 0) tryOne(entry);
    }
    return steps;
  }

  #beginOne(entry: Entry): AdoptStep | undefined {
    const step = this.#stepOf(entry);
    if (step === undefined) {
      this.#rest(entry);
      return undefined;
    }
    const names = step.kind === 'rename' ? [step.from, step.path] : [step.path];
    if (names.some((name) => this.#busyNames.has(name))) return undefined;
    for (const name of names) this.#busyNames.add(name);
    entry.isBusy = true;
    this.#waiting.delete(entry);
    this.#retrying.delete(entry);
    this.#underWay.set(step.order, { entry, names });
    return step;
  }

  /** Orders of what must be committed before a step may be: finished earlier, in its directory or below it. */
  before(step: AdoptStep): number[] {
    const directory = step.path.slice(0, step.path.lastIndexOf('/') + 1);
    const orders: number[] = [];
    for (const [order, { names }] of this.#underWay)
      if (order < step.order && names.some((name) => name.startsWith(directory))) orders.push(order);
    for (const entry of this.#retrying)
      if (entry.order < step.order && entry.path.startsWith(directory)) orders.push(entry.order);
    return orders;
  }

  /** Whether any of these is still to be committed. */
  isPending(orders: readonly number[]): boolean {
    if (orders.some((order) => this.#underWay.has(order))) return true;
    const wanted = new Set(orders);
    for (const entry of this.#retrying) if (wanted.has(entry.order)) return true;
    return false;
  }

  settled(step: AdoptStep, outcome: AdoptOutcome, nowMs: number): void {
    const under = this.#underWay.get(step.order);
    if (under === undefined) return;
    this.#underWay.delete(step.order);
    for (const name of under.names) this.#busyNames.delete(name);
    const { entry } = under;
    entry.isBusy = false;
    if (outcome.kind === 'refused') {
      entry.failure = outcome.message;
      if (entry.order === step.order) this.#stop(entry);
      else this.#wait(entry);
      return;
    }
    if (outcome.kind === 'failed') {
      entry.failure = outcome.message;
      if (entry.order !== step.order) {
        // It has been finished anew since: that is what is tried now, in its turn.
        this.#wait(entry);
        return;
      }
      entry.tries += 1;
      entry.ripeMs = nowMs + Math.min(adoptRetryMaxMs, adoptRetryMinMs * 2 ** (entry.tries - 1));
      this.#retrying.add(entry);
      return;
    }
    entry.failure = undefined;
    entry.tries = 0;
    if (outcome.kind === 'later') {
      if (entry.order === step.order) this.#ripen(entry, nowMs + adoptQuietMs);
      else this.#wait(entry);
    } else if (outcome.kind === 'missing') this.#missing(step, entry, nowMs);
    else this.#done(step, entry, outcome, nowMs);
  }

  /** Milliseconds at which something becomes ripe, `nowMs` when something is; infinite when nothing waits. */
  nextMs(nowMs: number): number {
    let next = Infinity;
    for (const entries of [this.#retrying, this.#waiting])
      for (const entry of entries) {
        if (entry.ripeMs <= nowMs) return nowMs;
        next = Math.min(next, entry.ripeMs);
      }
    return next;
  }

  get isIdle(): boolean {
    return this.#underWay.size === 0 && this.nextMs(Number.NEGATIVE_INFINITY) === Infinity;
  }

  totals(failedMax: number): AdoptTotals {
    const totals = { files: 0, filesDone: 0, bytes: 0, bytesDone: 0 };
    const failed: { path: string; message: string }[] = [];
    for (const entry of this.#entries.values()) {
      if (entry.isGone) continue;
      const isDone =
        entry.committedAs === entry.path && entry.committed !== undefined && entry.committed === entry.version;
      totals.files += 1;
      totals.bytes += entry.sizeBytes;
      if (isDone) totals.filesDone += 1;
      if (isDone) totals.bytesDone += entry.sizeBytes;
      if (entry.failure !== undefined && failed.length < failedMax)
        failed.push({ path: entry.path, message: entry.failure });
    }
    return { ...totals, failed };
  }

  #add(path: string): Entry {
    const entry: Entry = {
      path,
      version: undefined,
      sizeBytes: 0,
      ripeMs: Infinity,
      order: 0,
      committedAs: undefined,
      committed: undefined,
      heard: 0,
      isFresh: false,
      isBusy: false,
      isGone: false,
      tries: 0,
      failure: undefined,
    };
    this.#entries.set(path, entry);
    return entry;
  }

  #hear(entry: Entry): void {
    this.#heard += 1;
    entry.heard = this.#heard;
  }

  #ripen(entry: Entry, atMs: number): void {
    entry.ripeMs = atMs;
    // The order of one under way is its step's; its next one comes later.
    this.#order += 1;
    entry.order = this.#order;
    entry.tries = 0;
    this.#retrying.delete(entry);
    this.#waiting.delete(entry);
    if (!entry.isBusy) this.#wait(entry);
  }

  /** Last of those that wait, in the order of their last change. */
  #wait(entry: Entry): void {
    const isThere = this.#entries.get(entry.path) === entry;
    if (isThere && entry.ripeMs !== Infinity) this.#waiting.add(entry);
  }

  #stop(entry: Entry): void {
    entry.ripeMs = Infinity;
    this.#waiting.delete(entry);
    this.#retrying.delete(entry);
  }

  #remove(entry: Entry): void {
    this.#stop(entry);
    if (this.#entries.get(entry.path) === entry) this.#entries.delete(entry.path);
  }

  #below(path: string): Entry[] {
    if (path === '') return Array.from(this.#entries.values());
    const own = this.#entries.get(path);
    if (own !== undefined) return [own];
    return Array.from(this.#entries.values()).filter((entry) => entry.path.startsWith(`${path}/`));
  }

  /** Another file takes this name: what had it is no file any more, and the volume's object is replaced. */
  #replaced(path: string): void {
    const entry = this.#entries.get(path);
    if (entry !== undefined) this.#remove(entry);
  }

  #stepOf(entry: Entry): AdoptStep | undefined {
    const { order, path, committedAs } = entry;
    if (entry.isGone)
      return this.#deletes && committedAs !== undefined ? { kind: 'delete', path: committedAs, order } : undefined;
    const isSame = entry.committed !== undefined && entry.committed === entry.version;
    if (isSame && committedAs !== undefined && committedAs !== path)
      return { kind: 'rename', from: committedAs, path, order };
    const known = committedAs === path ? entry.committed : undefined;
    return isSame ? undefined : { kind: 'adopt', path, order, known, mayBeThere: !entry.isFresh };
  }

  #rest(entry: Entry): void {
    this.#stop(entry);
    if (entry.isGone) this.#remove(entry);
  }

  #missing(step: AdoptStep, entry: Entry, nowMs: number): void {
    if (step.kind === 'rename') {
      // The volume has it no more under the old name: taken over anew.
      entry.committed = undefined;
      entry.committedAs = undefined;
      entry.ripeMs = nowMs;
    } else if (step.kind === 'delete' || (entry.path === step.path && entry.order === step.order)) {
      entry.isGone = true;
      if (step.kind === 'delete') entry.committedAs = undefined;
      entry.ripeMs = nowMs;
    }
    this.#wait(entry);
  }

  #done(step: AdoptStep, entry: Entry, outcome: Extract<AdoptOutcome, { kind: 'done' }>, nowMs: number): void {
    if (step.kind === 'delete') {
      entry.committedAs = undefined;
      entry.committed = undefined;
      if (entry.isGone) this.#remove(entry);
      else this.#wait(entry);
      return;
    }
    entry.committedAs = step.path;
    if (step.kind === 'adopt') {
      const isNewer = entry.order !== step.order;
      entry.committed = outcome.version;
      entry.sizeBytes = outcome.sizeBytes;
      if (!isNewer) entry.version = outcome.version;
      if (!isNewer && outcome.version === undefined) {
        this.#ripen(entry, nowMs + adoptQuietMs);
        return;
      }
    }
    // It was renamed while it was taken over, and did not change: the same version has another name.
    if (entry.path !== step.path && entry.version === undefined) entry.version = entry.committed;
    if (entry.order === step.order && entry.path === step.path && !entry.isGone) {
      this.#stop(entry);
      return;
    }
    if (entry.ripeMs === Infinity) entry.ripeMs = nowMs;
    this.#wait(entry);
  }
}
