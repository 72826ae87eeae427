import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import fc from 'fast-check';
import { ForebayError, isForebayError } from '../../core/errors.ts';
import { createRealClock } from './clock.ts';
import { openCoordinator, parseCoordinator } from './open-coordinator.ts';
import { createRealRandom } from './random.ts';

const options = { cluster: 'test', clock: createRealClock(), random: createRealRandom() };

test('coordinators are named by what they are and where', () => {
  assert.deepEqual(parseCoordinator('embedded'), { kind: 'embedded', path: undefined });
  assert.deepEqual(parseCoordinator('embedded:/a b/c'), { kind: 'embedded', path: '/a b/c' });
  const none = { user: undefined, password: undefined };
  assert.deepEqual(parseCoordinator('etcd://127.0.0.1:2379,[::1]:23/'), {
    kind: 'etcd',
    endpoints: ['http://127.0.0.1:2379', 'http://[::1]:23'],
    ...none,
  });
  assert.deepEqual(parseCoordinator('etcds://a.example,10.0.0.2:1'), {
    kind: 'etcd',
    endpoints: ['https://a.example:2379', 'https://10.0.0.2:1'],
    ...none,
  });
  const secret = parseCoordinator('etcds://me:p%40ss%3Aword@h:1');
  assert.ok(secret.kind === 'etcd');
  assert.deepEqual([secret.user, secret.password], ['me', 'p@ss:word']);
});

test('what names no coordinator is refused with what to write, and without the password', () => {
  for (const [url, says] of [
    ['', /embedded:\/path/],
    ['zookeeper://h', /etcds/],
    ['embedded:relative', /absolute/],
    ['embedded:/directory/', /file/],
    ['etcd://', /host:port/],
    ['etcd://10.0.0.1:2379', /plain text.*etcds/],
    ['etcd://127.0.0.1:2379,10.0.0.1:2379', /plain text/],
    ['etcds://h:70000', /host:port/],
    ['etcds://h:0', /host:port/],
    ['etcds://h:1,,', /host:port/],
    ['etcds://:hunter2@h:1', /user:password/],
    ['etcds://me:hunter2%zz@h:1', /percent/],
    ['etcds://me:hunter2@h:1@x', /./],
  ] as const) {
    assert.throws(
      () => parseCoordinator(url),
      (error: unknown) => {
        assert.ok(isForebayError(error, 'config'), url);
        assert.match(error.message, says, url);
        assert.ok(!error.message.includes('hunter2'), error.message);
        return true;
      },
    );
  }
});

test('any text is either understood or refused as configuration', () => {
  const part = fc.constantFrom('etcd', 'etcds', 'embedded', '://', ':', '@', ',', '/', '[::1]', 'h', '2379', '%', '\0');
  const texts = fc.oneof(
    fc.string(),
    fc.array(part).map((parts) => parts.join('')),
  );
  fc.assert(
    fc.property(texts, (url) => {
      try {
        const place = parseCoordinator(url);
        if (place.kind === 'etcd')
          for (const endpoint of place.endpoints) assert.equal(new URL(endpoint).pathname, '/');
      } catch (error) {
        assert.ok(error instanceof ForebayError && error.code === 'config', String(error));
      }
    }),
  );
});

test('an embedded coordinator is made where it is named, for this user alone', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'forebay-open-'));
  try {
    await (await openCoordinator('embedded', { ...options, cacheDirectory: directory })).close();
    const path = join(directory, 'coordinator.sqlite');
    assert.equal(statSync(path).mode & 0o777, 0o600);
    await (await openCoordinator(`embedded:${directory}/other`, options)).close();
    assert.ok(existsSync(join(directory, 'other')));
    await assert.rejects(openCoordinator('embedded', options), (error: unknown) => isForebayError(error, 'config'));
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});
