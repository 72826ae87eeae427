/** Bad input and bad days at the S3 door, over raw sockets with real signatures. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { test } from 'node:test';
import type { Answer } from '../../../tests/raw-http.ts';
import { answersIn, exchangeRaw, RawClient } from '../../../tests/raw-http.ts';
import { headText, signedHeaders } from '../../../tests/signed-request.ts';
import { ForebayError } from '../../core/errors.ts';
import type { DoorFixture } from './door-fixture.ts';
import { KEY, openDoor, ramp } from './door-fixture.ts';
import { SigningKey } from './signing-key.ts';

interface Call {
  readonly method?: string;
  readonly path: string;
  readonly target?: string;
  readonly headers?: Record<string, string>;
  readonly body?: string;
  readonly query?: Record<string, string>;
}

async function bytesOf(door: DoorFixture, call: Call): Promise<string> {
  const { method = 'GET', path, target, headers = {}, body, query } = call;
  const signed = await signedHeaders({
    method,
    path,
    ...(query === undefined ? {} : { query }),
    host: `127.0.0.1:${door.port}`,
    key: KEY,
    headers: body === undefined ? headers : { 'content-length': String(Buffer.byteLength(body)), ...headers },
  });
  const search = query === undefined ? '' : `?${new URLSearchParams(query).toString()}`;
  return headText(method, target ?? path + search, { ...signed, connection: 'close' }) + (body ?? '');
}

async function call(door: DoorFixture, request: Call): Promise<Answer> {
  using client = await RawClient.connect(door.port);
  client.send(await bytesOf(door, request));
  const isHead = request.method === 'HEAD';
  const first = (received: string) => answersIn(received, [isHead])[0];
  const isWhole = (answer: Answer | undefined) =>
    answer !== undefined && (isHead || answer.body.length === Number(answer.headers.get('content-length') ?? 0));
  return first(await client.until((received) => isWhole(first(received)))) as Answer;
}

function codeOf({ body }: Answer): string | undefined {
  return /<Code>(.*?)<\/Code>/.exec(body)?.[1];
}

test('keys are decoded once, as bytes, and never normalised', async () => {
  await using door = await openDoor();
  for (const [path, key] of [
    ['/models/a+b', 'a+b'],
    ['/models/a%2Bb', 'a+b'],
    ['/models/a%2Fb', 'a/b'],
    ['/models/a%252Fb', 'a%2Fb'],
    ['/models//a', '/a'],
    ['/models/../data/a', '../data/a'],
    ['/models/./a/', './a/'],
    ['/models/%E3%82%B3', 'コ'],
    ['/models/%00', '\0'],
    ['/models/%EF%BB%BFa', '\ufeffa'],
  ] as const) {
    door.map.objects.clear();
    door.map.put({ volume: 'models', key }, Buffer.from('found'));
    assert.equal((await call(door, { path })).body, 'found', path);
  }
});

test('keys that are not UTF-8, malformed escapes and long keys are refused', async () => {
  await using door = await openDoor();
  for (const target of [
    '/models/%FF',
    '/models/%ED%A0%80',
    '/models/%C0%AF',
    '/models/%zz',
    '/models/a%',
    '/models/a?x=%g1',
  ])
    assert.equal(codeOf(await call(door, { path: '/models/a', target })), 'InvalidURI', target);
  assert.equal(codeOf(await call(door, { path: `/models/${'a'.repeat(1025)}` })), 'KeyTooLongError');
  assert.equal(codeOf(await call(door, { path: `/models/${'%C3%A9'.repeat(513)}` })), 'KeyTooLongError');
});

test('errors carry code, hint, resource and request id; HEAD only the status', async () => {
  await using door = await openDoor();
  const answer = await call(door, { path: '/models/none%26' });
  assert.equal(answer.status, 404);
  assert.match(
    answer.body,
    /^<\?xml version="1.0" encoding="UTF-8"\?>\n<Error><Code>NoSuchKey<\/Code><Message>.+<\/Message>/,
  );
  assert.match(answer.body, /<Resource>\/models\/none%26<\/Resource>/);
  const id = answer.headers.get('x-amz-request-id') ?? '';
  assert.match(id, /^[0-9a-f]{18}$/);
  assert.ok(answer.body.includes(`<RequestId>${id}</RequestId>`));
  const head = await call(door, { method: 'HEAD', path: '/models/none' });
  assert.equal(head.status, 404);
  assert.equal(head.body, '');
});

test('a range past the end says how long the object is', async () => {
  await using door = await openDoor();
  door.map.put({ volume: 'models', key: 'o' }, ramp(100));
  door.map.put({ volume: 'models', key: 'empty' }, ramp(0));
  const past = await call(door, { path: '/models/o', headers: { range: 'bytes=100-' } });
  assert.equal(past.status, 416);
  assert.equal(past.headers.get('content-range'), 'bytes */100');
  for (const range of ['bytes=0-0', 'bytes=-1'])
    assert.equal((await call(door, { path: '/models/empty', headers: { range } })).status, 416);
  assert.equal((await call(door, { path: '/models/empty' })).headers.get('content-length'), '0');
});

