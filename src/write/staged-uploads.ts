/**
 * Uploads that clients make in parts, in volumes that are staged: `upload-grid.ts` says where the parts lie. They belong to the
 * node's name: a daemon that starts again has them (their files are linked beside their log), other nodes say whose they are.
 *
 * Bounds: uploadsMax; an upload that nobody touched for uploadIdleMaxMs is aborted.
 */
import { hash } from 'node:crypto';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { partMaxBytes, partsMax, uploadIdleMaxMs, uploadKeepMs, uploadSweepMs, uploadsMax } from '../core/limits.ts';
import { BodyStager } from './body-stager.ts';
import type { StagedParts, StagedVolume } from './staged-parts.ts';
import { StagedUpload } from './staged-upload.ts';
import type { StagedVersion } from './staged-version.ts';
import { UploadLog } from './upload-log.ts';
import type { PartInfo, Target, UploadInfo, WriteAttributes, WriteBody, WriteCondition, Written } from './writer.ts';

export interface StagedUploadsOptions extends StagedParts {
  readonly volumes: ReadonlyMap<string, StagedVolume>;
  /** The cache directory; `uploads/` below it is shared with `uploads.ts`. */
  readonly directory: string;
}

/** Commits an assembled version; ends it in any case. */
export type CommitUpload = (version: StagedVersion, sizeBytes: number, attributes: WriteAttributes) => Promise<Written>;

export class StagedUploads {
  readonly #options: StagedUploadsOptions;
  readonly #log: UploadLog;
  readonly #stager: BodyStager;
  readonly #uploads = new Map<string, StagedUpload>();
  readonly #stop = new AbortController();
  #loading: Promise<void> | undefined;

  constructor(options: StagedUploadsOptions) {
    this.#options = options;
    this.#log = new UploadLog(options.store.disk, options.directory);
    this.#stager = new BodyStager(options.store.disk);
    void this.#sweep();
  }

