/**
 * The body of a request, verified while it streams, or goes to its file without passing here: length, signed SHA-256, signatures of chunks, checksums.
 *
 * The last buffer is held back until all of it is verified, so a consumer that counts bytes instead of waiting for the
 * end still cannot commit a body that is not what was declared.
 */
import type { Hash } from 'node:crypto';
import { createHash } from 'node:crypto';
import { assert } from '../../core/assert.ts';
import { ForebayError } from '../../core/errors.ts';
import { receiveIntoMinBytes } from '../../core/limits.ts';
import type { BodyPlace, WriteBody } from '../../write/writer.ts';
import type { Exchange } from '../http/exchange.ts';
import { decodeChunked } from './aws-chunked.ts';
import type { ExpectedChecksum } from './checksums.ts';
import { expectedChecksums } from './checksums.ts';
import type { S3Request } from './s3-request.ts';

export class RequestBody implements WriteBody {
  readonly lengthBytes: number;
  readonly #request: S3Request;
  readonly #checksums: readonly ExpectedChecksum[];
  #isRead = false;

  /** Throws missingLength, tooLarge, invalidDigest, invalidRequest, notImplemented; reads nothing yet. */
  constructor(request: S3Request, maxBytes: number) {
    const { exchange } = request;
    this.#request = request;
    this.lengthBytes = declaredLength(request);
    if (this.lengthBytes > maxBytes)
      throw new ForebayError('tooLarge', `the body has ${this.lengthBytes} bytes, at most ${maxBytes} are taken`);
    const trailers = (exchange.header('x-amz-trailer') ?? '').split(',').map((name) => name.trim().toLowerCase());
    const { payload } = request.auth;
    this.#checksums = expectedChecksums(
      exchange.headers,
      payload.kind === 'chunked' && payload.trailer ? trailers : [],
    );
  }

  /** Headers of the answer that repeat the checksums, once the body was read. */
  checksumHeaders(): string[] {
    const sent = this.#checksums.filter(({ header }) => header !== 'content-md5');
    return sent.flatMap(({ header, value }) => [header, value]);
  }

  async *stream(): AsyncGenerator<Uint8Array> {
    assert(!this.#isRead, 'a body is read once');
    this.#isRead = true;
    const { payload } = this.#request.auth;
    const digest: Hash | undefined = payload.kind === 'sha256' ? createHash('sha256') : undefined;
    let held: Uint8Array | undefined;
    let count = 0;
    for await (const bytes of this.#decoded()) {
      if (bytes.length === 0) continue;
      count += bytes.length;
      if (count > this.lengthBytes)
        throw new ForebayError('incompleteBody', `more than the declared ${this.lengthBytes} bytes came`);
      digest?.update(bytes);
      for (const checksum of this.#checksums) checksum.update(bytes);
      if (held !== undefined) yield held;
      held = bytes;
    }
    if (count !== this.lengthBytes)
      throw new ForebayError('incompleteBody', `${count} of the declared ${this.lengthBytes} bytes came`);
    if (payload.kind === 'sha256' && digest?.digest('hex') !== payload.hex) throw notAsSigned();
    for (const checksum of this.#checksums) checksum.verify();
    if (held !== undefined) yield held;
  }

  /** Absent for small bodies, and for those that are cut into signed chunks. */
  get receiveInto(): WriteBody['receiveInto'] {
    const { exchange, auth } = this.#request;
    const { receiveBody } = exchange;
    if (receiveBody === undefined || auth.payload.kind === 'chunked' || this.lengthBytes < receiveIntoMinBytes)
      return undefined;
    return (place) => this.#receive(place, receiveBody);
  }

  async #receive(place: BodyPlace, receiveBody: NonNullable<Exchange['receiveBody']>): Promise<void> {
    assert(!this.#isRead, 'a body is read once');
    this.#isRead = true;
    const { payload } = this.#request.auth;
    const isSigned = payload.kind === 'sha256';
    const digests = this.#checksums.map(({ algorithm }) => algorithm);
    const all = await receiveBody(this.#request.parts.network, {
      ...place,
      digests: isSigned ? [...digests, 'sha256'] : digests,
    });
    const signed = all[digests.length];
    if (isSigned && (signed === undefined || Buffer.from(signed).toString('hex') !== payload.hex)) throw notAsSigned();
    for (const [index, checksum] of this.#checksums.entries()) checksum.verify(Buffer.from(all[index] as Uint8Array));
  }

  /** All of it; for requests whose body is XML. */
  async bytes(): Promise<Buffer> {
    const parts: Uint8Array[] = [];
    for await (const bytes of this.stream()) parts.push(bytes);
    return Buffer.concat(parts);
  }

  #decoded(): AsyncIterable<Uint8Array> {
    const { exchange, auth } = this.#request;
    if (auth.payload.kind !== 'chunked') return exchange.body();
    return decodeChunked(exchange.body(), {
      seed: auth.payload.seed,
      trailer: auth.payload.trailer,
      onTrailer: (name, value) => {
        for (const checksum of this.#checksums) if (checksum.header === name) checksum.expect(value);
      },
    });
  }
}

function notAsSigned(): ForebayError {
  return new ForebayError('contentMismatch', 'the body does not have the SHA-256 that x-amz-content-sha256 signs');
}

function declaredLength(request: S3Request): number {
  const { exchange, auth } = request;
  const isChunked = auth.payload.kind === 'chunked';
  const declared = exchange.header(isChunked ? 'x-amz-decoded-content-length' : 'content-length');
  if (declared === undefined || !/^\d{1,15}$/.test(declared))
    throw new ForebayError(
      'missingLength',
      isChunked ? 'x-amz-decoded-content-length is missing' : 'the length of the body is not declared',
    );
  return Number(declared);
}
