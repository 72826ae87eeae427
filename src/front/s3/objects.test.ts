/** Objects through the AWS SDK for JavaScript: real sockets, real signatures, real checksums. */
import assert from 'node:assert/strict';
import { Readable } from 'node:stream';
import { test } from 'node:test';
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
} from '@aws-sdk/client-s3';
import { bytesOf, failure, sdkClient } from '../../../tests/sdk-client.ts';
import { KEY, openDoor, ramp } from './door-fixture.ts';

const KEYS = [
  'plain',
  'with space',
  'plus+plus',
  'percent%2Fencoded%',
  'dots/../up/./here',
  '/leading',
  '//two',
  'trailing/',
  'üñí/コード/🚀',
  'quotes\'"<>&!*();:@=,$?#[]~^|`{}\\',
  'x'.repeat(1024),
  'é'.repeat(512),
  'tab\tand\u0001control',
];

test('objects come back as they went, with their headers and metadata, whatever their key', async () => {
  await using door = await openDoor();
  using s3 = sdkClient(door.port, KEY);
  for (const Key of KEYS) {
    const Body = Buffer.from(`the bytes of ${Key}`);
    const put = await s3.send(
      new PutObjectCommand({
        Bucket: 'data',
        Key,
        Body,
        ContentType: 'text/plain',
        CacheControl: 'max-age=1',
        ContentDisposition: 'inline',
        Metadata: { color: 'blue' },
      }),
    );
    assert.deepEqual(door.map.stored({ volume: 'data', key: Key }).bytes, Body);
    const got = await s3.send(new GetObjectCommand({ Bucket: 'data', Key }));
    assert.equal(await got.Body?.transformToString(), Body.toString());
    assert.equal(got.ETag, put.ETag);
    assert.equal(got.ContentType, 'text/plain');
    assert.equal(got.CacheControl, 'max-age=1');
    assert.equal(got.ContentDisposition, 'inline');
    assert.equal(got.Metadata?.['color'], 'blue');
    const head = await s3.send(new HeadObjectCommand({ Bucket: 'data', Key }));
    assert.equal(head.ContentLength, Body.length);
    assert.equal(head.AcceptRanges, 'bytes');
    assert.ok(head.LastModified instanceof Date);
    await s3.send(new DeleteObjectCommand({ Bucket: 'data', Key }));
    assert.equal((await failure(s3.send(new HeadObjectCommand({ Bucket: 'data', Key })))).status, 404);
  }
  assert.equal(door.map.open, 0);
});

test('large objects leave in pieces, small ones from memory, empty ones as nothing', async () => {
  await using door = await openDoor();
  using s3 = sdkClient(door.port, KEY);
  for (const length of [0, 1, 4096, 32 * 1024, 5 * 1024 * 1024 + 17]) {
    const bytes = ramp(length);
    door.map.put({ volume: 'models', key: 'o' }, bytes);
    assert.deepEqual(await bytesOf(s3, { Bucket: 'models', Key: 'o' }), bytes);
    const { ContentLength } = await s3.send(new HeadObjectCommand({ Bucket: 'models', Key: 'o' }));
    assert.equal(ContentLength, length);
  }
  assert.equal(door.map.open, 0);
  assert.equal(door.map.pieces, 0);
});

test('every checksum algorithm of the SDK that the door knows is verified, from buffers and from streams', async () => {
  await using door = await openDoor();
  using s3 = sdkClient(door.port, KEY);
  const bytes = ramp(300_000);
  for (const algorithm of ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const) {
    const whole = await s3.send(
      new PutObjectCommand({ Bucket: 'data', Key: 'a', Body: bytes, ChecksumAlgorithm: algorithm }),
    );
    assert.ok(whole[`Checksum${algorithm}`]);
    const Body = Readable.from([bytes.subarray(0, 100_000), bytes.subarray(100_000)]);
    const streamed = await s3.send(
      new PutObjectCommand({
        Bucket: 'data',
        Key: 'b',
        Body,
        ContentLength: bytes.length,
        ChecksumAlgorithm: algorithm,
      }),
    );
    assert.equal(streamed[`Checksum${algorithm}`], whole[`Checksum${algorithm}`]);
    assert.deepEqual(await bytesOf(s3, { Bucket: 'data', Key: 'b' }), bytes);
  }
  const wrong = { Bucket: 'data', Key: 'c', Body: bytes, ChecksumCRC32: 'AAAAAA==' };
  assert.deepEqual((await failure(s3.send(new PutObjectCommand(wrong)))).name, 'BadDigest');
  const odd = { Bucket: 'data', Key: 'c', Body: bytes, ContentMD5: 'AAAA' };
  assert.deepEqual((await failure(s3.send(new PutObjectCommand(odd)))).name, 'InvalidDigest');
  assert.equal(door.map.objects.has('data/c'), false);
});

