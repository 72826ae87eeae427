/**
 * The bytes of simulated objects: a fixed table of bytes from 1 to 255, whose length is a prime, begun at another place
 * for each version. So any byte can be checked without keeping the object, no right byte is zero, and a byte of another
 * version or another position shows.
 */
import { crc32 } from 'node:zlib';
import { assert } from '../src/core/assert.ts';
import { SimRandom } from './sim-random.ts';

const PERIOD_BYTES = 65_521;
/** Slices up to this come from the table without a copy. */
const SLICE_MAX_BYTES = 1 << 20;

const TABLE = makeTable();
const TABLE_SUM = crc32(TABLE);

function makeTable(): Uint8Array {
  const random = new SimRandom(0x5eed);
  const table = new Uint8Array(PERIOD_BYTES + SLICE_MAX_BYTES);
  for (let i = 0; i < PERIOD_BYTES; i++) table[i] = 1 + random.integer(255);
  for (let at = PERIOD_BYTES; at < table.length; at += PERIOD_BYTES) {
    table.set(table.subarray(0, Math.min(PERIOD_BYTES, table.length - at)), at);
  }
  return table;
}

/** Where the table begins for a version: versions of all keys are numbered through. */
function shiftOf(version: number): number {
  return (version * 7919) % PERIOD_BYTES;
}

/** `length` ≤ 1 MiB bytes of a version from `at`. They belong to everyone: nobody may change them. */
export function contentSlice(version: number, at: number, length: number): Uint8Array {
  assert(length <= SLICE_MAX_BYTES, 'a slice is at most 1 MiB');
  const from = (at + shiftOf(version)) % PERIOD_BYTES;
  return TABLE.subarray(from, from + length);
}

/** The position of the first byte of `bytes` that is not what `version` has at `at`; -1 when all are right. */
export function firstWrong(version: number, at: number, bytes: Uint8Array): number {
  for (let done = 0; done < bytes.length; done += SLICE_MAX_BYTES) {
    const slice = bytes.subarray(done, done + SLICE_MAX_BYTES);
    const right = contentSlice(version, at + done, slice.length);
    if (Buffer.compare(slice, right) === 0) continue;
    for (let i = 0; i < slice.length; i++) if (slice[i] !== right[i]) return at + done + i;
  }
  return -1;
}

/** Fails when code under test has written into bytes that were lent to it. */
export function assertContentUntouched(): void {
  assert(crc32(TABLE) === TABLE_SUM, 'bytes that an origin yielded were changed by their reader');
}
