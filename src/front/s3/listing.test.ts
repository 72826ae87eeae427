/** Listings through the AWS SDK for JavaScript. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ListObjectsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { failure, sdkClient } from '../../../tests/sdk-client.ts';
import { KEY, openDoor, ramp } from './door-fixture.ts';

test('listings of both versions page, roll up and encode', async () => {
  await using door = await openDoor();
  using s3 = sdkClient(door.port, KEY);
  const names = [
    ...Array.from({ length: 25 }, (_, i) => `dir/${String(i).padStart(2, '0')}`),
    'a+b',
    'z/1',
    'z/2',
    'ä &<',
  ];
  for (const key of names) door.map.put({ volume: 'data', key }, ramp(3));
  const found: string[] = [];
  let ContinuationToken: string | undefined;
  do {
    const page: Awaited<ReturnType<typeof list>> = await list(ContinuationToken);
    found.push(...(page.Contents ?? []).map(({ Key }) => Key as string));
    assert.equal(page.KeyCount, page.Contents?.length);
    ContinuationToken = page.NextContinuationToken;
    assert.equal(page.IsTruncated, ContinuationToken !== undefined);
  } while (ContinuationToken !== undefined);
  function list(token: string | undefined) {
    return s3.send(new ListObjectsV2Command({ Bucket: 'data', MaxKeys: 4, ContinuationToken: token }));
  }
  assert.deepEqual(
    found,
    [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b))),
  );

  const rolled = await s3.send(new ListObjectsV2Command({ Bucket: 'data', Delimiter: '/', FetchOwner: true }));
  assert.deepEqual(
    rolled.CommonPrefixes?.map(({ Prefix }) => Prefix),
    ['dir/', 'z/'],
  );
  assert.deepEqual(
    rolled.Contents?.map(({ Key }) => Key),
    ['a+b', 'ä &<'],
  );
  assert.equal(rolled.Contents?.[0]?.Owner?.ID, 'forebay');

  const encoded = await s3.send(new ListObjectsV2Command({ Bucket: 'data', Delimiter: '/', EncodingType: 'url' }));
  assert.deepEqual(
    encoded.Contents?.map(({ Key }) => Key),
    ['a%2Bb', '%C3%A4%20%26%3C'],
  );

  const after = await s3.send(new ListObjectsV2Command({ Bucket: 'data', StartAfter: 'z/1' }));
  assert.deepEqual(
    after.Contents?.map(({ Key }) => Key),
    ['z/2', 'ä &<'],
  );

  const first = await s3.send(new ListObjectsCommand({ Bucket: 'data', Prefix: 'dir/', MaxKeys: 20 }));
  assert.equal(first.IsTruncated, true);
  assert.equal(first.NextMarker, 'dir/19');
  const second = await s3.send(new ListObjectsCommand({ Bucket: 'data', Prefix: 'dir/', Marker: first.NextMarker }));
  assert.equal(second.Contents?.length, 5);

  const none = await s3.send(new ListObjectsV2Command({ Bucket: 'data', MaxKeys: 0 }));
  assert.equal(none.KeyCount, 0);
  assert.equal(none.IsTruncated, false);
  const wrong = new ListObjectsV2Command({ Bucket: 'data', ContinuationToken: 'mine' });
  assert.equal((await failure(s3.send(wrong))).name, 'InvalidArgument');
});
