/**
 * One directory that is adopted: what finishes in it is taken over into a volume, as long as somebody wants it. Nothing in
 * the directory is ever changed. Begun again, also after a crash, it finds by `forebaymtime` what the volume has already.
 *
 * Bounds:  adoptsInFlightMax files at once; `adoptFilesMax` files known.
 */
import { ForebayError, isForebayError } from '../core/errors.ts';
import {
  adoptFailuresShownMax,
  adoptFilesMax,
  adoptPollMs,
  adoptProgressMs,
  adoptQuietMs,
  adoptRescanMs,
  adoptsInFlightMax,
  eventHeartbeatMs,
} from '../core/limits.ts';
import type { ObjectVersion } from '../core/object.ts';
import { type Clock, type Disk, DiskError, type FileStat } from '../io/io.ts';
import type { WatchDirectory, WatchHint } from '../io/watch.ts';
import type { Adopter, Target, Writer } from '../write/writer.ts';
import { type AdoptOutcome, AdoptPlan, type AdoptStep, type AdoptTotals } from './adopt-plan.ts';

/** What is ripe and waits for another name is looked at again after this. */
const RIPE_PAUSE_MS = 20;

export interface AdoptRequest {
  readonly volume: string;
  /** Absolute, on this node's machine. */
  readonly directory: string;
  /** In front of each path below the directory. */
  readonly prefix: string;
  /** Deletes in the volume what is deleted in the directory. */
  readonly deletes: boolean;
  /** Ends when what is there is taken over. */
  readonly once: boolean;
}

export interface AdoptProgress extends AdoptTotals {
  /** `watched`: told by the system of each change; `polled`: looked at now and then. */
  readonly state: 'watched' | 'polled';
}

export interface AdoptionParts {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly watchDirectory: WatchDirectory | undefined;
  readonly adopter: Adopter;
  readonly writer: Pick<Writer, 'rename' | 'delete'>;
  /** What the volume has under a key. */
  readonly lookup: (target: Target, signal: AbortSignal) => Promise<ObjectVersion | undefined>;
}

/** Metadata of an adopted object: when its file was last written, in nanoseconds since 1970. */
const FILE_TIME = 'forebaymtime';

export class Adoption {
  readonly #parts: AdoptionParts;
  readonly #request: AdoptRequest;
  readonly #plan: AdoptPlan;
  readonly #stop = new AbortController();
  #state: AdoptProgress['state'] = 'polled';
  /** Paths to look at; `true` where changes may have escaped the watch. */
  readonly #looks = new Map<string, boolean>();
  #isLooking = false;
  #changed = Promise.withResolvers<void>();
  #inFlight = 0;

  constructor(parts: AdoptionParts, request: AdoptRequest) {
    this.#parts = parts;
    this.#request = request;
    this.#plan = new AdoptPlan({ deletes: request.deletes });
  }

