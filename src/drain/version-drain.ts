/**
 * One version on its way to the origin, and what its record says of that: the upload's id before its first part, a stub once the origin
 * has it, a trouble where somebody has to decide. A conflict's bytes are parked at the origin first, so that they are durable.
 */
import { hash } from 'node:crypto';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { keyMaxBytes } from '../core/limits.ts';
import { OWN_ID } from '../core/object.ts';
import type { Volume } from '../core/volume.ts';
import type { Emit } from '../observe/events.ts';
import type { Origin } from '../origin/origin.ts';
import type { DirtyRecord, ObjectRecord, Stub, Tombstone, Trouble } from '../write/object-record.ts';
import { drainedOf, forgotten, stubOf } from '../write/record-decisions.ts';
import { restated } from '../write/version-order.ts';
import { type KeptConditions, RESERVED_PREFIX } from './condition-probe.ts';
import {
  beginUpload,
  type DrainedObject,
  type DrainObjectParts,
  finalise,
  firstLook,
  needsUpload,
  type UploadState,
  uploadParts,
} from './drain-object.ts';
import type { PendingVersion } from './drain-order.ts';
import type { Finished } from './finished-records.ts';
import type { KeeperCommits } from './keeper-commits.ts';
import { isFromBefore, judgeDelete, resolvedBase } from './origin-verdict.ts';
import type { PartUploads } from './part-uploads.ts';

export interface VersionDrainOptions {
  readonly volume: Volume;
  readonly origin: Origin;
  readonly uploads: PartUploads;
  readonly commits: KeeperCommits;
  readonly emit: Emit;
  readonly onWritten: (volume: string, key: string) => Promise<void>;
  /** Whether the version is still what its key has, as far as this node knows. */
  readonly isCurrent: (entry: PendingVersion) => boolean;
  readonly onSent: (bytes: number) => void;
  /** The origin has it; its record does not say so yet. */
  readonly onArrived: (entry: PendingVersion) => void;
  /** Everything is urgent now. */
  readonly isHurried: () => boolean;
}

export interface AttemptSignals {
  /** Aborts when another version takes over, too. */
  readonly signal: AbortSignal;
  /** Aborts with the keeper's right. */
  readonly lost: AbortSignal;
}

type Current = NonNullable<ObjectRecord['current']>;
type Pending = DirtyRecord | Tombstone;

/** `replaced`: another version took over, which knows of this one. */
export type VersionOutcome = 'drained' | 'conflict' | 'replaced';

export class VersionDrain {
  readonly #options: VersionDrainOptions;
  /** Uploads that are whole at the origin, by content. */
  readonly #whole = new WeakMap<PendingVersion, UploadState>();

  constructor(options: VersionDrainOptions) {
    this.#options = options;
  }

  isUploaded(entry: PendingVersion): boolean {
    return this.#whole.has(entry);
  }

  /** Brings the parts of a large version to the origin. */
  async upload(entry: PendingVersion, { signal, lost }: AttemptSignals): Promise<void> {
    const object = this.#object(entry, entry.version as DirtyRecord);
    await this.#wholeUpload(entry, object, this.#parts({ keepsConditions: true, signal, lost }));
  }

