/** kv volumes at the S3 door and over HTTP on real daemons: what is put at one node is there at the other. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { ramp } from '../../src/front/s3/door-fixture.ts';
import { bytesOf, failure, sdkClient } from '../sdk-client.ts';
import { fixture, MiB } from './fixture.ts';
import type { ClusterNode } from './node.ts';

const Bucket = 'kv';
const ANYBODY = { id: 'anybody', secret: 'of-anonymous-doors' };
const VOLUMES = { kv: { kind: 'kv', ttl: '1h' } };

const clientOf = (node: ClusterNode) => sdkClient(Number(node.doors.s3.split(':')[1]), ANYBODY);
const isOne = (name: string) => /^(mine|PreconditionFailed)$/.test(name);

test('S-10: what one node was given another finds, promises and serves, whole', async (t) => {
  const { startAll } = await fixture(t);
  const [a, b] = (await startAll(['a', 'b'], { volumes: VOLUMES })) as [ClusterNode, ClusterNode];
  using atA = clientOf(a);
  using atB = clientOf(b);

  // LMCache: PUT at one node, HEAD and then GET at another.
  const bytes = Buffer.from(ramp(3 * MiB + 17));
  const Key = 'model@8@3@0f1e2d@bfloat16';
  const put = await atA.send(new PutObjectCommand({ Bucket, Key, Body: bytes, ContentType: 'application/x-kv' }));
  const head = await atB.send(new HeadObjectCommand({ Bucket, Key }));
  assert.deepEqual([head.ContentLength, head.ETag], [bytes.length, put.ETag]);
  assert.ok(Buffer.from(await bytesOf(atB, { Bucket, Key })).equals(bytes));
  assert.ok(
    Buffer.from(await bytesOf(atB, { Bucket, Key, Range: `bytes=${MiB}-${2 * MiB - 1}` })).equals(
      bytes.subarray(MiB, 2 * MiB),
    ),
  );
  assert.equal(
    (await atA.send(new PutObjectCommand({ Bucket, Key, Body: bytes }))).ETag,
    put.ETag,
    'equal bytes are kept',
  );

  // A lock that several want at both nodes.
  const wanted = { Bucket, Key: 'lock', IfNoneMatch: '*' };
  const outcomes = await Promise.all(
    Array.from({ length: 12 }, (_, index) =>
      (index % 2 === 0 ? atA : atB).send(new PutObjectCommand({ ...wanted, Body: `${index}` })).then(
        () => 'mine',
        (error: Error) => error.name,
      ),
    ),
  );
  assert.ok(outcomes.every(isOne), outcomes.join(' '));
  assert.equal(outcomes.filter((name) => name === 'mine').length, 1, outcomes.join(' '));

  // An upload begun and completed at one node whose parts came to both.
  const upload = { Bucket, Key: 'joined' };
  const { UploadId } = await atA.send(new CreateMultipartUploadCommand(upload));
  const parts = Buffer.from(ramp(7 * MiB));
  const part = async (s3: typeof atA, PartNumber: number, Body: Buffer) => ({
    PartNumber,
    ETag: (await s3.send(new UploadPartCommand({ ...upload, UploadId, PartNumber, Body }))).ETag,
  });
  const Parts = [await part(atB, 1, parts.subarray(0, 5 * MiB)), await part(atA, 2, parts.subarray(5 * MiB))];
  await atA.send(new CompleteMultipartUploadCommand({ ...upload, UploadId, MultipartUpload: { Parts } }));
  assert.ok(Buffer.from(await bytesOf(atB, upload)).equals(parts));
  const listed = await atB.send(new ListObjectsV2Command({ Bucket }));
  assert.deepEqual(listed.Contents?.map((one) => one.Key).sort(), ['joined', 'lock', Key]);

  await overHttp(a, b, { key: encodeURIComponent(Key), bytes });

  await atB.send(new DeleteObjectCommand({ Bucket, Key }));
  for (const s3 of [atA, atB])
    assert.equal((await failure(s3.send(new HeadObjectCommand({ Bucket, Key })))).status, 404, 'gone at every node');
});

async function overHttp(a: ClusterNode, b: ClusterNode, known: { key: string; bytes: Buffer }): Promise<void> {
  const at = (node: ClusterNode, path: string) => `http://${node.doors.admin}/v1/kv/kv/${path}`;
  const post = async (node: ClusterNode, what: string, body: object) =>
    await fetch(at(node, what), {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  for (const [index, node] of [a, b, a, b].entries()) {
    const put = await fetch(at(node, `value/block-${index}`), { method: 'PUT', body: Buffer.from(ramp(1000 + index)) });
    assert.equal(put.status, 200, await put.text());
  }
  const keys = ['block-0', 'block-1', known.key, 'block-2', 'block-3'];
  for (const node of [a, b]) {
    const found = (await (
      await post(node, 'lookup', { keys: [...keys, 'none', 'block-0'], leaseMs: 2000 })
    ).json()) as {
      leading: number;
      values: { sizeBytes: number }[];
    };
    assert.equal(found.leading, keys.length, JSON.stringify(found));
    const stream = Buffer.from(await (await post(node, 'get', { keys: [...keys, 'none'] })).arrayBuffer());
    let at = 0;
    for (const { sizeBytes } of found.values) {
      assert.equal(Number(stream.readBigUInt64LE(at)), sizeBytes);
      const value = stream.subarray(at + 8, at + 8 + sizeBytes);
      const expected = sizeBytes > 2000 ? known.bytes : Buffer.from(ramp(sizeBytes));
      assert.ok(value.equals(expected), 'each value is whole, and in its place');
      at += 8 + sizeBytes;
    }
    assert.equal(stream.readBigUInt64LE(at), 2n ** 64n - 1n, 'a miss is marked');
    assert.equal(stream.length, at + 8);
  }
  const status = (await (await fetch(at(a, 'status'))).json()) as { ttlMs: number; clusterValues: number };
  assert.equal(status.ttlMs, 3_600_000);
}
