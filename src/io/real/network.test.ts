/** The same cases over pumps and over Node's streams, with real sockets and real files. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import * as http from 'node:http';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import * as tls from 'node:tls';
import { mountHangingFile } from '../../../tests/hanging-file.ts';
import type { Range } from '../../core/range.ts';
import type { Event } from '../../observe/events.ts';
import { withDeadline } from '../deadline-disk.ts';
import { type Connection, DiskError, type File, type Network } from '../io.ts';
import { createRealClock } from './clock.ts';
import { createRealDisk } from './disk.ts';
import { loadLibc } from './libc.ts';
import { createRealNetwork, type RealNetwork, type RealNetworkOptions } from './network.ts';

const MiB = 1 << 20;
const PRIME = 251;

function rampAt(start: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  let done = Math.min(length, PRIME * 1024);
  for (let index = 0; index < done; index++) bytes[index] = (start + index) % PRIME;
  while (done < length) done += bytes.copy(bytes, done, 0, Math.min(done, length - done));
  return bytes;
}

/** Counts bytes and says whether they are the ramp from `start`, without keeping them. */
class RampCheck {
  #at: number;
  readonly #start: number;
  right = true;

  constructor(start: number) {
    this.#at = start;
    this.#start = start;
  }

  add(bytes: Uint8Array): void {
    for (const byte of bytes) if (byte !== this.#at++ % PRIME) this.right = false;
  }

  get length(): number {
    return this.#at - this.#start;
  }
}

const clock = createRealClock();

async function fileOf(t: TestContext, sizeBytes: number): Promise<File> {
  const directory = fs.mkdtempSync(join(tmpdir(), 'forebay-network-'));
  fs.writeFileSync(join(directory, 'file'), rampAt(0, sizeBytes));
  const disk = createRealDisk();
  const file = await disk.open(join(directory, 'file'));
  t.after(async () => {
    await file.close();
    await disk.close();
    fs.rmSync(directory, { recursive: true });
  });
  return file;
}

function networkOf(t: TestContext, options: Partial<RealNetworkOptions>): RealNetwork {
  const network = createRealNetwork({ clock, ...options });
  t.after(() => network.close());
  return network;
}

async function listen(t: TestContext, server: net.Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // Connections end with the test; waiting for them here would be waiting for hooks that run later.
  t.after(() => void server.close());
  return (server.address() as net.AddressInfo).port;
}

/** Accepts one connection at a time and gives both of its ends. */
async function pairs(t: TestContext) {
  const waiting: ((connection: Connection) => void)[] = [];
  const server = net.createServer({ allowHalfOpen: true }, (connection) => {
    connection.on('error', () => {});
    waiting.shift()?.(connection);
  });
  const port = await listen(t, server);
  return async () => {
    const accepted = new Promise<Connection>((resolve) => waiting.push(resolve));
    const client = net.connect(port, '127.0.0.1');
    client.on('error', () => {});
    t.after(() => client.destroy());
    const connection = await accepted;
    t.after(() => connection.destroy());
    return { client, connection };
  };
}

/** An HTTP server of one file; the range is in the path: `/start-end`. */
async function serve(t: TestContext, network: Network, file: File): Promise<number> {
  const server = http.createServer(async (request, response) => {
    const [start = 0, end = 0] = (request.url ?? '').slice(1).split('-').map(Number);
    response.writeHead(206, { 'content-length': end - start });
    response.flushHeaders();
    if (!response.socket) await new Promise((resolve) => response.once('socket', resolve));
    const connection = response.socket as Connection;
    await network.sendFile({ connection, file, range: { start, end } }).then(
      () => response.end(),
      () => {},
    );
  });
  return await listen(t, server);
}

interface Got {
  readonly right: boolean;
  readonly length: number;
  readonly localPort: number | undefined;
}

function get(port: number, range: Range, agent: http.Agent): Promise<Got> {
  return new Promise((resolve, reject) => {
    const request = http.get({ port, agent, path: `/${range.start}-${range.end}` }, (response) => {
      const check = new RampCheck(range.start);
      const { localPort } = response.socket;
      response.on('data', (bytes: Buffer) => check.add(bytes));
      response.on('end', () => resolve({ right: check.right, length: check.length, localPort }));
      response.on('error', reject);
    });
    request.on('error', reject);
  });
}

function openSockets(): number {
  let count = 0;
  for (const fd of fs.readdirSync('/proc/self/fd')) {
    try {
      if (fs.readlinkSync(`/proc/self/fd/${fd}`).startsWith('socket:')) count++;
    } catch {
      // Closed since it was listed.
    }
  }
  return count;
}

/** Waits, without a term of its own, until what must come about has. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

const paths = loadLibc().available ? (['auto', 'off'] as const) : (['off'] as const);

for (const ffi of paths) {
  const on = (title: string, body: (t: TestContext) => Promise<void>) =>
    void test(`${ffi === 'auto' ? 'sendfile' : 'portable'}: ${title}`, { timeout: 60_000 }, body);

  on('ranges arrive byte by byte, one after another on one connection', async (t) => {
    const file = await fileOf(t, 9 * MiB + 123);
    const port = await serve(t, networkOf(t, { ffi }), file);
    const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });
    t.after(() => agent.destroy());
    const ports = new Set<number | undefined>();
    for (const [start, end] of [
      [0, 1],
      [0, 9 * MiB + 123],
      [5, 5],
      [4095, 4097],
      [MiB - 1, 5 * MiB + 7],
      [9 * MiB, 9 * MiB + 123],
      [0, 65_536],
    ] as const) {
      const got = await get(port, { start, end }, agent);
      assert.deepEqual([got.length, got.right], [end - start, true], `range ${start}-${end}`);
      ports.add(got.localPort);
    }
    assert.equal(ports.size, 1, 'the connection was kept alive');
  });

  on('the file comes after everything written before, and what is written afterwards comes after it', async (t) => {
    const file = await fileOf(t, MiB);
    const network = networkOf(t, { ffi });
    const { client, connection } = await (await pairs(t))();
    const received: Buffer[] = [];
    const ended = new Promise((resolve) => client.on('end', resolve));
    const before = Buffer.alloc(8 * MiB, 'before');
    connection.write(before);
    const sent = network.sendFile({ connection, file, range: { start: 10, end: MiB } });
    client.on('data', (bytes: Buffer) => received.push(bytes));
    await sent;
    connection.end('after');
    await ended;
    const expected = Buffer.concat([before, rampAt(10, MiB - 10), Buffer.from('after')]);
    assert.ok(Buffer.concat(received).equals(expected));
  });

  on('500 connections at once all get their bytes', async (t) => {
    const file = await fileOf(t, 4 * MiB);
    const port = await serve(t, networkOf(t, { ffi }), file);
    const agent = new http.Agent({ keepAlive: false, maxSockets: 500 });
    const got = await Promise.all(
      Array.from({ length: 500 }, (_, n) => get(port, { start: n * 1000, end: n * 1000 + 200_000 + n }, agent)),
    );
    got.forEach(({ right, length }, n) => {
      assert.deepEqual([right, length], [true, 200_000 + n]);
    });
  });

  on('a client that vanishes midway fails its send, and nothing stays open', async (t) => {
    const file = await fileOf(t, 32 * MiB);
    const network = networkOf(t, { ffi });
    const connect = await pairs(t);
    const first = await connect();
    first.client.resume();
    await network.sendFile({ connection: first.connection, file, range: { start: 0, end: 1 } });
    const before = openSockets();
    for (const end of ['destroy', 'resetAndDestroy'] as const) {
      const { client, connection } = await connect();
      client.once('data', () => client[end]());
      await assert.rejects(network.sendFile({ connection, file, range: { start: 0, end: 32 * MiB } }));
      assert.equal(connection.destroyed, true);
      await until(() => openSockets() <= before);
    }
    await network.sendFile({ connection: first.connection, file, range: { start: 0, end: MiB } });
  });

  on('S-12: a client that stops reading is cut off', async (t) => {
    const file = await fileOf(t, 32 * MiB);
    const network = networkOf(t, { ffi, clientIdleMs: 400 });
    const { client, connection } = await (await pairs(t))();
    client.pause();
    const cut = { code: 'ETIMEDOUT', name: 'ConnectionError' };
    await assert.rejects(network.sendFile({ connection, file, range: { start: 0, end: 32 * MiB } }), cut);
    assert.equal(connection.destroyed, true);
    const blocked = await (await pairs(t))();
    blocked.client.pause();
    blocked.connection.write(Buffer.alloc(32 * MiB));
    const behind = network.sendFile({ connection: blocked.connection, file, range: { start: 0, end: 1 } });
    await assert.rejects(behind, cut, 'also while what was written before does not leave');
  });

  on('clients that do not read hold up no other job of their pump', async (t) => {
    const file = await fileOf(t, 32 * MiB);
    const network = networkOf(t, { ffi, pumps: 1 });
    const connect = await pairs(t);
    const abort = new AbortController();
    const slow = await Promise.all(Array.from({ length: 50 }, connect));
    const ends = slow.map(({ client, connection }) => {
      client.pause();
      const send = { connection, file, range: { start: 0, end: 32 * MiB }, signal: abort.signal };
      return assert.rejects(network.sendFile(send));
    });
    const quick = await connect();
    const check = new RampCheck(0);
    quick.client.on('data', (bytes: Buffer) => check.add(bytes));
    await network.sendFile({ connection: quick.connection, file, range: { start: 0, end: 8 * MiB } });
    await until(() => check.length === 8 * MiB);
    assert.ok(check.right);
    abort.abort();
    await Promise.all(ends);
  });

  on('a client that reads slowly is not idle', async (t) => {
    const file = await fileOf(t, 16 * MiB);
    const network = networkOf(t, { ffi, clientIdleMs: 1000 });
    const { client, connection } = await (await pairs(t))();
    let sent = false;
    const sending = network.sendFile({ connection, file, range: { start: 0, end: 16 * MiB } }).then(() => {
      sent = true;
    });
    const check = new RampCheck(0);
    const from = clock.boottimeMs();
    client.pause();
    const reader = async () => {
      while (!sent) {
        const bytes = client.read() as Buffer | null;
        if (bytes) check.add(bytes);
        // Without FFI, progress shows only when a third of the kernel's buffer is free again.
        const slowMs = ffi === 'auto' ? 100 : 10;
        await clock.sleep(clock.boottimeMs() - from < 3500 ? slowMs : 1);
      }
    };
    const reading = reader();
    await sending;
    await reading;
    assert.ok(check.right);
  });

  on('an abort ends the send at once with its reason', async (t) => {
    const file = await fileOf(t, 64 * MiB);
    const network = networkOf(t, { ffi });
    const { client, connection } = await (await pairs(t))();
    client.pause();
    const abort = new AbortController();
    const reason = new Error('not needed any more');
    const send = { connection, file, range: { start: 0, end: 64 * MiB }, signal: abort.signal };
    const sending = assert.rejects(network.sendFile(send), reason);
    client.once('readable', () => abort.abort(reason));
    await sending;
    assert.equal(connection.destroyed, true);
    const other = await (await pairs(t))();
    await assert.rejects(network.sendFile({ ...send, connection: other.connection }), reason);
  });

  on('a file shorter than the range is EIO, and the connection is destroyed', async (t) => {
    const file = await fileOf(t, MiB);
    const network = networkOf(t, { ffi });
    const connect = await pairs(t);
    for (const range of [
      { start: 0, end: MiB + 1 },
      { start: 2 * MiB, end: 3 * MiB },
    ]) {
      const { client, connection } = await connect();
      client.resume();
      await assert.rejects(network.sendFile({ connection, file, range }), (error: unknown) => {
        return error instanceof DiskError && error.code === 'EIO';
      });
      assert.equal(connection.destroyed, true);
    }
  });

  on('a file may be closed while it is being sent: the bytes stay right', async (t) => {
    const file = await fileOf(t, 16 * MiB);
    const network = networkOf(t, { ffi });
    const { client, connection } = await (await pairs(t))();
    const check = new RampCheck(0);
    const sending = network.sendFile({ connection, file, range: { start: 0, end: 16 * MiB } });
    if (ffi === 'off') {
      client.resume();
      await sending;
      return;
    }
    await new Promise((resolve) => client.once('readable', resolve));
    const closed = file.close();
    client.on('data', (bytes: Buffer) => check.add(bytes));
    await sending;
    await closed;
    await until(() => check.length === 16 * MiB);
    assert.ok(check.right);
  });

  on('a connection that is closed already is refused', async (t) => {
    const file = await fileOf(t, 100);
    const network = networkOf(t, { ffi });
    const { connection } = await (await pairs(t))();
    connection.destroy();
    await assert.rejects(network.sendFile({ connection, file, range: { start: 0, end: 10 } }), { code: 'EPIPE' });
  });

  on('TLS connections get the same bytes, encrypted by Node', async (t) => {
    const file = await fileOf(t, 3 * MiB);
    const network = networkOf(t, { ffi });
    const psk = Buffer.alloc(16, 1);
    const common = { ciphers: 'TLS_AES_128_GCM_SHA256', minVersion: 'TLSv1.3' } as const;
    const server = tls.createServer({ ...common, pskCallback: () => psk }, (connection) => {
      network.sendFile({ connection, file, range: { start: 7, end: 3 * MiB } }).then(
        () => connection.end(),
        () => {},
      );
    });
    const port = await listen(t, server);
    const client = tls.connect({
      ...common,
      port,
      host: '127.0.0.1',
      pskCallback: () => ({ psk, identity: 'test' }),
      checkServerIdentity: () => undefined,
    });
    const check = new RampCheck(7);
    client.on('data', (bytes: Buffer) => check.add(bytes));
    await new Promise((resolve, reject) => client.on('end', resolve).on('error', reject));
    assert.deepEqual([check.right, check.length], [true, 3 * MiB - 7]);
  });

  on('closing the network fails what is being sent', async (t) => {
    const file = await fileOf(t, 64 * MiB);
    const network = createRealNetwork({ clock, ffi });
    if (network.path === 'portable') return;
    const { client, connection } = await (await pairs(t))();
    client.pause();
    const sending = assert.rejects(network.sendFile({ connection, file, range: { start: 0, end: 64 * MiB } }));
    await new Promise((resolve) => client.once('readable', resolve));
    await network.close();
    await sending;
    await file.close();
  });

  on('S-12: a disk that hangs fails its sends in time and is ejected, sends from others go on', async (t) => {
    const hanging = await mountHangingFile(t, 8 * MiB);
    if (typeof hanging === 'string') {
      assert.notEqual(process.env['FOREBAY_REQUIRE_ALL'], '1', hanging);
      return t.skip(hanging);
    }
    const events: Event['kind'][] = [];
    const readmitted = Promise.withResolvers<void>();
    const emit = (event: Event) => {
      events.push(event.kind);
      if (event.kind === 'disk.readmitted') readmitted.resolve();
    };
    const inner = createRealDisk();
    const deadlineMs = 800;
    const disk = withDeadline(inner, { clock, deadlineMs, path: '/', probe: 'read', emit });
    const network = networkOf(t, { ffi, pumps: 1, diskDeadlineMs: deadlineMs });
    const sound = await fileOf(t, 32 * MiB);
    const connect = await pairs(t);
    const file = await disk.open(hanging.path);
    const warmUp = await connect();
    warmUp.client.resume();
    await network.sendFile({ connection: warmUp.connection, file: sound, range: { start: 0, end: MiB } });

    hanging.hang();
    const patient = await connect();
    const check = new RampCheck(0);
    patient.client.pause();
    const moved = network.sendFile({ connection: patient.connection, file: sound, range: { start: 0, end: 32 * MiB } });
    await new Promise((resolve) => patient.client.once('readable', resolve));
    const from = clock.boottimeMs();
    const hung = await Promise.all([connect(), connect()]);
    const failed = hung.map(({ connection }) =>
      assert.rejects(network.sendFile({ connection, file, range: { start: 4 * MiB, end: 8 * MiB } }), {
        name: 'DiskError',
        code: 'ETIMEDOUT',
      }),
    );
    await Promise.all(failed);
    assert.ok(clock.boottimeMs() - from < deadlineMs + 1500, 'failed in time');
    assert.equal(disk.ejected, true);
    const refused = await connect();
    await assert.rejects(
      network.sendFile({ connection: refused.connection, file, range: { start: 0, end: 1 } }),
      { code: 'ETIMEDOUT' },
      'an ejected disk is not asked',
    );
    patient.client.on('data', (bytes: Buffer) => check.add(bytes));
    await moved;
    await until(() => check.length === 32 * MiB);
    assert.ok(check.right, 'the job that shared the pump went on elsewhere');

    hanging.resume();
    await readmitted.promise;
    const again = await connect();
    const back = new RampCheck(0);
    again.client.on('data', (bytes: Buffer) => back.add(bytes));
    await network.sendFile({ connection: again.connection, file, range: { start: 0, end: MiB } });
    await until(() => back.length === MiB);
    assert.ok(back.right);
    assert.deepEqual(events, ['disk.ejected', 'disk.readmitted']);
    await file.close();
    disk.close();
    await inner.close();
  });
}
