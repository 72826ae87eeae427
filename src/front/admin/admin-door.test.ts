import assert from 'node:assert/strict';
import { once } from 'node:events';
import { request as httpRequest, type IncomingMessage, type OutgoingHttpHeaders } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { ForebayError } from '../../core/errors.ts';
import { adminBodyMaxBytes, eventListenersMax } from '../../core/limits.ts';
import type { Clock } from '../../io/io.ts';
import { EventFeed } from '../../observe/event-feed.ts';
import type { Event } from '../../observe/events.ts';
import type { Reader, Selection, WarmProgress } from '../../read/reader.ts';
import type { AccessKey } from '../credentials.ts';
import { createAdminDoor } from './admin-door.ts';
import type { NodeStatus, Readiness } from './node-status.ts';

const ADMIN: AccessKey = {
  id: 'FBADMIN',
  secret: 'admin-secret-0123',
  volumes: ['*'],
  rights: ['read', 'write', 'admin'],
};
const GUEST: AccessKey = { id: 'FBGUEST', secret: 'guest-secret-0123', volumes: ['models'], rights: ['read'] };

/** A clock whose sleepers wait until they are woken by hand. */
function handClock(): Clock & { wake(): void } {
  let wake = Promise.withResolvers<void>();
  return {
    boottimeMs: () => performance.now(),
    wallMs: () => 0,
    bootId: 'test',
    sleep: (_, signal) =>
      Promise.race([
        wake.promise,
        new Promise<never>((__, reject) =>
          signal?.addEventListener('abort', () => reject(signal.reason as Error), { once: true }),
        ),
      ]),
    wake() {
      wake.resolve();
      wake = Promise.withResolvers<void>();
    },
  };
}

/** The read path as this door uses it, with a log of what was asked. */
class ScriptedReader implements Reader {
  readonly asked: unknown[] = [];
  warmed: () => AsyncIterable<WarmProgress> = async function* () {
    yield { objects: 1, objectsDone: 1, bytes: 5, bytesDone: 5, failed: [] };
  };
  warmSignal: AbortSignal | undefined;

  open(): never {
    throw new Error('not asked here');
  }
  openHot(): undefined {
    return undefined;
  }
  async list(request: unknown) {
    this.asked.push(['list', request]);
    return { objects: [{ key: 'a', sizeBytes: 5, doorEtag: '"e"', modifiedMs: 0 }], prefixes: ['b/'], stale: false };
  }
  warm(selection: Selection, { to, signal }: { to?: string; signal: AbortSignal }) {
    this.asked.push(['warm', selection, to]);
    this.warmSignal = signal;
    return this.warmed();
  }
  check(): AsyncIterable<never> {
    const failing = async (): Promise<never> => {
      throw new ForebayError('noSuchBucket', 'there is no volume "gone"');
    };
    return { [Symbol.asyncIterator]: () => ({ next: failing }) };
  }
  async evict(selection: Selection) {
    this.asked.push(['evict', selection]);
    return { bytes: 5, kept: 0 };
  }
  async pin(selection: Selection, pinned: boolean) {
    this.asked.push(['pin', selection, pinned]);
    return { objects: 1 };
  }
  async explain(): Promise<never> {
    throw new TypeError('a fault of ours with /secret/path in it');
  }
}

const volumeStatus = (name: string) => ({
  name,
  origin: 'memory:',
  write: false,
  revalidateMs: null,
  staleIfErrorMs: null,
  chunkSizeBytes: 1,
  verify: 'arrival' as const,
  reach: 'reachable' as const,
});
const STATUS = { name: 'n1', volumes: [volumeStatus('models'), volumeStatus('private')] } as unknown as NodeStatus;

interface Answer {
  readonly status: number;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
  readonly json: Record<string, unknown>;
}

