import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { fails, put, ramp, read } from '../../tests/conformance/origin-bytes.ts';
import { isForebayError } from '../core/errors.ts';
import { createRealClock } from '../io/real/clock.ts';
import { createRealRandom } from '../io/real/random.ts';
import type { Event } from '../observe/events.ts';
import { openingOf } from './azure-client.ts';
import { openOrigin, parseOriginUrl } from './open-origin.ts';

const options = {
  clock: createRealClock(),
  random: createRealRandom(),
  emit: () => undefined,
  createDisk: () => assert.fail('no disk is asked for'),
};

test('origin URLs say what they name', () => {
  assert.deepEqual(parseOriginUrl('memory:'), { kind: 'memory' });
  assert.deepEqual(parseOriginUrl('file:///data/my%20models/'), { kind: 'file', root: '/data/my models' });
  assert.deepEqual(parseOriginUrl('s3://bucket'), { kind: 's3', bucket: 'bucket', prefix: '' });
  assert.deepEqual(parseOriginUrl('s3://bucket/a/b/'), { kind: 's3', bucket: 'bucket', prefix: 'a/b/' });
  const azure = { kind: 'azure', account: 'acct', container: 'models' };
  assert.deepEqual(parseOriginUrl('az://acct/models'), { ...azure, prefix: '' });
  assert.deepEqual(parseOriginUrl('az://acct/models/deep/er'), { ...azure, prefix: 'deep/er/' });
});

test('URLs that cannot be meant are refused with the reason, and without what may be secret in them', () => {
  const wrong: readonly (readonly [string, RegExp])[] = [
    ['', /is none of/],
    ['none', /kv volumes/],
    ['http://host/x', /is none of/],
    ['file://host/dir', /absolute path/],
    ['file://', /absolute path/],
    ['file:///a%ff', /percent-encoded/],
    ['s3://', /bucket/],
    ['s3://a b', /bucket/],
    ['s3://key:secret@bucket/x', /credentials/],
    ['az://acct', /container/],
    ['az://ACCT/models', /account/],
    ['az://acct/models/../other', /prefix/],
    ['az://acct/models?sv=2020&sig=secret', /query/],
  ];
  for (const [url, reason] of wrong)
    assert.throws(
      () => parseOriginUrl(url),
      (error) => {
        assert.ok(isForebayError(error, 'config'), url);
        assert.match(error.message, reason);
        assert.doesNotMatch(error.message, /secret/);
        return true;
      },
    );
});

test('any text is an origin or a config error', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.string(),
        fc.webUrl(),
        fc.string().map((text) => `az://${text}`),
      ),
      (text) => {
        try {
          parseOriginUrl(text);
        } catch (error) {
          assert.ok(isForebayError(error, 'config'));
        }
      },
    ),
  );
});

test('endpoints are for clouds, and hold no credentials', () => {
  const open = (url: string, endpoint: string) => () => openOrigin(url, { ...options, endpoint });
  assert.throws(open('memory:', 'http://127.0.0.1'), fails('config'));
  assert.throws(open('s3://bucket', 'localhost:9000'), fails('config'));
  assert.throws(open('s3://bucket', 'http://key:secret@127.0.0.1'), fails('config'));
  assert.equal(openOrigin('s3://bucket', { ...options, endpoint: 'http://127.0.0.1:1' }).kind, 's3');
});

test('an opened origin works and tells of its requests', async () => {
  const events: Event[] = [];
  const origin = openOrigin('memory:', { ...options, emit: (event) => events.push(event), requestsMax: 4 });
  await put(origin, 'k', ramp(10));
  assert.deepEqual(await read(origin, 'k'), ramp(10));
  const told = events.map(
    (event) => event.kind === 'origin.request' && `${event.origin} ${event.operation} ${event.code}`,
  );
  assert.deepEqual(told, ['memory: put ok', 'memory: head ok', 'memory: get ok']);
});

test('Azure credentials are taken in order: connection string, SAS, key, the platform’s chain', () => {
  const access = { account: 'acct', container: 'models' };
  const endpoint = 'https://acct.blob.core.windows.net';
  const open = (credentials: object, more: object = {}) => openingOf({ ...access, ...more, credentials });
  assert.deepEqual(open({}), { endpoint, account: 'acct' });
  assert.deepEqual(open({ accountKey: 'k' }), { endpoint, account: 'acct', accountKey: 'k' });
  assert.deepEqual(open({ accountKey: 'k', account: 'other' }), { endpoint, account: 'acct' });
  assert.deepEqual(open({ accountKey: 'k', sasToken: '?sig=1' }), { endpoint, account: 'acct', sasToken: 'sig=1' });
  const text = 'AccountName=acct;AccountKey=a+b==;EndpointSuffix=core.chinacloudapi.cn';
  const china = 'https://acct.blob.core.chinacloudapi.cn';
  const fromText = open({ connectionString: text, sasToken: 'x' });
  assert.deepEqual(fromText, { endpoint: china, account: 'acct', accountKey: 'a+b==', sasToken: undefined });
  assert.equal(
    open({ connectionString: text }, { endpoint: 'http://127.0.0.1:1/acct/' }).endpoint,
    'http://127.0.0.1:1/acct',
  );
  assert.throws(() => open({ connectionString: 'AccountName=other;AccountKey=k' }), fails('config'));
  assert.throws(() => open({ connectionString: 'AccountName=acct' }), fails('config'));
});