  /** Works until `signal` aborts, or with `once` until all is taken over; says how far it is. The first time once nothing escapes it. */
  async *run(signal: AbortSignal): AsyncGenerator<AdoptProgress> {
    const { clock } = this.#parts;
    const stop = () => this.#stop.abort(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    const watch = await this.#watch();
    try {
      await this.#look('', adoptQuietMs);
      let lookedMs = clock.boottimeMs();
      let told: AdoptProgress | undefined;
      let toldMs = Number.NEGATIVE_INFINITY;
      let comparedMs = Number.NEGATIVE_INFINITY;
      while (!signal.aborted) {
        const changed = this.#changed.promise;
        for (const [path, hasEscaped] of this.#looks) {
          this.#looks.delete(path);
          await this.#look(path, hasEscaped ? adoptQuietMs : Infinity);
        }
        this.#begin();
        const nowMs = clock.boottimeMs();
        const isEnd = this.#request.once && this.#plan.isIdle;
        if (nowMs - comparedMs >= adoptProgressMs || isEnd) {
          const progress = this.#progress;
          comparedMs = nowMs;
          // Now and then also the same again: whoever listens is noticed to be gone only when spoken to.
          const isDue =
            isEnd || nowMs - toldMs >= eventHeartbeatMs || JSON.stringify(progress) !== JSON.stringify(told);
          if (isDue) {
            yield progress;
            told = progress;
            toldMs = nowMs;
          }
        }
        if (isEnd) return;
        const lookAgainMs = lookedMs + (this.#state === 'watched' ? adoptRescanMs : adoptPollMs);
        const ripeMs = this.#inFlight < adoptsInFlightMax ? this.#plan.nextMs(clock.boottimeMs()) : Infinity;
        const untilMs = Math.min(lookAgainMs, Math.max(ripeMs, nowMs + RIPE_PAUSE_MS), comparedMs + adoptProgressMs);
        await this.#rest(changed, Math.max(1, untilMs - clock.boottimeMs()));
        if (clock.boottimeMs() < lookAgainMs) continue;
        // Where closing is heard of, only what nobody touches for long counts without it.
        await this.#look('', this.#state === 'watched' ? adoptRescanMs : adoptQuietMs);
        lookedMs = clock.boottimeMs();
      }
    } finally {
      signal.removeEventListener('abort', stop);
      this.#stop.abort(new ForebayError('shuttingDown', 'the directory is adopted no more'));
      watch?.close();
    }
  }

  get #progress(): AdoptProgress {
    return { state: this.#state, ...this.#plan.totals(adoptFailuresShownMax) };
  }

  async #watch() {
    const { watchDirectory } = this.#parts;
    if (watchDirectory === undefined) return undefined;
    try {
      const watch = await watchDirectory(this.#request.directory, (hints) => this.#hear(hints));
      this.#state = 'watched';
      return watch;
    } catch (error) {
      // Too many directories, or a file system that tells nothing: it is looked at instead.
      if (error instanceof DiskError) return undefined;
      throw error;
    }
  }

  #hear(hints: readonly WatchHint[]): void {
    const nowMs = this.#parts.clock.boottimeMs();
    for (const hint of hints) {
      if (hint.kind === 'finished') this.#plan.finished(hint.path, nowMs);
      else if (hint.kind === 'gone') this.#plan.gone(hint.path, nowMs);
      else if (hint.kind === 'look') this.#looks.set(hint.path, hint.hasEscaped);
      else if (hint.kind === 'lost') this.#state = 'polled';
      else this.#moved(hint.from, hint.to, nowMs);
    }
    this.#wake();
  }

  #moved(from: string, to: string, nowMs: number): void {
    const isNew = this.#plan.moved(from, to, nowMs);
    // A file that was not known is finished now; a directory has to be looked at.
    if (isNew) this.#plan.finished(to, nowMs);
    // A look under way, or one still to come, does not find below the old name what it was meant for.
    let isMissed = isNew || this.#isLooking;
    for (const path of this.#looks.keys()) isMissed ||= path === from || path.startsWith(`${from}/`);
    if (isMissed) this.#looks.set(to, true);
  }

  #wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  async #rest(changed: Promise<void>, ms: number): Promise<void> {
    const timer = new AbortController();
    const signal = AbortSignal.any([timer.signal, this.#stop.signal]);
    await Promise.race([changed, this.#parts.clock.sleep(ms, signal).catch(() => undefined)]);
    timer.abort(new Error('changed'));
  }

  // ---- looking -----------------------------------------------------------------------------------------------------

  /** Looks at a path and all below it. Files that did not change for `quietMs` count as finished. */
  async #look(path: string, quietMs: number): Promise<void> {
    const { disk, clock } = this.#parts;
    const seen = new Map<string, FileStat>();
    const since = this.#plan.heard;
    this.#isLooking = true;
    try {
      const stat = await disk.stat(this.#absolute(path));
      if (stat?.kind === 'directory') await this.#walk(path, seen);
      else if (stat?.kind === 'file') {
        this.#seen(path, stat, quietMs, since);
        return;
      }
    } catch (error) {
      // A disk that does not answer is asked again with the next look.
      if (error instanceof DiskError) return;
      throw error;
    } finally {
      this.#isLooking = false;
    }
    // In the order in which they were written, which is then that of their commits.
    const inOrder = Array.from(seen).sort(([, a], [, b]) => Number(a.modifiedNs - b.modifiedNs));
    for (const [each, stat] of inOrder) this.#seen(each, stat, quietMs, since);
    this.#plan.onlySeen(path, new Set(seen.keys()), since, clock.boottimeMs());
  }

  async #walk(directory: string, seen: Map<string, FileStat>): Promise<void> {
    const { disk } = this.#parts;
    const entries = await disk.list(this.#absolute(directory)).catch((error: unknown) => {
      if (error instanceof DiskError && ['ENOENT', 'ENOTDIR', 'EACCES'].includes(error.code)) return [];
      throw error;
    });
    for (const { name, kind } of entries) {
      const path = directory === '' ? name : `${directory}/${name}`;
      if (kind === 'directory') await this.#walk(path, seen);
      if (kind !== 'file') continue;
      const stat = await disk.stat(this.#absolute(path));
      if (seen.size >= adoptFilesMax)
        throw new ForebayError('overloaded', `${this.#request.directory} has more than ${adoptFilesMax} files`);
      if (stat?.kind === 'file') seen.set(path, stat);
    }
  }

  #seen(path: string, stat: FileStat, quietMs: number, since: number): void {
    const { clock } = this.#parts;
    // A file that has been there for long, such as one that got a second name, is finished.
    const isOld = this.#isQuiet(stat, Math.min(quietMs, adoptRescanMs));
    const ripeInMs = isOld ? 0 : quietMs;
    const file = { version: versionOf(stat), sizeBytes: stat.sizeBytes, ripeInMs };
    this.#plan.seen(path, file, since, clock.boottimeMs());
  }

  #isQuiet({ modifiedNs }: FileStat, quietMs: number): boolean {
    return this.#parts.clock.wallMs() - Number(modifiedNs / 1_000_000n) >= quietMs;
  }

