/**
 * Uploads that clients make in parts. The parts are at the origin, which alone knows which there are; this node remembers
 * headers, metadata and what was completed (`upload-record.ts`). The id that a client gets is the origin's own in
 * another spelling, so for S3 origins, which keep the headers too, every node can go on with it.
 *
 * Bounds: uploadsMax records; an upload that nobody touched for uploadIdleMaxMs is aborted.
 */
import { hash } from 'node:crypto';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { partMinBytes, uploadIdleMaxMs, uploadKeepMs, uploadSweepMs, uploadsMax } from '../core/limits.ts';
import type { Clock, Disk } from '../io/io.ts';
import type { Origin, PutOptions, TakenPart } from '../origin/origin.ts';
import { doorEtagOf, partEtag } from './door-etag.ts';
import { type Completion, type UploadRecord, UploadRecords } from './upload-record.ts';
import type { PartInfo, Target, WriteAttributes } from './writer.ts';

interface Known {
  record: UploadRecord;
  /** CLOCK_BOOTTIME of the last request about it, or of this daemon's start. */
  touchedMs: number;
  readonly takenMs: Map<number, number>;
  /** What an earlier completion with an unclear outcome found and was about to make. */
  attempt: Attempt | undefined;
  completing: { readonly parts: string; readonly outcome: Promise<Completion> } | undefined;
}

interface Attempt {
  readonly parts: string;
  readonly beforeEtag: string | undefined;
  readonly sizeBytes: number;
}

/** An upload and where its parts are. */
export interface OpenUpload {
  readonly target: Target;
  readonly uploadId: string;
  readonly origin: Origin;
  /** As the origin knows it. */
  readonly upload: { readonly key: string; readonly id: string };
}

type NamedParts = readonly { number: number; doorEtag: string }[];

export class Uploads {
  readonly #records: UploadRecords;
  readonly #clock: Clock;
  readonly #originOf: (volume: string) => Origin | undefined;
  readonly #known = new Map<string, Known>();
  readonly #stop = new AbortController();
  #loading: Promise<void> | undefined;

  constructor(options: {
    disk: Disk;
    directory: string;
    clock: Clock;
    /** The origin of a volume; `undefined` for volumes that are no longer there. */
    originOf: (volume: string) => Origin | undefined;
  }) {
    this.#records = new UploadRecords(options.disk, options.directory);
    this.#clock = options.clock;
    this.#originOf = options.originOf;
    void this.#sweep();
  }

  close(): void {
    this.#stop.abort();
  }

