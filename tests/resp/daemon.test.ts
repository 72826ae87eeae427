/** The RESP door of a real daemon, to the clients that people use. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect as connectSocket, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { Redis } from 'ioredis';
import { Daemon } from '../../bench/daemon.ts';
import { memoryOf } from '../../bench/process-usage.ts';
import { run } from '../clients/client.ts';
import { requirePython } from '../servers/python.ts';
import { requireTool } from '../tools.ts';
import { RawClient, ramp, request } from './fixture.ts';

const KEY = { id: 'FOREBAYTEST', secret: 'the-secret-of-the-test' };
const MiB = 1 << 20;

/** A daemon with the kv volumes `kv` (0) and `other` (1), stopped when the test ends. */
async function start(
  t: TestContext,
  options: { key?: typeof KEY; directory?: string } = {},
): Promise<{ daemon: Daemon; host: string; port: number }> {
  const directory = options.directory ?? mkdtempSync(join(tmpdir(), 'forebay-resp-'));
  const daemon = await Daemon.start({
    directory,
    volumes: { kv: { kind: 'kv', share: 0.4 }, other: { kind: 'kv', share: 0.4 } },
    node: { capacity: '2GiB' },
    ...(options.key && { key: options.key }),
  });
  t.after(async () => {
    if (!daemon.hasEnded) await daemon.stop();
    if (options.directory === undefined) rmSync(directory, { recursive: true, force: true });
  });
  const [host, port] = (daemon.resp as string).split(':') as [string, string];
  return { daemon, host, port: Number(port) };
}

test('redis-cli speaks to a daemon: both protocols, its password, SELECT, SCAN, large values', async (t) => {
  const tool = requireTool(t, 'redis-cli');
  if (tool === undefined) return;
  const { port } = await start(t, { key: KEY });
  const cli = async (...words: string[]) =>
    (
      await run(tool, ['-p', String(port), '--no-auth-warning', '--user', KEY.id, '--pass', KEY.secret, ...words])
    ).toString();
  for (const protocol of ['-2', '-3']) {
    assert.equal(await cli(protocol, 'SET', 'greeting', 'hello', 'EX', '1000'), 'OK\n');
    assert.equal(await cli(protocol, 'GET', 'greeting'), 'hello\n');
    assert.equal(await cli(protocol, 'EXISTS', 'greeting', 'nothing'), '1\n');
    assert.match(await cli(protocol, 'INFO', 'replication'), /^role:master\r?$/m);
    assert.equal(await cli(protocol, '--scan', '--pattern', 'greet*'), 'greeting\n');
  }
  assert.equal(await cli('-n', '1', 'GET', 'greeting'), '\n', 'volumes are apart');
  assert.match(
    (await run(tool, ['-p', String(port), 'GET', 'greeting'])).toString(),
    /^NOAUTH Authentication required\./,
  );
  assert.match(
    (await run(tool, ['-p', String(port), '-a', 'wrong', '--no-auth-warning', 'PING'])).toString(),
    /WRONGPASS|NOAUTH/,
  );
});

test('redis-py: what LMCache does with it, pipelines, locks and scans, in RESP2 and RESP3', async (t) => {
  const python = await requirePython(t, 'redis', '7.1.0');
  if (python === undefined) return;
  const { port } = await start(t, { key: KEY });
  const url = (secret: string) => `redis://${KEY.id}:${secret}@127.0.0.1:${port}/0`;
  const said = await run(python, [join(import.meta.dirname, 'redis-py-client.py'), url(KEY.secret), url('wrong')]);
  assert.equal(said.toString(), 'done\n');
});

test('redis-benchmark runs its SET, GET, MSET and pipelines to the end', async (t) => {
  const tool = requireTool(t, 'redis-benchmark');
  if (tool === undefined) return;
  const { port } = await start(t);
  const args = ['-p', String(port), '-n', '1000', '-r', '100', '-d', '1024', '-t', 'ping,set,get,mset', '--csv'];
  for (const more of [
    ['-c', '8'],
    ['-c', '20', '-P', '8'],
    ['-c', '4', '-3'],
  ]) {
    const said = (await run(tool, [...args, ...more])).toString();
    for (const name of ['PING_INLINE', 'SET', 'GET', 'MSET (10 keys)'])
      assert.match(said, new RegExp(`^"${name.replace(/[()]/g, '\\$&')}",`, 'm'));
    assert.doesNotMatch(said, /ERR/);
  }
});

