/** `/v1/kv/<volume>/…`: values over HTTP. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { connect } from 'node:net';
import { buffer } from 'node:stream/consumers';
import { type TestContext, test } from 'node:test';
import { type Doors, GUEST, KEY, openKvDoors, settled } from '../../../tests/kv/doors.ts';
import { TestKvVolume } from '../../../tests/kv-volume.ts';
import { ForebayError } from '../../core/errors.ts';
import { kvKeysMax, kvLeaseMaxMs, kvLeaseMs, valueMaxBytes } from '../../core/kv-limits.ts';
import { keyMaxBytes } from '../../core/limits.ts';
import type { KvVolume, OpenValue } from '../../kv/kv.ts';
import type { AccessKey } from '../credentials.ts';
import { RESERVED } from '../kv/value-key.ts';
import { ramp } from '../s3/door-fixture.ts';

interface Asked {
  readonly key?: AccessKey;
  readonly headers?: OutgoingHttpHeaders;
  readonly json?: unknown;
  readonly body?: Uint8Array | string;
}

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly bytes: Buffer;
  readonly json: Record<string, unknown>;
}

interface At extends Doors {
  readonly ask: (method: string, path: string, asked?: Asked) => Promise<Answer>;
  readonly put: (key: string, bytes: Uint8Array | string) => Promise<void>;
}

async function open(t: TestContext): Promise<At> {
  const doors = await openKvDoors(t);
  const ask = async (method: string, path: string, { key = KEY, headers, json, body }: Asked = {}): Promise<Answer> => {
    const sent = json === undefined ? body : JSON.stringify(json);
    const request = httpRequest({
      host: '127.0.0.1',
      port: doors.adminPort,
      method,
      path,
      agent: false,
      headers: {
        authorization: `Bearer ${key.id}:${key.secret}`,
        ...(json !== undefined && { 'content-type': 'application/json' }),
        ...(sent !== undefined && { 'content-length': Buffer.byteLength(sent) }),
        ...headers,
      },
    });
    request.on('error', () => undefined);
    request.end(sent);
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    const bytes = await buffer(response);
    const isJson = response.headers['content-type']?.startsWith('application/json') === true && bytes.length > 0;
    const parsed = isJson ? (JSON.parse(bytes.toString()) as Record<string, unknown>) : {};
    return { status: response.statusCode as number, headers: response.headers, bytes, json: parsed };
  };
  const put = async (key: string, bytes: Uint8Array | string) => {
    const { status } = await ask('PUT', `/v1/kv/cache/value/${key}`, { body: bytes });
    assert.equal(status, 200);
  };
  return { ...doors, ask, put };
}

/** Reads docs/formats/kv-http.md's stream of values; `undefined` for a miss. Throws where it is cut. */
function valuesOf(bytes: Buffer): (Buffer | undefined)[] {
  const values: (Buffer | undefined)[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = bytes.readBigUInt64LE(at);
    at += 8;
    if (length === 2n ** 64n - 1n) values.push(undefined);
    else {
      assert.ok(at + Number(length) <= bytes.length, 'a value is whole');
      values.push(bytes.subarray(at, at + Number(length)));
      at += Number(length);
    }
  }
  return values;
}

test('a value comes back as it went, whatever its key and size, and is gone when it is deleted', async (t) => {
  const { ask, cache } = await open(t);
  const keys = [
    'a',
    'with%20blank',
    'a%2Fb',
    'a/b/c',
    '%FF%FE%00',
    '.',
    '%2E%2E',
    'a/../b',
    '%25',
    '%C3%A9',
    'x'.repeat(keyMaxBytes),
  ];
  for (const [index, key] of keys.entries()) {
    const bytes = Buffer.from(ramp([0, 1, 5000, 40_000, 2_500_000][index % 5] as number));
    const path = `/v1/kv/cache/value/${key}`;
    const put = await ask('PUT', path, { body: bytes });
    assert.equal(put.status, 200, key);
    assert.deepEqual([put.json['sizeBytes'], put.json['ttlMs']], [bytes.length, null]);
    const got = await ask('GET', path);
    assert.equal(got.status, 200, key);
    assert.ok(got.bytes.equals(bytes), key);
    assert.equal(got.headers['etag'], put.json['etag']);
    assert.equal(got.headers['content-length'], String(bytes.length));
    const head = await ask('HEAD', path);
    assert.deepEqual([head.status, head.headers['content-length']], [200, String(bytes.length)]);
    assert.deepEqual((await ask('DELETE', path)).json, { deleted: 1 });
    assert.deepEqual((await ask('DELETE', path)).json, { deleted: 0 });
    assert.deepEqual([(await ask('GET', path)).status, (await ask('HEAD', path)).status], [404, 404]);
  }
  await settled(cache);
});

