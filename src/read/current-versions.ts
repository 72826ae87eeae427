/**
 * Which version is current, in every volume: in those with `writes` what is recorded comes first (S-2), then what the origin has.
 *
 * Without the coordinator reads go on from what is known, and say that they may be stale, or fail where the volume says
 * `onPartition = "refuse"` (S-15). What nobody here knows of is then not said to be absent: somebody may have written it.
 */
import { abortable } from '../core/abortable.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { recordReadDeadlineMs, recordsAwayMs } from '../core/limits.ts';
import { contentDoorEtag, type ObjectFact } from '../core/object.ts';
import type { Clock } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import type { Store } from '../store/store.ts';
import { isUndrained, type RecordedVersion, type RecordedVersions } from './recorded.ts';
import type { Versions } from './versions.ts';
import type { VolumeSource } from './volume-source.ts';

export interface CurrentVersion {
  readonly fact: ObjectFact;
  readonly stale: boolean;
}

export interface CurrentVersionsParts {
  readonly versions: Versions;
  readonly records: RecordedVersions | undefined;
  readonly store: Store;
  readonly clock: Clock;
  readonly emit: Emit;
}

export class CurrentVersions {
  readonly #parts: CurrentVersionsParts;
  /** The coordinator failed lately: it is not waited for until then. */
  #awayUntilMs = Number.NEGATIVE_INFINITY;

  constructor(parts: CurrentVersionsParts) {
    this.#parts = parts;
  }

  /** Whether reads of the volume begin with its records. */
  isRecorded({ volume }: VolumeSource): boolean {
    return volume.writes !== undefined && this.#parts.records !== undefined;
  }

  /** The current version. Throws noSuchKey, the origin's and the coordinator's errors, or the signal's reason. */
  async current(source: VolumeSource, key: string, signal?: AbortSignal): Promise<CurrentVersion> {
    const { versions, clock } = this.#parts;
    if (!this.isRecorded(source)) return versions.current(source, key, signal);
    const sentMs = clock.boottimeMs();
    let recorded: RecordedVersion | undefined;
    try {
      recorded = await this.asked((records) => records.read(source.volume.name, key), signal);
    } catch (error) {
      signal?.throwIfAborted();
      return this.#withoutRecord(source, key, { error, signal });
    }
    return this.#fromRecord(source, key, { recorded, sentMs, signal });
  }

  /** Remembers what is recorded of a key, where it is not in the origin; nothing where the coordinator cannot be asked. */
  async learn(source: VolumeSource, key: string): Promise<void> {
    if (!this.isRecorded(source)) return;
    const volume = source.volume.name;
    const checkedMs = this.#parts.clock.boottimeMs();
    try {
      const recorded = await this.asked((records) => records.read(volume, key));
      if (recorded?.kind === 'dirty')
        this.#parts.versions.learnWritten(factOfWritten(volume, key, { recorded, checkedMs }));
    } catch (error) {
      if (!isForebayError(error)) throw error;
    }
  }

  /** What came of a version that was opened while the origin did not have it. Throws versionChanged when it is not current any more. */
  async renewed(source: VolumeSource, fact: ObjectFact, signal?: AbortSignal): Promise<ObjectFact> {
    const { fact: now } = await this.current(source, fact.key, signal);
    if (now.content === fact.content) return now;
    throw new ForebayError('versionChanged', `${fact.volume}/${fact.key} was written anew`);
  }

