import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListPartsCommand,
  PutObjectCommand,
  S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import { OriginServer } from './origin-server.ts';
import { patternSlices } from './pattern.ts';

const MiB = 1 << 20;
const Bucket = 'lake';

async function writableOrigin(t: TestContext) {
  const server = new OriginServer({ bucket: Bucket, writable: true });
  const endpoint = await server.listen();
  const client = new S3Client({
    endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
    requestChecksumCalculation: 'WHEN_REQUIRED',
  });
  t.after(async () => {
    client.destroy();
    await server.close();
  });
  return { server, client };
}

const bytesOf = (seed: number, sizeBytes: number) => Buffer.concat([...patternSlices(seed, sizeBytes)]);

test('the origin takes what the AWS SDK puts, with its metadata, and knows whether it is whole', async (t) => {
  const { server, client } = await writableOrigin(t);
  const Key = 'step/ü 1';
  const Body = bytesOf(5, 3 * MiB + 1);
  await client.send(new PutObjectCommand({ Bucket, Key, Body, Metadata: { forebayid: '01' } }));
  const head = await client.send(new HeadObjectCommand({ Bucket, Key }));
  assert.equal(head.ContentLength, Body.length);
  assert.deepEqual(head.Metadata, { forebayid: '01' });
  assert.equal(server.holds({ key: Key, seed: 5, sizeBytes: Body.length }), true);
  assert.equal(server.holds({ key: Key, seed: 6, sizeBytes: Body.length }), false);
  const [put] = server.requests;
  assert.equal(put?.method, 'PUT');
  assert.equal(put?.receivedBytes, Body.length);
  assert.ok((put?.atMs as number) > 0);
});

test('parts that come in any order become one object when they are completed, and not before', async (t) => {
  const { client } = await writableOrigin(t);
  const Key = 'large';
  const whole = bytesOf(9, 5 * MiB + 77);
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const put = async (PartNumber: number, Body: Buffer) => {
    const { ETag } = await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }));
    return { PartNumber, ETag };
  };
  const second = await put(2, whole.subarray(4 * MiB));
  const first = await put(1, whole.subarray(0, 4 * MiB));
  const { Parts = [] } = await client.send(new ListPartsCommand({ Bucket, Key, UploadId }));
  assert.deepEqual(
    Parts.map(({ Size }) => Size),
    [4 * MiB, MiB + 77],
  );
  await assert.rejects(client.send(new GetObjectCommand({ Bucket, Key })), { name: 'NoSuchKey' });
  const complete = { Bucket, Key, UploadId, MultipartUpload: { Parts: [first, second] } };
  await client.send(new CompleteMultipartUploadCommand(complete));
  const got = await client.send(new GetObjectCommand({ Bucket, Key, Range: 'bytes=4194300-4194310' }));
  const bytes = Buffer.from((await got.Body?.transformToByteArray()) as Uint8Array);
  assert.ok(bytes.equals(whole.subarray(4194300, 4194311)));
});

test('conditions on what is replaced or deleted are kept', async (t) => {
  const { client } = await writableOrigin(t);
  const at = { Bucket, Key: 'k' };
  const { ETag } = await client.send(new PutObjectCommand({ ...at, Body: 'one', IfNoneMatch: '*' }));
  const refused = { name: 'PreconditionFailed' };
  await assert.rejects(client.send(new PutObjectCommand({ ...at, Body: 'two', IfNoneMatch: '*' })), refused);
  await assert.rejects(client.send(new PutObjectCommand({ ...at, Body: 'two', IfMatch: '"0"' })), refused);
  await client.send(new PutObjectCommand({ ...at, Body: 'two', IfMatch: ETag }));
  await assert.rejects(client.send(new DeleteObjectCommand({ ...at, IfMatch: ETag })), refused);
  await client.send(new DeleteObjectCommand(at));
  await assert.rejects(client.send(new HeadObjectCommand(at)), { name: 'NotFound' });
});
