/** Who may do what at the door, and what it says otherwise. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import {
  CopyObjectCommand,
  CreateBucketCommand,
  GetBucketAclCommand,
  GetBucketLocationCommand,
  GetBucketPolicyCommand,
  GetBucketVersioningCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadBucketCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  ListObjectVersionsCommand,
  PutObjectAclCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { bytesOf, failure, sdkClient } from '../../../tests/sdk-client.ts';
import { KEY, openDoor, READ_KEY, ramp } from './door-fixture.ts';

test('rights: what a key may not do is denied, what it may not see is not listed', async () => {
  await using door = await openDoor();
  door.map.put({ volume: 'models', key: 'o' }, ramp(5));
  using s3 = sdkClient(door.port, READ_KEY);
  assert.equal((await bytesOf(s3, { Bucket: 'models', Key: 'o' })).length, 5);
  const { Buckets } = await s3.send(new ListBucketsCommand({}));
  assert.deepEqual(
    Buckets?.map(({ Name }) => Name),
    ['models'],
  );
  const put = (Bucket: string) => s3.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x' }));
  for (const bucket of ['models', 'data', 'nowhere']) assert.equal((await failure(put(bucket))).name, 'AccessDenied');
  assert.equal((await failure(s3.send(new ListObjectsV2Command({ Bucket: 'nowhere' })))).name, 'AccessDenied');
  using all = sdkClient(door.port, KEY);
  const denied = await failure(all.send(new PutObjectCommand({ Bucket: 'models', Key: 'k', Body: 'x' })));
  assert.equal(denied.name, 'AccessDenied');
  assert.match(denied.message, /read-only/);
  const copy = new CopyObjectCommand({ Bucket: 'data', Key: 'k', CopySource: 'other/secret' });
  door.keys.set('W', { id: 'W', secret: 's', volumes: ['data'], rights: ['read', 'write'] });
  using writer = sdkClient(door.port, { id: 'W', secret: 's' });
  assert.equal((await failure(writer.send(copy))).name, 'AccessDenied');
  assert.ok(door.events.some((event) => event.kind === 'door.refused' && event.reason === 'accessDenied'));
});

test('errors have the codes on which SDKs act', async () => {
  await using door = await openDoor();
  using s3 = sdkClient(door.port, KEY);
  assert.equal((await failure(s3.send(new GetObjectCommand({ Bucket: 'models', Key: 'none' })))).name, 'NoSuchKey');
  assert.equal((await failure(s3.send(new GetObjectCommand({ Bucket: 'nowhere', Key: 'none' })))).name, 'NoSuchBucket');
  assert.equal((await failure(s3.send(new HeadBucketCommand({ Bucket: 'nowhere' })))).status, 404);
  using stranger = sdkClient(door.port, { ...KEY, id: 'NOBODY' });
  assert.equal((await failure(stranger.send(new ListBucketsCommand({})))).name, 'InvalidAccessKeyId');
  using forger = sdkClient(door.port, { ...KEY, secret: 'guess' });
  assert.equal((await failure(forger.send(new ListBucketsCommand({})))).name, 'SignatureDoesNotMatch');
  const long = await failure(s3.send(new GetObjectCommand({ Bucket: 'models', Key: 'x'.repeat(1025) })));
  assert.equal(long.name, 'KeyTooLongError');
  const tooMuch = { Bucket: 'data', Key: 'k', Body: 'x', Metadata: { big: 'x'.repeat(3000) } };
  assert.equal((await failure(s3.send(new PutObjectCommand(tooMuch)))).name, 'MetadataTooLarge');
  const sse = { Bucket: 'data', Key: 'k', Body: 'x', ServerSideEncryption: 'aws:kms' as const };
  assert.equal((await failure(s3.send(new PutObjectCommand(sse)))).name, 'NotImplemented');
});

test('a clock that differs by more than fifteen minutes is refused', async () => {
  await using door = await openDoor();
  using s3 = sdkClient(door.port, KEY, { systemClockOffset: 16 * 60_000 });
  const { name, status } = await failure(s3.send(new ListObjectsV2Command({ Bucket: 'models' })));
  assert.deepEqual([name, status], ['RequestTimeTooSkewed', 403]);
});

test('what tools ask of buckets and objects is answered, what is not served says so by name', async () => {
  await using door = await openDoor();
  using s3 = sdkClient(door.port, KEY);
  door.map.put({ volume: 'models', key: 'o' }, ramp(5));
  const Bucket = 'models';
  await s3.send(new HeadBucketCommand({ Bucket }));
  assert.equal((await s3.send(new GetBucketLocationCommand({ Bucket }))).LocationConstraint, undefined);
  assert.equal((await s3.send(new GetBucketVersioningCommand({ Bucket }))).Status, undefined);
  assert.equal((await s3.send(new GetBucketAclCommand({ Bucket }))).Grants?.[0]?.Permission, 'FULL_CONTROL');
  assert.equal((await failure(s3.send(new GetBucketPolicyCommand({ Bucket })))).name, 'NoSuchBucketPolicy');
  assert.deepEqual((await s3.send(new GetObjectTaggingCommand({ Bucket, Key: 'o' }))).TagSet, []);
  const wanted = { Bucket, Key: 'o', ObjectAttributes: ['ObjectSize', 'ETag'] } as const;
  assert.equal(
    (await s3.send(new GetObjectAttributesCommand({ ...wanted, ObjectAttributes: [...wanted.ObjectAttributes] })))
      .ObjectSize,
    5,
  );
  assert.equal((await failure(s3.send(new CreateBucketCommand({ Bucket })))).name, 'BucketAlreadyOwnedByYou');
  assert.equal((await failure(s3.send(new CreateBucketCommand({ Bucket: 'fresh' })))).status, 501);
  const acl = await failure(s3.send(new PutObjectAclCommand({ Bucket: 'data', Key: 'o', ACL: 'private' })));
  assert.equal(acl.status, 501);
  assert.match(acl.message, /PutObjectAcl/);
  assert.match((await failure(s3.send(new ListObjectVersionsCommand({ Bucket })))).message, /ListObjectVersions/);
});

test('presigned URLs work until they expire, for at most a week, and may set response headers', async () => {
  await using door = await openDoor();
  using s3 = sdkClient(door.port, KEY);
  door.map.put({ volume: 'models', key: 'a b+ü' }, ramp(5));
  const get = new GetObjectCommand({ Bucket: 'models', Key: 'a b+ü', ResponseContentType: 'text/x; a="b"' });
  const url = await getSignedUrl(s3, get, { expiresIn: 60 });
  const response = await fetch(url);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('content-type'), 'text/x; a="b"');
  assert.deepEqual(new Uint8Array(await response.arrayBuffer()), ramp(5));
  assert.equal((await fetch(url.replace('text%2Fx', 'text%2Fy'))).status, 403);
  door.clock.skewMs = 61_000;
  const late = await fetch(url);
  assert.equal(late.status, 403);
  assert.match(await late.text(), /expired/);
  door.clock.skewMs = -16 * 60_000;
  assert.match(await (await fetch(url)).text(), /RequestTimeTooSkewed/);
  door.clock.skewMs = 0;
  const put = await getSignedUrl(s3, new PutObjectCommand({ Bucket: 'data', Key: 'p' }), { expiresIn: 60 });
  assert.equal((await fetch(put, { method: 'PUT', body: 'presigned' })).status, 200);
  assert.equal(Buffer.from(door.map.stored({ volume: 'data', key: 'p' }).bytes).toString(), 'presigned');
  const week = await fetch(url.replace('X-Amz-Expires=60', 'X-Amz-Expires=604801'));
  assert.match(await week.text(), /X-Amz-Expires/);
});

test('virtual-host addressing names the bucket by host', async () => {
  await using door = await openDoor({ domain: 's3.example.test' });
  using s3 = sdkClient(door.port, KEY, { virtualHost: true });
  door.map.put({ volume: 'models', key: 'dir/o' }, ramp(9));
  assert.deepEqual(await bytesOf(s3, { Bucket: 'models', Key: 'dir/o' }), ramp(9));
  const { Contents } = await s3.send(new ListObjectsV2Command({ Bucket: 'models' }));
  assert.deepEqual(
    Contents?.map(({ Key }) => Key),
    ['dir/o'],
  );
});

test('an anonymous door takes requests without signatures, and checks bodies all the same', async () => {
  await using door = await openDoor({ anonymous: true });
  const put = await fetch(`${door.endpoint}/data/k`, { method: 'PUT', body: 'free' });
  assert.equal(put.status, 200);
  assert.equal(await (await fetch(`${door.endpoint}/data/k`)).text(), 'free');
  using s3 = sdkClient(door.port, { ...KEY, id: 'ANY', secret: 'any' });
  const Body = Readable.from([Buffer.from('streamed')]);
  await s3.send(new PutObjectCommand({ Bucket: 'data', Key: 's', Body, ContentLength: 8 }));
  assert.equal(await (await fetch(`${door.endpoint}/data/s`)).text(), 'streamed');
  const override = await fetch(`${door.endpoint}/data/k?response-content-type=text/html`);
  assert.equal(override.status, 400);
  const wrong = await fetch(`${door.endpoint}/data/k`, {
    method: 'PUT',
    body: 'free',
    headers: { 'x-amz-content-sha256': 'a'.repeat(64) },
  });
  assert.match(await wrong.text(), /XAmzContentSHA256Mismatch/);
});
