/**
 * The write path of volumes without `writes`: a write is acknowledged when the origin has it, and nothing of it is
 * kept here (the next read fills it). Whatever fails leaves the object as it was (S-5).
 *
 * Bodies up to `putSingleMaxBytes` are held whole and go in one request, larger PUTs in parts that are held whole,
 * client parts above that size stream through once. `onWritten` is called after every change, also where its outcome is unclear.
 *
 * Bounds: writeMemoryMaxBytes of bodies, partsInFlightMax per PUT, uploadsMax.
 */
import { ForebayError } from '../core/errors.ts';
import { partMaxBytes, partsMax, putMaxBytes, putSingleMaxBytes, reopenMax } from '../core/limits.ts';
import type { ObjectVersion } from '../core/object.ts';
import type { Range } from '../core/range.ts';
import type { Volume } from '../core/volume.ts';
import type { Clock, Disk, Random } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import type { Origin } from '../origin/origin.ts';
import { BufferBudget } from './buffer-budget.ts';
import { withWholeBody } from './buffered-body.ts';
import { doorEtagOf, originCondition } from './door-etag.ts';
import { putInParts } from './large-put.ts';
import { type OpenSource, sourceBody, withSourceRange } from './source-body.ts';
import { Uploads } from './uploads.ts';
import type {
  PartInfo,
  Target,
  UploadInfo,
  WriteAttributes,
  WriteBody,
  WriteOptions,
  Writer,
  Written,
} from './writer.ts';

export interface WriterOptions {
  readonly volumes: ReadonlyMap<string, { readonly volume: Volume; readonly origin: Origin }>;
  /** Opens an object to copy from, as the read path serves it. */
  readonly openSource: OpenSource;
  readonly disk: Disk;
  /** The cache directory; `uploads/` below it is the writer's. */
  readonly directory: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
  readonly onWritten: (volume: string, key: string) => void | Promise<void>;
}

/** `close` ends the watch over idle uploads; requests under way go on. */
export function createWriter(options: WriterOptions): Writer & { close(): void } {
  return new WriteThrough(options);
}

type CommitOptions = WriteAttributes & WriteOptions;

class WriteThrough implements Writer {
  readonly #options: WriterOptions;
  readonly #uploads: Uploads;
  readonly #budget = new BufferBudget();

  constructor(options: WriterOptions) {
    this.#options = options;
    const { disk, directory, clock, volumes } = options;
    this.#uploads = new Uploads({ disk, directory, clock, originOf: (volume) => volumes.get(volume)?.origin });
  }

  close(): void {
    this.#uploads.close();
  }

  async put(target: Target, body: WriteBody, options: CommitOptions): Promise<Written> {
    refuseCheckpoint(options);
    const origin = this.#writable(target.volume);
    if (body.lengthBytes > putMaxBytes)
      throw new ForebayError('tooLarge', `a PUT has at most ${putMaxBytes} bytes, this one has ${body.lengthBytes}`);
    return await this.#commit(target, body.lengthBytes, () => this.#write(origin, target, body, options));
  }

  async delete(target: Target, options: { ifMatch?: string } = {}): Promise<void> {
    const origin = this.#writable(target.volume);
    try {
      const condition = await originCondition({ ...target, origin }, options);
      await origin.delete(target.key, condition?.ifMatch === undefined ? {} : { ifMatch: condition.ifMatch });
      this.#options.emit({ kind: 'write.deleted', volume: target.volume, key: target.key });
    } finally {
      await this.#options.onWritten(target.volume, target.key);
    }
  }

