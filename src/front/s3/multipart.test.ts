/** Multipart uploads through the AWS SDK for JavaScript. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListPartsCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { failure, sdkClient } from '../../../tests/sdk-client.ts';
import { KEY, openDoor, ramp, TestClock } from './door-fixture.ts';

test('a multipart upload: parts in any order, listed, completed, copied from ranges', async () => {
  await using door = await openDoor();
  using s3 = sdkClient(door.port, KEY);
  const target = { Bucket: 'data', Key: 'multi part' };
  const bytes = ramp(6 << 20);
  door.map.put({ volume: 'other', key: 'source key' }, bytes);
  const { UploadId } = await s3.send(
    new CreateMultipartUploadCommand({ ...target, ContentType: 'application/x', Metadata: { a: 'b' } }),
  );
  const two = await s3.send(
    new UploadPartCommand({ ...target, UploadId, PartNumber: 2, Body: bytes.subarray(5 << 20) }),
  );
  const one = await s3.send(
    new UploadPartCopyCommand({
      ...target,
      UploadId,
      PartNumber: 1,
      CopySource: 'other/source%20key',
      CopySourceRange: `bytes=0-${(5 << 20) - 1}`,
    }),
  );
  const { Uploads } = await s3.send(new ListMultipartUploadsCommand({ Bucket: 'data' }));
  assert.deepEqual(
    Uploads?.map((upload) => [upload.Key, upload.UploadId]),
    [['multi part', UploadId]],
  );
  const { Parts } = await s3.send(new ListPartsCommand({ ...target, UploadId }));
  assert.deepEqual(
    Parts?.map((part) => [part.PartNumber, part.Size]),
    [
      [1, 5 << 20],
      [2, 1 << 20],
    ],
  );
  const page = await s3.send(new ListPartsCommand({ ...target, UploadId, MaxParts: 1 }));
  assert.equal(page.IsTruncated, true);
  assert.equal(page.NextPartNumberMarker, '1');
  const parts = [
    { PartNumber: 1, ETag: one.CopyPartResult?.ETag },
    { PartNumber: 2, ETag: two.ETag },
  ];
  const complete = (Parts: object[], options: object = {}) =>
    s3.send(new CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload: { Parts }, ...options }));
  assert.equal((await failure(complete([...parts].reverse()))).name, 'InvalidPartOrder');
  assert.equal((await failure(complete([{ PartNumber: 1, ETag: '"no"' }]))).name, 'InvalidPart');
  assert.equal((await failure(complete(parts, { MpuObjectSize: 7 }))).name, 'InvalidRequest');
  const done = await complete(parts, { MpuObjectSize: bytes.length });
  assert.ok(done.ETag);
  const got = await s3.send(new GetObjectCommand(target));
  assert.equal(got.ContentType, 'application/x');
  assert.deepEqual(await got.Body?.transformToByteArray(), bytes);
  assert.equal((await failure(complete(parts))).name, 'NoSuchUpload');
  const again = await s3.send(new CreateMultipartUploadCommand(target));
  await s3.send(new AbortMultipartUploadCommand({ ...target, UploadId: again.UploadId }));
  assert.equal(door.map.uploads.size, 0);
});

test('a completion that takes long keeps the client waiting with blanks, and tells failures in the body', async () => {
  const clock = new TestClock();
  clock.pace = 0.005;
  await using door = await openDoor({ clock });
  using s3 = sdkClient(door.port, KEY);
  const target = { Bucket: 'data', Key: 'slow' };
  for (const fails of [false, true]) {
    let slept = 0;
    door.map.beforeComplete = async () => {
      while (slept++ < 4) await clock.sleep(10_000);
      if (fails) throw new Error('the origin is gone');
    };
    const { UploadId } = await s3.send(new CreateMultipartUploadCommand(target));
    const { ETag } = await s3.send(new UploadPartCommand({ ...target, UploadId, PartNumber: 1, Body: 'abc' }));
    const done = s3.send(
      new CompleteMultipartUploadCommand({
        ...target,
        UploadId,
        MultipartUpload: { Parts: [{ PartNumber: 1, ETag }] },
      }),
    );
    if (fails) assert.equal((await failure(done)).name, 'InternalError');
    else assert.ok((await done).ETag);
  }
});

test('lib-storage uploads a stream in parts', async () => {
  await using door = await openDoor();
  using s3 = sdkClient(door.port, KEY);
  const bytes = ramp(12 << 20);
  const Body = Readable.from(
    (function* () {
      for (let at = 0; at < bytes.length; at += 700_000) yield bytes.subarray(at, at + 700_000);
    })(),
  );
  await new Upload({ client: s3, params: { Bucket: 'data', Key: 'up', Body }, partSize: 5 << 20 }).done();
  assert.deepEqual(door.map.stored({ volume: 'data', key: 'up' }).bytes, Buffer.from(bytes));
});
