import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { badAtTheEnd, collect, fails, onceOf, ramp } from '../../tests/conformance/origin-bytes.ts';
import { blockId, blockSizes, blocksOfPart, partsOf } from './azure-block.ts';
import { bodyOf, cut, gather, heldBack } from './body.ts';

test('the last piece is given only after the body has ended well', async () => {
  const given: number[] = [];
  const body = { ...badAtTheEnd(ramp(10), new Error('bad')), lengthBytes: 15 };
  const two = {
    ...body,
    stream: async function* () {
      yield ramp(5);
      yield* body.stream();
    },
  };
  await assert.rejects(
    async () => {
      for await (const piece of heldBack(two)) given.push(piece.length);
    },
    { message: 'bad' },
  );
  assert.deepEqual(given, [5]);
});

test('a body of another length than declared is incompleteBody', async () => {
  await assert.rejects(gather({ ...bodyOf(ramp(9)), lengthBytes: 10 }), fails('incompleteBody'));
  await assert.rejects(gather({ ...bodyOf(ramp(11)), lengthBytes: 10 }), fails('incompleteBody'));
});

test('one piece is not copied unless bytes of one’s own are asked for', async () => {
  const bytes = ramp(10);
  assert.equal(await gather(bodyOf(bytes)), bytes);
  assert.notEqual(await gather(bodyOf(bytes), { own: true }), bytes);
});

test('a body cut into bodies is the same bytes, whatever its pieces', async () => {
  const sizes = fc.array(fc.integer({ min: 1, max: 200_000 }), { minLength: 1, maxLength: 6 });
  await fc.assert(
    fc.asyncProperty(sizes, async (lengths) => {
      const whole = ramp(lengths.reduce((sum, length) => sum + length, 0));
      const parts: Buffer[] = [];
      for await (const part of cut(onceOf(whole), lengths)) {
        const bytes = await collect(part.stream());
        assert.equal(bytes.length, part.lengthBytes);
        parts.push(bytes);
      }
      assert.deepEqual(
        parts.map(({ length }) => length),
        lengths,
      );
      assert.deepEqual(Buffer.concat(parts), whole);
    }),
    { numRuns: 30 },
  );
});

test('Azure blocks: ids of one length, parts found again when all their blocks are there', () => {
  const upload = '0123456789abcdef0123456789abcdef';
  const GiB = 2 ** 30;
  for (const size of [1, 64 * 2 ** 20, 64 * 2 ** 20 + 1, 5 * GiB]) {
    const sizes = blockSizes(size);
    assert.ok(sizes.length <= 5 && sizes.every((bytes) => bytes <= 4000 * 2 ** 20));
    assert.equal(
      sizes.reduce((sum, bytes) => sum + bytes, 0),
      size,
    );
  }
  const part = { number: 10_000, token: '3', sizeBytes: 30 };
  const ids = blocksOfPart(upload, part);
  assert.ok(ids);
  assert.deepEqual(new Set(ids.map((id) => Buffer.from(id, 'base64').length)), new Set([20]));
  const blocks = ids.map((name) => ({ name, size: 10 }));
  const strange = [
    { name: 'AAAA', size: 1 },
    { name: blockId('f'.repeat(32), { number: 1, count: 1, index: 0 }), size: 1 },
  ];
  assert.deepEqual(partsOf(upload, [...strange, ...blocks]), [part]);
  assert.deepEqual(partsOf(upload, blocks.slice(1)), []);
  assert.equal(blocksOfPart(upload, { ...part, token: 'x' }), undefined);
});
