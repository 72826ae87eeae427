/** kv volumes at the S3 door, through the AWS SDK for JavaScript: what LMCache, Dynamo and NIXL ask, and what they may get wrong. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { GUEST, KEY, openKvDoors, settled } from '../../../tests/kv/doors.ts';
import { bytesOf, failure, sdkClient } from '../../../tests/sdk-client.ts';
import { ramp } from '../s3/door-fixture.ts';
import { RESERVED } from './value-key.ts';

const Bucket = 'cache';

/** As LMCache's connector: a HEAD that says there is something, then its bytes; virtual hosts only. */
test('S-10: what HEAD says is there is leased, and comes whole to who asks for it then', async (t) => {
  const { s3Port, cache } = await openKvDoors(t);
  for (const virtualHost of [true, false]) {
    using s3 = sdkClient(s3Port, KEY, { virtualHost });
    const Key = `model@1@0@${virtualHost}0fe3@bfloat16`;
    const Body = ramp(3_000_001);
    assert.equal((await failure(s3.send(new HeadObjectCommand({ Bucket, Key })))).status, 404, 'a miss is a 404');
    const put = await s3.send(new PutObjectCommand({ Bucket, Key, Body }));
    assert.match(put.ETag ?? '', /^"[0-9a-f]{32}-1"$/);
    const head = await s3.send(new HeadObjectCommand({ Bucket, Key }));
    assert.equal(head.ContentLength, Body.length);
    assert.equal(head.ETag, put.ETag);
    assert.ok(cache.leasedUntilMs(Key) > 0, 'HEAD takes a lease');
    assert.deepEqual(Buffer.from(await bytesOf(s3, { Bucket, Key })), Buffer.from(Body));
  }
  assert.equal(
    (await failure(sdkClient(s3Port, KEY).send(new GetObjectCommand({ Bucket, Key: 'none' })))).name,
    'NoSuchKey',
  );
  await settled(cache);
});

test('ranges and conditions hold on values as on objects', async (t) => {
  const { s3Port } = await openKvDoors(t);
  using s3 = sdkClient(s3Port, KEY);
  for (const [Key, size] of [
    ['small', 100],
    ['large', 3 << 20],
  ] as const) {
    const Body = ramp(size);
    const { ETag } = await s3.send(new PutObjectCommand({ Bucket, Key, Body, ContentType: 'application/x-kv' }));
    const at = async (Range: string) => Buffer.from(await bytesOf(s3, { Bucket, Key, Range }));
    assert.deepEqual(await at('bytes=10-19'), Buffer.from(Body.subarray(10, 20)));
    assert.deepEqual(await at('bytes=-7'), Buffer.from(Body.subarray(-7)));
    const ranged = await s3.send(new GetObjectCommand({ Bucket, Key, Range: 'bytes=5-' }));
    assert.equal(ranged.ContentRange, `bytes 5-${size - 1}/${size}`);
    assert.equal(ranged.ContentType, 'application/x-kv');
    await ranged.Body?.transformToByteArray();
    const statusOf = async (input: object) =>
      (await failure(s3.send(new GetObjectCommand({ Bucket, Key, ...input })))).status;
    assert.equal(await statusOf({ Range: `bytes=${size}-` }), 416);
    assert.equal(await statusOf({ IfNoneMatch: ETag }), 304);
    assert.equal(await statusOf({ IfMatch: '"0"' }), 412);
    assert.equal((await failure(s3.send(new HeadObjectCommand({ Bucket, Key, IfNoneMatch: ETag })))).status, 304);
  }
});

test('If-None-Match: * is a lock that exactly one of several gets, also with no bytes in it', async (t) => {
  const { s3Port } = await openKvDoors(t);
  using s3 = sdkClient(s3Port, KEY);
  for (const size of [0, 20, 1 << 20]) {
    const lock = { Bucket, Key: `lock of ${size}`, IfNoneMatch: '*' };
    const tries = Array.from({ length: 8 }, (_, index) =>
      s3.send(new PutObjectCommand({ ...lock, Body: Buffer.alloc(size, index) })).then(
        () => 'mine',
        (error: { name: string; $metadata: { httpStatusCode: number } }) =>
          `${error.name} ${error.$metadata.httpStatusCode}`,
      ),
    );
    const outcomes = (await Promise.all(tries)).sort();
    assert.deepEqual(outcomes, [...Array.from({ length: 7 }, () => 'PreconditionFailed 412'), 'mine']);
    assert.equal((await s3.send(new HeadObjectCommand({ Bucket, Key: lock.Key }))).ContentLength, size);
    await s3.send(new DeleteObjectCommand({ Bucket, Key: lock.Key }));
    await s3.send(new PutObjectCommand({ ...lock, Body: 'again' }));
  }
});