  async copy(
    source: Target,
    target: Target,
    options: WriteOptions & { attributes?: WriteAttributes },
  ): Promise<Written> {
    refuseCheckpoint(options);
    const origin = this.#writable(target.volume);
    const { attributes, signal } = options;
    if (this.#originOf(source.volume) === origin) {
      const copied = await this.#copyAtOrigin(origin, source, target, options);
      if (copied !== undefined) return copied;
    }
    const object = await this.#options.openSource(source.volume, source.key, signal);
    try {
      const { fact } = object;
      const body = sourceBody(object, { start: 0, end: fact.sizeBytes }, signal);
      const { headers, metadata } = attributes ?? fact;
      const write = () => this.#write(origin, target, body, { ...options, headers, metadata });
      return await this.#commit(target, fact.sizeBytes, write);
    } finally {
      object.close();
    }
  }

  async rename({ volume }: Target): Promise<Written> {
    this.#writable(volume);
    const message = `the volume ${volume} writes straight to its origin, which renames nothing: set ack = "local" or "replicated"`;
    throw new ForebayError('notImplemented', message);
  }

  async beginUpload(target: Target, attributes: WriteAttributes): Promise<{ uploadId: string }> {
    const origin = this.#writable(target.volume);
    return { uploadId: await this.#uploads.begin(target, origin, attributes) };
  }

  async putPart(
    target: Target,
    uploadId: string,
    number: number,
    body: WriteBody,
    signal: AbortSignal,
  ): Promise<PartInfo> {
    const origin = this.#writable(target.volume);
    if (!Number.isInteger(number) || number < 1 || number > partsMax)
      throw new ForebayError('invalidArgument', `a part's number is 1 to ${partsMax}, not ${number}`);
    if (body.lengthBytes > partMaxBytes)
      throw new ForebayError('tooLarge', `a part has at most ${partMaxBytes} bytes, this one has ${body.lengthBytes}`);
    const open = await this.#uploads.open(target, origin, uploadId);
    const taken =
      body.lengthBytes <= putSingleMaxBytes
        ? await withWholeBody(body, this.#budget, signal, (whole) =>
            origin.part(open.upload, number, whole, { signal }),
          )
        : await origin.part(open.upload, number, { ...streamOnce(body), replayable: false }, { signal });
    return this.#uploads.took(open, taken);
  }

  async copyPart(
    source: Target & { range?: Range },
    target: Target,
    uploadId: string,
    number: number,
    signal: AbortSignal,
  ): Promise<PartInfo> {
    this.#writable(target.volume);
    return await withSourceRange(this.#options.openSource, source, signal, (body) =>
      this.putPart(target, uploadId, number, body, signal),
    );
  }

  async listParts(target: Target, uploadId: string): Promise<readonly PartInfo[]> {
    const origin = this.#writable(target.volume);
    return await this.#uploads.listParts(await this.#uploads.open(target, origin, uploadId));
  }

  async listUploads(volume: string, prefix: string): Promise<readonly UploadInfo[]> {
    this.#writable(volume);
    const records = (await this.#uploads.list(volume)).filter(({ key }) => key.startsWith(prefix));
    return records.map(({ uploadId, key, begunMs }) => ({ volume, key, uploadId, begunMs }));
  }

  async completeUpload(
    target: Target,
    uploadId: string,
    parts: readonly { number: number; doorEtag: string }[],
    options: WriteOptions,
  ): Promise<Written> {
    refuseCheckpoint(options);
    const origin = this.#writable(target.volume);
    const { signal } = options;
    const fromMs = this.#options.clock.boottimeMs();
    try {
      const { completion, bytes } = await this.#uploads.complete(
        target,
        origin,
        uploadId,
        parts,
        async ({ headers, metadata }) => {
          const condition = await originCondition({ ...target, origin }, options.condition, signal);
          return { headers, metadata, signal, ...(condition === undefined ? {} : { condition }) };
        },
      );
      if (bytes !== undefined) this.#done(target, bytes, fromMs);
      return { doorEtag: completion.doorEtag, modifiedMs: completion.modifiedMs, level: 'origin' };
    } finally {
      await this.#options.onWritten(target.volume, target.key);
    }
  }

  async abortUpload(target: Target, uploadId: string): Promise<void> {
    await this.#uploads.abort(target, this.#writable(target.volume), uploadId);
  }

  #originOf(volume: string): Origin {
    const found = this.#options.volumes.get(volume);
    if (found === undefined) throw new ForebayError('noSuchBucket', `there is no volume ${volume}`);
    return found.origin;
  }