test('ranges: within, open, suffix, past the end, reversed, malformed, many', async () => {
  await using door = await openDoor();
  using s3 = sdkClient(door.port, KEY);
  for (const length of [1000, 3 << 20]) {
    const bytes = ramp(length);
    door.map.put({ volume: 'models', key: 'o' }, bytes);
    const get = (Range: string) => s3.send(new GetObjectCommand({ Bucket: 'models', Key: 'o', Range }));
    for (const [range, from, to] of [
      ['bytes=10-19', 10, 20],
      ['bytes=990-', 990, length],
      ['bytes=-7', length - 7, length],
      [`bytes=-${length * 2}`, 0, length],
      ['bytes=0-99999999999999999999', 0, length],
    ] as const) {
      const got = await get(range);
      assert.equal(got.$metadata.httpStatusCode, 206, range);
      assert.equal(got.ContentRange, `bytes ${from}-${to - 1}/${length}`);
      assert.deepEqual(await got.Body?.transformToByteArray(), bytes.subarray(from, to));
    }
    for (const range of ['bytes=20-10', 'bytes=a-b', 'lines=1-2', 'bytes=0-1,3-4', 'bytes=-']) {
      const got = await get(range);
      assert.equal(got.$metadata.httpStatusCode, 200, range);
      assert.deepEqual(await got.Body?.transformToByteArray(), bytes);
    }
    for (const range of [`bytes=${length}-`, `bytes=${length}-${length + 5}`, 'bytes=-0'])
      assert.deepEqual((await failure(get(range))).name, 'InvalidRange');
  }
});

test('conditions on reads hold for either name of the version', async () => {
  await using door = await openDoor();
  using s3 = sdkClient(door.port, KEY);
  const { etag, doorEtag, modifiedMs } = door.map.put({ volume: 'models', key: 'o' }, ramp(10));
  const get = (conditions: object) =>
    s3.send(new GetObjectCommand({ Bucket: 'models', Key: 'o', ...conditions })).then(
      ({ $metadata }) => $metadata.httpStatusCode,
      (error) => error.$metadata.httpStatusCode,
    );
  const before = new Date(modifiedMs - 10_000);
  const after = new Date(modifiedMs + 10_000);
  for (const tag of [etag, doorEtag, '*', doorEtag.replaceAll('"', '')]) {
    assert.equal(await get({ IfMatch: tag }), 200);
    assert.equal(await get({ IfNoneMatch: tag }), 304);
    assert.equal(await get({ IfMatch: tag, IfUnmodifiedSince: before }), 200);
  }
  assert.equal(await get({ IfMatch: '"other"' }), 412);
  assert.equal(await get({ IfNoneMatch: '"other"' }), 200);
  assert.equal(await get({ IfNoneMatch: '"other"', IfModifiedSince: after }), 200);
  assert.equal(await get({ IfModifiedSince: after }), 304);
  assert.equal(await get({ IfModifiedSince: before }), 200);
  assert.equal(await get({ IfUnmodifiedSince: before }), 412);
  assert.equal(await get({ IfUnmodifiedSince: after }), 200);
});

test('conditions on writes: create once, replace only the named version', async () => {
  await using door = await openDoor();
  using s3 = sdkClient(door.port, KEY);
  const put = (conditions: object) =>
    s3.send(new PutObjectCommand({ Bucket: 'data', Key: 'lock', Body: 'x', ...conditions }));
  const { ETag } = await put({ IfNoneMatch: '*' });
  assert.equal((await failure(put({ IfNoneMatch: '*' }))).name, 'PreconditionFailed');
  assert.equal((await failure(put({ IfMatch: '"other"' }))).status, 412);
  await put({ IfMatch: ETag });
  assert.equal((await failure(put({ IfNoneMatch: '"a"' }))).name, 'NotImplemented');
});

