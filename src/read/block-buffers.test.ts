import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BLOCK_SIZE_BYTES } from '../core/chunk.ts';
import { BlockBuffers } from './block-buffers.ts';

test('a buffer that came back is given out again, whole or for a shorter block, and never more are kept than the bound', () => {
  let allocated = 0;
  const buffers = new BlockBuffers(
    () => ({
      allocate(lengthBytes) {
        allocated += 1;
        return new Uint8Array(new SharedArrayBuffer(lengthBytes));
      },
    }),
    2,
  );
  const short = buffers.take(100);
  assert.equal(short.length, 100);
  buffers.give(short);
  const whole = buffers.take(BLOCK_SIZE_BYTES);
  assert.equal(whole.length, BLOCK_SIZE_BYTES);
  assert.equal(whole.buffer, short.buffer);
  assert.equal(allocated, 1);
  const out = [whole, buffers.take(1), buffers.take(1), buffers.take(1)];
  assert.equal(new Set(out.map((buffer) => buffer.buffer)).size, 4, 'what is out is out once');
  for (const buffer of out) buffers.give(buffer);
  for (let i = 0; i < 4; i++) buffers.take(1);
  assert.equal(allocated, 4 + 2);
});
