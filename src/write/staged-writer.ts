/**
 * Fan-out writes (DESIGN.md section 8): bytes go to this node's disk and, while they still come, to replicas; then the
 * version is sealed, committed in the coordinator, and acknowledged at the level that the volume or the request asks
 * for. The origin gets it later (`drain/`).
 *
 * Promises: S-3 (levels), S-5 (committed whole, or invisible), S-12 (space). What fails before the commit leaves nothing; an
 * outcome that is not known (`coordinatorUncertain`) keeps the bytes until the record says what became of them.
 */
import { ForebayError, isForebayError } from '../core/errors.ts';
import { commitTriesMax, putMaxBytes, stageInlineMaxBytes } from '../core/limits.ts';
import { contentDoorEtag } from '../core/object.ts';
import type { Level } from '../core/volume.ts';
import { piecesOf, readWhole } from './adopted-file.ts';
import { BodyStager } from './body-stager.ts';
import type { AttemptName } from './checkpoint-decisions.ts';
import type { Checkpoints } from './checkpoints.ts';
import type { DrainWaits } from './drain-waits.ts';
import { drainedBelow } from './drained-below.ts';
import type { Tombstone } from './object-record.ts';
import { decideDelete, decideRename, type OriginKnowledge } from './record-decisions.ts';
import type { RecordCommit, Recorded } from './records.ts';
import { type OpenSource, sourceBody, withSourceRange } from './source-body.ts';
import type { StagedParts, StagedVolume } from './staged-parts.ts';
import type { StagedUploads } from './staged-uploads.ts';
import { type Committed, StagedVersion } from './staged-version.ts';
import { pendingOf } from './version-order.ts';
import type {
  AdoptedFile,
  Adopter,
  PartInfo,
  Target,
  UploadInfo,
  WriteAttributes,
  WriteBody,
  WriteCondition,
  WriteOptions,
  Writer,
  Written,
} from './writer.ts';

export interface StagedWriterOptions extends StagedParts {
  readonly volumes: ReadonlyMap<string, StagedVolume>;
  readonly openSource: OpenSource;
  readonly waits: DrainWaits;
  readonly uploads: StagedUploads;
  readonly checkpoints: Pick<Checkpoints, 'fence'>;
  /** Takes what does not fit here, where the volume says so. */
  readonly writeThrough: Writer;
  readonly onWritten: (volume: string, key: string) => void | Promise<void>;
}

export class StagedWriter implements Writer, Adopter {
  readonly #options: StagedWriterOptions;
  readonly #stager: BodyStager;

  constructor(options: StagedWriterOptions) {
    this.#options = options;
    this.#stager = new BodyStager(options.store.disk);
    options.cluster.onMembers(() => {
      for (const replication of options.underWay) replication.look();
    });
  }

  async put(target: Target, body: WriteBody, options: WriteAttributes & WriteOptions): Promise<Written> {
    const { lengthBytes } = body;
    if (lengthBytes > putMaxBytes)
      throw new ForebayError('tooLarge', `a PUT has at most ${putMaxBytes} bytes, this one has ${lengthBytes}`);
    return this.#write(target, body, options);
  }