  async drain(
    entry: PendingVersion,
    { kept, signal, lost }: { kept: KeptConditions } & AttemptSignals,
  ): Promise<VersionOutcome> {
    const { version } = entry;
    if (version.kind === 'tombstone') return await this.#delete(entry, version, signal);
    const isLarge = needsUpload(version);
    const parts = this.#parts({ keepsConditions: isLarge ? kept.uploads : kept.puts, signal, lost });
    const object = this.#object(entry, await this.#resolved(entry, version, parts));
    const upload = isLarge ? await this.#wholeUpload(entry, object, parts) : undefined;
    if (upload !== undefined && 'etag' in upload) return await this.#stub(entry, upload.etag);
    const checkRight = () => {
      this.#options.commits.checkRight();
      if (!this.#options.isCurrent(entry)) throw new ForebayError('recordChanged', `${entry.key} was written anew`);
    };
    let outcome: Awaited<ReturnType<typeof finalise>>;
    try {
      outcome = await finalise(object, upload, { ...parts, checkRight });
    } catch (error) {
      // The origin forgot the upload, or parts of it: what it still has is asked for anew.
      if (isForebayError(error, 'noSuchUpload', 'invalidPart')) await this.#forgetUpload(entry, error);
      throw error;
    }
    if (outcome.kind === 'conflict') return await this.#park(entry, object, { ...parts, message: outcome.message });
    return await this.#stub(entry, outcome.etag);
  }

  /** Writes down why a version does not drain. */
  async trouble(entry: PendingVersion, trouble: Trouble): Promise<void> {
    const { commits, volume, emit } = this.#options;
    const isSame = sameVersion(entry.version);
    await commits.replace(entry.key, entry, isSame, (record, current, revision) => ({
      ...record,
      current: restated(current, revision, { trouble }),
    }));
    const { kind, message } = trouble;
    emit({ kind: 'drain.trouble', volume: volume.name, key: entry.key, trouble: kind, message });
  }

  /** The record's time is over. */
  async forget({ key, record, current, revision }: Finished): Promise<void> {
    const isSame = (now: Current | undefined): now is Stub | Tombstone =>
      now?.kind === current.kind && (now.kind === 'tombstone' ? now.drained : true);
    await this.#options.commits.replace(key, { record, revision }, isSame, forgotten);
  }

  /** A request of ours that came late brought back what was deleted. */
  async deleteReappeared({ key, current }: Finished & { current: Tombstone }, signal: AbortSignal): Promise<void> {
    const { origin, commits, onWritten, volume } = this.#options;
    const now = await origin.head(key, { signal });
    if (now === undefined || !isFromBefore(current.base, now)) return;
    commits.checkRight();
    try {
      await origin.delete(key, { ifMatch: now.etag, signal });
    } catch (error) {
      if (!isForebayError(error, 'preconditionFailed')) throw error;
    }
    await onWritten(volume.name, key);
  }

  // ---- objects -----------------------------------------------------------------------------------------------------

  #object({ key, isUrgent }: PendingVersion, version: DirtyRecord): DrainedObject {
    const { volume, isHurried } = this.#options;
    return { volume: volume.name, key, version, isUrgent: isUrgent || isHurried() };
  }

