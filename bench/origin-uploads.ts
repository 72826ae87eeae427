/**
 * What the bench's origin takes: PUT, DELETE and multipart uploads as S3 has them, with conditions on what they replace.
 * Bodies stay in memory as they came, so that no disk of this machine bounds what an origin could take.
 */
import type { IncomingMessage } from 'node:http';
import { text } from 'node:stream/consumers';

export interface WrittenObject {
  readonly pieces: readonly Buffer[];
  readonly sizeBytes: number;
  readonly etag: string;
  readonly modifiedMs: number;
  /** Content headers and `x-amz-meta-…`, as they came. */
  readonly headers: Readonly<Record<string, string>>;
}

interface Part {
  readonly bytes: Buffer;
  readonly etag: string;
}

interface Upload {
  readonly key: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly parts: Map<number, Part>;
}

/** How a request that changes something is answered. */
export interface WriteAnswer {
  /** As it stands in the log: `PUT`, `BEGIN`, `PART`, `COMPLETE`, `ABORT`, `PARTS`, `DELETE`. */
  readonly method: string;
  readonly status: number;
  readonly code?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  readonly receivedBytes: number;
}

const KEPT_HEADER = /^(x-amz-meta-.*|content-(type|encoding|language|disposition)|cache-control|expires)$/;
const XML = '<?xml version="1.0" encoding="UTF-8"?>';

/** A body of declared length, in one buffer. Rejects when the client breaks off. */
async function bodyOf(request: IncomingMessage): Promise<Buffer> {
  const bytes = Buffer.allocUnsafeSlow(Number(request.headers['content-length'] ?? 0));
  let at = 0;
  for await (const piece of request) {
    (piece as Buffer).copy(bytes, at);
    at += (piece as Buffer).length;
  }
  if (at !== bytes.length) throw new Error('the body is cut');
  return bytes;
}

function keptHeaders(request: IncomingMessage): Record<string, string> {
  const kept = Object.entries(request.headers).filter(([name]) => KEPT_HEADER.test(name));
  return Object.fromEntries(kept.map(([name, value]) => [name, String(value)]));
}

export class WrittenObjects {
  readonly #objects = new Map<string, WrittenObject>();
  readonly #uploads = new Map<string, Upload>();
  /** What is there besides, so that conditions on it hold. */
  readonly #etagElsewhere: (key: string) => Promise<string | undefined>;
  #nextId = 1;

  constructor(etagElsewhere: (key: string) => Promise<string | undefined>) {
    this.#etagElsewhere = etagElsewhere;
  }

  find(key: string): WrittenObject | undefined {
    return this.#objects.get(key);
  }

  keys(): readonly string[] {
    return Array.from(this.#objects.keys());
  }

  remove(key: string): boolean {
    return this.#objects.delete(key);
  }

  /** Whether the request is one of these. */
  isWrite(method: string, query: URLSearchParams): boolean {
    return method === 'PUT' || method === 'POST' || method === 'DELETE' || query.has('uploadId');
  }

  async answer(request: IncomingMessage, key: string, query: URLSearchParams): Promise<WriteAnswer> {
    const method = request.method ?? '';
    const uploadId = query.get('uploadId');
    if (request.headers['content-encoding']?.includes('aws-chunked') || request.headers['x-amz-copy-source'])
      return { method, status: 501, code: 'NotImplemented', receivedBytes: 0 };
    if (uploadId !== null) return this.#ofUpload(request, { method, uploadId, query });
    if (method === 'PUT') return this.#put(request, key);
    if (method === 'DELETE') return this.#delete(request, key);
    if (method === 'POST' && query.has('uploads')) return this.#begin(request, key);
    return { method, status: 405, code: 'MethodNotAllowed', receivedBytes: 0 };
  }

  #etag(): string {
    return `"${(this.#nextId++).toString(16).padStart(32, '0')}-1"`;
  }

