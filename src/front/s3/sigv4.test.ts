/** Our verification against AWS's own signer. */
import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ToSign } from '../../../tests/signed-request.ts';
import { encodeQuery, presignedQuery, signedHeaders } from '../../../tests/signed-request.ts';
import type { ErrorCode } from '../../core/errors.ts';
import { ForebayError } from '../../core/errors.ts';
import type { Credentials } from '../credentials.ts';
import { headerOf } from '../http/exchange.ts';
import { bytesOfText, percentEncode } from '../http/percent.ts';
import type { Query } from '../http/query.ts';
import { parseQuery } from '../http/query.ts';
import { KEY } from './door-fixture.ts';
import { SigningKey, SigningKeys } from './signing-key.ts';
import { authenticate } from './sigv4.ts';

const NOW = Date.parse('2026-11-22T12:00:00Z');
const credentials: Credentials = { find: (id) => (id === KEY.id ? KEY : undefined), anonymous: undefined };
const keys = new SigningKeys(credentials);

interface Sent {
  readonly method?: string;
  readonly path: string;
  readonly query?: string;
  readonly headers: Readonly<Record<string, string>>;
}

function check({ method, path, query, headers }: Sent, nowMs = NOW) {
  const pairs = Object.entries(headers).flatMap(([name, value]) => [name.toLowerCase(), value.trim()]);
  const request = {
    method: method ?? 'GET',
    path,
    query: parseQuery(query ?? '') as Query,
    headers: pairs,
    header: (name: string) => headerOf(pairs, name),
  };
  return authenticate(request, { credentials, keys, nowMs });
}

function refused(sent: Sent, code: ErrorCode, nowMs = NOW): void {
  assert.throws(
    () => check(sent, nowMs),
    (error) => error instanceof ForebayError && error.code === code,
    `${code} was expected`,
  );
}

const base: ToSign = { path: '/models/a', host: 'door:7070', key: KEY, date: new Date(NOW) };

test('the spelled-out HMAC is the HMAC, for messages of any length', () => {
  const key = new SigningKey(KEY, { date: '20261122', region: 'x' });
  const hmac = (secret: string | Buffer, text: string) => createHmac('sha256', secret).update(text, 'latin1').digest();
  const derived = hmac(hmac(hmac(hmac(`AWS4${KEY.secret}`, '20261122'), 'x'), 's3'), 'aws4_request');
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 1100, size: 'max' }), (bytes) => {
      const message = Buffer.from(bytes).toString('latin1');
      assert.equal(key.sign(message), hmac(derived, message).toString('hex'));
    }),
  );
});

const text = fc.string({ unit: 'grapheme', maxLength: 30 });
const headerValue = fc.stringMatching(/^[!-~][ -~]{0,20}[!-~]$/);

test('what AWS signs in headers is accepted, whatever keys, queries and headers', async () => {
  await fc.assert(
    fc.asyncProperty(
      text,
      fc.dictionary(fc.stringMatching(/^[a-zA-Z-]{1,9}$/), text, { maxKeys: 4 }),
      fc.dictionary(fc.stringMatching(/^x-amz-meta-[a-z]{1,5}$/), headerValue, { maxKeys: 3 }),
      fc.constantFrom('GET', 'PUT', 'HEAD', 'DELETE'),
      async (key, query, extra, method) => {
        const path = `/models/${percentEncode(bytesOfText(key), true)}`;
        const headers = await signedHeaders({ ...base, method, path, query, headers: extra });
        const auth = check({ method, path, query: encodeQuery(query), headers });
        assert.equal(auth.key, KEY);
        refused({ method, path: `${path}x`, query: encodeQuery(query), headers }, 'signatureMismatch');
        refused({ method: 'POST', path, query: encodeQuery(query), headers }, 'signatureMismatch');
      },
    ),
    { numRuns: 300 },
  );
});

test('what AWS presigns is accepted until it expires', async () => {
  await fc.assert(
    fc.asyncProperty(text, fc.integer({ min: 1, max: 604_800 }), async (key, expiresIn) => {
      const path = `/models/${percentEncode(bytesOfText(key), true)}`;
      const query = encodeQuery(
        await presignedQuery({ ...base, path, query: { 'response-content-type': key } }, expiresIn),
      );
      const sent = { path, query, headers: { host: base.host } };
      assert.equal(check(sent).signed, true);
      check(sent, NOW + expiresIn * 1000);
      refused(sent, 'requestExpired', NOW + expiresIn * 1000 + 1);
      refused(sent, 'requestTimeSkewed', NOW - 15 * 60_000 - 1);
      refused({ ...sent, headers: { host: 'elsewhere' } }, 'signatureMismatch');
    }),
    { numRuns: 100 },
  );
});

