/**
 * How good tools bring files to an object store: large ones in parts, `UPLOADS` requests at once whatever files they belong
 * to, over connections that are kept. The baseline of fan-out writes must be no straw man.
 */
import { once } from 'node:events';
import { Agent, type IncomingMessage, request } from 'node:http';
import { text } from 'node:stream/consumers';
import { Places } from '../../src/core/places.ts';
import { UPLOADS } from './job-command.ts';

/** What azcopy and boto3 cut files into. */
const PART_BYTES = 8 * 2 ** 20;

export interface UploadSource {
  readonly sizeBytes: number;
  read(at: number, length: number): Promise<Buffer>;
}

export interface Answer {
  readonly etag: string;
  readonly body: string;
}

/** One request with a body that is given piece by piece. Rejects on any answer but 2xx. */
export async function send(
  agent: Agent,
  what: { method: string; host: string; path: string; headers?: Readonly<Record<string, string | number>> },
  body: Iterable<Buffer> = [],
): Promise<Answer> {
  const { method, host, path, headers = {} } = what;
  const sent = request(`http://${host}${path}`, { method, agent, headers });
  const answered = once(sent, 'response') as Promise<[IncomingMessage]>;
  // awaited below; a server that refuses early must not end the process meanwhile
  answered.catch(() => undefined);
  for (const piece of body) if (!sent.write(piece)) await Promise.race([once(sent, 'drain'), answered]);
  sent.end();
  const [response] = await answered;
  const said = await text(response);
  if (response.statusCode === undefined || response.statusCode >= 300)
    throw new Error(`${method} ${path}: ${response.statusCode}: ${said}`);
  return { etag: response.headers.etag ?? '', body: said };
}

export class Uploader {
  readonly #agent = new Agent({ keepAlive: true, maxSockets: UPLOADS });
  readonly #places = new Places(UPLOADS);

  /** Resolves when the origin has the whole object. */
  async upload(target: { host: string; path: string }, source: UploadSource): Promise<void> {
    if (source.sizeBytes <= PART_BYTES) {
      await this.#send({ method: 'PUT', ...target }, source, 0);
      return;
    }
    const begun = await send(this.#agent, { method: 'POST', ...target, path: `${target.path}?uploads` });
    const id = /<UploadId>(.*?)<\/UploadId>/.exec(begun.body)?.[1] ?? '';
    const numbers = Array.from({ length: Math.ceil(source.sizeBytes / PART_BYTES) }, (_, i) => i + 1);
    const parts = await Promise.all(
      numbers.map(async (number) => {
        const path = `${target.path}?partNumber=${number}&uploadId=${id}`;
        const { etag } = await this.#send({ method: 'PUT', ...target, path }, source, (number - 1) * PART_BYTES);
        return `<Part><PartNumber>${number}</PartNumber><ETag>${etag}</ETag></Part>`;
      }),
    );
    const body = Buffer.from(`<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`);
    const path = `${target.path}?uploadId=${id}`;
    await send(this.#agent, { method: 'POST', ...target, path, headers: { 'content-length': body.length } }, [body]);
  }

  async #send(
    target: { method: string; host: string; path: string },
    source: UploadSource,
    at: number,
  ): Promise<Answer> {
    await this.#places.take();
    try {
      const bytes = await source.read(at, Math.min(PART_BYTES, source.sizeBytes - at));
      return await send(this.#agent, { ...target, headers: { 'content-length': bytes.length } }, [bytes]);
    } finally {
      this.#places.release();
    }
  }
}