  async adopt(
    target: Target,
    file: AdoptedFile,
    options: WriteAttributes & WriteOptions,
  ): Promise<Written & { sizeBytes: number }> {
    const { disk } = this.#options.store;
    const volume = this.#volume(target.volume);
    const stat = await disk.stat(file.path);
    if (stat === undefined) throw new ForebayError('noSuchKey', `there is no file ${file.path}`);
    const { sizeBytes } = stat;
    if (sizeBytes <= stageInlineMaxBytes) {
      const bytes = await readWhole(disk, file.path, stat);
      await file.after;
      const body = { lengthBytes: sizeBytes, stream: () => piecesOf(bytes) };
      return { ...(await this.#write(target, body, options)), sizeBytes };
    }
    const { signal } = options;
    const { after } = file;
    const begin = { lengthBytes: sizeBytes, from: file.path, patient: false, signal, ...(after && { after }) };
    const version = await StagedVersion.begin(this.#options, volume, target, begin);
    const written = await this.#commit(version, { ...options, sizeBytes, level: levelOf(volume, options) });
    return { ...written, sizeBytes };
  }

  async copy(
    source: Target,
    target: Target,
    options: WriteOptions & { attributes?: WriteAttributes },
  ): Promise<Written> {
    const object = await this.#options.openSource(source.volume, source.key, options.signal);
    try {
      const { fact } = object;
      const { headers, metadata } = options.attributes ?? fact;
      const body = sourceBody(object, { start: 0, end: fact.sizeBytes }, options.signal);
      return await this.#write(target, body, { ...options, headers, metadata });
    } finally {
      object.close();
    }
  }

  async delete(target: Target, options: { ifMatch?: string; ack?: Level } = {}): Promise<void> {
    const volume = this.#volume(target.volume);
    const { ifMatch } = options;
    const level = ifMatch === undefined ? (options.ack ?? volume.policy.ack) : 'origin';
    const drained = this.#options.waits.begin(target);
    try {
      const revision = await this.#delete(volume, target, { ...(ifMatch !== undefined && { ifMatch }) }, level);
      await this.#options.onWritten(target.volume, target.key);
      if (revision === undefined) return;
      this.#options.emit({ kind: 'write.deleted', ...target });
      const { closing } = this.#options.cluster;
      if (level === 'origin') await drained.of({ ...target, content: undefined, revision }, closing);
    } finally {
      drained.end();
    }
  }

  /** The revision of the tombstone; `undefined` where there was nothing to delete. */
  async #delete(
    { origin }: StagedVolume,
    target: Target,
    condition: WriteCondition,
    level: Level,
  ): Promise<number | undefined> {
    const { records, clock } = this.#options;
    const { volume, key } = target;
    const begun = await records.read(volume, key);
    const known = await this.#originOf(begun, origin, target, condition.ifMatch !== undefined);
    let read: Recorded = begun;
    for (let tries = 1; ; tries += 1) {
      const modifiedMs = Math.floor(clock.wallMs());
      const decision = decideDelete(read, { modifiedMs, begunRevision: begun.asOf, origin: known, condition });
      // somebody has deleted it already, and the origin may not know yet
      if (decision === undefined)
        return level === 'origin' && pendingOf(read.record) !== undefined ? read.revision : undefined;
      const urgent: Tombstone = { ...decision.current, urgent: true };
      const record = level === 'origin' ? { ...decision.record, current: urgent } : decision.record;
      try {
        return await records.commit({ volume, key, expected: read.revision, record });
      } catch (error) {
        if (!isForebayError(error, 'recordChanged') || tries >= commitTriesMax) throw error;
      }
      read = await records.read(volume, key);
    }
  }

  async rename(source: Target, target: Target, options: { ack?: Level; signal: AbortSignal }): Promise<Written> {
    this.#volume(source.volume);
    if (source.volume !== target.volume)
      throw new ForebayError('invalidArgument', 'a rename stays in its volume: copy the object, then delete it');
    const moved = await this.#renameDirty(source, target, options.signal);
    if (moved !== undefined) return moved;
    // what the origin has is copied; the old key goes in the transaction that brings the new one
    return this.#renameClean(source, target, options);
  }

  async #renameDirty(source: Target, target: Target, signal: AbortSignal): Promise<Written | undefined> {
    const { records, cluster, clock, keeping, onWritten } = this.#options;
    const { origin } = this.#volume(target.volume);
    const { volume } = target;
    if (source.key === target.key) throw new ForebayError('invalidArgument', 'the new key is the old one');
    const begun = await records.read(volume, target.key, signal);
    const known = await this.#originOf(begun, origin, target, false);
    let to: Recorded = begun;
    for (let tries = 1; ; tries += 1) {
      const from = { key: source.key, ...(await records.read(volume, source.key, signal)) };
      if (from.record?.current?.kind === 'tombstone')
        throw new ForebayError('noSuchKey', `there is no object "${source.key}" in ${volume}`);
      if (from.record?.current?.kind !== 'dirty') return undefined;
      const modifiedMs = Math.floor(clock.wallMs());
      const decision = decideRename(from, to, { modifiedMs, begunRevision: begun.asOf, origin: known });
      const { current } = decision.to;
      const fences = [cluster.fence()];
      const unuse = keeping.use(current.content);
      try {
        const revision = await records.commitAll([
          { volume, key: target.key, expected: to.revision, record: decision.to.record, fences },
          { volume, key: source.key, expected: from.revision, record: decision.from },
        ]);
        keeping.committed(current.content, target.key, decision.to.record, revision);
        await Promise.all([onWritten(volume, target.key), onWritten(volume, source.key)]);
        return writtenOf({ record: current, revision }, current.level);
      } catch (error) {
        if (!isForebayError(error, 'recordChanged') || tries >= commitTriesMax) throw error;
      } finally {
        unuse();
      }
      to = await records.read(volume, target.key, signal);
    }
  }

  async #renameClean(source: Target, target: Target, options: { ack?: Level; signal: AbortSignal }): Promise<Written> {
    const { records, clock, openSource, onWritten } = this.#options;
    const { origin } = this.#volume(source.volume);
    const { volume, key } = source;
    const object = await openSource(volume, key, options.signal);
    try {
      const { fact } = object;
      const begun = await records.read(volume, key, options.signal);
      const known = await this.#originOf(begun, origin, source, true);
      const condition = { ifMatch: fact.doorEtag };
      const beside = async (): Promise<RecordCommit[]> => {
        const read = await records.read(volume, key);
        const modifiedMs = Math.floor(clock.wallMs());
        // what was copied is what goes: a newer version under the old key makes the rename fail
        const gone = decideDelete(read, { modifiedMs, begunRevision: begun.asOf, origin: known, condition });
        return gone === undefined ? [] : [{ volume, key, expected: read.revision, record: gone.record }];
      };
      const body = sourceBody(object, { start: 0, end: fact.sizeBytes }, options.signal);
      const { headers, metadata } = fact;
      const written = await this.#write(target, body, { ...options, headers, metadata }, beside);
      await onWritten(volume, key);
      return written;
    } finally {
      object.close();
    }
  }