test('If-Match takes the place of the value that it names and of no other', async (t) => {
  const { s3Port } = await openKvDoors(t);
  using s3 = sdkClient(s3Port, KEY);
  const target = { Bucket, Key: 'k' };
  const conditional = (IfMatch: string, Body = 'new') => s3.send(new PutObjectCommand({ ...target, Body, IfMatch }));
  assert.equal((await failure(conditional('*'))).name, 'PreconditionFailed', 'there is nothing yet');
  const first = await s3.send(new PutObjectCommand({ ...target, Body: 'first' }));
  assert.equal((await failure(conditional('"other"'))).name, 'PreconditionFailed');
  const second = await conditional(first.ETag as string, 'second');
  assert.notEqual(second.ETag, first.ETag);
  const removal = (IfMatch: string) => s3.send(new DeleteObjectCommand({ ...target, IfMatch }));
  assert.equal((await failure(removal(first.ETag as string))).name, 'PreconditionFailed');
  await removal(second.ETag as string);
  assert.equal((await failure(s3.send(new HeadObjectCommand(target)))).status, 404);
});

test('deleting answers 204 whether the key was there or not, one at a time and in batches', async (t) => {
  const { s3Port, cache } = await openKvDoors(t);
  using s3 = sdkClient(s3Port, KEY);
  for (const Key of ['a', 'b', 'c']) await s3.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
  assert.equal((await s3.send(new DeleteObjectCommand({ Bucket, Key: 'a' }))).$metadata.httpStatusCode, 204);
  assert.equal((await s3.send(new DeleteObjectCommand({ Bucket, Key: 'a' }))).$metadata.httpStatusCode, 204);
  const { Deleted } = await s3.send(
    new DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'b' }, { Key: 'c' }, { Key: 'none' }] } }),
  );
  assert.deepEqual(Deleted?.map(({ Key }) => Key).sort(), ['b', 'c', 'none']);
  assert.equal(cache.status.values, 0);
});

test('listings have prefixes, delimiters and pages, in the order of bytes, and nothing of the uploads', async (t) => {
  const { s3Port, cache } = await openKvDoors(t);
  using s3 = sdkClient(s3Port, KEY);
  const keys = ['a', 'a/1', 'a/2', 'a/sub/x', 'a0', 'b/1', 'b/2', 'z', 'é\u{1F680}'];
  for (const Key of keys) await s3.send(new PutObjectCommand({ Bucket, Key, Body: Key }));
  const noText = {
    lengthBytes: 1,
    stream: async function* () {
      yield Buffer.from('x');
    },
  };
  for (const key of [`${RESERVED}upload\0${'0'.repeat(32)}\0`, '\xff\xfe'])
    await cache.put(key, noText, { signal: new AbortController().signal });
  const listed = await s3.send(new ListObjectsV2Command({ Bucket }));
  assert.deepEqual(
    listed.Contents?.map(({ Key }) => Key),
    keys,
  );
  assert.equal(listed.Contents?.[1]?.Size, 3);
  for (const MaxKeys of [1, 2, 3, 5]) {
    const found: string[] = [];
    for (let ContinuationToken: string | undefined; ; ) {
      const page = await s3.send(
        new ListObjectsV2Command({ Bucket, Delimiter: '/', MaxKeys, ...(ContinuationToken && { ContinuationToken }) }),
      );
      found.push(...(page.Contents ?? []).map(({ Key }) => Key as string));
      found.push(...(page.CommonPrefixes ?? []).map(({ Prefix }) => Prefix as string));
      assert.equal(page.IsTruncated, page.NextContinuationToken !== undefined);
      assert.ok((page.KeyCount ?? 0) <= MaxKeys);
      ContinuationToken = page.NextContinuationToken;
      if (ContinuationToken === undefined) break;
    }
    assert.deepEqual(found.sort(), ['a', 'a/', 'a0', 'b/', 'z', 'é\u{1F680}'].sort(), `pages of ${MaxKeys}`);
  }
  const below = await s3.send(new ListObjectsCommand({ Bucket, Prefix: 'a/', Delimiter: '/', Marker: 'a/1' }));
  assert.deepEqual([below.Contents?.map(({ Key }) => Key), below.CommonPrefixes], [['a/2'], [{ Prefix: 'a/sub/' }]]);
});

test('a listing rolls up a thousand values and more below a prefix without looking at each page of them', async (t) => {
  const { s3Port, cache } = await openKvDoors(t);
  using s3 = sdkClient(s3Port, KEY);
  const body = {
    lengthBytes: 1,
    stream: async function* () {
      yield Buffer.from('x');
    },
  };
  const { signal } = new AbortController();
  await Promise.all(Array.from({ length: 2300 }, (_, n) => cache.put(`p/${n}`, body, { signal })));
  await cache.put('q', body, { signal });
  const page = await s3.send(new ListObjectsV2Command({ Bucket, Delimiter: '/' }));
  assert.deepEqual([page.CommonPrefixes, page.Contents?.map(({ Key }) => Key)], [[{ Prefix: 'p/' }], ['q']]);
  const rest = await s3.send(new ListObjectsV2Command({ Bucket, Prefix: 'p/', MaxKeys: 1000, StartAfter: 'p/1' }));
  assert.deepEqual([rest.Contents?.length, rest.Contents?.[0]?.Key, rest.IsTruncated], [1000, 'p/10', true]);
});