  close(): void {
    this.#stop.abort(new ForebayError('shuttingDown', 'the node is stopping'));
    for (const upload of this.#uploads.values()) upload.close();
  }

  async begin(volume: StagedVolume, target: Target, attributes: WriteAttributes): Promise<{ uploadId: string }> {
    await this.#load();
    if (this.#uploads.size >= uploadsMax)
      throw new ForebayError('overloaded', `this node remembers ${uploadsMax} uploads already; complete or abort some`);
    const { cluster, random, clock } = this.#options;
    const uploadId = Buffer.from(`${cluster.self}\n${Buffer.from(random.bytes(16)).toString('hex')}`).toString(
      'base64url',
    );
    const { headers, metadata } = attributes;
    const head = { uploadId, ...target, headers, metadata, begunMs: Math.floor(clock.wallMs()) };
    const name = nameOf(uploadId);
    await this.#log.begin(name, head);
    this.#uploads.set(uploadId, new StagedUpload({ ...this.#made(volume), head, name }));
    return { uploadId };
  }

  async putPart(
    target: Target,
    uploadId: string,
    number: number,
    body: WriteBody,
    signal: AbortSignal,
  ): Promise<PartInfo> {
    if (!Number.isInteger(number) || number < 1 || number > partsMax)
      throw new ForebayError('invalidArgument', `a part's number is 1 to ${partsMax}, not ${number}`);
    if (body.lengthBytes > partMaxBytes)
      throw new ForebayError('tooLarge', `a part has at most ${partMaxBytes} bytes, this one has ${body.lengthBytes}`);
    const upload = await this.#open(target, uploadId);
    return upload.put(number, body, signal);
  }

  async listParts(target: Target, uploadId: string): Promise<readonly PartInfo[]> {
    return (await this.#open(target, uploadId)).list();
  }

  async list(volume: string, prefix: string): Promise<readonly UploadInfo[]> {
    await this.#load();
    return Array.from(this.#uploads.values())
      .filter(({ head, completed }) => head.volume === volume && completed === undefined && head.key.startsWith(prefix))
      .map(({ head: { key, uploadId, begunMs } }) => ({ volume, key, uploadId, begunMs }));
  }

  /** A completion that is asked for again, while it runs or within `uploadKeepMs` after it succeeded, gets the same answer. */
  async complete(
    target: Target,
    uploadId: string,
    named: readonly { number: number; doorEtag: string }[],
    options: { condition?: WriteCondition; signal: AbortSignal },
    commit: CommitUpload,
  ): Promise<Written> {
    checkOrder(named);
    const upload = await this.#find(target, uploadId);
    const parts = hash('sha256', JSON.stringify(named.map(({ number, doorEtag }) => [number, doorEtag])), 'hex');
    if (upload.completed?.parts === parts) return upload.completed;
    if (upload.completing?.parts === parts) return upload.completing.outcome;
    if (upload.completed !== undefined) throw noSuchUpload(target, `${uploadId} is completed with other parts`);
    if (upload.completing !== undefined)
      throw new ForebayError('conflict', `the upload of "${target.key}" is being completed with other parts`);
    const outcome = upload.complete(named, options, commit);
    upload.completing = { parts, outcome };
    try {
      const { doorEtag, modifiedMs, level } = await outcome;
      await upload.finished({ parts, doorEtag, modifiedMs, level });
      return { doorEtag, modifiedMs, level };
    } finally {
      upload.completing = undefined;
    }
  }

  async abort(target: Target, uploadId: string): Promise<void> {
    const upload = await this.#open(target, uploadId);
    if (upload.completing !== undefined)
      throw new ForebayError('conflict', `the upload of "${target.key}" is being completed`);
    this.#uploads.delete(uploadId);
    await upload.abort();
  }

  #made(volume: StagedVolume) {
    return { parts: this.#options, volume, log: this.#log, stager: this.#stager };
  }

  /** The upload, if it can still take parts. */
  async #open(target: Target, uploadId: string): Promise<StagedUpload> {
    const upload = await this.#find(target, uploadId);
    if (upload.completed !== undefined) throw noSuchUpload(target, `${uploadId} is completed`);
    return upload;
  }

  async #find(target: Target, uploadId: string): Promise<StagedUpload> {
    await this.#load();
    const upload = this.#uploads.get(uploadId);
    if (upload === undefined || upload.head.volume !== target.volume || upload.head.key !== target.key)
      throw noSuchUpload(target, this.#whose(uploadId));
    upload.touchedMs = this.#options.clock.boottimeMs();
    return upload;
  }

  #whose(uploadId: string): string {
    const { self } = this.#options.cluster;
    const [node, token] = Buffer.from(uploadId, 'base64url').toString('utf8').split('\n');
    if (token === undefined || node === self) return `${self} does not know ${uploadId}`;
    return `the upload was begun through ${node}, and takes its parts there, not through ${self}`;
  }

  #load(): Promise<void> {
    this.#loading ??= (async () => {
      for (const { name, upload } of await this.#log.load()) {
        const volume = this.#options.volumes.get(upload.head.volume);
        if (volume === undefined || this.#uploads.has(upload.head.uploadId)) continue;
        const { head, parts, completed } = upload;
        this.#uploads.set(
          head.uploadId,
          new StagedUpload({ ...this.#made(volume), head, name, loaded: { parts, completed } }),
        );
      }
    })().catch((error: unknown) => {
      this.#loading = undefined;
      throw error;
    });
    return this.#loading;
  }

  /** Forgets completed uploads after a while and aborts those that nobody touches. */
  async #sweep(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#load().catch(() => undefined);
      const nowMs = clock.boottimeMs();
      for (const [uploadId, upload] of this.#uploads) {
        const keepMs = upload.completed === undefined ? uploadIdleMaxMs : uploadKeepMs;
        if (nowMs - upload.touchedMs < keepMs || upload.isBusy) continue;
        this.#uploads.delete(uploadId);
        await upload.abort().catch((error: unknown) => {
          if (!isForebayError(error)) throw error;
        });
      }
      await clock.sleep(uploadSweepMs, signal).catch(() => undefined);
    }
  }
}

function checkOrder(named: readonly { number: number }[]): void {
  if (named.length === 0) throw new ForebayError('malformedXml', 'a completion names at least one part');
  for (const [index, { number }] of named.entries())
    if (index > 0 && number <= (named[index - 1]?.number ?? 0))
      throw new ForebayError('invalidPartOrder', `part ${number} does not come in ascending order`);
}

function nameOf(uploadId: string): string {
  return `staged-${hash('sha256', uploadId, 'hex').slice(0, 32)}`;
}

function noSuchUpload({ volume, key }: Target, why: string): ForebayError {
  return new ForebayError('noSuchUpload', `no such upload of "${key}" in ${volume}: ${why}`);
}
