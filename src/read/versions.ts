/**
 * Which version of an object is current (S-2). A remembered fact counts for as long as the volume's `revalidate` says; then
 * the origin is asked once for all who wait. Without the origin a remembered fact is served as stale within `staleIfError`.
 *
 * Facts of versions that the origin does not have yet are not looked at here: what is recorded of them decides, and is looked
 * at first (`current-versions.ts`).
 *
 * A fact's time is that at which the question was sent, so an answer that took long is not taken for newer than it is.
 * An opening may share a question that was sent no longer ago than `revalidate` allows, and none that was sent before a
 * write through this node: the answer may be of before the write.
 */

import { abortable, SETTLED } from '../core/abortable.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { originContentId } from '../core/ids.ts';
import { absenceNeverMs, absencesMax, originAwayMs, revalidateDeadlineMs } from '../core/limits.ts';
import { contentDoorEtag, type ObjectFact, type ObjectVersion } from '../core/object.ts';
import type { Clock } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import type { Store } from '../store/store.ts';
import type { Heads, HeardVersion, OwnerAnswer } from './heads.ts';
import { Recent } from './recent.ts';
import { isUndrained, type RecordedVersion } from './recorded.ts';
import type { VolumeSource } from './volume-source.ts';

/** What was learned, and when it was so at the latest: with an owner in between that is before the question was sent. */
interface Answer {
  readonly fact: ObjectFact | undefined;
  readonly checkedMs: number;
}

interface Ask {
  readonly sentMs: number;
  readonly answer: Promise<Answer>;
  /** A write came after it was sent: its answer is not kept, and nobody joins it. */
  outdated: boolean;
}

export class Versions {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #emit: Emit;
  readonly #asks = new Map<string, Ask>();
  /** Keys that the origin does not have → when it was asked. */
  readonly #absences = new Recent<string, number>(absencesMax);
  /** Keys → the version that the origin, asked for its bytes, said is not current: the key's owner is told with the next question. */
  readonly #refused = new Recent<string, string>(absencesMax);
  /** Facts asked for before this are of an earlier life. */
  readonly #startedMs: number;
  readonly #heads: Heads | undefined;
  /** Volumes whose origin failed lately → until when it is not asked while facts can serve. */
  readonly #away = new Map<string, number>();

  constructor(options: { store: Store; clock: Clock; emit: Emit; heads?: Heads | undefined }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#emit = options.emit;
    this.#heads = options.heads;
    this.#startedMs = options.clock.boottimeMs();
  }

