/** HTTP as strangers send it, against a door that takes everyone. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { answersIn, exchangeRaw, RawClient } from '../../../tests/raw-http.ts';
import { connectionsMax, requestHeadMaxBytes } from '../../core/limits.ts';
import type { DoorFixture } from '../s3/door-fixture.ts';
import { openDoor, ramp, TestClock } from '../s3/door-fixture.ts';

const get = (path: string, headers = '') => `GET ${path} HTTP/1.1\r\nHost: door\r\n${headers}\r\n`;
const put = (path: string, body: string, headers = '') =>
  `PUT ${path} HTTP/1.1\r\nHost: door\r\nContent-Length: ${body.length}\r\n${headers}\r\n${body}`;

/** A door whose sweep turns every few milliseconds, with an object or two. */
async function door() {
  const clock = new TestClock();
  clock.pace = 0.001;
  const opened = await openDoor({ anonymous: true, clock });
  opened.map.put({ volume: 'models', key: 'a' }, Buffer.from('AAAA'));
  opened.map.put({ volume: 'models', key: 'b' }, Buffer.from('BB'));
  return opened;
}

test('pipelined requests are answered in order, on the fast path and across the hand-over', async () => {
  await using opened = await door();
  opened.map.put({ volume: 'models', key: 'large' }, Buffer.from('x'.repeat(100_000)));
  const requests = [
    get('/models/a'),
    get('/models/large'),
    'HEAD /models/a HTTP/1.1\r\nHost: door\r\n\r\n',
    get('/models/b'),
    put('/data/p', 'first'),
    get('/data/p'),
    put('/data/p', 'second'),
    get('/data/p'),
    get('/models/large', 'Range: bytes=1-3\r\n'),
    get('/models/none', 'Connection: close\r\n'),
  ];
  const answers = answersIn(await exchangeRaw(opened.port, requests.join('')), [false, false, true]);
  const seen = answers.map(({ status, body }) => [status, body.length > 10 ? body.length : body]);
  assert.deepEqual(seen.slice(0, -1), [
    [200, 'AAAA'],
    [200, 100_000],
    [200, ''],
    [200, 'BB'],
    [200, ''],
    [200, 'first'],
    [200, ''],
    [200, 'second'],
    [206, 'xxx'],
  ]);
  assert.equal(answers.at(-1)?.status, 404);
});

test('a thousand pipelined requests on the fast path are answered, also when the client reads late', async () => {
  await using opened = await door();
  opened.map.put({ volume: 'models', key: 'o' }, ramp(20_000));
  using client = await RawClient.connect(opened.port);
  client.socket.pause();
  client.send(get('/models/o').repeat(999) + get('/models/o', 'Connection: close\r\n'));
  client.socket.resume();
  const answers = answersIn(await client.closed());
  assert.equal(answers.length, 1000);
  assert.ok(answers.every(({ body }) => body.length === 20_000));
});

test('heads that come byte by byte are read', async () => {
  await using opened = await door();
  using client = await RawClient.connect(opened.port);
  for (const byte of get('/models/a', 'Connection: close\r\n')) {
    client.send(byte);
    await new Promise((resolve) => setImmediate(resolve));
  }
  assert.deepEqual(
    answersIn(await client.closed()).map(({ body }) => body),
    ['AAAA'],
  );
});

test('HTTP/1.0 and Connection: close end the connection after the answer', async () => {
  await using opened = await door();
  for (const request of ['GET /models/a HTTP/1.0\r\n\r\n', get('/models/a', 'Connection: close\r\n')]) {
    const [answer] = answersIn(await exchangeRaw(opened.port, request));
    assert.equal(answer?.body, 'AAAA');
  }
});

const SMUGGLED = 'GET /models/a HTTP/1.1\r\nHost: door\r\n\r\n';
const CHUNKED = `0\r\n\r\n${SMUGGLED}`;
const HOSTILE: Readonly<Record<string, string>> = {
  'Content-Length with Transfer-Encoding': `PUT /data/x HTTP/1.1\r\nHost: door\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n${CHUNKED}`,
  'Transfer-Encoding with Content-Length, on GET': `GET /models/a HTTP/1.1\r\nHost: door\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n${CHUNKED}`,
  'two lengths': `PUT /data/x HTTP/1.1\r\nHost: door\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello${SMUGGLED}`,
  'a length that is none': `PUT /data/x HTTP/1.1\r\nHost: door\r\nContent-Length: +5\r\n\r\nhello${SMUGGLED}`,
  'a negative length': `PUT /data/x HTTP/1.1\r\nHost: door\r\nContent-Length: -5\r\n\r\n${SMUGGLED}`,
  'an unknown coding': `PUT /data/x HTTP/1.1\r\nHost: door\r\nTransfer-Encoding: chunked, cow\r\n\r\n${CHUNKED}`,
  'a blank before the colon': `PUT /data/x HTTP/1.1\r\nHost: door\r\nContent-Length : 5\r\n\r\nhello${SMUGGLED}`,
  'a folded line': `GET /models/a HTTP/1.1\r\nHost: door\r\nX-A: 1\r\n folded\r\n\r\n${SMUGGLED}`,
  'bare line feeds': `GET /models/a HTTP/1.1\nHost: door\n\n${SMUGGLED}`,
  'a bare carriage return': `GET /models/a HTTP/1.1\r\nHost: door\r\nX-A: 1\rX-B: 2\r\n\r\n${SMUGGLED}`,
  'a NUL in a value': `GET /models/a HTTP/1.1\r\nHost: door\r\nX-A: 1\0\r\n\r\n${SMUGGLED}`,
  'no host': `GET /models/a HTTP/1.1\r\nX-A: 1\r\n\r\n${SMUGGLED}`,
  'two hosts': `GET /models/a HTTP/1.1\r\nHost: door\r\nHost: other\r\n\r\n${SMUGGLED}`,
  'no method': ' /models/a HTTP/1.1\r\nHost: door\r\n\r\n',
  'another version': 'GET /models/a HTTP/2.0\r\nHost: door\r\n\r\n',
  'the HTTP/2 preface': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  TLS: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  'a bad chunk size': 'PUT /data/x HTTP/1.1\r\nHost: door\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n',
};