test('one range of a value is answered alone, and what lies behind it is refused', async (t) => {
  const { ask, put } = await open(t);
  for (const size of [100, 2_500_000]) {
    const bytes = Buffer.from(ramp(size));
    await put('k', bytes);
    const range = (text: string) => ask('GET', '/v1/kv/cache/value/k', { headers: { range: text } });
    const middle = await range('bytes=10-29');
    assert.deepEqual([middle.status, middle.headers['content-range']], [206, `bytes 10-29/${size}`]);
    assert.ok(middle.bytes.equals(bytes.subarray(10, 30)));
    assert.ok((await range('bytes=-5')).bytes.equals(bytes.subarray(-5)));
    const behind = await range(`bytes=${size}-`);
    assert.deepEqual([behind.status, behind.headers['content-range']], [416, `bytes */${size}`]);
  }
});

test('S-10: a lookup promises the leading keys that are there for as long as it is asked to', async (t) => {
  const { ask, put, cache } = await open(t);
  for (const key of ['a', 'b', 'd', '%FF']) await put(key, `bytes of ${key}`);
  const lookup = async (json: object) => (await ask('POST', '/v1/kv/cache/lookup', { json })).json;
  const found = await lookup({ keys: ['a', '%FF', 'b', 'c', 'd'] });
  assert.deepEqual([found['leading'], found['leaseMs']], [3, kvLeaseMs]);
  assert.deepEqual(
    (found['values'] as { sizeBytes: number }[]).map(({ sizeBytes }) => sizeBytes),
    [10, 12, 10],
  );
  const before = cache.leasedUntilMs('a');
  assert.deepEqual((await lookup({ keys: ['a'], leaseMs: 60_000 }))['leaseMs'], 60_000);
  assert.ok(cache.leasedUntilMs('a') - before > 40_000, 'the lease is as long as it was asked for');
  assert.equal((await lookup({ keys: ['none', 'a'] }))['leading'], 0);
  const leased = cache.leasedUntilMs('d');
  assert.equal(leased, 0, 'what lies behind the first miss is not leased');
  await ask('HEAD', '/v1/kv/cache/value/d');
  assert.ok(cache.leasedUntilMs('d') > 0, 'a HEAD that says yes is a lookup');
});

test('a batch comes as one stream in the order asked for, misses marked', async (t) => {
  const { ask, put, cache } = await open(t);
  const values: Readonly<Record<string, Buffer>> = {
    empty: Buffer.alloc(0),
    small: Buffer.from('small'),
    hot: Buffer.from(ramp(30_000)),
    large: Buffer.from(ramp(20 << 20)),
  };
  for (const [key, bytes] of Object.entries(values)) await put(key, bytes);
  const keys = ['large', 'none', 'empty', 'small', 'hot', 'small', 'also none'];
  const answer = await ask('POST', '/v1/kv/cache/get', { json: { keys } });
  assert.equal(answer.status, 200);
  assert.equal(answer.headers['content-type'], 'application/vnd.forebay.values');
  const found = valuesOf(answer.bytes);
  assert.equal(found.length, keys.length);
  for (const [index, key] of keys.entries()) {
    const expected = values[key];
    assert.equal(found[index] === undefined, expected === undefined, key);
    if (expected) assert.ok(found[index]?.equals(expected), key);
  }
  await settled(cache);
});

