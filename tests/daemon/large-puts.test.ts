/** Large bodies at the S3 door of a real daemon, byte by byte: they go to the disk around Node. */
import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { crc32 } from 'node:zlib';
import type { Daemon } from '../../bench/daemon.ts';
import { answersIn, RawClient } from '../raw-http.ts';
import { fixture, get, MiB, VOLUME } from './fixture.ts';

function ramp(lengthBytes: number): Buffer {
  return Buffer.alloc(
    lengthBytes,
    Uint8Array.from({ length: 251 }, (_, index) => index),
  );
}

async function staged(t: TestContext): Promise<Daemon> {
  const { directory, start } = await fixture(t);
  const root = join(directory, 'root');
  mkdirSync(root);
  return start({ volume: { origin: `file://${root}`, write: true, ack: 'local', replicas: 1 } });
}

const connect = (daemon: Daemon) => RawClient.connect(Number(daemon.s3.split(':')[1]), { allowHalfOpen: true });

const head = (key: string, lengthBytes: number, headers = '') =>
  `PUT /${VOLUME}/${key} HTTP/1.1\r\nHost: door\r\nContent-Length: ${lengthBytes}\r\n${headers}\r\n`;

/** The answers so far, once there are so many. */
async function answers(client: RawClient, count: number) {
  const text = await client.until((received) => received.split('HTTP/1.1 ').length > count && isWhole(received, count));
  return answersIn(text);
}

function isWhole(received: string, count: number): boolean {
  const last = answersIn(received)[count - 1];
  return last !== undefined && last.body.length === Number(last.headers.get('content-length') ?? 0);
}

test('large bodies on one connection, with what is sent right behind them, are each their object', async (t) => {
  const daemon = await staged(t);
  using client = await connect(daemon);
  const large = ramp(3 * MiB + 12_345);
  const other = Buffer.alloc(700_000, 'other');
  client.send(
    Buffer.concat([Buffer.from(head('a', large.length)), large, Buffer.from(head('b', 5)), Buffer.from('small')]),
  );
  client.send(Buffer.concat([Buffer.from(head('c', other.length)), other]));
  client.send(`GET /${VOLUME}/b HTTP/1.1\r\nHost: door\r\n\r\n`);
  const seen = (await answers(client, 4)).map(({ status, body }) => [status, body]);
  assert.deepEqual(seen, [
    [200, ''],
    [200, ''],
    [200, ''],
    [200, 'small'],
  ]);
  assert.ok((await get(daemon, 'a')).bytes.equals(large));
  assert.ok((await get(daemon, 'c')).bytes.equals(other));
});

test('checksums of large bodies are verified before anything is committed, and the connection goes on', async (t) => {
  const daemon = await staged(t);
  using client = await connect(daemon);
  const body = ramp(2 * MiB + 1);
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(body));
  const right = {
    'x-amz-checksum-crc32': sum.toString('base64'),
    'x-amz-checksum-sha256': hash('sha256', body, 'base64'),
    'content-md5': hash('md5', body, 'base64'),
  };
  let count = 0;
  for (const [name, value] of Object.entries(right)) {
    client.send(Buffer.concat([Buffer.from(head(name, body.length, `${name}: ${value}\r\n`)), body]));
    const answer = (await answers(client, ++count)).at(-1);
    assert.equal(answer?.status, 200, `${name}: ${answer?.body}`);
    if (name !== 'content-md5') assert.equal(answer?.headers.get(name), value);
    const wrong = Buffer.from(body);
    wrong[MiB] = 1;
    client.send(Buffer.concat([Buffer.from(head(name, body.length, `${name}: ${value}\r\n`)), wrong]));
    const refused = (await answers(client, ++count)).at(-1);
    assert.equal(refused?.status, 400);
    assert.match(refused?.body ?? '', /<Code>BadDigest<\/Code>/);
    assert.ok((await get(daemon, name)).bytes.equals(body), 'the object is the one before');
  }
});

test('a client that waits for 100 Continue gets it, and one that stops within its body commits nothing', async (t) => {
  const daemon = await staged(t);
  using waiting = await connect(daemon);
  const body = ramp(MiB);
  waiting.send(head('a', body.length, 'Expect: 100-continue\r\n'));
  await waiting.until((received) => received === 'HTTP/1.1 100 Continue\r\n\r\n');
  waiting.send(body);
  await waiting.until((received) => received.includes('HTTP/1.1 200 OK'));
  assert.ok((await get(daemon, 'a')).bytes.equals(body));
  using stopping = await connect(daemon);
  stopping.send(Buffer.concat([Buffer.from(head('b', 2 * MiB)), body]));
  stopping.socket.end();
  const [answer] = answersIn(await stopping.closed());
  assert.equal(answer?.status, 400);
  assert.match(answer?.body ?? '', /IncompleteBody/);
  assert.equal((await get(daemon, 'b')).status, 404);
});

test('parts of any size make their object, also those that are sent again', async (t) => {
  const daemon = await staged(t);
  const url = `http://${daemon.s3}/${VOLUME}/parts`;
  const begun = await (await fetch(`${url}?uploads`, { method: 'POST', body: '' })).text();
  const id = /<UploadId>(.*?)<\/UploadId>/.exec(begun)?.[1] ?? '';
  using client = await connect(daemon);
  const sizes = [5 * MiB + 1000, 5 * MiB + 1000, 6 * MiB, 300_000];
  const parts = sizes.map((size, index) => Buffer.alloc(size, `part ${index} of the object. `));
  const etags: string[] = [];
  let count = 0;
  for (const index of [1, 0, 2, 1, 3]) {
    const part = parts[index] as Buffer;
    // the second one is sent twice, first with other bytes
    const bytes = index === 1 && count === 0 ? ramp(part.length) : part;
    client.send(Buffer.concat([Buffer.from(head(`parts?partNumber=${index + 1}&uploadId=${id}`, part.length)), bytes]));
    const answer = (await answers(client, ++count)).at(-1);
    assert.equal(answer?.status, 200, `${answer?.body}`);
    etags[index] = answer?.headers.get('etag') ?? '';
  }
  const named = etags.map((etag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${etag}</ETag></Part>`);
  const body = `<CompleteMultipartUpload>${named.join('')}</CompleteMultipartUpload>`;
  const completed = await fetch(`${url}?uploadId=${id}`, { method: 'POST', body });
  assert.match(await completed.text(), /<ETag>/);
  assert.ok((await get(daemon, 'parts')).bytes.equals(Buffer.concat(parts)));
});
