import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { createDigest } from '../../core/digest.ts';
import { expectedChecksums } from './checksums.ts';

const CHECK = Buffer.from('123456789');

/** Bit by bit, as the definition has it. */
function bitwise(bytes: Uint8Array, polynomial: bigint, width: bigint): string {
  const ones = (1n << width) - 1n;
  let crc = ones;
  for (const byte of bytes) {
    crc ^= BigInt(byte);
    for (let bit = 0; bit < 8; bit++) crc = crc & 1n ? (crc >> 1n) ^ polynomial : crc >> 1n;
  }
  return (crc ^ ones).toString(16).padStart(Number(width) / 4, '0');
}

test('the check values of the catalogue of CRCs', () => {
  const of = (algorithm: Parameters<typeof createDigest>[0]) => {
    const digest = createDigest(algorithm);
    digest.update(CHECK);
    return digest.digest().toString('hex');
  };
  assert.equal(of('crc32'), 'cbf43926');
  assert.equal(of('crc32c'), 'e3069283');
  assert.equal(of('crc64nvme'), 'ae8b14860a799888');
  assert.equal(of('sha1'), 'f7c3bc1d808e04732adf679965ccc34ca7ae3441');
});

test('in any pieces, the tables say what the bits say', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 6 }), (pieces) => {
      const whole = Buffer.concat(pieces);
      for (const [algorithm, expected] of [
        ['crc32', crc32(whole).toString(16).padStart(8, '0')],
        ['crc32c', bitwise(whole, 0x82f63b78n, 32n)],
        ['crc64nvme', bitwise(whole, 0x9a6c9329ac4bc9b5n, 64n)],
      ] as const) {
        const digest = createDigest(algorithm);
        for (const piece of pieces) digest.update(piece);
        assert.equal(digest.digest().toString('hex'), expected, algorithm);
      }
    }),
  );
});

test('checksums are read from headers and announced trailers', () => {
  const [checksum] = expectedChecksums(['x-amz-checksum-crc32', 'y/Q5Jg==', 'x-amz-checksum-type', 'FULL_OBJECT'], []);
  checksum?.update(CHECK);
  checksum?.verify();
  assert.equal(checksum?.value, 'y/Q5Jg==');
  const [trailing] = expectedChecksums([], ['x-amz-checksum-crc32', 'x-other']);
  trailing?.update(CHECK);
  assert.throws(() => trailing?.verify(), { code: 'malformedTrailer' });
  trailing?.expect('AAAAAA==');
});

test('wrong, malformed, unknown and several checksums have errors of their own', () => {
  const [wrong] = expectedChecksums(['content-md5', Buffer.alloc(16).toString('base64')], []);
  assert.throws(() => wrong?.verify(), { code: 'badDigest' });
  for (const value of ['', 'x', 'AAAA', 'y/Q5Jg', '********'])
    assert.throws(() => expectedChecksums(['x-amz-checksum-crc32', value], []), { code: 'invalidDigest' });
  assert.throws(() => expectedChecksums(['x-amz-checksum-xxhash3', 'AAAA'], []), { code: 'notImplemented' });
  const both = ['x-amz-checksum-crc32', 'y/Q5Jg==', 'x-amz-checksum-sha1', '98O8HYCOBHMq32eZZczDTKeuNEE='];
  assert.throws(() => expectedChecksums(both, []), { code: 'invalidRequest' });
});
