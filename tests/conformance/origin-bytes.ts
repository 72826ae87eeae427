/** Words that the origin cases share. */
import assert from 'node:assert/strict';
import { type ErrorCode, isForebayError } from '../../src/core/errors.ts';
import { bodyOf } from '../../src/origin/body.ts';
import type { Body, Condition, Origin, PutOptions } from '../../src/origin/origin.ts';

const PRIME = 251;

/** Byte `n` is `(first + n) mod 251`. */
export function ramp(length: number, first = 0): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  for (let n = 0; n < length; n++) bytes[n] = (first + n) % PRIME;
  return bytes;
}

export const fails =
  (...codes: ErrorCode[]) =>
  (error: unknown): true => {
    assert.ok(
      isForebayError(error, ...codes),
      `expected ${codes.join()}, came ${String((error as { stack?: string }).stack ?? error)}`,
    );
    return true;
  };

export function options(condition?: Condition): PutOptions {
  return { headers: {}, metadata: {}, ...(condition === undefined ? {} : { condition }) };
}

export function put(origin: Origin, key: string, bytes: Uint8Array, condition?: Condition): Promise<{ etag: string }> {
  return origin.put(key, bodyOf(bytes), options(condition));
}

/** A body that comes only once, in pieces of an odd size. */
export function onceOf(bytes: Uint8Array): Body {
  let isSpent = false;
  return {
    lengthBytes: bytes.length,
    replayable: false,
    async *stream() {
      assert.equal(isSpent, false, 'a body that comes once was asked for twice');
      isSpent = true;
      for (let at = 0; at < bytes.length; at += 65_521) yield bytes.subarray(at, at + 65_521);
    },
  };
}

/** A body that yields everything it declared and then says that it was wrong. */
export function badAtTheEnd(bytes: Uint8Array, error: Error): Body {
  return {
    lengthBytes: bytes.length,
    replayable: false,
    async *stream() {
      yield bytes;
      throw error;
    },
  };
}

export async function collect(pieces: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const all: Uint8Array[] = [];
  for await (const piece of pieces) all.push(piece);
  return Buffer.concat(all);
}

export async function read(origin: Origin, key: string, range?: { start: number; end: number }): Promise<Buffer> {
  const version = await origin.head(key);
  assert.ok(version, `"${key}" is there`);
  const wanted = range ?? { start: 0, end: version.sizeBytes };
  return await collect(await origin.get(key, { etag: version.etag, range: wanted }));
}