async function startDoor(options: { anonymous?: boolean; readiness?: () => Readiness } = {}) {
  const reader = new ScriptedReader();
  const clock = handClock();
  const feed = new EventFeed();
  const events: Event[] = [];
  const keys = new Map([ADMIN, GUEST].map((key) => [key.id, key]));
  const door = createAdminDoor({
    reader,
    clock,
    feed,
    credentials: { find: (id) => keys.get(id), anonymous: options.anonymous ? ADMIN : undefined },
    emit: (event) => events.push(event),
    hosts: ['gpu-017'],
    status: () => STATUS,
    readiness: options.readiness ?? (() => ({ ready: true, reasons: [] })),
    metrics: async () => 'forebay_up 1\n',
  });
  door.server.listen(0, '127.0.0.1');
  await once(door.server, 'listening');
  const { port } = door.server.address() as AddressInfo;

  const open = async (method: string, path: string, headers: OutgoingHttpHeaders = {}, body?: string | Buffer) => {
    const request = httpRequest({ host: '127.0.0.1', port, method, path, headers, agent: false });
    request.end(body);
    const [response] = (await once(request, 'response')) as [IncomingMessage];
    return { request, response };
  };
  const ask = async (
    method: string,
    path: string,
    options: { key?: AccessKey; headers?: OutgoingHttpHeaders; body?: unknown; raw?: string } = {},
  ): Promise<Answer> => {
    const headers: OutgoingHttpHeaders = { ...options.headers };
    if (options.key) headers['authorization'] = `Bearer ${options.key.id}:${options.key.secret}`;
    const body = options.raw ?? (options.body === undefined ? undefined : JSON.stringify(options.body));
    if (body !== undefined) headers['content-type'] ??= 'application/json';
    const { response } = await open(method, path, headers, body);
    const answered = await text(response);
    const isJson = response.headers['content-type']?.startsWith('application/json');
    const json = isJson ? (JSON.parse(answered) as Record<string, unknown>) : {};
    return { status: response.statusCode as number, headers: response.headers, text: answered, json };
  };
  return {
    reader,
    clock,
    feed,
    events,
    port,
    open,
    ask,
    door,
    async [Symbol.asyncDispose]() {
      door.server.closeAllConnections();
      await door.close();
    },
  };
}

test('health is open to everyone and says whether the process turns; readiness whether it can serve', async () => {
  let ready = false;
  await using at = await startDoor({ readiness: () => ({ ready, reasons: ready ? [] : ['disk-ejected'] }) });
  assert.equal((await at.ask('GET', '/healthz', { headers: { host: 'any.example.com' } })).status, 200);
  const unready = await at.ask('GET', '/readyz');
  assert.deepEqual([unready.status, unready.json], [503, { ready: false, reasons: ['disk-ejected'] }]);
  ready = true;
  assert.equal((await at.ask('GET', '/readyz')).status, 200);
  assert.equal((await at.ask('POST', '/healthz', { body: {} })).status, 405);
});

test('everything else needs a known key with its secret', async () => {
  await using at = await startDoor();
  for (const path of [
    '/v1/status',
    '/v1/volumes',
    '/v1/objects?volume=models',
    '/v1/events',
    '/metrics',
    '/',
    '/v1/none',
  ]) {
    const refused = await at.ask('GET', path);
    assert.equal(refused.status, 401, path);
    assert.equal(refused.json['code'], 'unauthenticated');
    assert.match(String(refused.headers['www-authenticate']), /^Bearer/);
  }
  for (const authorization of [
    'Bearer FBADMIN:wrong-secret-0123',
    'Bearer FBNONE:admin-secret-0123',
    'Bearer FBADMIN',
    'Basic RkI6eA==',
    'Bearer constructor:',
    'Bearer FBADMIN:',
  ])
    assert.equal((await at.ask('GET', '/v1/status', { headers: { authorization } })).status, 401, authorization);
  assert.equal((await at.ask('GET', '/v1/status', { key: ADMIN })).status, 200);
  assert.ok(at.events.some((event) => event.kind === 'door.refused' && event.reason === 'unauthenticated'));
});

test('an anonymous door asks for no key, but still for a host of its own', async () => {
  await using at = await startDoor({ anonymous: true });
  assert.equal((await at.ask('GET', '/v1/status')).status, 200);
  assert.equal((await at.ask('GET', '/v1/status', { headers: { host: 'evil.example.com' } })).status, 403);
});

test('a name that is not the node and a page of another site are refused, with a valid key too', async () => {
  await using at = await startDoor();
  const status = async (headers: OutgoingHttpHeaders) =>
    (await at.ask('GET', '/v1/status', { key: ADMIN, headers })).status;
  for (const host of [
    'localhost',
    'localhost:7073',
    `127.0.0.1:${at.port}`,
    '10.1.2.3',
    '[::1]:7073',
    'gpu-017:7073',
    'GPU-017',
  ])
    assert.equal(await status({ host }), 200, host);
  for (const host of [
    'evil.example.com',
    'gpu-017.evil.example.com',
    'localhost.evil.example.com',
    '127.0.0.1.evil.example.com',
    'a@localhost',
  ])
    assert.equal(await status({ host }), 403, host);
  const host = `127.0.0.1:${at.port}`;
  assert.equal(await status({ host, origin: `http://${host}` }), 200);
  for (const origin of ['http://evil.example.com', 'null', `http://127.0.0.1:${at.port + 1}`])
    assert.equal(await status({ host, origin }), 403, origin);
  assert.equal(await status({ host, 'sec-fetch-site': 'cross-site' }), 403);
  assert.equal(await status({ host, 'sec-fetch-site': 'same-origin' }), 200);
});

