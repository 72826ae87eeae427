/** The door as curl sees it: it signs by itself, and what it signs differs a little from what the SDKs sign. */
import assert from 'node:assert/strict';
import { execFile, execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { KEY, openDoor, ramp } from './door-fixture.ts';

function missing(): string | false {
  if (process.env['FOREBAY_REQUIRE_ALL'] === '1') return false;
  try {
    return execFileSync('curl', ['--help', 'all'], { encoding: 'utf8' }).includes('--aws-sigv4')
      ? false
      : 'curl has no --aws-sigv4';
  } catch {
    return 'curl is not installed';
  }
}

async function curl(...options: string[]): Promise<Buffer> {
  const signed = ['--aws-sigv4', 'aws:amz:us-east-1:s3', '--user', `${KEY.id}:${KEY.secret}`];
  const { stdout } = await promisify(execFile)(
    'curl',
    ['--silent', '--show-error', '--path-as-is', ...signed, ...options],
    {
      encoding: 'buffer',
      maxBuffer: 64 << 20,
    },
  );
  return stdout;
}

test('curl signs, puts, gets, ranges, heads and lists', { skip: missing() }, async () => {
  await using door = await openDoor();
  const bytes = ramp(5_000_000);
  door.map.put({ volume: 'data', key: 'a b+c(1)/../d' }, bytes);
  const url = `${door.endpoint}/data/a%20b+c(1)/../d`;
  assert.deepEqual(await curl(url), Buffer.from(bytes));
  assert.deepEqual(await curl('--range', '7-11', url), Buffer.from(bytes.subarray(7, 12)));
  assert.match((await curl('--head', url)).toString(), /^HTTP\/1.1 200 OK\r\n[\s\S]*Content-Length: 5000000\r\n/);
  assert.match(
    (await curl(`${door.endpoint}/data?list-type=2&max-keys=5`)).toString(),
    /<Key>a b\+c\(1\)\/\.\.\/d<\/Key>/,
  );
  const put = ['--header', 'x-amz-content-sha256: UNSIGNED-PAYLOAD', '--request', 'PUT', '--data-binary', 'hello'];
  assert.equal((await curl(...put, '--write-out', '%{http_code}', `${door.endpoint}/data/put`)).toString(), '200');
  assert.equal((await curl(`${door.endpoint}/data/put`)).toString(), 'hello');
});
