/**
 * The `az:` origin: Azure Blob Storage by its official SDK, without the SDK's retries and redirects.
 *
 * Uploads in parts are Azure's uncommitted blocks, named after the upload (`azure-block.ts`); nothing has to be begun or forgotten:
 * blocks that nobody commits vanish after a week. Azure drops a blob's other uncommitted blocks whenever the blob is
 * written, so of two uploads of one key at the same time the later one fails with invalidPart and must be sent again.
 * Names with the segments `.` and `..` are refused: URLs cannot carry them, and they would lead to other containers. So
 * are names with a backslash, which Azure takes for a slash.
 */
import type { Readable } from 'node:stream';
import type { BlobHTTPHeaders, BlockBlobClient, ContainerClient } from '@azure/storage-blob';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { sendWholeMaxBytes } from '../core/limits.ts';
import { OBJECT_HEADER_NAMES, type ObjectHeaders, type ObjectVersion } from '../core/object.ts';
import { type Range, rangeLength } from '../core/range.ts';
import type { Clock, Random } from '../io/io.ts';
import { blockId, blockSizes, blocksOfPart, isUploadId, partsOf, partToken } from './azure-block.ts';
import { type AzureAccess, openContainer } from './azure-client.ts';
import { AzureListing } from './azure-list.ts';
import { cut } from './body.ts';
import { AZURE_CARRIER, carry, uncarry } from './carried-metadata.ts';
import { type Failure, originFailure } from './failure.ts';
import { abandonable, checkAnswer, dateMs, nothing, quoted, Requests, type StoreIo } from './http-store.ts';
import type { Body, Condition, ListOptions, ListPage, Origin, PutOptions, TakenPart } from './origin.ts';
import { receive } from './receive.ts';

/** Azure's bound on a synchronous copy. */
const COPY_MAX_BYTES = 256 * 1024 * 1024;

export interface AzureOptions extends StoreIo, AzureAccess {
  readonly url: string;
  /** What every key begins with at the store; empty, or ending in `/`. */
  readonly prefix: string;
  readonly random: Random;
}

export function createAzureOrigin(options: AzureOptions): Origin {
  return new AzureOrigin(options);
}

class AzureOrigin implements Origin {
  readonly kind = 'azure';
  readonly url: string;
  readonly #options: AzureOptions;
  readonly #clock: Clock;
  readonly #requests: Requests;
  readonly #listing = new AzureListing();
  #container: Promise<ContainerClient> | undefined;

  constructor(options: AzureOptions) {
    this.url = options.url;
    this.#options = options;
    this.#clock = options.clock;
    this.#requests = new Requests(options, options.url, (error, what) => this.#failure(error, what));
  }