  async begin(target: Target, origin: Origin, attributes: WriteAttributes): Promise<string> {
    await this.#load();
    if (this.#known.size >= uploadsMax)
      throw new ForebayError('overloaded', `this node remembers ${uploadsMax} uploads already; complete or abort some`);
    const { headers, metadata } = attributes;
    const originId = await origin.begin(target.key, { headers, metadata });
    const uploadId = Buffer.from(originId, 'utf8').toString('base64url');
    const begunMs = Math.floor(this.#clock.wallMs());
    const record: UploadRecord = { uploadId, ...target, originId, headers, metadata, begunMs };
    try {
      await this.#records.save(record);
    } catch (error) {
      await origin.abort({ key: target.key, id: originId }).catch(() => undefined);
      throw error;
    }
    this.#remember(record);
    return uploadId;
  }

  /** The upload, if it can still take parts. Throws noSuchUpload. */
  async open(target: Target, origin: Origin, uploadId: string): Promise<OpenUpload> {
    const known = await this.#find(target, uploadId);
    if (known?.record.completed !== undefined) throw noSuchUpload(target, uploadId);
    const originId = known?.record.originId ?? foreignId(origin, uploadId);
    if (originId === undefined) throw noSuchUpload(target, uploadId);
    return { target, uploadId, origin, upload: { key: target.key, id: originId } };
  }

  /** Tells of a part that the origin has taken. */
  took({ origin, uploadId }: OpenUpload, part: TakenPart): PartInfo {
    const modifiedMs = Math.floor(this.#clock.wallMs());
    this.#known.get(uploadId)?.takenMs.set(part.number, modifiedMs);
    return { number: part.number, doorEtag: partEtag(origin, uploadId, part), sizeBytes: part.sizeBytes, modifiedMs };
  }

  async listParts(open: OpenUpload): Promise<readonly PartInfo[]> {
    const known = this.#known.get(open.uploadId);
    const parts = await open.origin.parts(open.upload);
    return parts.map((part) => ({
      number: part.number,
      doorEtag: partEtag(open.origin, open.uploadId, part),
      sizeBytes: part.sizeBytes,
      modifiedMs: known?.takenMs.get(part.number) ?? known?.record.begunMs ?? 0,
    }));
  }

  async list(volume: string): Promise<readonly UploadRecord[]> {
    await this.#load();
    const records = [...this.#known.values()].map(({ record }) => record);
    return records.filter((record) => record.volume === volume && record.completed === undefined);
  }

  /**
   * Makes the object. A completion that is asked for again, while it runs or within `uploadKeepMs` after it succeeded,
   * gets the same answer. `putOptions` is asked only for a completion that is really made.
   */
  async complete(
    target: Target,
    origin: Origin,
    uploadId: string,
    named: NamedParts,
    putOptions: (attributes: WriteAttributes) => Promise<PutOptions>,
  ): Promise<{ completion: Completion; bytes: number | undefined }> {
    checkOrder(named);
    const known = await this.#find(target, uploadId);
    const parts = hash('sha256', JSON.stringify(named.map(({ number, doorEtag }) => [number, doorEtag])), 'hex');
    if (known?.record.completed?.parts === parts) return { completion: known.record.completed, bytes: undefined };
    if (known?.completing?.parts === parts) return { completion: await known.completing.outcome, bytes: undefined };
    if (known?.completing !== undefined)
      throw new ForebayError('conflict', `the upload of "${target.key}" is being completed with other parts`);
    let bytes = 0;
    const work = async (): Promise<Completion> => {
      const open = await this.open(target, origin, uploadId);
      const options = await putOptions(known?.record ?? { headers: {}, metadata: {} });
      const etag = await this.#finalise(open, { named, parts, known, options });
      bytes = known?.attempt?.sizeBytes ?? 0;
      const modifiedMs = Math.floor(this.#clock.wallMs());
      return { parts, doorEtag: doorEtagOf({ ...target, origin }, etag), modifiedMs };
    };
    // nothing is awaited between the look at `completing` and here: of two that come at once one does the work
    const outcome = work();
    if (known !== undefined) known.completing = { parts, outcome };
    try {
      const completion = await outcome;
      if (known !== undefined) await this.#completed(known, completion);
      return { completion, bytes };
    } finally {
      if (known !== undefined) known.completing = undefined;
    }
  }

  async abort(target: Target, origin: Origin, uploadId: string): Promise<void> {
    const known = await this.#find(target, uploadId);
    const originId = known?.record.originId ?? foreignId(origin, uploadId);
    if (originId === undefined) throw noSuchUpload(target, uploadId);
    if (known?.record.completed !== undefined) throw noSuchUpload(target, uploadId);
    await origin.abort({ key: target.key, id: originId });
    if (known !== undefined) await this.#forget(uploadId);
  }

  /**
   * Finalises, and settles an unclear outcome by looking: where the answer never came, or the parts are gone that were
   * there, an object of the right size that was not there before is the one we made. A conditional completion is not
   * settled so: the object might be the very one that its condition is against.
   */
  async #finalise(
    open: OpenUpload,
    completing: { named: NamedParts; parts: string; known: Known | undefined; options: PutOptions },
  ): Promise<string> {
    const { origin, upload } = open;
    const { named, parts, known, options } = completing;
    let attempt = known?.attempt?.parts === parts ? known.attempt : undefined;
    try {
      const taken = await this.#match(open, named);
      const before = await origin.head(upload.key, options);
      attempt = { parts, beforeEtag: before?.etag, sizeBytes: taken.reduce((sum, part) => sum + part.sizeBytes, 0) };
      if (known !== undefined) known.attempt = attempt;
      return (await origin.finalise(upload, taken, options)).etag;
    } catch (error) {
      const isUnclear = isForebayError(error, 'noSuchUpload', 'invalidPart', 'originUnavailable', 'originTruncated');
      if (!isUnclear || attempt === undefined || options.condition !== undefined) throw error;
      const now = await origin.head(upload.key).catch(() => undefined);
      if (now === undefined || now.etag === attempt.beforeEtag || now.sizeBytes !== attempt.sizeBytes) throw error;
      return now.etag;
    }
  }

  /** What the parts that the client names are at the origin. Throws invalidPart, tooSmall. */
  async #match(open: OpenUpload, named: NamedParts): Promise<TakenPart[]> {
    const held = new Map<string, TakenPart>();
    for (const part of await open.origin.parts(open.upload))
      held.set(`${part.number} ${partEtag(open.origin, open.uploadId, part)}`, part);
    return named.map(({ number, doorEtag }, index) => {
      const part = held.get(`${number} ${doorEtag}`);
      if (part === undefined)
        throw new ForebayError('invalidPart', `part ${number} with the ETag ${doorEtag} is not at the origin`);
      if (index < named.length - 1 && part.sizeBytes < partMinBytes)
        throw new ForebayError('tooSmall', `part ${number} has ${part.sizeBytes} bytes, the least is ${partMinBytes}`);
      return part;
    });
  }

  async #find(target: Target, uploadId: string): Promise<Known | undefined> {
    await this.#load();
    const known = this.#known.get(uploadId);
    if (known === undefined) return undefined;
    if (known.record.volume !== target.volume || known.record.key !== target.key) throw noSuchUpload(target, uploadId);
    known.touchedMs = this.#clock.boottimeMs();
    return known;
  }

  #remember(record: UploadRecord): void {
    const touchedMs = this.#clock.boottimeMs();
    this.#known.set(record.uploadId, {
      record,
      touchedMs,
      takenMs: new Map(),
      attempt: undefined,
      completing: undefined,
    });
  }

  async #completed(known: Known, completed: Completion): Promise<void> {
    known.record = { ...known.record, completed };
    known.takenMs.clear();
    // the object is made; a record that cannot be written only means that a repeated completion may fail
    await this.#records.save(known.record).catch(() => undefined);
  }

  async #forget(uploadId: string): Promise<void> {
    this.#known.delete(uploadId);
    await this.#records.remove(uploadId);
  }

  #load(): Promise<void> {
    this.#loading ??= (async () => {
      for (const record of await this.#records.load()) if (!this.#known.has(record.uploadId)) this.#remember(record);
    })().catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  /** Forgets completed uploads after a while and aborts those that nobody touches. */
  async #sweep(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#sweepOnce().catch(() => undefined);
      await this.#clock.sleep(uploadSweepMs, signal).catch(() => undefined);
    }
  }

  async #sweepOnce(): Promise<void> {
    await this.#load();
    const nowMs = this.#clock.boottimeMs();
    for (const [uploadId, { record, touchedMs, completing }] of this.#known) {
      const keepMs = record.completed === undefined ? uploadIdleMaxMs : uploadKeepMs;
      if (nowMs - touchedMs < keepMs || completing !== undefined) continue;
      if (record.completed === undefined)
        await this.#originOf(record.volume)?.abort({ key: record.key, id: record.originId });
      await this.#forget(uploadId);
    }
  }
}

function checkOrder(named: NamedParts): void {
  if (named.length === 0) throw new ForebayError('malformedXml', 'a completion names at least one part');
  for (const [index, { number }] of named.entries())
    if (index > 0 && number <= (named[index - 1]?.number ?? 0))
      throw new ForebayError('invalidPartOrder', `part ${number} does not come in ascending order`);
}

/** The origin's id of an upload begun at another node: only S3 keeps the headers with it. */
function foreignId(origin: Origin, uploadId: string): string | undefined {
  if (origin.kind !== 's3') return undefined;
  const originId = Buffer.from(uploadId, 'base64url').toString('utf8');
  return Buffer.from(originId, 'utf8').toString('base64url') === uploadId ? originId : undefined;
}

function noSuchUpload({ volume, key }: Target, uploadId: string): ForebayError {
  return new ForebayError('noSuchUpload', `no upload ${uploadId} of "${key}" in ${volume} at this node`);
}