test('ioredis: handshake with a password, buffers, pipelines, a stream of keys', async (t) => {
  const { port } = await start(t, { key: KEY });
  const client = new Redis({
    port,
    host: '127.0.0.1',
    username: KEY.id,
    password: KEY.secret,
    db: 1,
    lazyConnect: true,
    // It is told to go before the daemon is, and must not come back.
    retryStrategy: () => null,
  });
  t.after(() => client.disconnect());
  await client.connect();
  const value = ramp(3 * MiB);
  assert.equal(await client.set('a', value, 'EX', 100), 'OK');
  assert.ok((await client.getBuffer('a'))?.equals(value));
  const pipeline = client.pipeline();
  for (let index = 0; index < 100; index++) pipeline.set(`k${index}`, String(index)).get(`k${index}`);
  const answers = (await pipeline.exec()) ?? [];
  assert.deepEqual(
    answers.map(([error, answer]) => error ?? answer),
    Array.from({ length: 200 }, (_, at) => (at % 2 ? String((at - 1) / 2) : 'OK')),
  );
  const seen = new Set<string>();
  for await (const keys of client.scanStream({ match: 'k*', count: 30 }))
    for (const key of keys as string[]) seen.add(key);
  assert.equal(seen.size, 100);
  assert.equal(await client.exists('a'), 1);
  assert.equal(await client.del('a'), 1);
  await assert.rejects(client.call('MULTI'), /transactions are not served/);
});

test('a value is there after a restart; status and metrics know the door', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-resp-'));
  t.after(() => rmSync(directory, { recursive: true, force: true }));
  const value = ramp(5 * MiB + 17);
  const first = await start(t, { directory });
  const writer = await RawClient.connect(first.port);
  await writer.expect(Buffer.concat([request('SET', 'large', value), request('SET', 'small', 'v')]), '+OK\r\n+OK\r\n');
  await putAtOnce(first.port, value);
  const status = (await (await fetch(`http://${first.daemon.admin}/v1/status`)).json()) as {
    doors: Record<string, string>;
  };
  assert.equal(status.doors['resp'], first.daemon.resp);
  const metrics = await (await fetch(`http://${first.daemon.admin}/metrics`)).text();
  assert.match(metrics, /^forebay_door_requests_total\{door="resp",operation="SET",status="200"\} 26$/m);
  await first.daemon.stop();
  const second = await start(t, { directory });
  const reader = await RawClient.connect(second.port);
  t.after(() => reader.socket.destroy());
  await reader.expect(request('GET', 'small'), '$1\r\nv\r\n');
  const head = `$${value.length}\r\n`;
  await reader.expect(request('GET', 'large'), Buffer.concat([Buffer.from(head), value, Buffer.from('\r\n')]));
  writer.socket.destroy();
});

test('10,000 idle connections are cheap, stay, and do not slow the others', { timeout: 120_000 }, async (t) => {
  const { daemon, host, port } = await start(t);
  const client = await RawClient.connect(port);
  await client.expect(request('SET', 'k', 'v'), '+OK\r\n');
  const before = memoryOf(daemon.pid).residentBytes;
  const idle: Socket[] = [];
  t.after(() => {
    client.socket.destroy();
    for (const socket of idle) socket.destroy();
  });
  while (idle.length < 10_000) {
    const batch = Array.from({ length: 100 }, () => connectSocket({ port, host }));
    for (const socket of batch) socket.on('error', () => {});
    await Promise.all(batch.map((socket) => once(socket, 'connect')));
    idle.push(...batch);
  }
  for (let asked = 0; asked < 500; asked++) await client.expect(request('GET', 'k'), '$1\r\nv\r\n');
  client.send(request('INFO', 'clients'));
  assert.match(await client.until('\r\n\r\n'), /connected_clients:10001/);
  const perConnection = (memoryOf(daemon.pid).residentBytes - before) / idle.length;
  t.diagnostic(`${(perConnection / 1024).toFixed(1)} KiB per idle connection`);
  assert.ok(perConnection < 20 * 1024, `${perConnection} bytes per idle connection`);
});

/** Several clients put the same bytes under the same key again and again, as workers with one prompt do: none is told of the others. */
async function putAtOnce(port: number, value: Buffer): Promise<void> {
  const clients = await Promise.all(Array.from({ length: 6 }, () => RawClient.connect(port)));
  for (const client of clients)
    for (let count = 0; count < 4; count++) client.send(request('SET', `same-${count % 2}`, value));
  for (const client of clients) await client.expect('', '+OK\r\n'.repeat(4));
  for (const client of clients) client.socket.destroy();
}
