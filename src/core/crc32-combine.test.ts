import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import fc from 'fast-check';
import { combineCrc32 } from './crc32-combine.ts';

test('the CRC32 of two runs in a row is combined from theirs', () => {
  const bytes = () => fc.uint8Array({ maxLength: 3000 });
  fc.assert(
    fc.property(bytes(), bytes(), (first, second) => {
      const whole = crc32(Buffer.concat([first, second]));
      assert.equal(combineCrc32(crc32(first), crc32(second), second.length), whole);
    }),
  );
});

test('a run longer than 2³² bytes is combined as its pieces are', () => {
  const piece = Buffer.alloc(1 << 20, 7);
  let value = 0;
  let doubled = crc32(piece);
  // 2¹³ times as long: 8 GiB
  for (let length = piece.length, step = 0; step < 13; step++, length *= 2)
    doubled = combineCrc32(doubled, doubled, length);
  for (let step = 0; step < 1 << 13; step++) value = combineCrc32(value, crc32(piece), piece.length);
  assert.equal(doubled, value);
});