  #absolute(path: string): string {
    const { directory } = this.#request;
    return path === '' ? directory : `${directory === '/' ? '' : directory}/${path}`;
  }

  // ---- taking over -------------------------------------------------------------------------------------------------

  #begin(): void {
    const { clock } = this.#parts;
    for (const step of this.#plan.begin(clock.boottimeMs(), adoptsInFlightMax - this.#inFlight)) {
      this.#inFlight += 1;
      void this.#do(step).then((outcome) => {
        this.#inFlight -= 1;
        if (outcome !== undefined) this.#plan.settled(step, outcome, clock.boottimeMs());
        this.#wake();
      });
    }
  }

  /** `undefined` when it was stopped. */
  async #do(step: AdoptStep): Promise<AdoptOutcome | undefined> {
    try {
      return await this.#step(step, this.#earlier(this.#plan.before(step)));
    } catch (error) {
      if (this.#stop.signal.aborted) return undefined;
      if (isForebayError(error, 'noSuchKey')) return { kind: 'missing' };
      const message = error instanceof Error ? error.message : String(error);
      const isLasting = error instanceof ForebayError && !error.row.retry;
      return { kind: isLasting ? 'refused' : 'failed', message };
    }
  }

  async #step(step: AdoptStep, after: Promise<void>): Promise<AdoptOutcome> {
    const { disk, adopter, writer } = this.#parts;
    const { signal } = this.#stop;
    const target = this.#target(step.path);
    // Whoever needs it awaits it; a stop before that concerns nobody.
    after.catch(() => undefined);
    if (step.kind === 'adopt') {
      const path = this.#absolute(step.path);
      const found = await disk.stat(path);
      if (found?.kind !== 'file') return { kind: 'missing' };
      const version = versionOf(found);
      if (step.known === version) return { kind: 'done', version, sizeBytes: found.sizeBytes };
      if (step.mayBeThere && !this.#isQuiet(found, adoptQuietMs)) return { kind: 'later' };
      const metadata = { [FILE_TIME]: String(found.modifiedNs) };
      if (step.mayBeThere && (await this.#isThere(target, found.sizeBytes, metadata)))
        return { kind: 'done', version, sizeBytes: found.sizeBytes };
      const options = { headers: {}, metadata, signal };
      const { sizeBytes } = await adopter.adopt(target, { path, after }, options);
      const now = await disk.stat(path);
      const isSame = now === undefined || versionOf(now) === version;
      return { kind: 'done', version: isSame ? version : undefined, sizeBytes };
    }
    await after;
    if (step.kind === 'rename') await writer.rename(this.#target(step.from), target, { signal });
    else await writer.delete(target);
    return { kind: 'done', version: undefined, sizeBytes: 0 };
  }

  /** An earlier run has taken the file over, as it still is. */
  async #isThere(target: Target, sizeBytes: number, metadata: Readonly<Record<string, string>>): Promise<boolean> {
    const there = await this.#parts.lookup(target, this.#stop.signal);
    return there?.sizeBytes === sizeBytes && there.metadata[FILE_TIME] === metadata[FILE_TIME];
  }

  /** Resolves when what was finished earlier is committed. */
  async #earlier(orders: readonly number[]): Promise<void> {
    while (this.#plan.isPending(orders)) {
      this.#stop.signal.throwIfAborted();
      const changed = this.#changed.promise;
      await this.#rest(changed, adoptPollMs);
    }
  }

  #target(path: string) {
    return { volume: this.#request.volume, key: this.#request.prefix + path };
  }
}

function versionOf(stat: FileStat): string {
  return `${stat.inode}:${stat.sizeBytes}:${stat.modifiedNs}`;
}
