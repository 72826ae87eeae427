import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  GetObjectCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3';
import type { AccessKey } from '../credentials.ts';
import type { DoorFixture } from './door-fixture.ts';
import { KEY, openDoor, ramp } from './door-fixture.ts';

function client(door: DoorFixture, key: AccessKey = KEY): S3Client {
  return new S3Client({
    endpoint: door.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: key.id, secretAccessKey: key.secret },
    maxAttempts: 1,
  });
}

test('the AWS SDK puts, heads, gets and lists', async () => {
  await using door = await openDoor();
  const s3 = client(door);
  const body = ramp(5_000_000);
  const put = await s3.send(
    new PutObjectCommand({ Bucket: 'data', Key: 'a/b c+d%2F', Body: body, Metadata: { a: 'b' } }),
  );
  const head = await s3.send(new HeadObjectCommand({ Bucket: 'data', Key: 'a/b c+d%2F' }));
  assert.equal(head.ETag, put.ETag);
  assert.equal(head.ContentLength, body.length);
  assert.deepEqual(head.Metadata, { a: 'b' });
  const got = await s3.send(new GetObjectCommand({ Bucket: 'data', Key: 'a/b c+d%2F' }));
  assert.deepEqual(await got.Body?.transformToByteArray(), body);
  const listed = await s3.send(new ListObjectsV2Command({ Bucket: 'data' }));
  assert.deepEqual(
    listed.Contents?.map(({ Key }) => Key),
    ['a/b c+d%2F'],
  );
  const { Buckets } = await s3.send(new ListBucketsCommand({}));
  assert.deepEqual(
    Buckets?.map(({ Name }) => Name),
    ['data', 'models', 'other'],
  );
  s3.destroy();
});