test('a key sees its own volumes and may not change what is kept without the right to', async () => {
  await using at = await startDoor();
  const { json } = await at.ask('GET', '/v1/volumes', { key: GUEST });
  assert.deepEqual(
    (json['volumes'] as { name: string }[]).map(({ name }) => name),
    ['models'],
  );
  const statusOf = async (path: string, body: unknown) => (await at.ask('POST', path, { key: GUEST, body })).status;
  assert.equal(await statusOf('/v1/warm', { volume: 'models', key: 'a' }), 200);
  assert.equal(await statusOf('/v1/warm', { volume: 'private', key: 'a' }), 403);
  assert.equal(await statusOf('/v1/warm', { volume: 'models', key: 'a', to: '/tmp/x' }), 403);
  assert.equal(await statusOf('/v1/evict', { volume: 'models', key: 'a' }), 403);
  assert.equal(await statusOf('/v1/pin', { volume: 'models', key: 'a' }), 403);
  assert.equal((await at.ask('GET', '/v1/objects?volume=private', { key: GUEST })).status, 403);
  assert.equal((await at.ask('GET', '/v1/events', { key: GUEST })).status, 403);
  assert.deepEqual(at.reader.asked, [['warm', { volume: 'models', key: 'a' }, undefined]]);
});

test('inputs are checked and bounded, and the answer names what is wrong', async () => {
  await using at = await startDoor();
  const wrong: readonly (readonly [string, unknown, RegExp])[] = [
    ['/v1/warm', {}, /volume/],
    ['/v1/warm', { volume: 'UPPER' }, /not a volume name/],
    ['/v1/warm', { volume: 'models', key: 'a', prefix: 'b' }, /not both/],
    ['/v1/warm', { volume: 'models', to: 'relative' }, /absolute path/],
    ['/v1/warm', { volume: 'models', bogus: 1 }, /bogus/],
    ['/v1/pin', { volume: 'models', pinned: 'yes' }, /pinned/],
    ['/v1/evict', { volume: 'models', key: 'k'.repeat(1025) }, /1024 bytes/],
    ['/v1/evict', { volume: 'models', key: '\ud800' }, /well-formed/],
    ['/v1/explain', { volume: 'models' }, /key/],
    ['/v1/evict', [], /expected object/],
  ];
  for (const [path, body, message] of wrong) {
    const { status, json } = await at.ask('POST', path, { key: ADMIN, body });
    assert.equal(status, 400, JSON.stringify(body));
    assert.match(String(json['message']), message);
    assert.ok(String(json['hint']).length > 0);
  }
  assert.equal((await at.ask('POST', '/v1/evict', { key: ADMIN, raw: '{' })).json['message'], 'the body is not JSON');
  assert.equal(
    (await at.ask('POST', '/v1/evict', { key: ADMIN, raw: '{}', headers: { 'content-type': 'text/plain' } })).status,
    400,
  );
  const large = await at.ask('POST', '/v1/evict', { key: ADMIN, raw: ' '.repeat(adminBodyMaxBytes + 1) });
  assert.equal(large.json['code'], 'tooLarge');
  for (const query of [
    'volume=models&limit=0',
    'volume=models&limit=1001',
    'volume=models&bogus=1',
    'volume=models&volume=other',
  ])
    assert.equal((await at.ask('GET', `/v1/objects?${query}`, { key: ADMIN })).status, 400, query);
  assert.equal((await at.ask('GET', '/v1/none', { key: ADMIN })).status, 404);
  const method = await at.ask('GET', '/v1/evict', { key: ADMIN });
  assert.deepEqual([method.status, method.headers['allow']], [405, 'POST']);
});

test('objects, evict and pin reach the read path with what was asked', async () => {
  await using at = await startDoor();
  const listed = await at.ask('GET', '/v1/objects?volume=models&prefix=a%2Fb&delimiter=%2F&limit=7&after=x', {
    key: GUEST,
  });
  assert.deepEqual(listed.json['prefixes'], ['b/']);
  await at.ask('POST', '/v1/evict', { key: ADMIN, body: { volume: 'models', prefix: 'p/' } });
  await at.ask('POST', '/v1/pin', { key: ADMIN, body: { volume: 'models', key: 'k', pinned: false } });
  assert.deepEqual(at.reader.asked, [
    ['list', { volume: 'models', prefix: 'a/b', delimiter: '/', limit: 7, after: 'x' }],
    ['evict', { volume: 'models', prefix: 'p/' }],
    ['pin', { volume: 'models', key: 'k' }, false],
  ]);
});

