/**
 * The bench's own origin: a plain HTTP file server that speaks as much S3 as Forebay's s3 origin needs to read (HEAD,
 * GET with Range and If-Match, ListObjectsV2) and, where it is told to take writes, to write; anonymous or with any
 * signature (none is checked). It counts every request and the bytes it sent and got, may be throttled to a bandwidth shared
 * by all of its connections, and can be told to misbehave. An emulator would cap the baseline; this one moves more than
 * a gigabyte per second per core.
 *
 * Objects are generated (any size, no disk), the files below a directory, or what was written (in memory). Keys never leave
 * that directory.
 */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { FaultPlan, type OriginFault } from './origin-fault.ts';
import { type ListedKey, listingXml } from './origin-listing.ts';
import type { OriginRequest } from './origin-log.ts';
import { WrittenObjects, writtenBytes } from './origin-uploads.ts';
import { firstWrong, PATTERN_SLICE_MAX_BYTES, patternSlice } from './pattern.ts';

export interface GeneratedObject {
  readonly key: string;
  readonly sizeBytes: number;
  /** Names the bytes (`pattern.ts`) and, with the size, the version. */
  readonly seed: number;
}

export interface OriginOptions {
  readonly bucket: string;
  readonly generated?: readonly GeneratedObject[];
  /** Files to serve: key → absolute path. */
  readonly files?: Readonly<Record<string, string>>;
  /** Bytes per second of all connections together. */
  readonly bytesPerS?: number;
  /** Takes PUT, DELETE and multipart uploads; absent: they are refused. */
  readonly writable?: boolean;
}

interface Served {
  readonly key: string;
  readonly sizeBytes: number;
  readonly etag: string;
  readonly modifiedMs: number;
  readonly headers?: Readonly<Record<string, string>>;
  bytes(start: number, end: number): AsyncIterable<Uint8Array> | Iterable<Uint8Array>;
}

const MODIFIED_MS = Date.UTC(2026, 0, 1);
const SLICE_BYTES = 256 * 1024;

function* generatedBytes(seed: number, start: number, end: number, sliceBytes: number): Generator<Uint8Array> {
  for (let at = start; at < end; at += sliceBytes) yield patternSlice(seed, at, Math.min(sliceBytes, end - at));
}

export class OriginServer {
  readonly bucket: string;
  readonly requests: OriginRequest[] = [];
  readonly #server: Server;
  readonly #generated = new Map<string, GeneratedObject>();
  readonly #files: Map<string, string>;
  readonly #faults = new FaultPlan();
  readonly #bytesPerS: number | undefined;
  readonly #written: WrittenObjects | undefined;
  #freeAtMs = 0;

  constructor(options: OriginOptions) {
    this.bucket = options.bucket;
    this.#bytesPerS = options.bytesPerS;
    if (options.writable === true) this.#written = new WrittenObjects(async (key) => (await this.#find(key))?.etag);
    this.#files = new Map(Object.entries(options.files ?? {}));
    for (const object of options.generated ?? []) this.#generated.set(object.key, object);
    this.#server = createServer({ keepAliveTimeout: 60_000 }, (request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
  }