/** Has values of a volume fail as those of a node that goes away. */
function losing(volume: KvVolume, failsAt: (key: string) => 'before' | 'midway' | undefined): void {
  const openIt: KvVolume['open'] = TestKvVolume.prototype.open.bind(volume as TestKvVolume);
  volume.open = async (key, signal): Promise<OpenValue | undefined> => {
    const value = await openIt(key, signal);
    const fails = failsAt(key);
    if (value === undefined || fails === undefined) return value;
    const { fact } = value;
    async function* pieces() {
      if (fails === 'midway') yield { kind: 'bytes' as const, bytes: Buffer.alloc(1000), release: () => undefined };
      throw new ForebayError('peerUnreachable', 'the node that had it is gone');
    }
    return { fact, hot: undefined, pieces, close: () => value.close() };
  };
}

test('a value whose node is lost is a miss before its first byte, and a broken answer behind it', async (t) => {
  const { ask, put, cache } = await open(t);
  for (const key of ['a', 'before', 'midway']) await put(key, ramp(100_000));
  losing(cache, (key) => (key === 'a' ? undefined : (key as 'before' | 'midway')));
  assert.equal((await ask('GET', '/v1/kv/cache/value/before')).status, 404);
  await assert.rejects(ask('GET', '/v1/kv/cache/value/midway'), 'the answer is cut off');
  const gather = (keys: readonly string[]) => ask('POST', '/v1/kv/cache/get', { json: { keys } });
  const found = valuesOf((await gather(['a', 'before', 'a'])).bytes);
  assert.deepEqual(
    found.map((value) => value?.length),
    [100_000, undefined, 100_000],
  );
  await assert.rejects(gather(['a', 'midway', 'a']), 'the answer is cut off');
  assert.equal((await ask('GET', '/v1/kv/cache/value/a')).status, 200, 'the door goes on');
  await settled(cache);
});

test('a ttl is taken from the request, and If-None-Match: * puts only where nothing is', async (t) => {
  const { ask, cache } = await open(t);
  const put = (query: string, headers: OutgoingHttpHeaders = {}) =>
    ask('PUT', `/v1/kv/cache/value/k${query}`, { body: 'x', headers });
  const ttlMs = (await put('?ttl=90s')).json['ttlMs'] as number;
  assert.ok(ttlMs > 80_000 && ttlMs <= 90_000, `${ttlMs}`);
  const got = await ask('GET', '/v1/kv/cache/value/k');
  assert.ok(Number(got.headers['x-forebay-ttl-ms']) <= 90_000);
  assert.equal((await put('?ttl=never')).json['ttlMs'], null);
  for (const wrong of ['?ttl=0s', '?ttl=-1s', '?ttl=soon', '?ttl=', '?ttl=1s&ttl=2s', '?tll=1s', '?ttl=%zz'])
    assert.equal((await put(wrong)).status, 400, wrong);
  const again = await put('', { 'if-none-match': '*' });
  assert.deepEqual([again.status, again.json['code']], [412, 'preconditionFailed']);
  assert.equal((await put('', { 'if-none-match': '"x"' })).status, 400);
  await ask('DELETE', '/v1/kv/cache/value/k');
  assert.equal((await put('', { 'if-none-match': '*' })).status, 200);
  assert.equal(cache.status.values, 1);
});

