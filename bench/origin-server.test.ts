import assert from 'node:assert/strict';
import { hash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { GetObjectCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { countRequests, coverage } from './origin-log.ts';
import { OriginProcess } from './origin-process.ts';
import { type OriginOptions, OriginServer } from './origin-server.ts';
import { firstWrong, patternSlices } from './pattern.ts';
import { RawReader } from './raw-reader.ts';

const MiB = 1 << 20;

async function serve(t: TestContext, options: Omit<OriginOptions, 'bucket'>) {
  const server = new OriginServer({ bucket: 'lake', ...options });
  const endpoint = await server.listen();
  t.after(() => server.close());
  return { server, endpoint };
}

test('the AWS SDK reads ranges and lists pages of generated objects and files', async (t) => {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-origin-'));
  t.after(() => rmSync(directory, { recursive: true }));
  const bytes = Buffer.concat([...patternSlices(9, 3 * MiB)]);
  writeFileSync(join(directory, 'real'), bytes);
  const generated = Array.from({ length: 25 }, (_, i) => ({ key: `dir/ü ${i}+%`, sizeBytes: 2 * MiB + i, seed: i }));
  const { server, endpoint } = await serve(t, { generated, files: { 'real file': join(directory, 'real') } });
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
  });
  t.after(() => client.destroy());
  const got = await client.send(
    new GetObjectCommand({ Bucket: 'lake', Key: 'dir/ü 3+%', Range: 'bytes=1048000-2000000' }),
  );
  const body = await got.Body?.transformToByteArray();
  assert.equal(body?.length, 952001);
  assert.equal(firstWrong(3, 1048000, body as Uint8Array), undefined);
  const file = await client.send(new GetObjectCommand({ Bucket: 'lake', Key: 'real file' }));
  assert.equal(hash('sha256', (await file.Body?.transformToByteArray()) as Uint8Array), hash('sha256', bytes));
  const keys: string[] = [];
  let token: string | undefined;
  do {
    const page = await client.send(
      new ListObjectsV2Command({ Bucket: 'lake', MaxKeys: 7, ...(token && { ContinuationToken: token }) }),
    );
    keys.push(...(page.Contents ?? []).map((object) => object.Key as string));
    token = page.NextContinuationToken;
  } while (token !== undefined);
  assert.deepEqual(new Set(keys), new Set([...generated.map((object) => object.key), 'real file']));
  const top = await client.send(new ListObjectsV2Command({ Bucket: 'lake', Delimiter: '/' }));
  assert.deepEqual(top.CommonPrefixes, [{ Prefix: 'dir/' }]);
  assert.equal(countRequests(server.requests).gets, 2);
  assert.equal(countRequests(server.requests).getBytes, 952001 + 3 * MiB);
});

test('a condition on another version is refused, a replaced object is another version', async (t) => {
  const { server, endpoint } = await serve(t, { generated: [{ key: 'k', sizeBytes: 10, seed: 1 }] });
  const etag = (await fetch(`${endpoint}/lake/k`, { method: 'HEAD' })).headers.get('etag') as string;
  assert.equal((await fetch(`${endpoint}/lake/k`, { headers: { 'if-match': etag } })).status, 200);
  server.put({ key: 'k', sizeBytes: 10, seed: 2 });
  assert.equal((await fetch(`${endpoint}/lake/k`, { headers: { 'if-match': etag } })).status, 412);
  assert.equal((await fetch(`${endpoint}/lake/none`)).status, 404);
  assert.equal((await fetch(`${endpoint}/lake/k`, { headers: { range: 'bytes=10-' } })).status, 416);
});

test('faults befall the requests that they name, as often as they say', async (t) => {
  const { server, endpoint } = await serve(t, { generated: [{ key: 'k', sizeBytes: 4 * MiB, seed: 1 }] });
  server.fail({ kind: 'status', status: 503, times: 2, method: 'GET' });
  assert.equal((await fetch(`${endpoint}/lake/k`)).status, 503);
  assert.equal((await fetch(`${endpoint}/lake/k`, { method: 'HEAD' })).status, 200);
  assert.equal((await fetch(`${endpoint}/lake/k`)).status, 503);
  server.fail({ kind: 'cut', fraction: 0.5, times: 1 });
  await assert.rejects(async () => (await fetch(`${endpoint}/lake/k`)).arrayBuffer());
  server.fail({ kind: 'shorter', times: 1 });
  const half = await fetch(`${endpoint}/lake/k`, { headers: { range: 'bytes=0-99' } });
  assert.equal(half.headers.get('content-range'), `bytes 0-49/${4 * MiB}`);
  server.fail({ kind: 'hang' });
  await assert.rejects(fetch(`${endpoint}/lake/k`, { signal: AbortSignal.timeout(100) }), { name: 'TimeoutError' });
  server.reset();
  assert.equal((await (await fetch(`${endpoint}/lake/k`)).arrayBuffer()).byteLength, 4 * MiB);
});

test('a throttled origin as a process of its own gives its bandwidth to all connections together, and its log covers the object exactly once', async (t) => {
  const sizeBytes = 8 * MiB;
  const origin = await OriginProcess.start({
    bucket: 'lake',
    generated: [{ key: 'k', sizeBytes, seed: 5 }],
    bytesPerS: 16 * MiB,
  });
  t.after(() => origin.stop());
  const host = new URL(origin.endpoint).host;
  const from = performance.now();
  await Promise.all(
    [0, 1].map(async (half) => {
      const reader = new RawReader(host, { bufferBytes: MiB });
      await reader.connect();
      const start = (half * sizeBytes) / 2;
      await reader.read({ path: '/lake/k', seed: 5, start, end: start + sizeBytes / 2, ranged: true });
      reader.close();
    }),
  );
  const seconds = (performance.now() - from) / 1000;
  assert.ok(seconds > 0.4 && seconds < 3, `${seconds} s`);
  const requests = await origin.requests();
  assert.deepEqual(coverage(requests, 'k', sizeBytes), { twiceBytes: 0, neverBytes: 0, exactlyOnce: true });
  assert.equal(coverage(requests.slice(1), 'k', sizeBytes).neverBytes, sizeBytes / 2);
  assert.equal(coverage([...requests, requests[0]!], 'k', sizeBytes).twiceBytes, sizeBytes / 2);
});

test('the raw reader refuses a wrong body, a wrong status and a cut body', async (t) => {
  const { server, endpoint } = await serve(t, { generated: [{ key: 'k', sizeBytes: 2 * MiB, seed: 1 }] });
  const read = async (request: { path: string; seed: number; end: number }, bufferBytes = 4 * MiB) => {
    const reader = new RawReader(new URL(endpoint).host, { bufferBytes });
    await reader.connect();
    try {
      return await reader.read({ start: 0, ...request });
    } finally {
      reader.close();
    }
  };
  assert.ok((await read({ path: '/lake/k', seed: 1, end: 2 * MiB })).seconds > 0);
  await assert.rejects(read({ path: '/lake/k', seed: 2, end: 2 * MiB }), /wrong byte/);
  await assert.rejects(read({ path: '/lake/k', seed: 2, end: 2 * MiB }, MiB), /wrong byte/);
  await assert.rejects(read({ path: '/lake/none', seed: 1, end: 2 * MiB }), /404/);
  server.fail({ kind: 'cut', fraction: 0.9 });
  await assert.rejects(read({ path: '/lake/k', seed: 1, end: 2 * MiB }), /closed/);
});