  /** Begins to serve on a free port of loopback (or the given one, to come back after `close`; or another address); returns the endpoint's URL. */
  async listen(port = 0, address = '127.0.0.1'): Promise<string> {
    await new Promise<void>((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(port, address, resolve);
    });
    return `http://${address}:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Adds an object, or replaces it by another version. */
  put(object: GeneratedObject): void {
    this.#generated.set(object.key, object);
  }

  remove(key: string): void {
    this.#generated.delete(key);
    this.#files.delete(key);
    this.#written?.remove(key);
  }

  /** Whether what was written under a key is the object of this seed and size, whole. */
  holds({ key, sizeBytes, seed }: GeneratedObject): boolean {
    const object = this.#written?.find(key);
    if (object?.sizeBytes !== sizeBytes) return false;
    let at = 0;
    for (const piece of object.pieces) {
      if (firstWrong(seed, at, piece) !== undefined) return false;
      at += piece.length;
    }
    return true;
  }

  /** Misbehaves as told, on top of earlier faults that are not used up. */
  fail(fault: OriginFault): void {
    this.#faults.add(fault);
  }

  /** Behaves again, and forgets the requests so far. */
  reset(): void {
    this.#faults.clear();
    this.requests.length = 0;
  }

  async close(): Promise<void> {
    this.#faults.clear();
    this.#server.closeAllConnections();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
  }

  async #find(key: string): Promise<Served | undefined> {
    const object = this.#generated.get(key);
    if (object) {
      const { sizeBytes, seed } = object;
      const sliceBytes = this.#bytesPerS === undefined ? PATTERN_SLICE_MAX_BYTES : SLICE_BYTES;
      return {
        key,
        sizeBytes,
        etag: `"${seed.toString(16).padStart(8, '0')}${sizeBytes.toString(16)}-1"`,
        modifiedMs: MODIFIED_MS,
        bytes: (start, end) => generatedBytes(seed, start, end, sliceBytes),
      };
    }
    const written = this.#written?.find(key);
    if (written) {
      const { sizeBytes, etag, modifiedMs, headers } = written;
      return { key, sizeBytes, etag, modifiedMs, headers, bytes: (start, end) => writtenBytes(written, start, end) };
    }
    const path = this.#files.get(key);
    if (path === undefined) return undefined;
    const found = await stat(path);
    return {
      key,
      sizeBytes: found.size,
      etag: `"${found.ino.toString(16)}${Math.floor(found.mtimeMs).toString(16)}-1"`,
      modifiedMs: found.mtimeMs,
      bytes: (start, end) =>
        start === end ? [] : createReadStream(path, { start, end: end - 1, highWaterMark: SLICE_BYTES }),
    };
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://origin');
    const [, bucket, ...rest] = url.pathname.split('/');
    const key = decodeURIComponent(rest.join('/'));
    const isList = request.method === 'GET' && key === '';
    const method = isList ? 'LIST' : (request.method ?? 'GET');
    const fault = this.#faults.take(method, key);
    if (fault?.kind === 'hang') return; // the client or close() ends it
    if (fault?.kind === 'status') return this.#refuse(response, { method, key, ...fault });
    if (bucket !== this.bucket) return this.#refuse(response, { method, key, status: 404, code: 'NoSuchBucket' });
    if (key !== '' && this.#written?.isWrite(method, url.searchParams))
      return this.#write(request, response, { url, fault });
    if (isList) return this.#list(url.searchParams, response);
    if (key === '' && method === 'HEAD') return this.#refuse(response, { method, key, status: 200, code: '' });
    if (method !== 'GET' && method !== 'HEAD')
      return this.#refuse(response, { method, key, status: 405, code: 'MethodNotAllowed' });
    const object = await this.#find(key);
    if (object === undefined) return this.#refuse(response, { method, key, status: 404, code: 'NoSuchKey' });
    const ifMatch = request.headers['if-match'];
    if (ifMatch !== undefined && ifMatch !== object.etag)
      return this.#refuse(response, { method, key, status: 412, code: 'PreconditionFailed' });
    await this.#serve(method, object, request.headers.range, response, fault);
  }

  async #write(
    request: IncomingMessage,
    response: ServerResponse,
    { url, fault }: { url: URL; fault: OriginFault | undefined },
  ): Promise<void> {
    const key = decodeURIComponent(url.pathname.split('/').slice(2).join('/'));
    const answer = await (this.#written as WrittenObjects).answer(request, key, url.searchParams);
    const { method, status, code, headers, receivedBytes } = answer;
    const atMs = Number(process.hrtime.bigint()) / 1e6;
    this.requests.push({ method, key, status, start: 0, end: 0, sentBytes: 0, receivedBytes, atMs });
    const befallen = fault ?? (method === request.method ? undefined : this.#faults.take(method, key));
    if (befallen?.kind === 'unanswered') return void response.destroy();
    const body = answer.body ?? (code === undefined ? '' : errorXml(code));
    const length = status === 204 ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    response.writeHead(status, { 'content-type': 'application/xml', ...length, ...headers });
    response.end(body);
  }

  async #serve(
    method: string,
    object: Served,
    rangeHeader: string | undefined,
    response: ServerResponse,
    fault: OriginFault | undefined,
  ): Promise<void> {
    const { key, sizeBytes } = object;
    const asked = /^bytes=(\d+)-(\d*)$/.exec(rangeHeader ?? '');
    const start = asked ? Number(asked[1]) : 0;
    let end = asked?.[2] ? Math.min(Number(asked[2]) + 1, sizeBytes) : sizeBytes;
    if (asked && start >= sizeBytes) return this.#refuse(response, { method, key, status: 416, code: 'InvalidRange' });
    if (fault?.kind === 'shorter') end = start + Math.ceil((end - start) / 2);
    const headers: Record<string, string> = {
      etag: object.etag,
      'accept-ranges': 'bytes',
      'content-length': String(end - start),
      'content-type': 'application/octet-stream',
      'last-modified': new Date(object.modifiedMs).toUTCString(),
      ...object.headers,
    };
    if (asked) headers['content-range'] = `bytes ${start}-${end - 1}/${sizeBytes}`;
    const status = asked ? 206 : 200;
    response.writeHead(status, headers);
    if (method === 'HEAD') {
      response.end();
      this.requests.push({ method, key, status, start: 0, end: 0, sentBytes: 0 });
      return;
    }
    const cutAt = fault?.kind === 'cut' ? start + Math.floor((end - start) * fault.fraction) : undefined;
    const sentBytes = await this.#send(object.bytes(start, cutAt ?? end), response);
    this.requests.push({ method, key, status, start, end, sentBytes });
    if (cutAt !== undefined) response.destroy();
    else response.end();
  }

  /** Writes until the end or until the client is gone; returns the bytes handed over. */
  async #send(bytes: AsyncIterable<Uint8Array> | Iterable<Uint8Array>, response: ServerResponse): Promise<number> {
    let sent = 0;
    for await (const slice of bytes) {
      await this.#waitForBandwidth(slice.length);
      if (response.destroyed) break;
      sent += slice.length;
      if (!response.write(slice)) {
        await new Promise<void>((resolve) => {
          const done = () => {
            response.off('drain', done).off('close', done);
            resolve();
          };
          response.on('drain', done).on('close', done);
        });
      }
    }
    return sent;
  }

  async #waitForBandwidth(bytes: number): Promise<void> {
    if (this.#bytesPerS === undefined) return;
    const now = performance.now();
    const from = Math.max(now, this.#freeAtMs);
    this.#freeAtMs = from + (bytes / this.#bytesPerS) * 1000;
    if (this.#freeAtMs - now > 1) await sleep(this.#freeAtMs - now);
  }

  async #list(query: URLSearchParams, response: ServerResponse): Promise<void> {
    const found = await Promise.all(
      [...this.#generated.keys(), ...this.#files.keys(), ...(this.#written?.keys() ?? [])].map((key) =>
        this.#find(key),
      ),
    );
    const keys: ListedKey[] = found.filter((object) => object !== undefined);
    const body = listingXml(this.bucket, keys, query);
    response.writeHead(200, { 'content-type': 'application/xml', 'content-length': String(Buffer.byteLength(body)) });
    response.end(body);
    this.requests.push({ method: 'LIST', key: query.get('prefix') ?? '', status: 200, start: 0, end: 0, sentBytes: 0 });
  }

  #refuse(
    response: ServerResponse,
    refusal: { method: string; key: string; status: number; code?: string; retryAfterS?: number },
  ): void {
    const { method, key, status, code = 'InternalError', retryAfterS } = refusal;
    this.requests.push({ method, key, status, start: 0, end: 0, sentBytes: 0 });
    const body = status === 200 || method === 'HEAD' ? '' : errorXml(code);
    response.writeHead(status, {
      'content-type': 'application/xml',
      ...(method === 'HEAD' ? {} : { 'content-length': String(body.length) }),
      ...(retryAfterS === undefined ? {} : { 'retry-after': String(retryAfterS) }),
    });
    response.end(body);
  }
}

const errorXml = (code: string) => `<Error><Code>${code}</Code><Message>${code}</Message></Error>`;
