/**
 * Signing keys of Signature Version 4, derived once per access key, day, region and service.
 *
 * HMAC is spelled out as its two hashes (RFC 2104), with the padded key already in place: a third of the time of
 * `createHmac`, which matters at 50,000 requests per second. The tests compare the two.
 */
import { createHmac, hash, timingSafeEqual } from 'node:crypto';
import { signingKeysMax } from '../../core/limits.ts';
import type { AccessKey, Credentials } from '../credentials.ts';

const BLOCK_BYTES = 64;
/** A string to sign is about 150 bytes; longer ones take the ordinary way. */
const MESSAGE_MAX_BYTES = 960;

export class SigningKey {
  readonly accessKey: AccessKey;
  readonly #key: Buffer;
  readonly #inner = Buffer.alloc(BLOCK_BYTES + MESSAGE_MAX_BYTES, 0x36);
  readonly #outer = Buffer.alloc(BLOCK_BYTES + 32, 0x5c);

  constructor(accessKey: AccessKey, scope: { date: string; region: string }) {
    this.accessKey = accessKey;
    const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest();
    this.#key = hmac(hmac(hmac(hmac(`AWS4${accessKey.secret}`, scope.date), scope.region), 's3'), 'aws4_request');
    for (let index = 0; index < this.#key.length; index++) {
      this.#inner[index]! ^= this.#key[index] as number;
      this.#outer[index]! ^= this.#key[index] as number;
    }
  }

  /** HMAC-SHA256 of a byte string, in hex. */
  sign(message: string): string {
    if (message.length > MESSAGE_MAX_BYTES)
      return createHmac('sha256', this.#key).update(message, 'latin1').digest('hex');
    const length = this.#inner.write(message, BLOCK_BYTES, 'latin1');
    this.#outer.write(hash('sha256', this.#inner.subarray(0, BLOCK_BYTES + length), 'hex'), BLOCK_BYTES, 'hex');
    return hash('sha256', this.#outer, 'hex');
  }
}

export class SigningKeys {
  readonly #credentials: Credentials;
  readonly #keys = new Map<string, SigningKey>();

  constructor(credentials: Credentials) {
    this.#credentials = credentials;
  }

  /** The key of a credential (`ID/date/region/s3/aws4_request`); `undefined` for an id that nobody has. */
  find(credential: string, parts: { id: string; date: string; region: string }): SigningKey | undefined {
    const accessKey = this.#credentials.find(parts.id);
    if (accessKey === undefined) return undefined;
    const known = this.#keys.get(credential);
    if (known !== undefined && known.accessKey.secret === accessKey.secret && known.accessKey === accessKey)
      return known;
    const key = new SigningKey(accessKey, parts);
    if (this.#keys.size >= signingKeysMax) this.#keys.delete(this.#keys.keys().next().value as string);
    this.#keys.set(credential, key);
    return key;
  }
}

const given = Buffer.alloc(64);
const expected = Buffer.alloc(64);

/** Compares two hex digests of SHA-256 in constant time. */
export function isSameDigest(givenHex: string, expectedHex: string): boolean {
  if (givenHex.length !== 64) return false;
  given.write(givenHex, 'latin1');
  expected.write(expectedHex, 'latin1');
  return timingSafeEqual(given, expected);
}