  /** Undefined when the request's conditions hold. */
  async #refusal(request: IncomingMessage, key: string): Promise<Pick<WriteAnswer, 'status' | 'code'> | undefined> {
    const { 'if-match': ifMatch, 'if-none-match': ifNoneMatch } = request.headers;
    if (ifMatch === undefined && ifNoneMatch === undefined) return undefined;
    const now = this.#objects.get(key)?.etag ?? (await this.#etagElsewhere(key));
    if (ifMatch !== undefined && now === undefined) return { status: 404, code: 'NoSuchKey' };
    const holds = (ifMatch === undefined || ifMatch === now) && (ifNoneMatch === undefined || now === undefined);
    return holds ? undefined : { status: 412, code: 'PreconditionFailed' };
  }

  async #put(request: IncomingMessage, key: string): Promise<WriteAnswer> {
    const bytes = await bodyOf(request);
    const answer = { method: 'PUT', receivedBytes: bytes.length };
    const refusal = await this.#refusal(request, key);
    if (refusal !== undefined) return { ...answer, ...refusal };
    const etag = this.#etag();
    this.#store(key, [bytes], { etag, headers: keptHeaders(request) });
    return { ...answer, status: 200, headers: { etag } };
  }

  async #delete(request: IncomingMessage, key: string): Promise<WriteAnswer> {
    const answer = { method: 'DELETE', receivedBytes: 0 };
    const refusal = await this.#refusal(request, key);
    if (refusal !== undefined) return { ...answer, ...refusal };
    this.#objects.delete(key);
    return { ...answer, status: 204 };
  }

  #begin(request: IncomingMessage, key: string): WriteAnswer {
    const id = `upload-${this.#nextId++}`;
    this.#uploads.set(id, { key, headers: keptHeaders(request), parts: new Map() });
    const body = `${XML}<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`;
    return { method: 'BEGIN', status: 200, body, receivedBytes: 0 };
  }

  async #ofUpload(
    request: IncomingMessage,
    asked: { method: string; uploadId: string; query: URLSearchParams },
  ): Promise<WriteAnswer> {
    const { method, uploadId, query } = asked;
    const upload = this.#uploads.get(uploadId);
    if (upload === undefined) return { method, status: 404, code: 'NoSuchUpload', receivedBytes: 0 };
    if (method === 'DELETE') {
      this.#uploads.delete(uploadId);
      return { method: 'ABORT', status: 204, receivedBytes: 0 };
    }
    if (method === 'GET') return { method: 'PARTS', status: 200, body: partsXml(upload), receivedBytes: 0 };
    if (method === 'POST') return this.#complete(request, uploadId, upload);
    const bytes = await bodyOf(request);
    const etag = this.#etag();
    upload.parts.set(Number(query.get('partNumber')), { bytes, etag });
    return { method: 'PART', status: 200, headers: { etag }, receivedBytes: bytes.length };
  }

  async #complete(request: IncomingMessage, id: string, upload: Upload): Promise<WriteAnswer> {
    const named = [...(await text(request)).matchAll(/<Part>.*?<\/Part>/gs)].map(([part]) => ({
      number: Number(/<PartNumber>(\d+)</.exec(part)?.[1]),
      etag: (/<ETag>(.*?)<\/ETag>/s.exec(part)?.[1] ?? '').replaceAll('&quot;', '"'),
    }));
    const answer = { method: 'COMPLETE', receivedBytes: 0 };
    const parts = named.map(({ number, etag }) => {
      const part = upload.parts.get(number);
      return part?.etag.replaceAll('"', '') === etag.replaceAll('"', '') ? part : undefined;
    });
    if (parts.length === 0 || parts.includes(undefined)) return { ...answer, status: 400, code: 'InvalidPart' };
    const refusal = await this.#refusal(request, upload.key);
    if (refusal !== undefined) return { ...answer, ...refusal };
    const etag = this.#etag();
    const pieces = parts.map((part) => (part as Part).bytes);
    this.#store(upload.key, pieces, { etag, headers: upload.headers });
    this.#uploads.delete(id);
    const body = `${XML}<CompleteMultipartUploadResult><ETag>${etag.replaceAll('"', '&quot;')}</ETag></CompleteMultipartUploadResult>`;
    return { ...answer, status: 200, body };
  }

  #store(
    key: string,
    pieces: readonly Buffer[],
    { etag, headers }: { etag: string; headers: Readonly<Record<string, string>> },
  ): void {
    const sizeBytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
    this.#objects.set(key, { pieces, sizeBytes, etag, headers, modifiedMs: Date.now() });
  }
}

function partsXml({ parts }: Upload): string {
  const listed = Array.from(parts)
    .sort(([a], [b]) => a - b)
    .map(
      ([number, { bytes, etag }]) =>
        `<Part><PartNumber>${number}</PartNumber><ETag>${etag.replaceAll('"', '&quot;')}</ETag><Size>${bytes.length}</Size></Part>`,
    );
  return `${XML}<ListPartsResult><IsTruncated>false</IsTruncated>${listed.join('')}</ListPartsResult>`;
}

/** Bytes `[start, end)` of an object, in the pieces that it came in. */
export function* writtenBytes({ pieces }: WrittenObject, start: number, end: number): Generator<Buffer> {
  let at = 0;
  for (const piece of pieces) {
    const from = Math.max(start - at, 0);
    const to = Math.min(end - at, piece.length);
    if (from < to) yield piece.subarray(from, to);
    at += piece.length;
  }
}
