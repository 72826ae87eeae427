import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAddress, parseCopySource } from './address.ts';

const of = (target: string, host = '127.0.0.1:7070', domain?: string) => {
  const { bucket, key } = parseAddress(target, host, domain);
  return [bucket, key];
};

test('paths name bucket and key', () => {
  assert.deepEqual(of('/'), ['', '']);
  assert.deepEqual(of('/b'), ['b', '']);
  assert.deepEqual(of('/b/'), ['b', '']);
  assert.deepEqual(of('/b/k/l?x=y'), ['b', 'k/l']);
  assert.deepEqual(of('//k'), ['', 'k']);
});

test('hosts name the bucket below the domain and below localhost', () => {
  assert.deepEqual(of('/k/l', 'models.localhost:7070'), ['models', 'k/l']);
  assert.deepEqual(of('/k', 'my.models.S3.example:80', 's3.example'), ['my.models', 'k']);
  assert.deepEqual(of('/b/k', 's3.example', 's3.example'), ['b', 'k']);
  assert.deepEqual(of('/b/k', 'models.elsewhere', 's3.example'), ['b', 'k']);
  assert.deepEqual(of('/b/k', '[::1]:7070'), ['b', 'k']);
  assert.deepEqual(of('/', 'models.localhost'), ['models', '']);
});

test('targets that are no paths are refused', () => {
  for (const target of ['*', 'http://a/b', '']) assert.throws(() => of(target), { code: 'invalidUri' });
});

test('copy sources may begin with a slash and name the null version', () => {
  assert.deepEqual(parseCopySource('/b/a%20b'), { bucket: 'b', key: 'a b' });
  assert.deepEqual(parseCopySource('b/k%3FversionId=1'), { bucket: 'b', key: 'k?versionId=1' });
  assert.deepEqual(parseCopySource('b/k?versionId=null'), { bucket: 'b', key: 'k' });
  assert.deepEqual(parseCopySource('b//k'), { bucket: 'b', key: '/k' });
  assert.throws(() => parseCopySource('b/k?versionId=7'), { code: 'notImplemented' });
  for (const source of ['', 'b', 'b/', '//k', 'b/%zz', 'https://elsewhere/b/k'.slice(0, 7)])
    assert.throws(() => parseCopySource(source), { code: 'invalidArgument' }, source);
});
