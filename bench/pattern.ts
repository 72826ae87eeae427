/**
 * Bytes that need no disk and betray a misplaced byte: one block of random bytes whose length is a prime, repeated. An
 * object begins at a place of its own in it, so that neither a shifted block, nor one of another object, nor zeros pass
 * the check, which runs at the speed of memcmp.
 */
import { assert } from '../src/core/assert.ts';
import { seededFraction } from './statistics.ts';

/** A prime, so that no multiple of a block or chunk size comes round to the same bytes within the sizes used here. */
const PERIOD_BYTES = 1_048_583;
const STRIDE = 104_729;
const SEED = 42;

/** The period twice, so that any slice up to one period is contiguous. */
const PATTERN = (() => {
  const next = seededFraction(SEED);
  const once = Buffer.allocUnsafeSlow(PERIOD_BYTES);
  for (let i = 0; i < once.length; i++) once[i] = Math.floor(next() * 256);
  return Buffer.concat([once, once]);
})();

/** Most bytes that `patternSlice` gives at once. */
export const PATTERN_SLICE_MAX_BYTES = 1 << 20;

/** Bytes `[at, at + length)` of the object of this seed, not to be changed; `length` is at most `PATTERN_SLICE_MAX_BYTES`. */
export function patternSlice(seed: number, at: number, length: number): Buffer {
  assert(length <= PATTERN_SLICE_MAX_BYTES, 'a slice is at most one period');
  const from = (at + ((seed * STRIDE) % PERIOD_BYTES)) % PERIOD_BYTES;
  return PATTERN.subarray(from, from + length);
}

/** The position in the object of the first wrong byte of `bytes`, which lie at `at`; undefined when all are right. */
export function firstWrong(seed: number, at: number, bytes: Uint8Array): number | undefined {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  for (let done = 0; done < buffer.length; ) {
    const expected = patternSlice(seed, at + done, Math.min(PATTERN_SLICE_MAX_BYTES, buffer.length - done));
    if (buffer.compare(expected, 0, expected.length, done, done + expected.length) !== 0) {
      for (let i = 0; i < expected.length; i++) if (buffer[done + i] !== expected[i]) return at + done + i;
    }
    done += expected.length;
  }
  return undefined;
}

/** The object's bytes in slices, for writing it to a file. */
export function* patternSlices(seed: number, sizeBytes: number): Generator<Buffer> {
  for (let at = 0; at < sizeBytes; at += PATTERN_SLICE_MAX_BYTES)
    yield patternSlice(seed, at, Math.min(PATTERN_SLICE_MAX_BYTES, sizeBytes - at));
}