  /** The remembered fact, where it is fresh. */
  fresh(source: VolumeSource, key: string): ObjectFact | undefined {
    const fact = this.#known(source, key);
    if (fact === undefined) return undefined;
    const { revalidateMs, write } = source.volume;
    // A write through an earlier life may have been acknowledged without its journal entry: the origin is asked once.
    if (write && fact.checkedMs < this.#startedMs) return undefined;
    if (this.#heads?.maySettle(source, key, fact.checkedMs) === false) return undefined;
    if (revalidateMs === Number.POSITIVE_INFINITY) return fact;
    return this.#clock.boottimeMs() - fact.checkedMs <= revalidateMs ? fact : undefined;
  }

  /** The current version. Throws noSuchKey, the origin's errors, or the signal's reason. */
  async current(
    source: VolumeSource,
    key: string,
    signal?: AbortSignal,
  ): Promise<{ fact: ObjectFact; stale: boolean }> {
    const { volume } = source;
    const begunMs = this.#clock.boottimeMs();
    const fresh = this.fresh(source, key);
    if (fresh !== undefined) {
      this.#emit({ kind: 'object.opened', volume: volume.name, key, source: 'fact' });
      return { fact: fresh, stale: false };
    }
    if (this.#isKnownAbsent(source, key, begunMs)) throw noSuchKey(volume.name, key);
    const stale = this.#staleFact(source, key);
    if (stale !== undefined && (this.#away.get(volume.name) ?? 0) > begunMs) return this.#serveStale(stale);
    try {
      const { fact } = await abortable(this.#answerInTime(source, key, { begunMs, stale }), signal);
      if (fact === undefined) throw noSuchKey(volume.name, key);
      // The owner answered with what it remembers, for the origin is away.
      if (begunMs - fact.checkedMs > volume.revalidateMs) return this.#serveStale(fact);
      this.#emit({ kind: 'object.opened', volume: volume.name, key, source: 'origin' });
      return { fact, stale: false };
    } catch (error) {
      const again = this.#staleFact(source, key);
      if (again === undefined || !isForebayError(error, 'originUnavailable', 'originThrottled')) throw error;
      return this.#serveStale(again);
    }
  }

  /**
   * For a peer: the current version, or that there is none, and how old this knowledge was when the question came. What was
   * learned after that has no age: the peer counts from when it sent its question. `not`: a version that it knows to be
   * replaced.
   */
  async headFor(
    source: VolumeSource,
    key: string,
    options: { not?: string; signal: AbortSignal },
  ): Promise<OwnerAnswer> {
    const { not, signal } = options;
    const cameMs = this.#clock.boottimeMs();
    // The peer was refused the version by the origin: what is remembered or being asked here may be of before.
    if (not !== undefined && (this.#store.fact(source.volume.name, key)?.etag ?? not) === not)
      this.written(source.volume.name, key);
    const ageOf = (checkedMs: number): number => Math.max(0, cameMs - checkedMs);
    try {
      const { fact } = await this.current(source, key, signal);
      return { version: fact, ageMs: ageOf(fact.checkedMs) };
    } catch (error) {
      if (!isForebayError(error, 'noSuchKey')) throw error;
      return { version: undefined, ageMs: ageOf(this.#absences.get(askName(source.volume.name, key)) ?? cameMs) };
    }
  }

  /** A write through this node took effect: what was remembered or is being asked is of before it. */
  written(volume: string, key: string): void {
    const name = askName(volume, key);
    const ask = this.#asks.get(name);
    if (ask !== undefined) ask.outdated = true;
    this.#asks.delete(name);
    this.#absences.delete(name);
    const known = this.#store.fact(volume, key);
    if (known !== undefined && !isUndrained(known)) this.forget(volume, key);
  }

  /** A version that the origin does not have is current: keeps it as the fact, unless a younger one is there. */
  learnWritten(fact: ObjectFact): ObjectFact {
    const { volume, key } = fact;
    const known = this.#store.fact(volume, key);
    if (known !== undefined && known.checkedMs > fact.checkedMs) return fact;
    if (known?.content === fact.content && known.etag === fact.etag && isSameList(known.replicas, fact.replicas))
      return this.#store.touchFact(known, fact.checkedMs);
    this.#replace(known, fact);
    return fact;
  }

  /**
   * The origin has what was written here: its bytes are one content under both names. To be called before `current`, which asks
   * the origin.
   */
  learnName(source: VolumeSource, key: string, { version, etag }: RecordedVersion & { kind: 'stub' }): void {
    const known = this.#store.fact(source.volume.name, key);
    if (known === undefined) return;
    const { content } = version;
    if (known.etag === etag ? known.content === content : known.content !== content || !isUndrained(known)) return;
    const { replicas: _replicas, ...kept } = known;
    const checkedMs = isUndrained(known) ? Number.NEGATIVE_INFINITY : known.checkedMs;
    this.#replace(known, { ...kept, content, etag, doorEtag: contentDoorEtag(content), checkedMs });
  }

  /** The origin refused to give bytes of this version: another is current. */
  refused(fact: ObjectFact): void {
    const { volume, key, content, etag } = fact;
    if (isUndrained(fact)) return;
    if (this.#store.fact(volume, key)?.content !== content) return;
    this.#refused.set(askName(volume, key), etag);
    this.forget(volume, key);
  }

  /** The remembered version turned out not to be current: the next opening asks. */
  forget(volume: string, key: string): void {
    const fact = this.#store.fact(volume, key);
    if (fact === undefined) return;
    this.#store.dropFact(volume, key);
    this.#store.drop(fact.content, 'stale');
  }

  /** The remembered fact, where it is one of what the origin has. */
  #known(source: VolumeSource, key: string): ObjectFact | undefined {
    const fact = this.#store.fact(source.volume.name, key);
    return fact !== undefined && isUndrained(fact) ? undefined : fact;
  }

  #replace(known: ObjectFact | undefined, fact: ObjectFact): void {
    this.#store.setFact(fact);
    if (known === undefined || known.content === fact.content) return;
    this.#emit({ kind: 'object.changed', volume: fact.volume, key: fact.key, content: fact.content });
    this.#store.drop(known.content, 'stale');
  }

  #serveStale(fact: ObjectFact): { fact: ObjectFact; stale: true } {
    this.#emit({ kind: 'object.opened', volume: fact.volume, key: fact.key, source: 'stale' });
    return { fact, stale: true };
  }

  #staleFact(source: VolumeSource, key: string): ObjectFact | undefined {
    const { staleIfErrorMs } = source.volume;
    const fact = this.#known(source, key);
    if (fact === undefined || staleIfErrorMs === Number.POSITIVE_INFINITY) return fact;
    return this.#clock.boottimeMs() - fact.checkedMs <= staleIfErrorMs ? fact : undefined;
  }

  #isKnownAbsent(source: VolumeSource, key: string, nowMs: number): boolean {
    const askedMs = this.#absences.get(askName(source.volume.name, key));
    if (askedMs !== undefined && this.#heads?.maySettle(source, key, askedMs) === false) return false;
    return askedMs !== undefined && nowMs - askedMs <= countsMs(source, undefined);
  }

  /** With a fact at hand that can still serve after it, for the deadline only. */
  async #answerInTime(
    source: VolumeSource,
    key: string,
    { begunMs, stale }: { begunMs: number; stale: ObjectFact | undefined },
  ): Promise<Answer> {
    const asked = this.#answer(source, key, begunMs);
    if (stale === undefined) return asked;
    try {
      return await this.#orDeadline(asked);
    } catch (error) {
      if (!(error instanceof LateError) || this.#staleFact(source, key) !== undefined) throw error;
      return asked;
    }
  }

  /** Shares answers to others' questions where they are young enough, else asks. */
  async #answer(source: VolumeSource, key: string, begunMs: number): Promise<Answer> {
    for (;;) {
      const ask = await this.#ask(source, key, begunMs);
      const answer = await ask.answer;
      // Asked for this opening, or after it began: nobody knows better.
      if (ask.sentMs >= begunMs || begunMs - answer.checkedMs <= countsMs(source, answer.fact)) return answer;
    }
  }

  /**
   * The question under way where it was sent late enough; else a new one, when that one is done. Of a write through another
   * node since then only the owner of the key hears: elsewhere an older question is not joined.
   */
  async #ask(source: VolumeSource, key: string, begunMs: number): Promise<Ask> {
    const name = askName(source.volume.name, key);
    for (let ask = this.#asks.get(name); ask !== undefined; ask = this.#asks.get(name)) {
      const maySettle = this.#heads?.maySettle(source, key, ask.sentMs) !== false;
      if (ask.sentMs >= begunMs || (maySettle && begunMs - ask.sentMs <= source.volume.revalidateMs)) return ask;
      await ask.answer.catch(() => undefined);
    }
    const ask: Ask = { sentMs: this.#clock.boottimeMs(), outdated: false, answer: this.#head(source, key, () => ask) };
    this.#asks.set(name, ask);
    const done = () => {
      if (this.#asks.get(name) === ask) this.#asks.delete(name);
    };
    void ask.answer.catch(() => undefined).finally(done);
    return ask;
  }

  async #head(source: VolumeSource, key: string, self: () => Ask): Promise<Answer> {
    const { volume, origin } = source;
    const name = askName(volume.name, key);
    const refused = this.#refused.get(name);
    const owner = await this.#heads?.ask(source, key, refused);
    const stale = owner !== undefined && owner.ageMs > countsMs(source, owner.version);
    const isRefused = refused !== undefined && owner?.version?.etag === refused;
    const isAway = (this.#away.get(volume.name) ?? 0) > this.#clock.boottimeMs();
    if (owner !== undefined && !isRefused && (!stale || isAway)) return this.#heard(source, key, owner, self());
    let version: HeardVersion | undefined;
    try {
      const asked = this.#heads === undefined ? origin.head(key) : this.#heads.askOrigin(source, key);
      // The owner does not reach the origin; this node may.
      version = await (stale ? this.#orDeadline(asked) : asked);
    } catch (error) {
      this.#failed(volume.name, error);
      if (owner === undefined || isRefused) throw error;
      return this.#heard(source, key, owner, self());
    }
    if (this.#away.delete(volume.name)) this.#emit({ kind: 'origin.back', volume: volume.name });
    return this.#heard(source, key, { version, ageMs: 0 }, self());
  }

  #heard(source: VolumeSource, key: string, { version, ageMs }: OwnerAnswer, ask: Ask): Answer {
    const checkedMs = ask.sentMs - ageMs;
    this.#refused.delete(askName(source.volume.name, key));
    const fact = ask.outdated
      ? version && factOf(source, version, checkedMs)
      : this.#learn(source, key, version, { checkedMs, latestMs: this.#clock.boottimeMs() - ageMs });
    return { fact, checkedMs: fact?.checkedMs ?? checkedMs };
  }

  #failed(volume: string, error: unknown): void {
    if (!isForebayError(error, 'originUnavailable', 'originThrottled')) return;
    if (!this.#away.has(volume)) this.#emit({ kind: 'origin.away', volume, message: error.message });
    this.#away.set(volume, this.#clock.boottimeMs() + originAwayMs);
  }

  /** What was learned was so at some time between `checkedMs` and `latestMs`. */
  #learn(
    source: VolumeSource,
    key: string,
    version: HeardVersion | undefined,
    { checkedMs: sentMs, latestMs }: { checkedMs: number; latestMs: number },
  ): ObjectFact | undefined {
    const { name } = source.volume;
    const known = this.#store.fact(name, key);
    // It may be newer than what the origin has: its record decides, and was not asked here.
    if (known !== undefined && isUndrained(known)) return version && factOf(source, version, sentMs);
    // What the owner remembers may be older than what this node asked by itself; in doubt the owner is right.
    if (known !== undefined && known.checkedMs > latestMs && known.etag !== version?.etag) return known;
    if (version === undefined) {
      this.forget(name, key);
      this.#absences.set(askName(name, key), sentMs);
      return undefined;
    }
    const isSameContent = version.content === undefined || version.content === known?.content;
    if (known !== undefined && known.etag === version.etag && isSameContent) {
      if (known.sizeBytes === version.sizeBytes) return this.#store.touchFact(known, Math.max(sentMs, known.checkedMs));
      this.forget(name, key);
      throw new ForebayError('originUnavailable', `the origin gives one ETag to versions of ${key} of different sizes`);
    }
    const fact = factOf(source, version, sentMs);
    this.#replace(known, fact);
    return fact;
  }

  /** With a fact at hand, a slow origin is as good as one that is away. The question goes on, and its answer is kept. */
  async #orDeadline<T>(asked: Promise<T>): Promise<T> {
    const stop = new AbortController();
    const deadline = this.#clock.sleep(revalidateDeadlineMs, stop.signal).then(() => {
      throw new LateError('originUnavailable', `the origin did not answer within ${revalidateDeadlineMs} ms`);
    });
    deadline.catch(() => undefined);
    asked.catch(() => undefined);
    try {
      return await Promise.race([asked, deadline]);
    } finally {
      stop.abort(SETTLED);
    }
  }
}

/** The question goes on. */
class LateError extends ForebayError {}

/** For how long a fact, or the knowledge that there is no object, counts. */
function countsMs({ volume: { revalidateMs } }: VolumeSource, version: ObjectVersion | undefined): number {
  return version === undefined && revalidateMs === Number.POSITIVE_INFINITY ? absenceNeverMs : revalidateMs;
}

function factOf(source: VolumeSource, heard: HeardVersion, checkedMs: number): ObjectFact {
  const volume = source.volume.name;
  const { key, etag, sizeBytes, modifiedMs, headers, metadata } = heard;
  const content = heard.content ?? originContentId({ volume, key, etag });
  const isOwnName = heard.content !== undefined || source.origin.kind !== 's3';
  const doorEtag = isOwnName ? contentDoorEtag(content) : etag;
  return { key, etag, sizeBytes, modifiedMs, headers, metadata, volume, content, doorEtag, checkedMs };
}

function isSameList(a: readonly string[] | undefined, b: readonly string[] | undefined): boolean {
  return a === b || (a?.length === b?.length && a?.every((item, index) => item === b?.[index]) === true);
}

function noSuchKey(volume: string, key: string): ForebayError {
  return new ForebayError('noSuchKey', `there is no object ${JSON.stringify(key)} in ${volume}`);
}

function askName(volume: string, key: string): string {
  return `${volume}\0${key}`;
}
