/** Digests by which clients name the bytes that they send. */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { crc32c } from './crc32c.ts';
import { Crc64Nvme } from './crc64nvme.ts';

/** Algorithm → length of its digest in bytes. */
export const DIGEST_BYTES = { crc32: 4, crc32c: 4, crc64nvme: 8, sha1: 20, sha256: 32, sha512: 64, md5: 16 } as const;
export type DigestName = keyof typeof DIGEST_BYTES;

export interface Digest {
  update(bytes: Uint8Array): void;
  /** Once, at the end; sums are most significant byte first. */
  digest(): Buffer;
}

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
    return bytesOfCrc32(this.#value);
  }
}

export function createDigest(name: DigestName): Digest {
  switch (name) {
    case 'crc32':
      return new Crc32(crc32);
    case 'crc32c':
      return new Crc32(crc32c);
    case 'crc64nvme':
      return new Crc64Nvme();
    default:
      return createHash(name);
  }
}

/** A CRC32 as `Digest.digest` returns it. */
export function bytesOfCrc32(value: number): Buffer {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
