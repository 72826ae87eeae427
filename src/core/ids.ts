/**
 * Identifiers. A content id names immutable bytes for life (DESIGN.md section 2): 16 bytes, written as 32
 * lower-case hex digits. Its first bit says where it came from: 0 = a ULID of what was written here, 1 = SHA-256 of
 * the length-prefixed (volume, key, ETag) of what was first seen at the origin, cut to 16 bytes.
 */
import { hash } from 'node:crypto';

declare const brand: unique symbol;
type Brand<T, B extends string> = T & { readonly [brand]: B };

export type ContentId = Brand<string, 'ContentId'>;

const HEX_32 = /^[0-9a-f]{32}$/;

/** Reads a content id from text; `undefined` when it is not one. */
export function parseContentId(text: string): ContentId | undefined {
  return HEX_32.test(text) ? (text as ContentId) : undefined;
}

/** The content id of one version of an object first seen at the origin. Lengths are prefixed, so no two triples collide by concatenation. */
export function originContentId(version: { volume: string; key: string; etag: string }): ContentId {
  const parts = [version.volume, version.key, version.etag].map((text) => Buffer.from(text, 'utf8'));
  const total = parts.reduce((sum, part) => sum + 4 + part.length, 0);
  const joined = Buffer.allocUnsafe(total);
  let at = 0;
  for (const part of parts) {
    joined.writeUInt32LE(part.length, at);
    part.copy(joined, at + 4);
    at += 4 + part.length;
  }
  const digest = hash('sha256', joined, 'buffer').subarray(0, 16);
  digest[0] = (digest[0] as number) | 0x80;
  return digest.toString('hex') as ContentId;
}

/** The content id of what is written here: a ULID, so its first bit is 0 and ids sort by the time that they were made at. */
export function newContentId({ wallMs, random }: { wallMs: number; random: Uint8Array }): ContentId {
  const bytes = Buffer.allocUnsafe(16);
  bytes.writeUIntBE(Math.floor(wallMs) % 2 ** 47, 0, 6);
  bytes.set(random.subarray(0, 10), 6);
  return bytes.toString('hex') as ContentId;
}