test('If-Range asks for the whole of another version', async () => {
  await using door = await openDoor();
  const { doorEtag, etag, modifiedMs } = door.map.put({ volume: 'models', key: 'o' }, ramp(100));
  const lastModified = new Date(modifiedMs).toUTCString();
  const statusFor = async (ifRange: string) =>
    (await call(door, { path: '/models/o', headers: { range: 'bytes=0-9', 'if-range': ifRange } })).status;
  for (const same of [doorEtag, etag, lastModified]) assert.equal(await statusFor(same), 206);
  for (const other of ['"other"', `W/${doorEtag}`, new Date(0).toUTCString()])
    assert.equal(await statusFor(other), 200);
});

test('a signed body must be the one that was signed', async () => {
  await using door = await openDoor();
  const sha256 = hash('sha256', 'hello');
  const put = (body: string) =>
    call(door, { method: 'PUT', path: '/data/x', body, headers: { 'x-amz-content-sha256': sha256 } });
  assert.equal(codeOf(await put('jello')), 'XAmzContentSHA256Mismatch');
  assert.equal(door.map.objects.size, 0);
  assert.equal((await put('hello')).status, 200);
});

test('chunks signed one by one are verified from the signature of the head on', async () => {
  await using door = await openDoor();
  const date = new Date();
  const day = date.toISOString().slice(0, 10).replaceAll('-', '');
  const key = new SigningKey(KEY, { date: day, region: 'us-east-1' });
  for (const isForged of [false, true]) {
    const chunks = ['a'.repeat(70_000), 'b'.repeat(10), ''];
    const headers = await signedHeaders({
      method: 'PUT',
      path: '/data/chunked',
      host: `127.0.0.1:${door.port}`,
      key: KEY,
      date,
      headers: {
        'content-encoding': 'aws-chunked',
        'x-amz-content-sha256': 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
        'x-amz-decoded-content-length': '70010',
      },
    });
    let previous = /Signature=(.*)/.exec(headers['authorization'] as string)?.[1] as string;
    let body = '';
    for (const chunk of chunks) {
      const digests = `${hash('sha256', '')}\n${hash('sha256', chunk)}`;
      const scope = `${day}/us-east-1/s3/aws4_request`;
      previous = key.sign(`AWS4-HMAC-SHA256-PAYLOAD\n${headers['x-amz-date']}\n${scope}\n${previous}\n${digests}`);
      body += `${chunk.length.toString(16)};chunk-signature=${previous}\r\n${chunk}\r\n`;
    }
    if (isForged) body = body.replace('bbb', 'bab');
    const bytes = headText('PUT', '/data/chunked', { ...headers, 'content-length': String(body.length) }) + body;
    using client = await RawClient.connect(door.port);
    client.send(bytes);
    const received = await client.until((text) => answersIn(text).length === 1);
    assert.equal(answersIn(received)[0]?.status, isForged ? 403 : 200, received);
    if (!isForged) {
      const { bytes: stored, fact } = door.map.stored({ volume: 'data', key: 'chunked' });
      assert.equal(stored.length, 70_010);
      assert.equal(fact.headers['content-encoding'], undefined);
      door.map.objects.clear();
    } else assert.equal(door.map.objects.size, 0);
  }
});

