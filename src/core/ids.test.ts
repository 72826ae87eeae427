import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import { originContentId, parseContentId } from './ids.ts';

test('the content id of an origin version is the cut SHA-256 of its length-prefixed parts, with the first bit 1', () => {
  const id = originContentId({ volume: 'models', key: 'a/b', etag: '"1"' });
  const prefixed = Buffer.concat(
    ['models', 'a/b', '"1"'].map((text) => Buffer.concat([Buffer.from([text.length, 0, 0, 0]), Buffer.from(text)])),
  );
  const digest = hash('sha256', prefixed, 'buffer').subarray(0, 16);
  digest[0] = (digest[0] as number) | 0x80;
  assert.equal(id, digest.toString('hex'));
  assert.equal(parseContentId(id), id);
});

test('versions that differ only in where their parts are cut have different ids', () => {
  fc.assert(
    fc.property(fc.string({ minLength: 1 }), fc.string({ minLength: 1 }), (key, etag) => {
      const whole = originContentId({ volume: 'v', key: key + etag, etag: '' });
      assert.notEqual(originContentId({ volume: 'v', key, etag }), whole);
    }),
  );
});

test('only 32 lower-case hex digits are a content id', () => {
  for (const text of ['', '8'.repeat(31), '8'.repeat(33), 'G'.repeat(32), 'A'.repeat(32)])
    assert.equal(parseContentId(text), undefined);
});