  async head(key: string, options: { signal?: AbortSignal } = {}): Promise<ObjectVersion | undefined> {
    if (isUnspeakable(key)) return undefined;
    const blob = await this.#blob(key);
    return await this.#requests.run(`head of "${key}"`, options.signal, async ({ signal }) => {
      const found = await orAbsent(blob.getProperties({ abortSignal: signal }));
      if (found === undefined) return undefined;
      const { metadata, headers } = uncarry(found.metadata);
      return {
        key,
        sizeBytes: found.contentLength ?? 0,
        etag: quoted(found.etag ?? ''),
        modifiedMs: dateMs(found.lastModified),
        headers: { ...headersOf(found), ...headers },
        metadata,
      };
    });
  }

  async get(
    key: string,
    options: { etag: string; range: Range; signal?: AbortSignal },
  ): Promise<AsyncIterable<Uint8Array>> {
    const { etag, range, signal } = options;
    if (isUnspeakable(key)) throw gone(key, etag);
    if (rangeLength(range) === 0) return nothing();
    const blob = await this.#blob(key);
    const what = `get of "${key}"`;
    try {
      return await this.#requests.open(what, signal, async (watch) => {
        const answer = await blob.download(range.start, rangeLength(range), {
          abortSignal: watch.signal,
          conditions: { ifMatch: etag },
          maxRetryRequests: 0,
        });
        const source = abandonable(answer.readableStreamBody as Readable);
        checkAnswer(answer, { what, etag, range });
        return receive({ source, lengthBytes: rangeLength(range), watch, what: `${what} at ${this.url}` });
      });
    } catch (error) {
      throw isGone(error) ? gone(key, etag, error) : error;
    }
  }

  async list(options: ListOptions): Promise<ListPage> {
    const container = await this.#open();
    const { prefix } = this.#options;
    const inFull = {
      ...options,
      prefix: prefix + options.prefix,
      ...(options.after === undefined ? {} : { after: prefix + options.after }),
    };
    const page = await this.#requests.run(`listing of "${options.prefix}"`, options.signal, (watch) =>
      this.#listing.list(container, inFull, watch),
    );
    const cutOff = (name: string) => name.slice(prefix.length);
    return {
      objects: page.objects.map((entry) => ({ ...entry, key: cutOff(entry.key) })),
      prefixes: page.prefixes.map(cutOff),
      ...(page.next === undefined ? {} : { next: cutOff(page.next) }),
    };
  }

  async put(key: string, body: Body, options: PutOptions): Promise<{ etag: string }> {
    checkKey(key);
    if (body.lengthBytes > sendWholeMaxBytes) return await this.#putInBlocks(key, body, options);
    const blob = await this.#blob(key);
    return await this.#requests.send(`put of "${key}"`, body, options.signal, async (bytes, watch) => {
      const settings = { abortSignal: watch.signal, ...writing(options) };
      const answer = await blob.upload(requestBody(bytes), body.lengthBytes, settings);
      return { etag: quoted(answer.etag ?? '') };
    });
  }

  async begin(key: string, options: PutOptions): Promise<string> {
    checkKey(key);
    options.signal?.throwIfAborted();
    return Buffer.from(this.#options.random.bytes(16)).toString('hex');
  }

  async part(
    upload: { key: string; id: string },
    number: number,
    body: Body,
    options: { signal?: AbortSignal } = {},
  ): Promise<TakenPart> {
    checkUpload(upload);
    const blob = await this.#blob(upload.key);
    const sizes = blockSizes(body.lengthBytes);
    const what = `part ${number} of "${upload.key}"`;
    let index = 0;
    for await (const block of cut(body, sizes)) {
      const id = blockId(upload.id, { number, count: sizes.length, index });
      await this.#requests.send(what, block, options.signal, async (bytes, watch) => {
        return await blob.stageBlock(id, requestBody(bytes), block.lengthBytes, { abortSignal: watch.signal });
      });
      index++;
    }
    return { number, token: partToken(sizes.length), sizeBytes: body.lengthBytes };
  }

  async parts(upload: { key: string; id: string }): Promise<readonly TakenPart[]> {
    checkUpload(upload);
    const blob = await this.#blob(upload.key);
    return await this.#requests.run(`parts of "${upload.key}"`, undefined, async ({ signal }) => {
      const found = await orAbsent(blob.getBlockList('uncommitted', { abortSignal: signal }));
      return partsOf(upload.id, found?.uncommittedBlocks ?? []);
    });
  }

  async finalise(
    upload: { key: string; id: string },
    parts: readonly TakenPart[],
    options: PutOptions,
  ): Promise<{ etag: string }> {
    checkUpload(upload);
    const ids = parts.map((part) => blocksOfPart(upload.id, part) ?? missing(upload.key, part));
    const blob = await this.#blob(upload.key);
    return await this.#requests.run(`completion of "${upload.key}"`, options.signal, async ({ signal }) => {
      const answer = await blob.commitBlockList(ids.flat(), { abortSignal: signal, ...writing(options) });
      return { etag: quoted(answer.etag ?? '') };
    });
  }

  async abort(): Promise<void> {}

  async delete(key: string, options: { ifMatch?: string; signal?: AbortSignal } = {}): Promise<void> {
    if (isUnspeakable(key)) return;
    const blob = await this.#blob(key);
    await this.#requests.run(`delete of "${key}"`, options.signal, async ({ signal }) => {
      const conditions = options.ifMatch === undefined ? {} : { conditions: { ifMatch: options.ifMatch } };
      await orAbsent(blob.delete({ abortSignal: signal, deleteSnapshots: 'include', ...conditions }));
    });
  }

  /**
   * By the service where that is one atomic request: up to 256 MiB, with the source's headers, and where the source's
   * URL carries its own right (SAS). Else the caller reads and writes.
   */
  async copy(
    from: { key: string; etag: string },
    to: string,
    options: PutOptions,
  ): Promise<{ etag: string } | undefined> {
    checkKey(to);
    const source = await this.head(from.key, options);
    if (source === undefined || source.etag !== from.etag) throw gone(from.key, from.etag);
    const metadata = carry(options, AZURE_CARRIER);
    const keepsAll = sameHeaders(source.headers, options.headers) && Object.keys(metadata).length > 0;
    if (source.sizeBytes > COPY_MAX_BYTES || !keepsAll) return undefined;
    const [fromBlob, toBlob] = [await this.#blob(from.key), await this.#blob(to)];
    if (!fromBlob.url.includes('sig=')) return undefined;
    return await this.#requests.run(`copy of "${from.key}"`, options.signal, async ({ signal }) => {
      const answer = await toBlob.syncCopyFromURL(fromBlob.url, {
        abortSignal: signal,
        metadata,
        sourceConditions: { ifMatch: from.etag },
        conditions: conditionsOf(options.condition),
      });
      return { etag: quoted(answer.etag ?? '') };
    });
  }

  async probe(options: { signal?: AbortSignal } = {}): Promise<void> {
    const container = await this.#open();
    await this.#requests.run('probe', options.signal, async ({ signal }) => {
      const pages = container.listBlobsFlat({ abortSignal: signal, prefix: this.#options.prefix });
      await pages.byPage({ maxPageSize: 1 }).next();
    });
  }

  async close(): Promise<void> {}

  /** Blocks first, then the list that makes them the blob: nothing is visible before. */
  async #putInBlocks(key: string, body: Body, options: PutOptions): Promise<{ etag: string }> {
    const upload = { key, id: await this.begin(key, options) };
    const parts: TakenPart[] = [];
    const size = Math.max(sendWholeMaxBytes, Math.ceil(body.lengthBytes / 10_000));
    const sizes = Array.from({ length: Math.ceil(body.lengthBytes / size) }, (_, i) =>
      Math.min(size, body.lengthBytes - i * size),
    );
    for await (const piece of cut(body, sizes)) parts.push(await this.part(upload, parts.length + 1, piece, options));
    return await this.finalise(upload, parts, options);
  }

  #open(): Promise<ContainerClient> {
    this.#container ??= openContainer(this.#options).catch((error: unknown) => {
      this.#container = undefined;
      throw this.#failure(error, `opening of ${this.url}`);
    });
    return this.#container;
  }

  async #blob(key: string): Promise<BlockBlobClient> {
    return (await this.#open()).getBlockBlobClient(this.#options.prefix + key);
  }

  #failure(error: unknown, what: string): Error {
    return error instanceof ForebayError ? error : originFailure(failureOf(error, what), this.#clock.wallMs());
  }
}