test('a path that the client did not encode, or encoded in lower case, is signed by its bytes', async () => {
  const headers = await signedHeaders({ ...base, path: '/models/a%20b%2Bc%C3%A9' });
  for (const path of ['/models/a%20b%2Bc%C3%A9', '/models/a%20b+c%c3%a9', '/models/%61%20b%2bc%C3%A9'])
    check({ path, headers });
});

test('inner blanks of values count as one', async () => {
  const headers = await signedHeaders({ ...base, headers: { 'x-amz-meta-a': 'b   c' } });
  check({ path: base.path, headers: { ...headers, 'x-amz-meta-a': 'b c' } });
  check({ path: base.path, headers: { ...headers, 'x-amz-meta-a': ' b \t c' } });
});

test('times may differ by fifteen minutes, not more', async () => {
  const headers = await signedHeaders(base);
  for (const skewMs of [-15 * 60_000, 15 * 60_000]) check({ path: base.path, headers }, NOW + skewMs);
  for (const skewMs of [-15 * 60_000 - 1000, 15 * 60_000 + 1000])
    refused({ path: base.path, headers }, 'requestTimeSkewed', NOW + skewMs);
});

test('the scope must be of s3 and of the day of the request', async () => {
  const headers = await signedHeaders(base);
  const authorization = headers['authorization'] as string;
  const changed = (from: string, to: string) => ({ ...headers, authorization: authorization.replace(from, to) });
  refused({ path: base.path, headers: changed('20261122/', '20261121/') }, 'invalidRequest');
  refused({ path: base.path, headers: changed('/s3/', '/sqs/') }, 'invalidRequest');
  refused({ path: base.path, headers: changed('aws4_request', 'aws5_request') }, 'invalidRequest');
  refused({ path: base.path, headers: changed('us-east-1', 'us-east-2') }, 'signatureMismatch');
  refused({ path: base.path, headers: changed(KEY.id, 'OTHER') }, 'invalidAccessKey');
  refused({ path: base.path, headers: changed('Signature=', 'Signatur=') }, 'invalidRequest');
  refused({ path: base.path, headers: changed('AWS4-HMAC-SHA256', 'AWS4-ECDSA-P256-SHA256') }, 'invalidRequest');
  check({ path: base.path, headers: changed(', ', ',') });
  const [credential, names, signature] = authorization.slice('AWS4-HMAC-SHA256 '.length).split(', ');
  const reordered = `AWS4-HMAC-SHA256 ${signature}, ${names},${credential}`;
  check({ path: base.path, headers: { ...headers, authorization: reordered } });
});

test('host and every x-amz- header must be signed', async () => {
  const headers = await signedHeaders(base);
  refused({ path: base.path, headers: { ...headers, 'x-amz-acl': 'public-read' } }, 'accessDenied');
  const authorization = (headers['authorization'] as string).replace('host;', '');
  refused({ path: base.path, headers: { ...headers, authorization } }, 'accessDenied');
});

test('signatures of other lengths, and requests without any, are refused', async () => {
  const headers = await signedHeaders(base);
  for (const end of ['', 'a', 'é'.repeat(64)]) {
    const authorization = (headers['authorization'] as string).replace(/Signature=.*/, `Signature=${end}`);
    refused({ path: base.path, headers: { ...headers, authorization } }, 'signatureMismatch');
  }
  refused({ path: base.path, headers: { host: 'door' } }, 'accessDenied');
  refused({ path: base.path, headers: { host: 'door', authorization: 'AWS id:signature' } }, 'invalidRequest');
  refused({ path: base.path, headers: { ...headers, 'x-amz-date': 'today' } }, 'accessDenied');
});

test('presigned URLs live one second to one week', async () => {
  const query = encodeQuery(await presignedQuery(base, 60));
  for (const expires of ['0', '-1', '604801', 'x', ''])
    refused(
      {
        path: base.path,
        query: query.replace('X-Amz-Expires=60', `X-Amz-Expires=${expires}`),
        headers: { host: base.host },
      },
      'invalidArgument',
    );
  const without = query.replace(/&?X-Amz-Expires=60/, '');
  refused({ path: base.path, query: without, headers: { host: base.host } }, 'invalidRequest');
});

test('a changed secret counts at once', () => {
  let key = KEY;
  const changing = new SigningKeys({ find: () => key, anonymous: undefined });
  const text = `${KEY.id}/20261122/us-east-1/s3/aws4_request`;
  const before = changing.find(text)?.key?.sign('x');
  assert.equal(changing.find(text)?.key?.sign('x'), before);
  key = { ...KEY, secret: 'new' };
  assert.notEqual(changing.find(text)?.key?.sign('x'), before);
});
