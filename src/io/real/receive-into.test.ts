/** Bodies of clients into files, by threads and by Node's streams: the same cases, with real sockets and real files. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import * as fs from 'node:fs';
import * as net from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { crc32 } from 'node:zlib';
import { mountFreezable } from '../../../tests/freezable-disk.ts';
import { skipOrFail } from '../../../tests/tools.ts';
import { createDigest } from '../../core/digest.ts';
import { isForebayError } from '../../core/errors.ts';
import { withDeadline } from '../deadline-disk.ts';
import { type Connection, DiskError, type File, type ReceivedSlice } from '../io.ts';
import { createRealClock } from './clock.ts';
import { createRealDisk } from './disk.ts';
import { loadLibc } from './libc.ts';
import { createRealNetwork, type RealNetwork, type RealNetworkOptions } from './network.ts';
import { ConnectionError } from './socket.ts';

const MiB = 1 << 20;
const clock = createRealClock();

function ramp(lengthBytes: number): Buffer {
  return Buffer.alloc(
    lengthBytes,
    Uint8Array.from({ length: 251 }, (_, index) => index),
  );
}

interface Place {
  readonly network: RealNetwork;
  readonly file: File;
  /** What the file holds. */
  content(): Buffer;
  /** Both ends of a new connection; nobody reads it yet. */
  pair(): Promise<{ client: net.Socket; connection: Connection }>;
}

async function place(t: TestContext, options: Partial<RealNetworkOptions>): Promise<Place> {
  const directory = fs.mkdtempSync(join(tmpdir(), 'forebay-receive-'));
  const disk = createRealDisk();
  const path = join(directory, 'file');
  const file = await disk.open(path, { write: true, create: true });
  const network = createRealNetwork({ clock, ...options });
  const waiting: ((connection: Connection) => void)[] = [];
  const server = net.createServer({ allowHalfOpen: true }, (connection) => waiting.shift()?.(connection));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const sockets: net.Socket[] = [];
  t.after(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await network.close();
    await file.close();
    await disk.close();
    fs.rmSync(directory, { recursive: true });
  });
  return {
    network,
    file,
    content: () => fs.readFileSync(path),
    async pair() {
      const accepted = new Promise<Connection>((resolve) => waiting.push(resolve));
      const client = net.connect((server.address() as net.AddressInfo).port, '127.0.0.1');
      const connection = await accepted;
      for (const socket of [client, connection]) socket.on('error', () => {});
      sockets.push(client, connection);
      return { client, connection };
    },
  };
}

function into({ file }: Place, connection: Connection, lengthBytes: number) {
  const slices: ReceivedSlice[] = [];
  const onSlice = (slice: ReceivedSlice): void => {
    slices.push(slice);
  };
  return { connection, file, lengthBytes, position: 0, sliceBytes: MiB, slices, onSlice };
}

/** What comes next on a connection, so many bytes. */
function next(connection: Connection, lengthBytes: number): Promise<Buffer> {
  return new Promise((resolve) => {
    let got = Buffer.alloc(0);
    const onData = (data: Buffer) => {
      got = Buffer.concat([got, data]);
      if (got.length < lengthBytes) return;
      connection.off('data', onData);
      connection.pause();
      resolve(got);
    };
    connection.on('data', onData);
    connection.resume();
  });
}

const PATHS: readonly (readonly [string, Partial<RealNetworkOptions>])[] = [
  ...(loadLibc().available ? [['threads', {}] as const] : []),
  ['streams', { ffi: 'off' }],
];

