/** The checksums that clients send with their bytes: `x-amz-checksum-…` in a header or a trailer, and Content-MD5. */
import { createDigest, DIGEST_BYTES, type Digest, type DigestName } from '../../core/digest.ts';
import { ForebayError } from '../../core/errors.ts';

const PREFIX = 'x-amz-checksum-';
/** These begin like checksums and are none. */
const NO_CHECKSUMS: ReadonlySet<string> = new Set([
  'x-amz-checksum-algorithm',
  'x-amz-checksum-mode',
  'x-amz-checksum-type',
]);

/** One checksum that a body must have. Its value may come after the body, in the trailer. */
export class ExpectedChecksum {
  readonly header: string;
  readonly algorithm: DigestName;
  #digest: Digest | undefined;
  #expected: Buffer | undefined = undefined;

  constructor(header: string, value?: string) {
    this.header = header;
    this.algorithm = algorithmOf(header);
    if (value !== undefined) this.expect(value);
  }

  /** Throws invalidDigest where `value` is not base64 of the right length. */
  expect(value: string): void {
    const bytes = Buffer.from(value, 'base64');
    if (bytes.length !== DIGEST_BYTES[this.algorithm] || bytes.toString('base64') !== value)
      throw new ForebayError('invalidDigest', `${this.header} is not base64 of ${DIGEST_BYTES[this.algorithm]} bytes`);
    this.#expected = bytes;
  }

  update(bytes: Uint8Array): void {
    this.#digest ??= createDigest(this.algorithm);
    this.#digest.update(bytes);
  }

  /**
   * `digest` is of all bytes, where somebody else has computed it. Throws badDigest where the bytes are others, malformedTrailer where the
   * promised value never came.
   */
  verify(digest = (this.#digest ?? createDigest(this.algorithm)).digest()): void {
    if (this.#expected === undefined)
      throw new ForebayError('malformedTrailer', `the trailer ${this.header} was announced and did not come`);
    if (!this.#expected.equals(digest))
      throw new ForebayError('badDigest', `the bytes that arrived do not have the ${this.header} that was sent`);
  }

  /** As the answer repeats it, once verified. */
  get value(): string {
    return this.#expected?.toString('base64') ?? '';
  }
}

function algorithmOf(header: string): DigestName {
  const name = header === 'content-md5' ? 'md5' : header.slice(PREFIX.length);
  if (!Object.hasOwn(DIGEST_BYTES, name))
    throw new ForebayError('notImplemented', `the checksum ${header} is not known`);
  return name as DigestName;
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
