import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { bytesOfText, isPlainPath, percentDecode, percentEncode, textOfBytes } from './percent.ts';
import { canonicalQuery, hasQuery, parseQuery, queryValue } from './query.ts';

test('decoding undoes encoding, for any bytes', () => {
  fc.assert(
    fc.property(fc.uint8Array(), fc.boolean(), (bytes, keepSlash) => {
      const text = Buffer.from(bytes).toString('latin1');
      assert.equal(percentDecode(percentEncode(text, keepSlash)), text);
    }),
  );
});

test('encoding is that of encodeURIComponent, and stricter', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const strict = encodeURIComponent(text).replace(
        /[!'()*]/g,
        (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`,
      );
      assert.equal(percentEncode(bytesOfText(text), false), strict);
      assert.equal(textOfBytes(bytesOfText(text)), text);
    }),
  );
});

test('each escape is decoded once; malformed ones are none', () => {
  assert.equal(percentDecode('a%2fb%2525+c'), 'a/b%25+c');
  assert.equal(percentDecode('a+b%2B', true), 'a b+');
  for (const text of ['%', 'a%2', '%zz', '%2g', '%%41']) assert.equal(percentDecode(text), undefined);
});

test('only unreserved characters and slashes are plain', () => {
  assert.ok(isPlainPath('/models/a-b_c.d~e/F9'));
  for (const text of ['/a%20', '/a+b', '/a b', '/ä', '/a*']) assert.ok(!isPlainPath(text));
});

test('bytes that are no UTF-8 are no text; a byte order mark is', () => {
  assert.equal(textOfBytes('\xff'), undefined);
  assert.equal(textOfBytes('\xed\xa0\x80'), undefined);
  assert.equal(textOfBytes('\xef\xbb\xbfa'), '\ufeffa');
});

test('queries keep empty values and order, and are canonical when sorted', () => {
  const query = parseQuery('uploads&b=2&a=%C3%A9+x&b=1&&c=a=b');
  assert.ok(query !== undefined);
  assert.equal(queryValue(query, 'a'), 'é x');
  assert.equal(queryValue(query, 'c'), 'a=b');
  assert.ok(hasQuery(query, 'uploads') && !hasQuery(query, 'upload'));
  assert.equal(canonicalQuery(query), 'a=%C3%A9%20x&b=1&b=2&c=a%3Db&uploads=');
  assert.equal(parseQuery('a=%zz'), undefined);
});