test('a body without a declared length is refused', async () => {
  await using door = await openDoor();
  const chunked = await call(door, {
    method: 'PUT',
    path: '/data/x',
    headers: { 'transfer-encoding': 'chunked' },
  });
  assert.equal(chunked.status, 411);
  assert.equal((await call(door, { method: 'PUT', path: '/data/x' })).status, 411);
  const huge = { 'content-length': String(6 * 1024 ** 3) };
  assert.equal(codeOf(await call(door, { method: 'PUT', path: '/data/x', headers: huge })), 'EntityTooLarge');
});

const BOMB = `<!DOCTYPE l [<!ENTITY a "ha">${Array.from({ length: 20 }, (_, i) => `<!ENTITY b${i} "&a;&a;&a;">`).join('')}]>`;
const XML: Readonly<Record<string, string>> = {
  'an entity bomb': `${BOMB}<Delete><Object><Key>&b1;</Key></Object></Delete>`,
  'an external entity': '<!DOCTYPE d SYSTEM "file:///etc/passwd"><Delete><Object><Key>a</Key></Object></Delete>',
  'an unknown entity': '<Delete><Object><Key>&bomb;</Key></Object></Delete>',
  CDATA: '<Delete><Object><Key><![CDATA[a]]></Key></Object></Delete>',
  'deep nesting': '<a>'.repeat(10_000) + '</a>'.repeat(10_000),
  'another root': '<Insert><Object><Key>a</Key></Object></Insert>',
  'no end': '<Delete><Object><Key>a</Key></Object>',
  'no key': '<Delete><Object></Object></Delete>',
  'no objects': '<Delete></Delete>',
  'too many objects': `<Delete>${'<Object><Key>a</Key></Object>'.repeat(1001)}</Delete>`,
  'no XML': 'delete everything',
  nothing: '',
  'a surrogate': '<Delete><Object><Key>&#xD800;</Key></Object></Delete>',
  'a prototype': '<Delete><__proto__><Key>a</Key></__proto__></Delete>',
};
for (const [what, body] of Object.entries(XML)) {
  test(`XML with ${what} is malformed`, async () => {
    await using door = await openDoor();
    door.map.put({ volume: 'data', key: 'a' }, ramp(1));
    const answer = await call(door, { method: 'POST', path: '/data', query: { delete: '' }, body });
    assert.equal(answer.status, 400);
    assert.equal(codeOf(answer), 'MalformedXML');
    assert.equal(door.map.objects.size, 1);
  });
}

test('XML above its bound is not read', async () => {
  await using door = await openDoor();
  const headers = { 'content-length': String(5 * 1024 * 1024) };
  const answer = await call(door, { method: 'POST', path: '/data', query: { delete: '' }, headers });
  assert.equal(codeOf(answer), 'EntityTooLarge');
});

test('keys in XML may hold anything, escaped', async () => {
  await using door = await openDoor();
  for (const key of [' leading', 'a&b<c>"\'', 'tab\t', 'é', 'line\nfeed'])
    door.map.put({ volume: 'data', key }, ramp(1));
  const body =
    '<?xml version="1.0"?><Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">' +
    ' leading|a&amp;b&lt;c&gt;&quot;&apos;|tab&#9;|&#xe9;|line&#10;feed'
      .split('|')
      .map((key) => `<Object><Key>${key}</Key></Object>`)
      .join('\n') +
    '</Delete>';
  const answer = await call(door, { method: 'POST', path: '/data', query: { delete: '' }, body });
  assert.equal(answer.status, 200, answer.body);
  assert.equal(door.map.objects.size, 0);
});

test('S-1: an object that changes before the first byte is opened anew, a bounded number of times', async () => {
  await using door = await openDoor();
  door.map.put({ volume: 'models', key: 'o' }, ramp(100_000));
  let failures = 3;
  door.map.beforePiece = () => {
    if (failures-- > 0) throw new ForebayError('versionChanged', 'it was replaced');
  };
  assert.equal((await call(door, { path: '/models/o' })).body.length, 100_000);
  failures = 4;
  const answer = await call(door, { path: '/models/o' });
  assert.equal(answer.status, 500);
  assert.match(answer.body, /replaced at the origin/);
  assert.equal(door.map.open, 0);
});

