/** Speaks to the admin door of a running node: JSON there and back, streams line by line. */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { type Address, formatAddress } from '../core/address.ts';
import { ERRORS, type ErrorCode } from '../core/errors.ts';
import type { AccessKey } from '../front/credentials.ts';
import { Failure } from './failure.ts';

export class AdminClient {
  readonly #address: Address;
  readonly #key: AccessKey | undefined;

  constructor(address: Address, key: AccessKey | undefined) {
    this.#address = address;
    this.#key = key;
  }

  async get<T>(path: string, query: Readonly<Record<string, string | undefined>> = {}): Promise<T> {
    const given = Object.entries(query).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const search = new URLSearchParams(given).toString();
    return (await readJson(await this.#ask('GET', search === '' ? path : `${path}?${search}`))) as T;
  }

  async post<T>(path: string, body: unknown): Promise<T> {
    return (await readJson(await this.#ask('POST', path, body))) as T;
  }

  /** Sends bytes of a known length. */
  async put<T>(
    path: string,
    query: Readonly<Record<string, string>>,
    body: { readonly sizeBytes: number; readonly stream: () => Readable },
  ): Promise<T> {
    const search = new URLSearchParams(Object.entries(query)).toString();
    return (await readJson(await this.#ask('PUT', `${path}?${search}`, undefined, body))) as T;
  }

  /** The lines of a long answer. Throws where the node says it failed, or ends without saying that it is done. */
  async *lines<T>(path: string, body: unknown): AsyncIterable<T> {
    const response = await this.#ask('POST', path, body);
    try {
      for await (const line of createInterface({ input: response })) {
        const value = JSON.parse(line) as { done?: true; error?: ErrorAnswer };
        if (value.done) return;
        if (value.error) throw failureFrom(value.error);
        yield value as T;
      }
    } finally {
      response.destroy();
    }
    throw new Failure('the node ended its answer early', { hint: 'It may have been stopped; see its log.' });
  }

  #ask(
    method: string,
    path: string,
    body?: unknown,
    bytes?: { readonly sizeBytes: number; readonly stream: () => Readable },
  ): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body));
    const request = httpRequest({
      host: this.#address.host,
      port: this.#address.port,
      method,
      path,
      agent: false,
      headers: {
        ...(this.#key && { authorization: `Bearer ${this.#key.id}:${this.#key.secret}` }),
        ...(payload && { 'content-type': 'application/json', 'content-length': payload.length }),
        ...(bytes && { 'content-type': 'application/octet-stream', 'content-length': bytes.sizeBytes }),
      },
    });
    request.on('error', (error) => reject(this.#unreachable(error)));
    request.on('response', (response) => {
      if (response.statusCode === 200) return resolve(response);
      readJson(response).then((value) => reject(failureFrom(value as ErrorAnswer)), reject);
    });
    if (bytes === undefined) request.end(payload);
    // What ends the request early is what the node answered, or the connection's own error.
    else void pipeline(bytes.stream(), request).catch((error: unknown) => reject(error as Error));
    return promise;
  }

  #unreachable(error: Error): Failure {
    const address = formatAddress(this.#address);
    const code = (error as NodeJS.ErrnoException).code;
    const hint = 'Start one with `forebay up`, or name its admin door with --admin HOST:PORT.';
    if (code === 'ECONNREFUSED') return new Failure(`no node answers at ${address}`, { hint, cause: error });
    return new Failure(`the node at ${address} cannot be reached: ${error.message}`, { hint, cause: error });
  }
}

interface ErrorAnswer {
  readonly code?: ErrorCode;
  readonly message?: string;
  readonly hint?: string;
}

function failureFrom(answer: ErrorAnswer): Failure {
  const code = answer.code !== undefined && Object.hasOwn(ERRORS, answer.code) ? answer.code : undefined;
  return new Failure(answer.message ?? 'the node refused without saying why', {
    ...(code && { code }),
    ...(answer.hint && { hint: answer.hint }),
  });
}

async function readJson(response: IncomingMessage): Promise<unknown> {
  const pieces: Buffer[] = [];
  for await (const piece of response as AsyncIterable<Buffer>) pieces.push(piece);
  const text = Buffer.concat(pieces).toString('utf8');
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new Failure(`what answered is no admin door of Forebay (status ${response.statusCode})`, {
      hint: 'Name the admin door with --admin HOST:PORT.',
      cause: error,
    });
  }
}