for (const [what, bytes] of Object.entries(HOSTILE)) {
  test(`${what}: refused, nothing smuggled, the connection closed`, async () => {
    await using opened = await door();
    const received = await exchangeRaw(opened.port, bytes);
    const answers = answersIn(received);
    assert.ok(answers.length <= 1, received);
    for (const { status } of answers) assert.ok(status >= 400 && status < 500, received);
    assert.ok(!received.includes('AAAA'), received);
    assert.equal(opened.map.objects.has('data/x'), false);
  });
}

test('headers that are too large get their own error, on one line and on many', async () => {
  await using opened = await door();
  for (const headers of [
    `X-Large: ${'x'.repeat(requestHeadMaxBytes)}\r\n`,
    'X-Many: 1\r\n'.repeat(requestHeadMaxBytes / 4),
  ]) {
    const [answer] = answersIn(await exchangeRaw(opened.port, get('/models/a', headers)));
    assert.equal(answer?.status, 400);
    assert.match(answer?.body ?? '', /RequestHeaderSectionTooLarge/);
  }
  const [fits] = answersIn(
    await exchangeRaw(opened.port, get('/models/a', `Connection: close\r\nX: ${'x'.repeat(30_000)}\r\n`)),
  );
  assert.equal(fits?.body, 'AAAA');
});

test('a body that ends early commits nothing, and a client that still listens is told', async () => {
  await using opened = await door();
  using client = await RawClient.connect(opened.port, { allowHalfOpen: true });
  client.send('PUT /data/x HTTP/1.1\r\nHost: door\r\nContent-Length: 10\r\n\r\nshort');
  client.socket.end();
  const [answer] = answersIn(await client.closed());
  assert.equal(answer?.status, 400);
  assert.match(answer?.body ?? '', /IncompleteBody/);
  assert.equal(opened.map.objects.has('data/x'), false);
});

test('bytes after the declared length are no part of the object, and close the connection', async () => {
  await using opened = await door();
  const answers = answersIn(await exchangeRaw(opened.port, put('/data/x', 'abc').concat('defgh\r\n\r\n')));
  assert.deepEqual(
    answers.map(({ status }) => status),
    [200, 400],
  );
  assert.equal(Buffer.from(opened.map.stored({ volume: 'data', key: 'x' }).bytes).toString(), 'abc');
});

test('100 Continue is said only to those who may go on', async () => {
  await using opened = await door();
  const head = (volume: string) =>
    `PUT /${volume}/x HTTP/1.1\r\nHost: door\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n`;
  using client = await RawClient.connect(opened.port);
  client.send(head('data'));
  await client.until((received) => received === 'HTTP/1.1 100 Continue\r\n\r\n');
  client.send('abc');
  await client.until((received) => received.includes('HTTP/1.1 200 OK'));
  const denied = await exchangeRaw(opened.port, head('models'));
  assert.ok(denied.startsWith('HTTP/1.1 403 '), denied);
});

test('a large body that nobody wants is answered before the connection closes', async () => {
  await using opened = await door();
  using client = await RawClient.connect(opened.port);
  client.send(`PUT /models/x HTTP/1.1\r\nHost: door\r\nContent-Length: ${1 << 30}\r\n\r\n${'x'.repeat(600_000)}`);
  const [answer] = answersIn(await client.until((received) => received.includes('</Error>')));
  assert.equal(answer?.status, 403);
  assert.equal(answer?.headers.get('connection'), 'close');
  client.send('x'.repeat(1_000_000));
  await client.closed();
});

test('a small body that nobody wants is read, and the connection goes on', async () => {
  await using opened = await door();
  const bytes = put('/models/x', 'x'.repeat(100_000)) + get('/models/a', 'Connection: close\r\n');
  const answers = answersIn(await exchangeRaw(opened.port, bytes));
  assert.deepEqual(
    answers.map(({ status }) => status),
    [403, 200],
  );
});