test('S-1: an object that changes after the first byte ends in a closed connection, never in a short 200', async () => {
  await using door = await openDoor();
  door.map.put({ volume: 'models', key: 'o' }, ramp(3 << 20));
  door.map.beforePiece = (index) => {
    if (index === 2) throw new ForebayError('versionChanged', 'it was replaced');
  };
  const received = await exchangeRaw(door.port, await bytesOf(door, { path: '/models/o' }));
  const [answer] = answersIn(received);
  assert.equal(answer?.status, 200);
  assert.equal(answer?.headers.get('content-length'), String(3 << 20));
  assert.ok((answer?.body.length ?? 0) < 3 << 20);
  assert.equal(door.map.open, 0);
  assert.equal(door.map.pieces, 0);
});

test('an origin that is busy or away is told apart, with a time to come back', async () => {
  await using door = await openDoor();
  door.map.put({ volume: 'models', key: 'o' }, ramp(100_000));
  door.map.beforePiece = () => {
    throw new ForebayError('originThrottled', 'the origin says 429', { retryAfterMs: 2500 });
  };
  const busy = await call(door, { path: '/models/o' });
  assert.deepEqual([busy.status, codeOf(busy), busy.headers.get('retry-after')], [503, 'SlowDown', '3']);
  door.map.beforePiece = () => {
    throw new ForebayError('originUnavailable', 'the origin does not answer');
  };
  const away = await call(door, { path: '/models/o' });
  assert.deepEqual([away.status, codeOf(away), away.headers.get('retry-after')], [503, 'ServiceUnavailable', '1']);
  door.map.beforePiece = () => {
    throw new Error('secret detail at /some/path');
  };
  const broken = await call(door, { path: '/models/o' });
  assert.equal(broken.status, 500);
  assert.ok(!broken.body.includes('secret'));
});

test('metadata from the origin cannot end the head of an answer', async () => {
  await using door = await openDoor();
  door.map.put({ volume: 'models', key: 'o' }, ramp(5), {
    headers: { 'content-type': 'text/plain\r\nX-Evil: 1' },
    metadata: { good: 'grün', bad: 'a\r\n\r\nHTTP/1.1 200 OK', 'bad name': 'x' },
  });
  const answer = await call(door, { path: '/models/o' });
  assert.equal(answer.headers.get('x-evil'), undefined);
  assert.equal(answer.headers.get('x-amz-meta-bad'), undefined);
  assert.equal(Buffer.from(answer.headers.get('x-amz-meta-good') ?? '', 'latin1').toString('utf8'), 'grün');
  assert.equal(answer.body.length, 5);
});

test('metadata sent as UTF-8 is kept as text', async () => {
  await using anonymous = await openDoor({ anonymous: true });
  const head =
    'PUT /data/x HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 1\r\nx-amz-meta-a: grün\r\n\r\nx';
  await exchangeRaw(anonymous.port, Buffer.from(head, 'utf8'));
  assert.deepEqual(anonymous.map.stored({ volume: 'data', key: 'x' }).fact.metadata, { a: 'grün' });
});

test('a signed request that is sent again on the same connection is answered again', async () => {
  await using door = await openDoor();
  door.map.put({ volume: 'models', key: 'o' }, Buffer.from('same'));
  const bytes = (await bytesOf(door, { path: '/models/o' })).replace('connection: close\r\n', '');
  using client = await RawClient.connect(door.port);
  client.send(bytes.repeat(3));
  await client.until((received) => answersIn(received).filter(({ body }) => body === 'same').length === 3);
});

test('every request is told of, with its operation, status and bytes', async () => {
  await using door = await openDoor();
  door.map.put({ volume: 'models', key: 'o' }, ramp(100));
  await call(door, { path: '/models/o' });
  await call(door, { method: 'PUT', path: '/models/o', body: 'x' });
  const seen = door.events.map((event) =>
    event.kind === 'door.request' ? [event.operation, event.status, event.bytes > 0] : [event.kind],
  );
  assert.deepEqual(seen, [['GetObject', 200, true], ['door.refused'], ['PutObject', 403, true]]);
});