function failureOf(error: unknown, what: string): Failure {
  const { statusCode, code, message, response } = error as {
    statusCode?: number;
    code?: string;
    message?: string;
    response?: { headers: { get(name: string): string | undefined } };
  };
  const header = (name: string) => response?.headers.get(name);
  const firstLine = (message ?? String(error)).split('\n')[0] as string;
  return {
    what,
    status: statusCode,
    code: header('x-ms-error-code') ?? code,
    message: firstLine,
    retryAfter: header('retry-after'),
    location: header('location'),
    cause: error,
  };
}

/** A missing blob is a value; a missing container stays an error. */
async function orAbsent<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    const { status, code } = failureOf(error, '');
    if (status === 404 && code !== 'ContainerNotFound' && code !== 'ContainerBeingDeleted') return undefined;
    throw error;
  }
}

function isGone(error: unknown): boolean {
  if (!isForebayError(error, 'preconditionFailed', 'invalidRequest')) return false;
  const { status } = failureOf(error.cause, '');
  return status === 404 || status === 412 || status === 416;
}

function gone(key: string, etag: string, cause?: unknown): ForebayError {
  return new ForebayError('versionChanged', `"${key}" is no longer the version ${etag}`, { cause });
}

function missing(key: string, part: TakenPart): never {
  throw new ForebayError('invalidPart', `part ${part.number} of the upload of "${key}" has no such token`);
}

function isUnspeakable(key: string): boolean {
  return key.includes('\\') || key.split('/').some((segment) => segment === '.' || segment === '..');
}

function checkKey(key: string): void {
  if (key === '' || isUnspeakable(key))
    throw new ForebayError(
      'invalidArgument',
      `Azure cannot hold the key ${JSON.stringify(key)}: it is empty, or has a segment "." or ".." or a backslash`,
    );
}

function checkUpload(upload: { key: string; id: string }): void {
  checkKey(upload.key);
  if (!isUploadId(upload.id)) throw new ForebayError('noSuchUpload', `no upload ${upload.id} of "${upload.key}"`);
}

function requestBody(bytes: Uint8Array | Readable): Buffer | (() => Readable) {
  return bytes instanceof Uint8Array ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length) : () => bytes;
}

function conditionsOf(condition: Condition | undefined): { ifMatch?: string; ifNoneMatch?: string } {
  return { ...condition };
}

function writing(options: PutOptions) {
  return {
    conditions: conditionsOf(options.condition),
    blobHTTPHeaders: blobHeaders(options.headers),
    metadata: carry(options, AZURE_CARRIER),
  };
}

function blobHeaders(headers: ObjectHeaders): BlobHTTPHeaders {
  const pairs = {
    blobContentType: headers['content-type'],
    blobContentEncoding: headers['content-encoding'],
    blobContentLanguage: headers['content-language'],
    blobContentDisposition: headers['content-disposition'],
    blobCacheControl: headers['cache-control'],
  };
  return Object.fromEntries(Object.entries(pairs).filter(([, value]) => value !== undefined));
}

function headersOf(found: {
  contentType?: string;
  contentEncoding?: string;
  contentLanguage?: string;
  contentDisposition?: string;
  cacheControl?: string;
}): ObjectHeaders {
  const pairs = {
    'content-type': found.contentType,
    'content-encoding': found.contentEncoding,
    'content-language': found.contentLanguage,
    'content-disposition': found.contentDisposition,
    'cache-control': found.cacheControl,
  };
  return Object.fromEntries(Object.entries(pairs).filter(([, value]) => value !== undefined && value !== ''));
}

function sameHeaders(a: ObjectHeaders, b: ObjectHeaders): boolean {
  return OBJECT_HEADER_NAMES.every((name) => a[name] === b[name]);
}