  beginUpload(target: Target, attributes: WriteAttributes): Promise<{ uploadId: string }> {
    return this.#options.uploads.begin(this.#volume(target.volume), target, attributes);
  }

  putPart(target: Target, uploadId: string, number: number, body: WriteBody, signal: AbortSignal): Promise<PartInfo> {
    this.#volume(target.volume);
    return this.#options.uploads.putPart(target, uploadId, number, body, signal);
  }

  async copyPart(
    source: Parameters<Writer['copyPart']>[0],
    target: Target,
    uploadId: string,
    number: number,
    signal: AbortSignal,
  ): Promise<PartInfo> {
    this.#volume(target.volume);
    return await withSourceRange(this.#options.openSource, source, signal, (body) =>
      this.putPart(target, uploadId, number, body, signal),
    );
  }

  async listParts(target: Target, uploadId: string): Promise<readonly PartInfo[]> {
    this.#volume(target.volume);
    return this.#options.uploads.listParts(target, uploadId);
  }

  async listUploads(volume: string, prefix: string): Promise<readonly UploadInfo[]> {
    this.#volume(volume);
    return this.#options.uploads.list(volume, prefix);
  }

  async completeUpload(
    target: Target,
    uploadId: string,
    parts: readonly { number: number; doorEtag: string }[],
    options: WriteOptions,
  ): Promise<Written> {
    const volume = this.#volume(target.volume);
    const level = levelOf(volume, options);
    return this.#options.uploads.complete(target, uploadId, parts, options, (version, sizeBytes, attributes) =>
      this.#commit(version, { sizeBytes, level, ...attributes, ...options }),
    );
  }

  async abortUpload(target: Target, uploadId: string): Promise<void> {
    this.#volume(target.volume);
    await this.#options.uploads.abort(target, uploadId);
  }

  #volume(name: string): StagedVolume {
    const volume = this.#options.volumes.get(name);
    if (volume === undefined) throw new ForebayError('noSuchBucket', `there is no volume ${name} that is staged`);
    return volume;
  }

  async #write(
    target: Target,
    body: WriteBody,
    options: WriteAttributes & WriteOptions,
    beside?: () => Promise<readonly RecordCommit[]>,
  ): Promise<Written> {
    const volume = this.#volume(target.volume);
    const level = levelOf(volume, options);
    const { lengthBytes } = body;
    const { signal, checkpoint } = options;
    // Bytes that have no right to be put are not taken first.
    if (checkpoint !== undefined) await this.#options.checkpoints.fence(target.volume, target.key, checkpoint);
    let version: StagedVersion;
    try {
      const patient = options.condition !== undefined;
      version = await StagedVersion.begin(this.#options, volume, target, { lengthBytes, patient, signal });
    } catch (error) {
      if (!isForebayError(error, 'diskFull', 'overloaded') || volume.policy.onFull !== 'write-through') throw error;
      if (beside !== undefined || checkpoint !== undefined) throw error;
      return this.#writeThrough(target, body, options, error);
    }
    let bytes: Uint8Array | undefined;
    try {
      bytes = await this.#stager.stage(body, version.staging, 0, signal);
    } catch (error) {
      version.abandon();
      throw error;
    }
    return this.#commit(version, { ...options, sizeBytes: lengthBytes, level, bytes, beside });
  }

  async #commit(
    version: StagedVersion,
    wish: WriteAttributes & {
      sizeBytes: number;
      level: Level;
      condition?: WriteCondition;
      checkpoint?: AttemptName;
      bytes?: Uint8Array | undefined;
      beside?: (() => Promise<readonly RecordCommit[]>) | undefined;
      signal: AbortSignal;
    },
  ): Promise<Written> {
    const { waits, clock, emit, onWritten } = this.#options;
    const { target } = version;
    const { sizeBytes, bytes } = wish;
    const fromMs = clock.boottimeMs();
    const drained = waits.begin(target);
    try {
      const { beside, checkpoint, ...rest } = wish;
      const intent = checkpoint && {
        name: checkpoint,
        fence: () => this.#options.checkpoints.fence(target.volume, target.key, checkpoint),
      };
      const more = { ...(beside && { beside }), ...(intent && { intent }) };
      const committed = await version.commit(sizeBytes, { ...rest, ...more }, bytes);
      await onWritten(target.volume, target.key);
      emit({ kind: 'write.done', ...target, bytes: sizeBytes, ms: clock.boottimeMs() - fromMs });
      if (!committed.record.urgent) return writtenOf(committed, committed.record.level);
      const awaited = { ...target, content: version.id, revision: committed.revision };
      await drained.of(awaited, wish.signal);
      return writtenOf(committed, 'origin');
    } finally {
      drained.end();
    }
  }

  /**
   * Without room here, straight to the origin, once all is there that must be before it (S-7); unless the origin lacks an earlier
   * version, which would come after it.
   */
  async #writeThrough(
    target: Target,
    body: WriteBody,
    options: WriteAttributes & WriteOptions,
    full: ForebayError,
  ): Promise<Written> {
    const { records, clock, writeThrough, onWritten } = this.#options;
    const { policy } = this.#volume(target.volume);
    const { signal } = options;
    const { asOf: begunRevision } = await records.read(target.volume, target.key, signal);
    await drainedBelow(target, { records, clock, policy, begunRevision, signal });
    const read = await records.read(target.volume, target.key, signal);
    if (pendingOf(read.record) !== undefined) throw full;
    const written = await writeThrough.put(target, body, options);
    // a stub, or a drained delete, would hide what is there now
    if (read.record?.current !== undefined)
      await records.commit({ ...target, expected: read.revision, record: withoutCurrent(read) }).catch((error) => {
        if (!isForebayError(error, 'recordChanged')) throw error;
      });
    await onWritten(target.volume, target.key);
    return written;
  }

  async #originOf(
    read: Recorded,
    origin: StagedVolume['origin'],
    target: Target,
    patient: boolean,
  ): Promise<OriginKnowledge> {
    if (pendingOf(read.record) !== undefined) return { has: 'unknown' };
    const { signal } = new AbortController();
    return this.#options.base.ask(origin, target, { patient, signal }).settle();
  }
}

/** Whether a condition holds is the origin's to say in the end. */
function levelOf({ policy }: StagedVolume, { ack, condition, checkpoint }: WriteOptions): Level {
  if (checkpoint !== undefined) {
    if (condition !== undefined)
      throw new ForebayError('invalidRequest', 'an object of a checkpoint takes no condition: it is not there yet');
    return 'replicated';
  }
  return condition === undefined ? (ack ?? policy.ack) : 'origin';
}

function writtenOf({ record }: Committed, level: Level): Written {
  return { doorEtag: contentDoorEtag(record.content), modifiedMs: record.modifiedMs, level };
}

function withoutCurrent({ record }: Recorded) {
  const { current: _current, intents = [] } = record ?? {};
  return intents.length === 0 ? undefined : { intents };
}