test('clients that owe the rest of a head, or a body, or just sit there are cut off in time', async () => {
  await using opened = await door();
  const partial = ['GET /models/a HTT', 'PUT /data/x HTTP/1.1\r\nHost', put('/data/x', 'abc').slice(0, -1)];
  for (const bytes of partial) {
    using client = await RawClient.connect(opened.port);
    client.send(bytes);
    await passesUntilClosed(opened, client);
  }
  using idle = await RawClient.connect(opened.port);
  idle.send(get('/models/a'));
  await idle.until((received) => received.endsWith('AAAA'));
  await passesUntilClosed(opened, idle);
  assert.equal(opened.map.objects.has('data/x'), false);
});

test('a client that does not read its answer is cut off in time, and nothing leaks', async () => {
  await using opened = await door();
  opened.map.put({ volume: 'models', key: 'large' }, ramp(32 << 20));
  opened.map.pieceBytes = 8 << 20;
  using client = await RawClient.connect(opened.port);
  client.send(get('/models/large'));
  await client.until((received) => received.length > 100);
  client.socket.pause();
  while (client.socket.bytesRead < 10_000) await new Promise((resolve) => setImmediate(resolve));
  assert.equal(opened.map.open, 1);
  await settles(() => {
    opened.clock.passedMs += 100;
    return opened.map.open === 0 && opened.map.pieces === 0;
  });
  client.socket.resume();
  await client.closed();
  assert.ok(client.received.length < 32 << 20);
});

test('a client that vanishes midway leaves nothing behind, whether it reads or writes', async () => {
  await using opened = await door();
  opened.map.put({ volume: 'models', key: 'large' }, ramp(64 << 20));
  for (const isHandedOver of [false, true]) {
    using reader = await RawClient.connect(opened.port);
    if (isHandedOver) reader.send(put('/data/y', 'abc'));
    reader.send(get('/models/large'));
    await reader.until((received) => received.length > 1_000_000);
    reader.socket.destroy();
    await settles(() => opened.map.open === 0 && opened.map.pieces === 0);
  }
  using writer = await RawClient.connect(opened.port);
  writer.send(`PUT /data/x HTTP/1.1\r\nHost: door\r\nContent-Length: 1000000\r\n\r\n${'x'.repeat(5000)}`);
  await settles(async () => (await opened.connections()) === 1);
  writer.socket.destroy();
  await settles(async () => (await opened.connections()) === 0);
  assert.equal(opened.map.objects.has('data/x'), false);
});

test('a client that leaves while the origin is asked aborts the asking', async () => {
  await using opened = await door();
  opened.map.put({ volume: 'models', key: 'large' }, ramp(1 << 20));
  let isAsked = false;
  let release = () => {};
  opened.map.beforePiece = async () => {
    isAsked = true;
    await new Promise<void>((resolve) => {
      release = resolve;
    });
  };
  using client = await RawClient.connect(opened.port);
  client.send(get('/models/large'));
  await settles(() => isAsked);
  client.socket.destroy();
  await settles(async () => (await opened.connections()) === 0);
  release();
  await settles(() => opened.map.open === 0);
});

test('two thousand idle connections do not hurt those who ask', async () => {
  await using opened = await door();
  const idle: RawClient[] = [];
  for (let count = 0; count < 2000; count += 100)
    idle.push(...(await Promise.all(Array.from({ length: 100 }, () => RawClient.connect(opened.port)))));
  for (const client of idle.slice(0, 20)) {
    client.send(get('/models/a'));
    await client.until((received) => received.endsWith('AAAA'));
  }
  await settles(async () => (await opened.connections()) === 2000);
  assert.equal(opened.server.maxConnections, connectionsMax);
  await settles(async () => {
    opened.clock.passedMs += 1000;
    return (await opened.connections()) === 0;
  });
  for (const client of idle) client.socket.destroy();
});

test('a door that closes finishes what is under way', async () => {
  const opened = await door();
  opened.map.put({ volume: 'models', key: 'large' }, ramp(1 << 20));
  let release = () => {};
  opened.map.beforePiece = () =>
    new Promise<void>((resolve) => {
      release = resolve;
    });
  opened.clock.pace = 1;
  using idle = await RawClient.connect(opened.port);
  using busy = await RawClient.connect(opened.port);
  busy.send(get('/models/large'));
  await settles(() => opened.map.open === 1);
  const closing = opened[Symbol.asyncDispose]();
  await idle.closed();
  release();
  const [answer] = answersIn(await busy.closed());
  assert.equal(answer?.body.length, 1 << 20);
  await closing;
});

/** Lets time pass for the door until it closes the connection; at once would be too early. */
async function passesUntilClosed(opened: DoorFixture, client: RawClient): Promise<void> {
  let isClosed = false;
  const closed = client.closed().then(() => {
    isClosed = true;
  });
  const fromMs = opened.clock.passedMs;
  await settles(() => {
    if (!isClosed) opened.clock.passedMs += 100;
    return isClosed;
  });
  await closed;
  assert.ok(opened.clock.passedMs - fromMs >= 50_000);
}

/** Waits, a turn of the event loop at a time, until `is` holds; the test's own time limit is the bound. */
async function settles(is: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await is())) await new Promise((resolve) => setImmediate(resolve));
}
