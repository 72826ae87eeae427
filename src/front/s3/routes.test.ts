import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Query } from '../http/query.ts';
import { parseQuery } from '../http/query.ts';
import { operationOf } from './routes.ts';

function of(method: string, path: string, copies = false): string {
  const [names = '', query = ''] = path.split('?');
  const [bucket = '', ...rest] = names.split('/');
  return operationOf({ method, bucket, key: rest.join('/'), query: parseQuery(query) as Query, copies });
}

test('requests are the operations that SDKs mean', () => {
  for (const [method, path, operation] of [
    ['GET', '', 'ListBuckets'],
    ['GET', 'b', 'ListObjects'],
    ['GET', 'b?list-type=2&prefix=acl', 'ListObjectsV2'],
    ['GET', 'b?uploads', 'ListMultipartUploads'],
    ['GET', 'b?location', 'GetBucketLocation'],
    ['GET', 'b?policy', 'GetBucketConfiguration'],
    ['HEAD', 'b', 'HeadBucket'],
    ['PUT', 'b', 'CreateBucket'],
    ['POST', 'b?delete', 'DeleteObjects'],
    ['GET', 'b/k?x-id=GetObject', 'GetObject'],
    ['HEAD', 'b/k', 'HeadObject'],
    ['PUT', 'b/k', 'PutObject'],
    ['PUT', 'b/k?partNumber=1&uploadId=u', 'UploadPart'],
    ['POST', 'b/k?uploads', 'CreateMultipartUpload'],
    ['POST', 'b/k?uploadId=u', 'CompleteMultipartUpload'],
    ['GET', 'b/k?uploadId=u', 'ListParts'],
    ['DELETE', 'b/k?uploadId=u', 'AbortMultipartUpload'],
    ['DELETE', 'b/k', 'DeleteObject'],
    ['GET', 'b/k?tagging', 'GetObjectTagging'],
  ] as const)
    assert.equal(of(method, path), operation);
  assert.equal(of('PUT', 'b/k', true), 'CopyObject');
  assert.equal(of('PUT', 'b/k?partNumber=1&uploadId=u', true), 'UploadPartCopy');
});

test('what is not served says its name', () => {
  for (const [method, path, name] of [
    ['PUT', 'b?versioning', 'PutBucketVersioning'],
    ['PUT', 'b?policy', 'PutBucketPolicy'],
    ['DELETE', 'b', 'DeleteBucket'],
    ['GET', 'b?versions', 'ListObjectVersions'],
    ['PUT', 'b/k?tagging', 'PutObjectTagging'],
    ['POST', 'b/k?select&select-type=2', 'SelectObjectContent'],
    ['POST', 'b/k?restore', 'RestoreObject'],
    ['GET', 'b/k?retention', 'GetObjectRetention'],
  ] as const)
    assert.throws(() => of(method, path), { code: 'notImplemented', message: `${name} is not served` });
  for (const [method, path] of [
    ['PATCH', 'b/k'],
    ['OPTIONS', 'b'],
    ['PUT', ''],
    ['POST', 'b/k'],
    ['constructor', 'b'],
  ] as const)
    assert.throws(() => of(method, path), { code: 'methodNotAllowed' });
});