test('keys are listed in pages, percent-encoded, without what the doors keep for themselves', async (t) => {
  const { ask, put, cache } = await open(t);
  const keys = ['%00a', 'a/1', 'a/2', 'b%20c', '%C3%A9', '%FF'];
  for (const key of keys) await put(key, 'x');
  const hidden = {
    lengthBytes: 1,
    stream: async function* () {
      yield Buffer.from('x');
    },
  };
  await cache.put(`${RESERVED}upload`, hidden, { signal: new AbortController().signal });
  const found: string[] = [];
  for (let after = ''; ; ) {
    const { status, json } = await ask('GET', `/v1/kv/cache/keys?limit=2${after}`);
    assert.equal(status, 200);
    found.push(...(json['keys'] as { key: string }[]).map(({ key }) => key));
    if (json['next'] === undefined) break;
    after = `&after=${json['next'] as string}`;
  }
  assert.deepEqual(found, keys);
  const { json } = await ask('GET', '/v1/kv/cache/keys?prefix=a%2F');
  assert.deepEqual(
    (json['keys'] as { key: string; sizeBytes: number }[]).map(({ key }) => key),
    ['a/1', 'a/2'],
  );
  const status = (await ask('GET', '/v1/kv/cache/status')).json;
  assert.deepEqual(
    [status['name'], status['values'], status['share'], status['respDb'], status['ttlMs'], status['clusterValues']],
    ['cache', 7, 0.3, 0, null, 7],
  );
});

test('a key reads and writes where it may and learns nothing of other volumes', async (t) => {
  const { ask, put } = await open(t);
  await put('k', 'x');
  const asGuest = async (method: string, path: string, asked: Asked = {}) =>
    (await ask(method, path, { key: GUEST, ...asked })).status;
  assert.equal(await asGuest('GET', '/v1/kv/cache/value/k'), 200);
  assert.equal(await asGuest('POST', '/v1/kv/cache/lookup', { json: { keys: ['k'] } }), 200);
  assert.equal(await asGuest('PUT', '/v1/kv/cache/value/k', { body: 'y' }), 403);
  assert.equal(await asGuest('DELETE', '/v1/kv/cache/value/k'), 403);
  for (const volume of ['frozen', 'data', 'nothing'])
    assert.equal(await asGuest('GET', `/v1/kv/${volume}/value/k`), 403, volume);
  assert.equal(await asGuest('GET', '/v1/kv/cache/value/k', { key: { ...GUEST, secret: 'wrong-secret-123' } }), 401);
  assert.equal((await ask('GET', '/v1/kv/data/value/k')).status, 404, 'a volume with an origin is no kv volume');
  assert.equal((await ask('PUT', '/v1/kv/frozen/value/k', { body: 'y' })).status, 403, 'write = false');
  assert.equal((await ask('GET', '/v1/kv/cache/value/k', { headers: { host: 'evil.example.com' } })).status, 403);
});

test('hostile input is answered with what is wrong with it', async (t) => {
  const { ask, cache } = await open(t);
  const statusOf = async (method: string, path: string, asked: Asked = {}) => (await ask(method, path, asked)).status;
  const long = 'x'.repeat(keyMaxBytes + 1);
  for (const key of ['', '%', '%4', '%zz', long, encodeURIComponent(RESERVED)])
    for (const [method, asked] of [
      ['GET', {}],
      ['PUT', { body: 'x' }],
      ['DELETE', {}],
    ] as const)
      assert.equal(await statusOf(method, `/v1/kv/cache/value/${key}`, asked), 400, `${method} ${key.slice(0, 20)}`);
  for (const path of [
    '/v1/kv/',
    '/v1/kv/cache',
    '/v1/kv/cache/',
    '/v1/kv/cache/other',
    '/v1/kv/cache/get/k',
    '/v1/kv//lookup',
  ])
    assert.ok([400, 404].includes(await statusOf('POST', path, { json: { keys: ['a'] } })), path);
  assert.equal(await statusOf('GET', '/v1/kv/UPPER/value/k'), 400);
  const wrong = await ask('POST', '/v1/kv/cache/value/k', { body: 'x' });
  assert.deepEqual([wrong.status, wrong.headers['allow']], [405, 'GET, HEAD, PUT, DELETE']);
  assert.equal(await statusOf('GET', '/v1/kv/cache/lookup'), 405);
  for (const json of [
    {},
    { keys: [] },
    { keys: 'a' },
    { keys: [1] },
    { keys: [''] },
    { keys: ['%'] },
    { keys: [long] },
    { keys: ['a'], leaseMs: 0 },
    { keys: ['a'], leaseMs: 1.5 },
    { keys: ['a'], leaseMs: kvLeaseMaxMs + 1 },
    { keys: ['a'], bogus: 1 },
    { keys: Array.from({ length: kvKeysMax + 1 }, () => 'a') },
    [],
    null,
  ])
    assert.equal(await statusOf('POST', '/v1/kv/cache/lookup', { json }), 400, JSON.stringify(json).slice(0, 50));
  assert.equal(await statusOf('POST', '/v1/kv/cache/get', { json: { keys: ['a'], leaseMs: 1 } }), 400);
  const tooLarge = { headers: { 'content-length': String(valueMaxBytes + 1) } };
  assert.equal(await statusOf('PUT', '/v1/kv/cache/value/k', tooLarge), 400, 'before any of it is read');
  const chunked = { headers: { 'transfer-encoding': 'chunked' }, body: 'x' };
  assert.ok([400, 411].includes(await statusOf('PUT', '/v1/kv/cache/value/k', chunked)));
  assert.equal(cache.status.values, 0);
});

