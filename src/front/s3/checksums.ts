/** The checksums that clients send with their bytes: `x-amz-checksum-…` in a header or a trailer, and Content-MD5. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { ForebayError } from '../../core/errors.ts';
import { crc32c } from './crc32c.ts';
import { Crc64Nvme } from './crc64nvme.ts';

export interface Digest {
  update(bytes: Uint8Array): void;
  digest(): Buffer;
}

/** Algorithm → length of its digest in bytes. */
const LENGTHS = { crc32: 4, crc32c: 4, crc64nvme: 8, sha1: 20, sha256: 32, sha512: 64, md5: 16 } as const;
type Algorithm = keyof typeof LENGTHS;
const PREFIX = 'x-amz-checksum-';
/** These begin like checksums and are none. */
const NO_CHECKSUMS: ReadonlySet<string> = new Set([
  'x-amz-checksum-algorithm',
  'x-amz-checksum-mode',
  'x-amz-checksum-type',
]);

class Crc32 implements Digest {
  #value = 0;
  readonly #next: (bytes: Uint8Array, value: number) => number;

  constructor(next: (bytes: Uint8Array, value: number) => number) {
    this.#next = next;
  }

  update(bytes: Uint8Array): void {
    this.#value = this.#next(bytes, this.#value);
  }

  digest(): Buffer {
    const digest = Buffer.allocUnsafe(4);
    digest.writeUInt32BE(this.#value);
    return digest;
  }
}

export function createDigest(algorithm: Algorithm): Digest {
  switch (algorithm) {
    case 'crc32':
      return new Crc32(crc32);
    case 'crc32c':
      return new Crc32(crc32c);
    case 'crc64nvme':
      return new Crc64Nvme();
    default:
      return createHash(algorithm);
  }
}

/** One checksum that a body must have. Its value may come after the body, in the trailer. */
export class ExpectedChecksum {
  readonly header: string;
  readonly #digest: Digest;
  readonly #algorithm: Algorithm;
  #expected: Buffer | undefined = undefined;

  constructor(header: string, value?: string) {
    this.header = header;
    this.#algorithm = algorithmOf(header);
    this.#digest = createDigest(this.#algorithm);
    if (value !== undefined) this.expect(value);
  }

  /** Throws invalidDigest where `value` is not base64 of the right length. */
  expect(value: string): void {
    const bytes = Buffer.from(value, 'base64');
    if (bytes.length !== LENGTHS[this.#algorithm] || bytes.toString('base64') !== value)
      throw new ForebayError('invalidDigest', `${this.header} is not base64 of ${LENGTHS[this.#algorithm]} bytes`);
    this.#expected = bytes;
  }

  update(bytes: Uint8Array): void {
    this.#digest.update(bytes);
  }

  /** Throws badDigest where the bytes are others, malformedTrailer where the promised value never came. */
  verify(): void {
    if (this.#expected === undefined)
      throw new ForebayError('malformedTrailer', `the trailer ${this.header} was announced and did not come`);
    if (!this.#digest.digest().equals(this.#expected))
      throw new ForebayError('badDigest', `the bytes that arrived do not have the ${this.header} that was sent`);
  }

  /** As the answer repeats it, once verified. */
  get value(): string {
    return this.#expected?.toString('base64') ?? '';
  }
}

function algorithmOf(header: string): Algorithm {
  const name = header === 'content-md5' ? 'md5' : header.slice(PREFIX.length);
  if (!Object.hasOwn(LENGTHS, name)) throw new ForebayError('notImplemented', `the checksum ${header} is not known`);
  return name as Algorithm;
}

/** The checksums that a request's headers carry or announce. Throws invalidDigest, invalidRequest, notImplemented. */
export function expectedChecksums(headers: readonly string[], trailers: readonly string[]): ExpectedChecksum[] {
  const expected: ExpectedChecksum[] = [];
  for (let index = 0; index < headers.length; index += 2) {
    const name = headers[index] as string;
    const isChecksum = name.startsWith(PREFIX) && !NO_CHECKSUMS.has(name);
    if (isChecksum || name === 'content-md5') expected.push(new ExpectedChecksum(name, headers[index + 1]));
  }
  for (const name of trailers) if (name.startsWith(PREFIX)) expected.push(new ExpectedChecksum(name));
  if (expected.filter(({ header }) => header !== 'content-md5').length > 1)
    throw new ForebayError('invalidRequest', 'a request may carry one x-amz-checksum- only');
  return expected;
}
