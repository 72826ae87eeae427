/** Clients that lie, stall, flood or go away. Others go on; memory stays where it was. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect as connectSocket, type Socket } from 'node:net';
import { test } from 'node:test';
import fc from 'fast-check';
import { ForebayError } from '../../src/core/errors.ts';
import { respBodiesMax } from '../../src/core/kv-limits.ts';
import { eventually } from '../daemon/fixture.ts';
import { RawClient, ramp, request, respFixture } from './fixture.ts';

const MiB = 1 << 20;

test('lengths that lie end the connection with the error of Redis, after the answers that were owed', async (t) => {
  const { connect, volume } = await respFixture(t);
  const lies: readonly (readonly [string, string])[] = [
    ['*2\r\n$3\r\nGET\r\n$-5\r\n', 'invalid bulk length'],
    ['*2\r\n$3\r\nGET\r\n$1073741824\r\n', 'invalid bulk length'],
    ['*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870913\r\n', 'invalid bulk length'],
    ['*1000000000\r\n', 'invalid multibulk length'],
    ['*1\r\n$3\r\nGETX\r\n', 'expected CRLF after a bulk string'],
    ['*2\r\n$3\r\nGET\r\n:1\r\n', "expected '$', got ':'"],
    ['"GET a\r\n', 'unbalanced quotes in request'],
  ];
  for (const [sent, problem] of lies) {
    const client = await connect();
    client.send(`PING\r\n${sent}`);
    assert.equal((await client.rest()).toString(), `+PONG\r\n-ERR Protocol error: ${problem}\r\n`);
  }
  // A value that is longer than it says: its put is given up, not kept with what came in time.
  const client = await connect();
  const value = ramp(MiB + 3);
  client.send(Buffer.concat([Buffer.from(`*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$${MiB}\r\n`), value]));
  assert.equal((await client.rest()).toString(), '-ERR Protocol error: expected CRLF after a bulk string\r\n');
  await eventually('nothing is kept', () => volume.status.values === 0);
});

test('a client that goes away in the middle of a value leaves nothing', async (t) => {
  const { connect, volume } = await respFixture(t);
  const client = await connect();
  client.send(
    Buffer.concat([request('SET', 'kept', 'v'), Buffer.from(`*3\r\n$3\r\nSET\r\n$4\r\nlost\r\n$${8 * MiB}\r\n`)]),
  );
  client.send(ramp(5 * MiB));
  await eventually('the put has begun', () => volume.puts === 2);
  client.socket.destroy();
  const other = await connect();
  await other.expect(request('EXISTS', 'lost'), ':0\r\n');
  await other.expect(request('GET', 'kept'), '$1\r\nv\r\n');
});

test('a put that fails at once is answered when its bytes have passed, and the connection goes on', async (t) => {
  const { connect, volume } = await respFixture(t);
  volume.onPut = () => {
    throw new ForebayError('diskFull', 'the share of the volume is full of leased values');
  };
  const client = await connect();
  for (const value of [ramp(10), ramp(3 * MiB)]) {
    client.send(request('SET', 'k', value));
    assert.match(await client.until('\r\n'), /^-OOM the share of the volume is full of leased values\. /);
  }
  volume.onPut = undefined;
  await client.expect(request('SET', 'k', 'v'), '+OK\r\n');
});

test('a web page that has its browser send HTTP here runs no command', async (t) => {
  const { connect, volume } = await respFixture(t);
  for (const first of ['POST / HTTP/1.1\r\n', 'Host: 127.0.0.1\r\n']) {
    const client = await connect();
    client.send(`${first}Content-Type: text/plain\r\n\r\nSET a b\r\n`);
    assert.equal((await client.rest()).length, 0);
  }
  assert.equal(volume.puts, 0);
});

test('garbage of any kind neither stops the door nor leaves anything open', async (t) => {
  const { connect, port } = await respFixture(t);
  const word = fc.constantFrom(
    '*3\r\n',
    '$3\r\nSET\r\n',
    '$1\r\nk\r\n',
    '$-1\r\n',
    '$5\r\nhello\r\n',
    '\r\n',
    'GET k\r\n',
    '\0',
    '$70000\r\n',
    '*1\r\n',
    '"',
  );
  const noise = fc.array(
    fc.oneof(
      word,
      fc.uint8Array({ maxLength: 20 }).map((bytes) => Buffer.from(bytes).toString('latin1')),
    ),
    { maxLength: 12 },
  );
  await fc.assert(
    fc.asyncProperty(noise, async (pieces) => {
      const client = await RawClient.connect(port);
      client.socket.end(Buffer.from(pieces.join(''), 'latin1'));
      await client.rest();
      client.socket.destroy();
    }),
    { numRuns: 60 },
  );
  const client = await connect();
  await client.expect('PING\r\n', '+PONG\r\n');
});

test('S-12: a client that does not read a 512 MiB value costs no memory, and others are served', {
  timeout: 120_000,
}, async (t) => {
  const { connect, port } = await respFixture(t);
  const writer = await connect();
  const piece = ramp(MiB);
  writer.send(`*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$${512 * MiB}\r\n`);
  for (let count = 0; count < 512; count++) if (!writer.socket.write(piece)) await once(writer.socket, 'drain');
  await writer.expect('\r\n', '+OK\r\n');
  const before = process.memoryUsage().rss;
  const deaf: Socket[] = [];
  for (let count = 0; count < 8; count++) {
    const socket = connectSocket({ port, host: '127.0.0.1' });
    await once(socket, 'connect');
    socket.pause();
    socket.write(Buffer.concat(Array.from({ length: 20 }, () => request('GET', 'big'))));
    deaf.push(socket);
  }
  const other = await connect();
  for (let count = 0; count < 200; count++) {
    await other.expect(request('SET', `k${count}`, 'v'), '+OK\r\n');
    await other.expect(request('STRLEN', 'big'), `:${512 * MiB}\r\n`);
  }
  const grown = (process.memoryUsage().rss - before) / MiB;
  // one of the eight that was kept whole would be twice that
  assert.ok(grown < 256, `the door grew by ${grown.toFixed(0)} MiB`);
  for (const socket of deaf) socket.destroy();
});

test('S-12: a client that asks much and reads nothing has its requests wait, not their answers', async (t) => {
  const { connect, volume, port } = await respFixture(t);
  const writer = await connect();
  await writer.expect(request('SET', 'k', ramp(30_000)), '+OK\r\n');
  const socket = connectSocket({ port, host: '127.0.0.1' });
  await once(socket, 'connect');
  socket.pause();
  const before = process.memoryUsage().rss;
  const asks = Buffer.concat(Array.from({ length: 20_000 }, () => request('GET', 'k')));
  socket.write(asks);
  for (let count = 0; count < 50; count++) await writer.expect(request('EXISTS', 'k'), ':1\r\n');
  const grown = (process.memoryUsage().rss - before) / MiB;
  assert.ok(grown < 100, `600 MB of answers grew the process by ${grown.toFixed(0)} MiB`);
  assert.ok(volume.opened <= 1);
  socket.destroy();
});

test('S-12: more values at once than may arrive: the others wait their turn, and all arrive', async (t) => {
  const { connect, volume } = await respFixture(t);
  const clients = await Promise.all(Array.from({ length: respBodiesMax + 8 }, () => connect()));
  const value = ramp(300_000);
  const half = request('SET', 'k', value).subarray(0, 60_000);
  for (const client of clients) client.send(half);
  await eventually('as many as may have begun', () => volume.puts === respBodiesMax);
  for (const client of clients) client.send(request('SET', 'k', value).subarray(half.length));
  for (const client of clients) await client.expect('', '+OK\r\n');
  assert.equal(volume.puts, clients.length);
});
