/**
 * The `s3:` origin: S3 and what speaks its protocol, by the official SDK, without the SDK's retries and redirects.
 *
 * Conditions are the store's own; some compatible stores ignore them silently, which only a probe can tell. A failure inside a body shows as
 * originTruncated; what the answer says of itself (ETag, Content-Range) is checked before its first byte is passed on.
 */
import type { Readable } from 'node:stream';
import type { GetObjectCommandOutput, HeadObjectCommandOutput } from '@aws-sdk/client-s3';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { compareKeys } from '../core/key-order.ts';
import type { ObjectHeaders, ObjectVersion } from '../core/object.ts';
import { type Range, rangeLength } from '../core/range.ts';
import { carry, S3_CARRIER, uncarry } from './carried-metadata.ts';
import { type Failure, originFailure } from './failure.ts';
import { abandonable, checkAnswer, dateMs, nothing, quoted, Requests, type StoreIo } from './http-store.ts';
import { isAfter } from './listing.ts';
import type { Body, Condition, ListEntry, ListOptions, ListPage, Origin, PutOptions, TakenPart } from './origin.ts';
import { receive } from './receive.ts';
import { type OpenS3, openS3, type S3Access } from './s3-client.ts';

export interface S3Options extends StoreIo, S3Access {
  readonly url: string;
  /** What every key begins with at the store; empty, or ending in `/`. */
  readonly prefix: string;
}

export function createS3Origin(options: S3Options): Origin {
  return new S3Origin(options);
}

/** Comes after every name that begins with what stands before it, but those that go on with U+10FFFF themselves. */
const LAST_CHARACTER = '\u{10ffff}';

class S3Origin implements Origin {
  readonly kind = 's3';
  readonly url: string;
  readonly #options: S3Options;
  readonly #requests: Requests;
  #s3: Promise<OpenS3> | undefined;

  constructor(options: S3Options) {
    this.url = options.url;
    this.#options = options;
    this.#requests = new Requests(options, options.url, (error, what) => this.#failure(error, what));
  }

