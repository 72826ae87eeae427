/**
 * The decoder of `aws-chunked` bodies: `<hex size>[;chunk-signature=<hex>]\r\n<bytes>\r\n` …, a chunk of size 0, then, where
 * announced, trailing headers and an empty line. Source: "Signature Calculations for the Authorization Header:
 * Transferring Payload in Multiple Chunks", S3 API reference.
 *
 * Bytes stream through while their chunk's signature is still to be checked; a wrong one throws before the end, and
 * whoever commits waits for the end. Throws signatureMismatch, incompleteBody, malformedChunk.
 */
import type { Hash } from 'node:crypto';
import { createHash, hash } from 'node:crypto';
import { ForebayError } from '../../core/errors.ts';
import { chunkLineMaxBytes, trailerMaxBytes } from '../../core/limits.ts';
import { trimBlanks } from '../http/exchange.ts';
import { isSameDigest } from './signing-key.ts';
import type { ChunkSeed } from './sigv4.ts';

export interface ChunkedOptions {
  /** Where the chunks are signed. */
  readonly seed: ChunkSeed | undefined;
  readonly trailer: boolean;
  /** Called for each trailing header (names in lower case), before the stream ends. */
  onTrailer(name: string, value: string): void;
}

const EMPTY_SHA256 = hash('sha256', '', 'hex');
const CHUNK_LINE = /^([0-9a-fA-F]{1,13})(?:;chunk-signature=([0-9a-f]{64}))?$/;

function malformed(what: string): ForebayError {
  return new ForebayError('malformedChunk', `the aws-chunked body is malformed: ${what}`);
}

/** Reads lines and runs of bytes from a stream of buffers. */
class Input {
  readonly #source: AsyncIterator<Uint8Array>;
  #buffer: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  async #fill(): Promise<boolean> {
    const next = await this.#source.next();
    if (next.done === true) return false;
    const bytes = Buffer.from(next.value.buffer, next.value.byteOffset, next.value.byteLength);
    this.#buffer = this.#buffer.length === 0 ? bytes : Buffer.concat([this.#buffer, bytes]);
    return true;
  }

  /** Up to `max` bytes, at least one. */
  async some(max: number): Promise<Buffer> {
    while (this.#buffer.length === 0)
      if (!(await this.#fill())) throw new ForebayError('incompleteBody', 'the body ended within a chunk');
    const bytes = this.#buffer.subarray(0, max);
    this.#buffer = this.#buffer.subarray(bytes.length);
    return bytes;
  }

  /** A line without its end. */
  async line(maxBytes: number): Promise<string> {
    for (;;) {
      const at = this.#buffer.indexOf('\r\n');
      if (at > maxBytes || (at < 0 && this.#buffer.length > maxBytes + 1)) throw malformed('a line is too long');
      if (at >= 0) {
        const line = this.#buffer.toString('latin1', 0, at);
        this.#buffer = this.#buffer.subarray(at + 2);
        return line;
      }
      if (!(await this.#fill())) throw new ForebayError('incompleteBody', 'the body ended within a chunk');
    }
  }

  async isAtEnd(): Promise<boolean> {
    while (this.#buffer.length === 0) if (!(await this.#fill())) return true;
    return false;
  }

  async close(): Promise<void> {
    await this.#source.return?.();
  }
}

/** The chain of signatures: each covers the one before it. */
class Signatures {
  readonly #seed: ChunkSeed;
  #previous: string;

  constructor(seed: ChunkSeed) {
    this.#seed = seed;
    this.#previous = seed.signature;
  }

  check(algorithm: string, given: string | undefined, digests: string): void {
    const { key, date, scope } = this.#seed;
    const expected = key.sign(`${algorithm}\n${date}\n${scope}\n${this.#previous}\n${digests}`);
    if (given === undefined || !isSameDigest(given, expected))
      throw new ForebayError('signatureMismatch', 'the signature of a chunk is not the one computed from its bytes');
    this.#previous = expected;
  }
}

export async function* decodeChunked(
  body: AsyncIterable<Uint8Array>,
  options: ChunkedOptions,
): AsyncGenerator<Uint8Array> {
  const input = new Input(body);
  const signatures = options.seed === undefined ? undefined : new Signatures(options.seed);
  try {
    for (;;) {
      const match = CHUNK_LINE.exec(await input.line(chunkLineMaxBytes));
      if (match === null) throw malformed('a chunk must begin with its size');
      let left = Number.parseInt(match[1] as string, 16);
      const isLast = left === 0;
      const digest: Hash | undefined = signatures === undefined ? undefined : createHash('sha256');
      while (left > 0) {
        const bytes = await input.some(left);
        digest?.update(bytes);
        left -= bytes.length;
        yield bytes;
      }
      if (digest !== undefined)
        signatures?.check('AWS4-HMAC-SHA256-PAYLOAD', match[2], `${EMPTY_SHA256}\n${digest.digest('hex')}`);
      if (isLast) break;
      if ((await input.line(0)) !== '') throw malformed('a chunk must end with CRLF');
    }
    await readTrailer(input, options, signatures);
    if (!(await input.isAtEnd())) throw malformed('bytes follow the last chunk');
  } finally {
    await input.close();
  }
}

async function readTrailer(input: Input, options: ChunkedOptions, signatures: Signatures | undefined): Promise<void> {
  let canonical = '';
  let signature: string | undefined;
  let sizeBytes = 0;
  // Some clients leave out the empty line after the last chunk or the trailer.
  while (!(await input.isAtEnd())) {
    const line = await input.line(trailerMaxBytes - sizeBytes);
    sizeBytes += line.length;
    if (line === '') continue;
    const colon = line.indexOf(':');
    if (!options.trailer || colon < 1) throw malformed('a trailer was not announced or is no header');
    const name = line.slice(0, colon).toLowerCase();
    const value = trimBlanks(line.slice(colon + 1));
    if (name === 'x-amz-trailer-signature') {
      signature = value;
      continue;
    }
    canonical += `${name}:${value}\n`;
    options.onTrailer(name, value);
  }
  if (options.trailer && signatures !== undefined)
    signatures.check('AWS4-HMAC-SHA256-TRAILER', signature, hash('sha256', Buffer.from(canonical, 'latin1'), 'hex'));
}