test('copies go within kv volumes, into them and out of them', async (t) => {
  const { s3Port } = await openKvDoors(t);
  using s3 = sdkClient(s3Port, KEY);
  const bytes = ramp(2_500_000);
  await s3.send(new PutObjectCommand({ Bucket: 'data', Key: 'object', Body: bytes, ContentType: 'text/x' }));
  const copy = (CopySource: string, to: { Bucket: string; Key: string }) =>
    s3.send(new CopyObjectCommand({ ...to, CopySource }));
  for (const [source, to] of [
    ['data/object', { Bucket, Key: 'value' }],
    ['cache/value', { Bucket, Key: 'again' }],
    ['cache/again', { Bucket: 'data', Key: 'back' }],
  ] as const) {
    assert.ok((await copy(source, to)).CopyObjectResult?.ETag);
    assert.deepEqual(Buffer.from(await bytesOf(s3, to)), Buffer.from(bytes), source);
    assert.equal((await s3.send(new HeadObjectCommand(to))).ContentType, 'text/x');
  }
  assert.equal((await failure(copy('cache/none', { Bucket, Key: 'x' }))).name, 'NoSuchKey');
});

test('what a value cannot keep is refused, not lost: metadata, encodings, levels and checkpoints of objects', async (t) => {
  const { s3Port, cache } = await openKvDoors(t);
  using s3 = sdkClient(s3Port, KEY);
  const put = (more: object) => failure(s3.send(new PutObjectCommand({ Bucket, Key: 'k', Body: 'x', ...more })));
  const metadata = await put({ Metadata: { color: 'blue' } });
  assert.deepEqual([metadata.name, metadata.status], ['NotImplemented', 501]);
  assert.match(metadata.message, /[Kk]v volumes keep a value's type and nothing else: not x-amz-meta-color/);
  for (const header of [{ CacheControl: 'no-cache' }, { ContentEncoding: 'gzip' }, { ContentLanguage: 'de' }])
    assert.equal((await put(header)).status, 501, JSON.stringify(header));
  await s3.send(new PutObjectCommand({ Bucket: 'data', Key: 'described', Body: 'x', Metadata: { a: 'b' } }));
  const copied = await failure(s3.send(new CopyObjectCommand({ Bucket, Key: 'k', CopySource: 'data/described' })));
  assert.equal(copied.status, 501);
  assert.equal(cache.status.values, 0);
});

test('volumes are buckets; one without write takes no values, a key sees its own volumes, and bad bytes are not kept', async (t) => {
  const { s3Port, cache } = await openKvDoors(t);
  using s3 = sdkClient(s3Port, KEY);
  using guest = sdkClient(s3Port, GUEST);
  const { Buckets } = await s3.send(new ListBucketsCommand());
  assert.deepEqual(
    Buckets?.map(({ Name }) => Name),
    ['cache', 'data', 'frozen'],
  );
  assert.deepEqual(
    (await guest.send(new ListBucketsCommand())).Buckets?.map(({ Name }) => Name),
    ['cache'],
  );
  await s3.send(new HeadBucketCommand({ Bucket }));
  const put = (client: typeof s3, bucket: string) =>
    failure(client.send(new PutObjectCommand({ Bucket: bucket, Key: 'k', Body: 'x' })));
  assert.equal((await put(s3, 'frozen')).status, 403);
  assert.equal((await put(guest, 'cache')).status, 403);
  assert.equal((await failure(guest.send(new HeadObjectCommand({ Bucket: 'frozen', Key: 'k' })))).status, 403);
  const wrong = s3.send(
    new PutObjectCommand({ Bucket, Key: 'bad', Body: 'bytes', ContentMD5: 'AAAAAAAAAAAAAAAAAAAAAA==' }),
  );
  assert.equal((await failure(wrong)).name, 'BadDigest');
  const reserved = s3.send(new PutObjectCommand({ Bucket, Key: `${RESERVED}x`, Body: 'x' }));
  assert.equal((await failure(reserved)).status, 400);
  assert.equal(cache.status.values, 0);
});

test('equal bytes under a key leave the value as it is, others take its place', async (t) => {
  const { s3Port } = await openKvDoors(t);
  using s3 = sdkClient(s3Port, KEY);
  const put = async (Body: string) => (await s3.send(new PutObjectCommand({ Bucket, Key: 'k', Body }))).ETag;
  const first = await put('one');
  const second = await put('two');
  assert.notEqual(first, second);
  assert.equal(Buffer.from(await bytesOf(s3, { Bucket, Key: 'k' })).toString(), 'two');
});