  async head(key: string, options: { signal?: AbortSignal } = {}): Promise<ObjectVersion | undefined> {
    const { sdk, client } = await this.#open();
    const command = new sdk.HeadObjectCommand(this.#name(key));
    return await this.#requests.run(`head of "${key}"`, options.signal, async ({ signal }) => {
      const found = await orAbsent(client.send(command, { abortSignal: signal }));
      return found === undefined ? undefined : versionOf(key, found);
    });
  }

  async get(
    key: string,
    options: { etag: string; range: Range; signal?: AbortSignal },
  ): Promise<AsyncIterable<Uint8Array>> {
    const { etag, range, signal } = options;
    const lengthBytes = rangeLength(range);
    if (lengthBytes === 0) return nothing();
    const { sdk, client } = await this.#open();
    const Range = `bytes=${range.start}-${range.end - 1}`;
    const command = new sdk.GetObjectCommand({ ...this.#name(key), Range, IfMatch: etag });
    const what = `get of "${key}"`;
    try {
      return await this.#requests.open(what, signal, async (watch) => {
        const answer = await client.send(command, { abortSignal: watch.signal });
        const { ETag, ContentLength, ContentRange } = answer;
        const source = abandonable(answer.Body as Readable);
        checkAnswer({ etag: ETag, contentLength: ContentLength, contentRange: ContentRange }, { what, etag, range });
        return receive({ source, lengthBytes, watch, what: `${what} at ${this.url}` });
      });
    } catch (error) {
      throw isGone(error) ? gone(key, etag, error) : error;
    }
  }

  async list(options: ListOptions): Promise<ListPage> {
    const { sdk, client } = await this.#open();
    const { bucket, prefix } = this.#options;
    const startAfter = startingPoint(options);
    const what = `listing of "${options.prefix}"`;
    const found: (ListEntry | string)[] = [];
    let token: string | undefined;
    do {
      const command = new sdk.ListObjectsV2Command({
        Bucket: bucket,
        Prefix: prefix + options.prefix,
        MaxKeys: options.limit - found.length,
        EncodingType: 'url',
        ...(options.delimiter === undefined || options.delimiter === '' ? {} : { Delimiter: options.delimiter }),
        ...(startAfter === undefined ? {} : { StartAfter: prefix + startAfter }),
        ...(token === undefined ? {} : { ContinuationToken: token }),
      });
      const page = await this.#requests.run(what, options.signal, ({ signal }) =>
        client.send(command, { abortSignal: signal }),
      );
      const cutOff = (name: string | undefined) => decodeListed(name ?? '', page.EncodingType).slice(prefix.length);
      for (const { Key, Size, ETag, LastModified } of page.Contents ?? [])
        found.push({
          key: cutOff(Key),
          sizeBytes: Size ?? 0,
          etag: quoted(ETag ?? ''),
          modifiedMs: dateMs(LastModified),
        });
      for (const { Prefix } of page.CommonPrefixes ?? []) found.push(cutOff(Prefix));
      dropUpTo(found, options.after);
      token = page.IsTruncated ? page.NextContinuationToken : undefined;
    } while (token !== undefined && found.length < options.limit);
    return pageOf(found, token !== undefined);
  }

  async put(key: string, body: Body, options: PutOptions): Promise<{ etag: string }> {
    const { sdk, client } = await this.#open();
    return await this.#requests.send(`put of "${key}"`, body, options.signal, async (bytes, watch) => {
      const command = new sdk.PutObjectCommand({
        ...this.#name(key),
        ...attributesOf(options),
        ...conditionOf(options.condition),
        Body: bytes,
        ContentLength: body.lengthBytes,
      });
      const answer = await underCondition(options, client.send(command, { abortSignal: watch.signal }));
      return { etag: quoted(answer.ETag ?? '') };
    });
  }

  async begin(key: string, options: PutOptions): Promise<string> {
    const { sdk, client } = await this.#open();
    const command = new sdk.CreateMultipartUploadCommand({ ...this.#name(key), ...attributesOf(options) });
    const what = `begin of an upload of "${key}"`;
    return await this.#requests.run(what, options.signal, async ({ signal }) => {
      const { UploadId } = await client.send(command, { abortSignal: signal });
      if (UploadId === undefined) throw new ForebayError('originUnavailable', `${what}: the origin gave no upload id`);
      return UploadId;
    });
  }

  async part(
    upload: { key: string; id: string },
    number: number,
    body: Body,
    options: { signal?: AbortSignal } = {},
  ): Promise<TakenPart> {
    const { sdk, client } = await this.#open();
    const what = `part ${number} of "${upload.key}"`;
    return await this.#requests.send(what, body, options.signal, async (bytes, watch) => {
      const command = new sdk.UploadPartCommand({
        ...this.#uploadName(upload),
        PartNumber: number,
        Body: bytes,
        ContentLength: body.lengthBytes,
      });
      const answer = await client.send(command, { abortSignal: watch.signal });
      return { number, token: quoted(answer.ETag ?? ''), sizeBytes: body.lengthBytes };
    });
  }

  async parts(upload: { key: string; id: string }): Promise<readonly TakenPart[]> {
    const { sdk, client } = await this.#open();
    const parts: TakenPart[] = [];
    let marker: string | undefined;
    do {
      const from = marker === undefined ? {} : { PartNumberMarker: marker };
      const command = new sdk.ListPartsCommand({ ...this.#uploadName(upload), ...from });
      const page = await this.#requests.run(`parts of "${upload.key}"`, undefined, ({ signal }) =>
        client.send(command, { abortSignal: signal }),
      );
      for (const { PartNumber = 0, ETag = '', Size = 0 } of page.Parts ?? [])
        parts.push({ number: PartNumber, token: quoted(ETag), sizeBytes: Size });
      marker = page.IsTruncated ? page.NextPartNumberMarker : undefined;
    } while (marker !== undefined);
    return parts.sort((a, b) => a.number - b.number);
  }

  async finalise(
    upload: { key: string; id: string },
    parts: readonly TakenPart[],
    options: PutOptions,
  ): Promise<{ etag: string }> {
    const { sdk, client } = await this.#open();
    const command = new sdk.CompleteMultipartUploadCommand({
      ...this.#uploadName(upload),
      ...conditionOf(options.condition),
      MultipartUpload: { Parts: parts.map(({ number, token }) => ({ PartNumber: number, ETag: token })) },
    });
    return await this.#requests.run(`completion of "${upload.key}"`, options.signal, async ({ signal }) => {
      const answer = await underCondition(options, client.send(command, { abortSignal: signal }));
      return { etag: quoted(answer.ETag ?? '') };
    });
  }

  async abort(upload: { key: string; id: string }): Promise<void> {
    const { sdk, client } = await this.#open();
    const command = new sdk.AbortMultipartUploadCommand(this.#uploadName(upload));
    await this.#requests.run(`abort of "${upload.key}"`, undefined, async ({ signal }) => {
      await orAbsent(client.send(command, { abortSignal: signal }), 'NoSuchUpload');
    });
  }

  async delete(key: string, options: { ifMatch?: string; signal?: AbortSignal } = {}): Promise<void> {
    const { sdk, client } = await this.#open();
    const condition = options.ifMatch === undefined ? {} : { IfMatch: options.ifMatch };
    const command = new sdk.DeleteObjectCommand({ ...this.#name(key), ...condition });
    await this.#requests.run(`delete of "${key}"`, options.signal, async ({ signal }) => {
      await orAbsent(client.send(command, { abortSignal: signal }));
    });
  }

  async copy(
    from: { key: string; etag: string },
    to: string,
    options: PutOptions,
  ): Promise<{ etag: string } | undefined> {
    const { sdk, client } = await this.#open();
    const { bucket, prefix, endpoint } = this.#options;
    // other makers' stores may ignore the condition on the source
    if (endpoint !== undefined && (await this.head(from.key, options))?.etag !== from.etag)
      throw gone(from.key, from.etag);
    const command = new sdk.CopyObjectCommand({
      ...this.#name(to),
      ...attributesOf(options),
      ...conditionOf(options.condition),
      CopySource: `${bucket}/${(prefix + from.key).split('/').map(encodeURIComponent).join('/')}`,
      CopySourceIfMatch: from.etag,
      MetadataDirective: 'REPLACE',
    });
    try {
      return await this.#requests.run(`copy of "${from.key}"`, options.signal, async ({ signal }) => {
        const answer = await client.send(command, { abortSignal: signal });
        return { etag: quoted(answer.CopyObjectResult?.ETag ?? '') };
      });
    } catch (error) {
      const { status, code } = isForebayError(error)
        ? failureOf(error.cause, '')
        : { status: undefined, code: undefined };
      // larger than a copy may be, or a store without copies
      if (status === 501 || (status === 400 && code === 'InvalidRequest')) return undefined;
      if (status === 404 || (status === 412 && options.condition === undefined)) throw gone(from.key, from.etag, error);
      throw error;
    }
  }

  async probe(options: { signal?: AbortSignal } = {}): Promise<void> {
    const { sdk, client } = await this.#open();
    const command = new sdk.ListObjectsV2Command({
      Bucket: this.#options.bucket,
      Prefix: this.#options.prefix,
      MaxKeys: 1,
    });
    await this.#requests.run('probe', options.signal, ({ signal }) => client.send(command, { abortSignal: signal }));
  }

  async close(): Promise<void> {
    const s3 = await this.#s3?.catch(() => undefined);
    s3?.client.destroy();
  }

  #open(): Promise<OpenS3> {
    this.#s3 ??= openS3(this.#options);
    return this.#s3;
  }

  #name(key: string): { Bucket: string; Key: string } {
    return { Bucket: this.#options.bucket, Key: this.#options.prefix + key };
  }

  #uploadName(upload: { key: string; id: string }): { Bucket: string; Key: string; UploadId: string } {
    return { ...this.#name(upload.key), UploadId: upload.id };
  }

  #failure(error: unknown, what: string): Error {
    return error instanceof ForebayError ? error : originFailure(failureOf(error, what), this.#options.clock.wallMs());
  }
}