test('long work streams lines, ends with done, and says midway when it fails', async () => {
  await using at = await startDoor();
  const body = { volume: 'models', prefix: '' };
  const lines = async () =>
    (await at.ask('POST', '/v1/warm', { key: ADMIN, body })).text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  assert.deepEqual(await lines(), [{ objects: 1, objectsDone: 1, bytes: 5, bytesDone: 5, failed: [] }, { done: true }]);
  at.reader.warmed = async function* () {
    yield { objects: 2, objectsDone: 1, bytes: 9, bytesDone: 5, failed: [] };
    throw new ForebayError('originUnavailable', 'the origin went away');
  };
  assert.deepEqual((await lines()).at(-1), {
    error: {
      code: 'originUnavailable',
      message: 'the origin went away',
      hint: new ForebayError('originUnavailable', '').row.hint,
    },
  });
  const before = await at.ask('POST', '/v1/check', { key: ADMIN, body });
  assert.deepEqual([before.status, before.json['code']], [404, 'noSuchBucket']);
});

test('a client that goes away stops the work it asked for', async () => {
  await using at = await startDoor();
  const began = Promise.withResolvers<void>();
  at.reader.warmed = async function* () {
    yield { objects: 1, objectsDone: 0, bytes: 5, bytesDone: 0, failed: [] };
    began.resolve();
    await once(at.reader.warmSignal as AbortSignal, 'abort');
  };
  const headers = { authorization: `Bearer ${ADMIN.id}:${ADMIN.secret}`, 'content-type': 'application/json' };
  const { request } = await at.open('POST', '/v1/warm', headers, '{"volume":"models"}');
  await began.promise;
  const aborted = once(at.reader.warmSignal as AbortSignal, 'abort');
  request.destroy();
  await aborted;
});

test('a fault of ours is told as one, and keeps its details to the log', async () => {
  await using at = await startDoor();
  const {
    status,
    text: answered,
    json,
  } = await at.ask('POST', '/v1/explain', { key: ADMIN, body: { volume: 'models', key: 'a' } });
  assert.deepEqual([status, json['code']], [500, 'internal']);
  assert.doesNotMatch(answered, /secret/);
  assert.ok(at.events.some((event) => event.kind === 'node.warning' && event.message.includes('/secret/path')));
});

test('events are streamed as they happen, filtered by kind, with a heartbeat when all is quiet', async () => {
  await using at = await startDoor();
  const headers = { authorization: `Bearer ${ADMIN.id}:${ADMIN.secret}` };
  const { request, response } = await at.open('GET', '/v1/events?kinds=origin.away,origin.back', headers);
  assert.equal(response.headers['content-type'], 'text/event-stream; charset=utf-8');
  const read = async (until: RegExp): Promise<string> => {
    let seen = '';
    while (!until.test(seen)) seen += String((await once(response, 'data'))[0]);
    return seen;
  };
  await read(/: forebay\n\n/);
  at.feed.emit({ kind: 'origin.back', volume: 'other' });
  at.feed.emit({ kind: 'disk.readmitted', path: '/x' });
  at.feed.emit({ kind: 'origin.away', volume: 'models', message: 'gone' });
  const seen = await read(/origin\.away.*\n\n/s);
  assert.match(seen, /^event: origin\.back\ndata: \{"kind":"origin\.back","volume":"other"\}\n\n/);
  assert.doesNotMatch(seen, /disk/);
  at.clock.wake();
  await read(/: heartbeat\n\n/);
  request.destroy();
});

test('there are at most so many listeners, and one that leaves makes room', async () => {
  await using at = await startDoor();
  const headers = { authorization: `Bearer ${ADMIN.id}:${ADMIN.secret}` };
  const open = await Promise.all(
    Array.from({ length: eventListenersMax }, () => at.open('GET', '/v1/events', headers)),
  );
  assert.equal((await at.ask('GET', '/v1/events', { key: ADMIN })).status, 503);
  const left = at.events.length;
  open[0]?.request.destroy();
  while (at.events.length === left) await new Promise((resolve) => setImmediate(resolve));
  const { response, request } = await at.open('GET', '/v1/events', headers);
  assert.equal(response.statusCode, 200);
  for (const { request } of open) request.destroy();
  request.destroy();
});

test('closing ends event streams and waits for the requests under way', async () => {
  await using at = await startDoor();
  const headers = { authorization: `Bearer ${ADMIN.id}:${ADMIN.secret}` };
  const { response } = await at.open('GET', '/v1/events', headers);
  const ended = text(response);
  await at.door.close();
  assert.match(await ended, /: forebay/);
  const refused = connect(at.port, '127.0.0.1');
  const [error] = (await once(refused, 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNREFUSED');
});

test('a malformed request is answered with 400 and the connection is closed', async () => {
  await using at = await startDoor();
  const socket = connect(at.port, '127.0.0.1');
  socket.end(
    'POST /v1/warm HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
  );
  assert.match(await text(socket), /^HTTP\/1\.1 400 /);
});