for (const [path, options] of PATHS) {
  test(`${path}: bytes go to their place, in slices at multiples, with sums and digests; the connection goes on`, async (t) => {
    const at = await place(t, options);
    const { client, connection } = await at.pair();
    const body = ramp(5 * MiB + 777);
    const position = MiB + 1000;
    client.write(body.subarray(0, 100));
    const first = await next(connection, 100);
    client.write(body.subarray(100));
    client.write('the next');
    const names = ['sha256', 'crc32', 'crc32c', 'crc64nvme', 'sha1', 'md5', 'sha512'] as const;
    const receive = { ...into(at, connection, body.length), first, position, digests: names };
    const digests = await at.network.receiveInto(receive);
    assert.ok(at.content().subarray(position).equals(body));
    let end = position;
    for (const slice of receive.slices) {
      assert.equal(slice.position, end);
      end += slice.lengthBytes;
      assert.equal(slice.checksum, crc32(body.subarray(slice.position - position, end - position)));
      assert.ok(end % MiB === 0 || end === position + body.length);
    }
    assert.equal(end, position + body.length);
    assert.equal(receive.slices.length, 6);
    for (const [index, name] of names.entries()) {
      const digest = createDigest(name);
      digest.update(body);
      assert.ok(digest.digest().equals(digests[index] as Uint8Array), name);
    }
    assert.equal((await next(connection, 8)).toString(), 'the next');
    connection.write('an answer');
    assert.equal((await next(client, 9)).toString(), 'an answer');
  });

  test(`${path}: bodies one after the other on a connection, with what follows each`, async (t) => {
    const at = await place(t, options);
    const { client, connection } = await at.pair();
    for (let round = 0; round < 5; round++) {
      const body = Buffer.alloc(300_000 + round, 65 + round);
      client.write(body);
      client.write(`+${round}`);
      const receive = into(at, connection, body.length);
      await at.network.receiveInto(receive);
      assert.ok(at.content().subarray(0, body.length).equals(body));
      assert.equal((await next(connection, 2)).toString(), `+${round}`);
    }
  });

  test(`${path}: many bodies at once, more than are received at once`, async (t) => {
    const at = await place(t, options);
    const bodies = await Promise.all(
      Array.from({ length: 80 }, async (_, index) => {
        const { client, connection } = await at.pair();
        const body = Buffer.alloc(270_000, index);
        client.write(body);
        return at.network.receiveInto({
          ...into(at, connection, body.length),
          position: index * body.length,
          digests: ['sha256'],
        });
      }),
    );
    const content = at.content();
    for (const [index, [digest]] of bodies.entries()) {
      const body = content.subarray(index * 270_000, (index + 1) * 270_000);
      assert.ok(body.every((byte) => byte === index));
      assert.equal(Buffer.from(digest as Uint8Array).toString('hex'), hash('sha256', body, 'hex'));
    }
  });

  test(`${path}: a client that closes within its body is told apart from one that is lost`, async (t) => {
    const at = await place(t, options);
    const half = await at.pair();
    half.client.end(ramp(MiB + 5));
    await assert.rejects(at.network.receiveInto(into(at, half.connection, 2 * MiB)), { code: 'incompleteBody' });
    // it may still be answered
    half.connection.write('no');
    assert.equal((await next(half.client, 2)).toString(), 'no');
    const lost = await at.pair();
    const receive = into(at, lost.connection, 2 * MiB);
    lost.client.write(ramp(MiB));
    receive.onSlice = () => {
      lost.client.resetAndDestroy();
    };
    await assert.rejects(
      at.network.receiveInto(receive),
      (error) => error instanceof ConnectionError || isForebayError(error, 'incompleteBody'),
    );
  });

  test(`${path}: a client that sends nothing for too long is given up`, async (t) => {
    const at = await place(t, { ...options, clientIdleMs: 100 });
    const { client, connection } = await at.pair();
    client.write(ramp(MiB));
    await assert.rejects(at.network.receiveInto(into(at, connection, 2 * MiB)), { code: 'ETIMEDOUT' });
  });

  test(`${path}: a signal, a closed connection and a failed report end it`, async (t) => {
    const at = await place(t, options);
    const stop = new AbortController();
    const stopped = await at.pair();
    stopped.client.write(ramp(MiB));
    const reason = new Error('enough');
    const receive = { ...into(at, stopped.connection, 2 * MiB), signal: stop.signal };
    receive.onSlice = () => stop.abort(reason);
    await assert.rejects(at.network.receiveInto(receive), reason);
    await assert.rejects(at.network.receiveInto({ ...into(at, stopped.connection, 5), signal: stop.signal }), reason);

    const closed = await at.pair();
    closed.client.write(ramp(MiB));
    const cut = into(at, closed.connection, 2 * MiB);
    cut.onSlice = () => {
      closed.connection.destroy();
    };
    await assert.rejects(at.network.receiveInto(cut), ConnectionError);

    const failed = await at.pair();
    failed.client.write(ramp(3 * MiB));
    let reports = 0;
    const failing = into(at, failed.connection, 3 * MiB);
    failing.onSlice = () => {
      reports++;
      throw reason;
    };
    await assert.rejects(at.network.receiveInto(failing), reason);
    assert.equal(reports, 1);
  });

  test(`${path}: a disk that does not take the bytes says why`, async (t) => {
    const at = await place(t, options);
    const disk = createRealDisk();
    const full = await disk.open('/dev/full', { write: true });
    const isFull = (error: unknown) => error instanceof DiskError && error.code === 'ENOSPC';
    // the shorter one has all come by the time its only block fails
    for (const lengthBytes of [300_000, 2 * MiB]) {
      const { client, connection } = await at.pair();
      client.write(ramp(lengthBytes));
      await assert.rejects(at.network.receiveInto({ ...into(at, connection, lengthBytes), file: full }), isFull);
    }
    await full.close();
    await disk.close();
  });

  test(`${path}: a network that closes ends what is being received`, async (t) => {
    const at = await place(t, options);
    const { client, connection } = await at.pair();
    client.write(ramp(MiB));
    const receive = into(at, connection, 2 * MiB);
    const isThere = new Promise<void>((resolve) => {
      receive.onSlice = () => resolve();
    });
    const received = at.network.receiveInto(receive);
    received.catch(() => {});
    await isThere;
    await at.network.close();
    if (path === 'threads') await assert.rejects(received, { code: 'shuttingDown' });
    else connection.destroy();
  });
}

test('S-12: a frozen disk fails its bodies within its deadline and is ejected', async (t) => {
  const mounted = mountFreezable(t);
  if (typeof mounted === 'string') return skipOrFail(t, mounted);
  const at = await place(t, { diskDeadlineMs: 3000 });
  const inner = createRealDisk();
  const disk = withDeadline(inner, { clock, deadlineMs: 3000, path: mounted.directory, emit: () => {} });
  const file = await disk.open(join(mounted.directory, 'a'), { write: true, create: true });
  const { client, connection } = await at.pair();
  client.write(ramp(2 * MiB));
  mounted.freeze();
  const isHung = (error: unknown) => error instanceof DiskError && error.code === 'ETIMEDOUT';
  await assert.rejects(at.network.receiveInto({ ...into(at, connection, 2 * MiB), file }), isHung);
  assert.ok(disk.ejected);
  const other = await at.pair();
  other.client.write(ramp(MiB));
  await at.network.receiveInto(into(at, other.connection, MiB));
  mounted.thaw();
  await file.close();
  disk.close();
  await inner.close();
});