test('the first part of an object is all of it', async () => {
  await using door = await openDoor();
  using s3 = sdkClient(door.port, KEY);
  door.map.put({ volume: 'models', key: 'o' }, ramp(100));
  const got = await s3.send(new GetObjectCommand({ Bucket: 'models', Key: 'o', PartNumber: 1 }));
  assert.equal(got.$metadata.httpStatusCode, 206);
  assert.equal(got.ContentRange, 'bytes 0-99/100');
  assert.equal(got.PartsCount, 1);
  assert.equal(
    (await failure(s3.send(new GetObjectCommand({ Bucket: 'models', Key: 'o', PartNumber: 2 })))).status,
    416,
  );
});

test('copies: between volumes, with new metadata, under conditions on the source', async () => {
  await using door = await openDoor();
  using s3 = sdkClient(door.port, KEY);
  const { doorEtag } = door.map.put({ volume: 'models', key: 'a b/ü' }, ramp(50), { metadata: { old: '1' } });
  const CopySource = `models/${encodeURIComponent('a b/ü')}`;
  const copy = (options: object = {}) =>
    s3.send(new CopyObjectCommand({ Bucket: 'data', Key: 'c', CopySource, ...options }));
  const { CopyObjectResult } = await copy();
  const head = await s3.send(new HeadObjectCommand({ Bucket: 'data', Key: 'c' }));
  assert.equal(head.ETag, CopyObjectResult?.ETag);
  assert.deepEqual(head.Metadata, { old: '1' });
  await copy({ MetadataDirective: 'REPLACE', Metadata: { fresh: '2' }, ContentType: 'text/x' });
  const replaced = await s3.send(new HeadObjectCommand({ Bucket: 'data', Key: 'c' }));
  assert.deepEqual(replaced.Metadata, { fresh: '2' });
  assert.equal(replaced.ContentType, 'text/x');
  await copy({ CopySourceIfMatch: doorEtag });
  assert.equal((await failure(copy({ CopySourceIfMatch: '"no"' }))).name, 'PreconditionFailed');
  assert.equal((await failure(copy({ CopySourceIfNoneMatch: doorEtag }))).name, 'PreconditionFailed');
  assert.equal((await failure(copy({ CopySource: 'models/none' }))).name, 'NoSuchKey');
  assert.equal((await failure(copy({ CopySource: 'elsewhere/x' }))).name, 'NoSuchBucket');
  assert.equal((await failure(copy({ CopySource: 'data/c' }))).name, 'InvalidRequest');
});

test('a batch delete tells of each key', async () => {
  await using door = await openDoor();
  using s3 = sdkClient(door.port, KEY);
  const names = KEYS.filter((key) => !key.includes('\u0001'));
  for (const key of names) door.map.put({ volume: 'data', key }, ramp(1));
  door.map.put({ volume: 'data', key: 'kept' }, ramp(1));
  const Objects = [...names.map((Key) => ({ Key })), { Key: 'kept', ETag: '"other"' }, { Key: 'absent' }];
  const { Deleted, Errors } = await s3.send(new DeleteObjectsCommand({ Bucket: 'data', Delete: { Objects } }));
  assert.deepEqual(
    Deleted?.map(({ Key }) => Key),
    [...names, 'absent'],
  );
  assert.deepEqual(
    Errors?.map(({ Key, Code }) => [Key, Code]),
    [['kept', 'PreconditionFailed']],
  );
  assert.deepEqual([...door.map.objects.keys()], ['data/kept']);
  const quiet = { Objects: [{ Key: 'kept' }], Quiet: true };
  assert.equal((await s3.send(new DeleteObjectsCommand({ Bucket: 'data', Delete: quiet }))).Deleted, undefined);
});

test('stale answers say so', async () => {
  await using door = await openDoor({ anonymous: true });
  door.map.put({ volume: 'models', key: 'o' }, ramp(5));
  assert.equal((await fetch(`${door.endpoint}/models/o`)).headers.get('x-forebay-stale'), null);
  door.map.stale = true;
  assert.equal((await fetch(`${door.endpoint}/models/o`)).headers.get('x-forebay-stale'), 'true');
  assert.equal((await fetch(`${door.endpoint}/models`)).headers.get('x-forebay-stale'), 'true');
});