  #parts(attempt: { keepsConditions: boolean } & AttemptSignals): DrainObjectParts {
    const { origin, uploads, onSent, commits } = this.#options;
    return { origin, uploads, onSent, ...attempt, checkRight: () => commits.checkRight() };
  }

  /** With the base that the first look at the origin finds, written down before anything relies on it. */
  async #resolved(entry: PendingVersion, version: DirtyRecord, parts: DrainObjectParts): Promise<DirtyRecord> {
    const base = await firstLook(this.#object(entry, version), parts);
    if (base === undefined) return version;
    await this.#restate(entry, version, { base });
    return { ...version, base };
  }

  /** All parts at the origin; or the object, where an earlier keeper finalised it and could not say so. */
  async #wholeUpload(
    entry: PendingVersion,
    object: DrainedObject,
    parts: DrainObjectParts,
  ): Promise<UploadState | { etag: string }> {
    const known = this.#whole.get(entry);
    if (known !== undefined) return known;
    const { upload, content } = object.version;
    if (upload !== undefined) {
      const now = await parts.origin.head(object.key, { signal: parts.signal });
      if (now?.metadata[OWN_ID] === content) return { etag: now.etag };
    }
    try {
      const id = upload ?? (await this.#begin(entry, object, parts));
      const whole = await uploadParts(object, { id, isNew: upload === undefined }, parts);
      this.#whole.set(entry, whole);
      return whole;
    } catch (error) {
      if (isForebayError(error, 'noSuchUpload')) await this.#forgetUpload(entry, error);
      throw error;
    }
  }

  async #begin(entry: PendingVersion, object: DrainedObject, parts: DrainObjectParts): Promise<string> {
    const upload = await beginUpload(object, parts);
    try {
      await this.#restate(entry, object.version, { upload });
    } catch (error) {
      // Nobody will know of it.
      await parts.origin.abort({ key: object.key, id: upload }).catch(() => undefined);
      throw error;
    }
    return upload;
  }

  async #forgetUpload(entry: PendingVersion, reason: ForebayError): Promise<void> {
    this.#whole.delete(entry);
    if (reason.code !== 'noSuchUpload') return;
    const { commits } = this.#options;
    await commits.replace(entry.key, entry, sameVersion(entry.version as DirtyRecord), (record, current, revision) => {
      const { upload: _gone, ...rest } = restated(current, revision, {});
      return { ...record, current: rest };
    });
  }

  /** Rewrites what the record says of the version. Throws recordChanged when another took over. */
  async #restate<V extends Pending>(entry: PendingVersion, version: V, changes: Partial<V>): Promise<void> {
    const { commits } = this.#options;
    const revision = await commits.replace(entry.key, entry, sameVersion(version), (record, current, at) => ({
      ...record,
      current: restated(current, at, changes),
    }));
    if (revision === undefined) throw new ForebayError('recordChanged', `${entry.key} was written anew`);
  }

  async #stub(entry: PendingVersion, etag: string): Promise<VersionOutcome> {
    const { commits, onWritten, onArrived, volume } = this.#options;
    onArrived(entry);
    await onWritten(volume.name, entry.key);
    const isSame = sameVersion(entry.version as DirtyRecord);
    const revision = await commits.replace(entry.key, entry, isSame, (record, current) =>
      stubOf(record, current, etag),
    );
    return revision === undefined ? 'replaced' : 'drained';
  }

  /** Keeps the version under a name of its own at the origin, and leaves the rest to a person. */
  async #park(
    entry: PendingVersion,
    object: DrainedObject,
    { message, ...parts }: DrainObjectParts & { message: string },
  ): Promise<VersionOutcome> {
    const version = { ...object.version, base: { origin: 'absent', own: [] } } as const;
    const at = parkedKey(object.key, version);
    const parked: DrainedObject = { ...object, at, version };
    let upload: UploadState | undefined;
    if (needsUpload(version))
      upload = await uploadParts(parked, { id: await beginUpload(parked, parts), isNew: true }, parts);
    const outcome = await finalise(parked, upload, parts);
    if (object.version.upload !== undefined)
      await parts.origin.abort({ key: object.key, id: object.version.upload }).catch(() => undefined);
    const where = outcome.kind === 'drained' ? { parked: { key: at, etag: outcome.etag } } : {};
    await this.trouble(entry, { kind: 'conflict', message, ...where });
    return 'conflict';
  }

  // ---- tombstones --------------------------------------------------------------------------------------------------

  async #delete(entry: PendingVersion, version: Tombstone, signal: AbortSignal): Promise<VersionOutcome> {
    const { origin, commits, onWritten, volume, isCurrent } = this.#options;
    const { key } = entry;
    for (let tries = 0; ; tries++) {
      const now = await origin.head(key, { signal });
      if (version.base.origin === 'unknown') {
        const base = resolvedBase(version.base, now);
        await this.#restate(entry, version, { base });
        return await this.#delete(entry, { ...version, base }, signal);
      }
      const verdict = judgeDelete(version, now);
      if (verdict.kind === 'there') break;
      if (verdict.kind === 'conflict') {
        await this.trouble(entry, { kind: 'conflict', message: verdict.message });
        return 'conflict';
      }
      commits.checkRight();
      if (!isCurrent(entry)) throw new ForebayError('recordChanged', `${key} was written anew`);
      try {
        await origin.delete(key, { ifMatch: verdict.ifMatch, signal });
        break;
      } catch (error) {
        if (!isForebayError(error, 'preconditionFailed') || tries > 0) throw error;
      }
    }
    await onWritten(volume.name, key);
    const revision = await commits.replace(key, entry, sameVersion(version), (record, current) =>
      drainedOf(record, current),
    );
    return revision === undefined ? 'replaced' : 'drained';
  }
}

/** Whether a record's version is this one, whatever else became of it. */
function sameVersion<V extends Pending>(version: V): (current: Current | undefined) => current is V {
  return (current): current is V => {
    if (current === undefined || current.kind === 'stub' || current.kind !== version.kind) return false;
    if (current.begunRevision !== version.begunRevision) return false;
    return version.kind !== 'dirty' || (current.kind === 'dirty' && current.content === version.content);
  };
}

/** `.forebay/parked/<content>/<key>`, cut where the origin would refuse its length. */
function parkedKey(key: string, { content }: DirtyRecord): string {
  const full = `${RESERVED_PREFIX}parked/${content}/${key}`;
  if (Buffer.byteLength(full) <= keyMaxBytes) return full;
  return `${RESERVED_PREFIX}parked/${content}/${hash('sha256', key, 'hex')}`;
}