  /** Asks the records, unless the coordinator failed a moment ago. Rejects with its error, also when it takes too long. */
  async asked<T>(ask: (records: RecordedVersions) => Promise<T>, signal?: AbortSignal): Promise<T> {
    const { records, clock } = this.#parts;
    if (records === undefined) throw new ForebayError('coordinatorUnavailable', 'this node has no coordinator');
    if (clock.boottimeMs() < this.#awayUntilMs)
      throw new ForebayError('coordinatorUnavailable', 'the coordinator did not answer a moment ago');
    try {
      const result = await abortable(this.#orDeadline(ask(records)), signal);
      this.#awayUntilMs = Number.NEGATIVE_INFINITY;
      return result;
    } catch (error) {
      if (isAway(error)) this.#awayUntilMs = clock.boottimeMs() + recordsAwayMs;
      throw error;
    }
  }

  /** Whether reads of a volume go on after this error of the coordinator, as stale. */
  mayGoOn({ volume }: VolumeSource, error: unknown): boolean {
    return isAway(error) && volume.onPartition !== 'refuse';
  }

  async #fromRecord(
    source: VolumeSource,
    key: string,
    {
      recorded,
      sentMs,
      signal,
    }: { recorded: RecordedVersion | undefined; sentMs: number; signal?: AbortSignal | undefined },
  ): Promise<CurrentVersion> {
    const { versions, store, emit } = this.#parts;
    const volume = source.volume.name;
    if (recorded?.kind === 'dirty') {
      const fact = versions.learnWritten(factOfWritten(volume, key, { recorded, checkedMs: sentMs }));
      emit({ kind: 'object.opened', volume, key, source: 'record' });
      return { fact, stale: false };
    }
    const known = store.fact(volume, key);
    if (recorded?.kind === 'deleted') {
      if (known !== undefined && known.checkedMs <= sentMs) versions.forget(volume, key);
      throw new ForebayError('noSuchKey', `${JSON.stringify(key)} in ${volume} was deleted`);
    }
    if (recorded?.kind === 'stub') versions.learnName(source, key, recorded);
    const left = store.fact(volume, key);
    // Neither its record nor another's speaks of it any more: the origin decides.
    if (left !== undefined && isUndrained(left) && left.checkedMs <= sentMs) versions.forget(volume, key);
    const current = await versions.current(source, key, signal);
    if (recorded?.kind !== 'stub' || current.fact.etag !== recorded.etag) return current;
    versions.learnName(source, key, recorded);
    return { ...current, fact: named(current.fact, recorded) };
  }

  async #withoutRecord(
    source: VolumeSource,
    key: string,
    { error, signal }: { error: unknown; signal: AbortSignal | undefined },
  ): Promise<CurrentVersion> {
    if (!this.mayGoOn(source, error)) throw error;
    const { versions, store, emit } = this.#parts;
    const known = store.fact(source.volume.name, key);
    if (known !== undefined && isUndrained(known)) {
      emit({ kind: 'object.opened', volume: known.volume, key, source: 'stale' });
      return { fact: known, stale: true };
    }
    try {
      const { fact } = await versions.current(source, key, signal);
      return { fact, stale: true };
    } catch (failure) {
      // Whether somebody wrote it is not known.
      throw isForebayError(failure, 'noSuchKey') ? error : failure;
    }
  }

  async #orDeadline<T>(asked: Promise<T>): Promise<T> {
    const stop = new AbortController();
    const deadline = this.#parts.clock.sleep(recordReadDeadlineMs, stop.signal).then(() => {
      throw new ForebayError(
        'coordinatorUnavailable',
        `the coordinator did not answer within ${recordReadDeadlineMs} ms`,
      );
    });
    deadline.catch(() => undefined);
    asked.catch(() => undefined);
    try {
      return await Promise.race([asked, deadline]);
    } finally {
      stop.abort();
    }
  }
}

function isAway(error: unknown): boolean {
  return isForebayError(error, 'coordinatorUnavailable', 'coordinatorUncertain', 'coordinatorRefused');
}

function factOfWritten(
  volume: string,
  key: string,
  { recorded, checkedMs }: { recorded: RecordedVersion & { kind: 'dirty' }; checkedMs: number },
): ObjectFact {
  const { content, sizeBytes, modifiedMs, headers, metadata } = recorded.version;
  const etag = contentDoorEtag(content);
  const { replicas } = recorded;
  return { volume, key, content, etag, doorEtag: etag, sizeBytes, modifiedMs, headers, metadata, replicas, checkedMs };
}

function named(fact: ObjectFact, { version: { content } }: RecordedVersion & { kind: 'stub' }): ObjectFact {
  return { ...fact, content, doorEtag: contentDoorEtag(content) };
}