function failureOf(error: unknown, what: string): Failure {
  const { name, code, message, $metadata, $response } = error as {
    name?: string;
    code?: string;
    message?: string;
    $metadata?: { httpStatusCode?: number };
    $response?: { statusCode?: number; headers?: Record<string, string> };
  };
  const status = $metadata?.httpStatusCode ?? $response?.statusCode;
  const headers = $response?.headers ?? {};
  return {
    what,
    status,
    code: status === undefined ? code : name,
    message: message || 'no message',
    retryAfter: headers['retry-after'],
    location: headers['location'],
    cause: error,
  };
}

/** A missing object is a value; a missing bucket stays an error. */
async function orAbsent<T>(answer: Promise<T>, ...absences: readonly string[]): Promise<T | undefined> {
  try {
    return await answer;
  } catch (error) {
    const { status, code } = failureOf(error, '');
    if (status === 404 && (absences.includes(code ?? '') || (code !== 'NoSuchBucket' && code !== 'NoSuchUpload')))
      return undefined;
    throw error;
  }
}

/** S3 says of `If-Match` on a missing object that the key is not there: the condition does not hold. */
async function underCondition<T>(options: PutOptions, answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    const { status, code } = failureOf(error, '');
    if (options.condition?.ifMatch === undefined || status !== 404 || code !== 'NoSuchKey') throw error;
    throw new ForebayError('preconditionFailed', 'the object is not there', { cause: error });
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

function versionOf(key: string, found: HeadObjectCommandOutput | GetObjectCommandOutput): ObjectVersion {
  const { metadata, headers } = uncarry(found.Metadata);
  const pairs = {
    'content-type': found.ContentType,
    'content-encoding': found.ContentEncoding,
    'content-language': found.ContentLanguage,
    'content-disposition': found.ContentDisposition,
    'cache-control': found.CacheControl,
    expires: found.ExpiresString,
    ...headers,
  };
  return {
    key,
    sizeBytes: found.ContentLength ?? 0,
    etag: quoted(found.ETag ?? ''),
    modifiedMs: dateMs(found.LastModified),
    headers: Object.fromEntries(Object.entries(pairs).filter(([, value]) => value !== undefined && value !== '')),
    metadata,
  };
}

function attributesOf(options: { headers: ObjectHeaders; metadata: Readonly<Record<string, string>> }) {
  const { headers } = options;
  const expires = headers.expires === undefined ? undefined : new Date(headers.expires);
  const isDate = expires !== undefined && !Number.isNaN(expires.getTime());
  const carrier = { ...S3_CARRIER, expires: isDate };
  const pairs = {
    ContentType: headers['content-type'],
    ContentEncoding: headers['content-encoding'],
    ContentLanguage: headers['content-language'],
    ContentDisposition: headers['content-disposition'],
    CacheControl: headers['cache-control'],
    Expires: isDate ? expires : undefined,
  };
  const set = Object.fromEntries(Object.entries(pairs).filter(([, value]) => value !== undefined));
  return { ...set, Metadata: carry(options, carrier) };
}

function conditionOf(condition: Condition | undefined): { IfMatch?: string; IfNoneMatch?: string } {
  return {
    ...(condition?.ifMatch === undefined ? {} : { IfMatch: condition.ifMatch }),
    ...(condition?.ifNoneMatch === undefined ? {} : { IfNoneMatch: condition.ifNoneMatch }),
  };
}

/** Where the store begins: past every key that rolls up to a common prefix that `after` is, or lies in. */
function startingPoint({ prefix, delimiter, after }: ListOptions): string | undefined {
  if (after === undefined || delimiter === undefined || delimiter === '' || !after.startsWith(prefix)) return after;
  const at = after.indexOf(delimiter, prefix.length);
  return at < 0 ? after : after.slice(0, at + delimiter.length) + LAST_CHARACTER;
}

function decodeListed(name: string, encoding: string | undefined): string {
  return encoding === 'url' ? decodeURIComponent(name.replaceAll('+', ' ')) : name;
}

function nameOf(found: ListEntry | string): string {
  return typeof found === 'string' ? found : found.key;
}

function dropUpTo(found: (ListEntry | string)[], after: string | undefined): void {
  const kept = found.filter((one) => isAfter(nameOf(one), after));
  found.splice(0, found.length, ...kept);
}

function pageOf(found: readonly (ListEntry | string)[], isTruncated: boolean): ListPage {
  const sorted = found.toSorted((a, b) => compareKeys(nameOf(a), nameOf(b)));
  const objects = sorted.filter((one) => typeof one !== 'string');
  const prefixes = sorted.filter((one) => typeof one === 'string');
  const last = sorted.at(-1);
  return { objects, prefixes, ...(isTruncated && last !== undefined ? { next: nameOf(last) } : {}) };
}