  #writable(volume: string): Origin {
    const origin = this.#originOf(volume);
    if (!this.#options.volumes.get(volume)?.volume.write)
      throw new ForebayError('accessDenied', `the volume ${volume} is read-only: it has no write = true`);
    return origin;
  }

  /** Sends a body to the origin in one request or in parts; the new version's ETag. */
  async #write(origin: Origin, target: Target, body: WriteBody, options: CommitOptions): Promise<string> {
    const { headers, metadata, signal } = options;
    const condition = await originCondition({ ...target, origin }, options.condition, signal);
    const attributes = { headers, metadata, signal, ...(condition === undefined ? {} : { condition }) };
    if (body.lengthBytes > putSingleMaxBytes)
      return (await putInParts(origin, target.key, body, attributes, this.#budget)).etag;
    return await withWholeBody(
      body,
      this.#budget,
      signal,
      async (whole) => (await origin.put(target.key, whole, attributes)).etag,
    );
  }

  /** A copy that moves no bytes through this node; `undefined` where the origin has none. */
  async #copyAtOrigin(
    origin: Origin,
    source: Target,
    target: Target,
    options: WriteOptions & { attributes?: WriteAttributes },
  ): Promise<Written | undefined> {
    const { signal } = options;
    const condition = await originCondition({ ...target, origin }, options.condition, signal);
    for (let tries = 1; ; tries++) {
      const version: ObjectVersion | undefined = await origin.head(source.key, { signal });
      if (version === undefined)
        throw new ForebayError('noSuchKey', `there is no object "${source.key}" in ${source.volume}`);
      const { headers, metadata } = options.attributes ?? version;
      const attributes = { headers, metadata, signal, ...(condition === undefined ? {} : { condition }) };
      let isDeclined = false;
      try {
        return await this.#commit(target, version.sizeBytes, async () => {
          const copied = await origin.copy(version, target.key, attributes);
          isDeclined = copied === undefined;
          if (copied === undefined) throw new ForebayError('notImplemented', 'the origin copies nothing');
          return copied.etag;
        });
      } catch (error) {
        if (isDeclined) return undefined;
        const isReplaced = error instanceof ForebayError && error.code === 'versionChanged';
        if (!isReplaced || tries >= reopenMax) throw error;
      }
    }
  }

  /** Runs a change and tells of it. The cache is told of failures as well: an answer may have been lost on its way. */
  async #commit(target: Target, bytes: number, change: () => Promise<string>): Promise<Written> {
    const fromMs = this.#options.clock.boottimeMs();
    try {
      const etag = await change();
      this.#done(target, bytes, fromMs);
      const origin = this.#originOf(target.volume);
      const modifiedMs = Math.floor(this.#options.clock.wallMs());
      return { doorEtag: doorEtagOf({ ...target, origin }, etag), modifiedMs, level: 'origin' };
    } finally {
      await this.#options.onWritten(target.volume, target.key);
    }
  }

  #done({ volume, key }: Target, bytes: number, fromMs: number): void {
    this.#options.emit({ kind: 'write.done', volume, key, bytes, ms: this.#options.clock.boottimeMs() - fromMs });
  }
}

function streamOnce(body: WriteBody): WriteBody {
  return { lengthBytes: body.lengthBytes, stream: () => body.stream() };
}

/** What goes straight through is there for everybody at once. */
function refuseCheckpoint({ checkpoint }: Pick<WriteOptions, 'checkpoint'>): void {
  if (checkpoint === undefined) return;
  throw new ForebayError(
    'invalidArgument',
    'checkpoints are made in volumes whose writes are held by nodes first: set write = true and ack = "local" or "replicated"',
  );
}