test('a body that ends early leaves nothing behind', async (t) => {
  const { ask, adminPort, cache } = await open(t);
  const socket = connect({ host: '127.0.0.1', port: adminPort });
  await once(socket, 'connect');
  socket.write(
    `PUT /v1/kv/cache/value/k HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer ${KEY.id}:${KEY.secret}\r\nContent-Length: 1000\r\n\r\npart`,
  );
  socket.resume();
  socket.end();
  await once(socket, 'close');
  assert.equal((await ask('GET', '/v1/kv/cache/value/k')).status, 404);
  assert.equal(cache.status.values, 0);
});

test('commands of objects say of a kv volume that it has no origin', async (t) => {
  const { ask, put } = await open(t);
  await put('dir/k', 'bytes');
  const told = async (method: string, path: string, json?: object) => {
    const answer = await ask(method, path, json === undefined ? {} : { json });
    return [answer.status, String(answer.json['message'])] as const;
  };
  for (const path of ['/v1/warm', '/v1/check', '/v1/evict', '/v1/pin']) {
    const [status, message] = await told('POST', path, { volume: 'cache', prefix: '' });
    assert.equal(status, 400, path);
    assert.match(message, /cache is a kv volume, without an origin: /, path);
  }
  for (const [method, path, json] of [
    ['POST', '/v1/drain', { volume: 'cache' }],
    ['GET', '/v1/conflicts?volume=cache', undefined],
    ['POST', '/v1/recover', { volume: 'cache' }],
    ['POST', '/v1/adopt', { volume: 'cache', directory: '/tmp' }],
    ['GET', '/v1/writes?volume=cache', undefined],
    ['POST', '/v1/checkpoints/begin', { volume: 'cache', name: 'c' }],
    ['GET', '/v1/checkpoints?volume=cache', undefined],
  ] as const) {
    const [status, message] = await told(method, path, json);
    assert.equal(status, 400, path);
    assert.match(message, /cache is a kv volume, without an origin: nothing of it drains/, path);
  }
  const explained = (await ask('POST', '/v1/explain', { json: { volume: 'cache', key: 'dir/k' } })).json;
  assert.match(JSON.stringify(explained['steps']), /a hit of 5 B, content [0-9a-f]{32}, never forgotten, or evicted/);
  const missing = (await ask('POST', '/v1/explain', { json: { volume: 'cache', key: 'none' } })).json;
  assert.match(JSON.stringify(missing['steps']), /a miss/);
  const listed = (await ask('GET', '/v1/objects?volume=cache&delimiter=%2F')).json;
  assert.deepEqual(listed['prefixes'], ['dir/']);
  const { volumes } = (await ask('GET', '/v1/volumes')).json as { volumes: { name: string; kv: object | null }[] };
  assert.deepEqual(
    volumes.map(({ name, kv }) => [name, kv === null]),
    [
      ['data', true],
      ['cache', false],
      ['frozen', false],
    ],
  );
  assert.match((await ask('GET', '/metrics')).bytes.toString(), /forebay_kv_values\{volume="cache"\} 1/);
});
