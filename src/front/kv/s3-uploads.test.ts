/** Multipart uploads into kv volumes, through the AWS SDK for JavaScript. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { KEY, openKvDoors, settled } from '../../../tests/kv/doors.ts';
import { bytesOf, failure, sdkClient } from '../../../tests/sdk-client.ts';
import { partMinBytes, uploadIdleMaxMs } from '../../core/limits.ts';
import { ramp } from '../s3/door-fixture.ts';

const Bucket = 'cache';
type Client = ReturnType<typeof sdkClient>;

async function begin(s3: Client, Key: string) {
  const target = { Bucket, Key };
  const { UploadId } = await s3.send(new CreateMultipartUploadCommand({ ...target, ContentType: 'application/x-kv' }));
  return {
    ...target,
    UploadId,
    put: async (PartNumber: number, Body: Uint8Array) => {
      const { ETag } = await s3.send(new UploadPartCommand({ ...target, UploadId, PartNumber, Body }));
      return { PartNumber, ETag };
    },
    complete: (Parts: { PartNumber: number; ETag: string | undefined }[], more: object = {}) =>
      s3.send(new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts }, ...more })),
  };
}

test('parts in any order, sent twice, copied from elsewhere, are joined into one value and are gone then', async (t) => {
  const { s3Port, cache } = await openKvDoors(t);
  using s3 = sdkClient(s3Port, KEY);
  const bytes = ramp(2 * partMinBytes + 1000);
  await s3.send(new PutObjectCommand({ Bucket: 'data', Key: 'source', Body: bytes }));
  const upload = await begin(s3, 'joined');
  const { UploadId } = upload;
  const three = await upload.put(3, bytes.subarray(2 * partMinBytes));
  await upload.put(1, bytes.subarray(1, 1000));
  const one = await upload.put(1, bytes.subarray(0, partMinBytes));
  const CopySourceRange = `bytes=${partMinBytes}-${2 * partMinBytes - 1}`;
  const copied = await s3.send(
    new UploadPartCopyCommand({
      Bucket,
      Key: 'joined',
      UploadId,
      PartNumber: 2,
      CopySource: 'data/source',
      CopySourceRange,
    }),
  );
  const two = { PartNumber: 2, ETag: copied.CopyPartResult?.ETag };
  const uploads = await s3.send(new ListMultipartUploadsCommand({ Bucket }));
  assert.deepEqual(
    uploads.Uploads?.map((one) => [one.Key, one.UploadId]),
    [['joined', UploadId]],
  );
  const { Parts } = await s3.send(new ListPartsCommand({ Bucket, Key: 'joined', UploadId }));
  assert.deepEqual(
    Parts?.map(({ PartNumber, Size, ETag }) => [PartNumber, Size, ETag]),
    [
      [1, partMinBytes, one.ETag],
      [2, partMinBytes, two.ETag],
      [3, 1000, three.ETag],
    ],
  );
  assert.equal((await s3.send(new ListObjectsV2Command({ Bucket }))).Contents, undefined, 'nothing is to be seen yet');
  assert.equal((await failure(s3.send(new HeadObjectCommand({ Bucket, Key: 'joined' })))).status, 404);

  const done = await upload.complete([one, two, three]);
  const head = await s3.send(new HeadObjectCommand({ Bucket, Key: 'joined' }));
  assert.deepEqual([head.ContentLength, head.ContentType, head.ETag], [bytes.length, 'application/x-kv', done.ETag]);
  assert.deepEqual(Buffer.from(await bytesOf(s3, { Bucket, Key: 'joined' })), Buffer.from(bytes));
  assert.equal((await upload.complete([one, two, three])).ETag, done.ETag, 'an answer that was lost is given again');
  assert.equal((await failure(upload.complete([one]))).name, 'NoSuchUpload');
  assert.equal((await s3.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads, undefined);
  assert.equal(cache.status.bytes - bytes.length < 1000, true, 'the parts no longer take space');
  await settled(cache);
});

test('a completion that names wrong parts leaves the upload as it is, and makes nothing', async (t) => {
  const { s3Port, cache } = await openKvDoors(t);
  using s3 = sdkClient(s3Port, KEY);
  const upload = await begin(s3, 'wrong');
  const small = await upload.put(1, ramp(1000));
  const last = await upload.put(2, ramp(500));
  const fails = async (parts: Parameters<typeof upload.complete>[0]) => (await failure(upload.complete(parts))).name;
  assert.equal(await fails([small, last]), 'EntityTooSmall');
  assert.equal(await fails([{ ...last, PartNumber: 9 }]), 'InvalidPart');
  assert.equal(await fails([{ ...last, ETag: small.ETag }]), 'InvalidPart');
  assert.equal((await failure(s3.send(new HeadObjectCommand({ Bucket, Key: 'wrong' })))).status, 404);
  await s3.send(new PutObjectCommand({ Bucket, Key: 'wrong', Body: 'taken' }));
  assert.equal((await failure(upload.complete([last], { IfNoneMatch: '*' }))).name, 'PreconditionFailed');
  await upload.complete([last]);
  assert.equal((await s3.send(new HeadObjectCommand({ Bucket, Key: 'wrong' }))).ContentLength, 500);
  const unknown = { Bucket, Key: 'wrong', UploadId: 'f'.repeat(32) };
  for (const command of [
    new UploadPartCommand({ ...unknown, PartNumber: 1, Body: 'x' }),
    new ListPartsCommand(unknown),
    new AbortMultipartUploadCommand(unknown),
    new ListPartsCommand({ ...unknown, UploadId: '../../x' }),
    new ListPartsCommand({ ...unknown, UploadId: upload.UploadId, Key: 'of another key' }),
  ])
    assert.equal((await failure(s3.send(command as ListPartsCommand))).name, 'NoSuchUpload');
  await settled(cache);
});

test('S-4: an aborted upload takes no space, and one that nobody goes on with is forgotten by itself', async (t) => {
  const { s3Port, cache } = await openKvDoors(t);
  using s3 = sdkClient(s3Port, KEY);
  const aborted = await begin(s3, 'aborted');
  await aborted.put(1, ramp(10_000));
  const { UploadId } = aborted;
  await s3.send(new AbortMultipartUploadCommand({ Bucket, Key: 'aborted', UploadId }));
  assert.equal(cache.status.values, 0);
  const idle = await begin(s3, 'idle');
  await idle.put(1, ramp(10_000));
  const kept = await cache.list({ prefix: '', limit: 10 });
  assert.equal(kept.keys.length, 2);
  for (const { key, fact } of kept.keys) {
    assert.ok(fact.remainingMs <= uploadIdleMaxMs, 'all of it has an end');
    await cache.expire(key, 0);
  }
  assert.equal((await failure(idle.complete([{ PartNumber: 1, ETag: '"x"' }]))).name, 'NoSuchUpload');
});

test('the uploader of the SDK sends a large value in parts', async (t) => {
  const { s3Port } = await openKvDoors(t);
  using s3 = sdkClient(s3Port, KEY);
  const Body = Buffer.from(ramp(17 << 20));
  await new Upload({ client: s3, params: { Bucket, Key: 'large', Body }, queueSize: 4 }).done();
  assert.deepEqual(Buffer.from(await bytesOf(s3, { Bucket, Key: 'large' })), Body);
});
