/** What the S3 and Azure adapters make of answers that no real store gives on demand. */
import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { collect, fails, onceOf, options, ramp } from '../../tests/conformance/origin-bytes.ts';
import { type RawAnswer, type RawHttp, type RawRequest, startRawHttp } from '../../tests/servers/raw-http.ts';
import { type ErrorCode, isForebayError } from '../core/errors.ts';
import { createRealClock } from '../io/real/clock.ts';
import { createRealRandom } from '../io/real/random.ts';
import type { Event } from '../observe/events.ts';
import { createAzureOrigin } from './azure.ts';
import { bodyOf } from './body.ts';
import type { Origin } from './origin.ts';
import { retry } from './retry.ts';
import { createS3Origin } from './s3.ts';

/** Long enough for a busy machine to move a byte. */
const IDLE_MS = 400;
const ETAG = '"the-etag"';
const SIZE = 300_000;
const WHOLE = { etag: ETAG, range: { start: 0, end: SIZE } };
const KINDS = ['s3', 'azure'] as const;
type Kind = (typeof KINDS)[number];

const io = { clock: createRealClock(), random: createRealRandom() };

function originAt(kind: Kind, url: string, idleMs: number): Origin {
  if (kind === 's3') {
    const credentials = { accessKeyId: 'a', secretAccessKey: 'b' };
    return createS3Origin({
      ...io,
      idleMs,
      url: 's3://bucket',
      endpoint: url,
      bucket: 'bucket',
      prefix: '',
      credentials,
    });
  }
  const credentials = { accountKey: Buffer.from('key').toString('base64') };
  const place = { account: 'acct', container: 'bucket', prefix: '', endpoint: `${url}/acct`, credentials };
  return createAzureOrigin({ ...io, idleMs, ...place, url: 'az://acct/bucket' });
}

async function setUp(
  t: TestContext,
  kind: Kind,
  answer: (request: RawRequest) => RawAnswer,
  idleMs = 60_000,
): Promise<{ origin: Origin; server: RawHttp }> {
  const server = await startRawHttp(answer);
  const origin = originAt(kind, server.url, idleMs);
  t.after(async () => {
    await origin.close();
    await server.stop();
  });
  return { origin, server };
}

/** The answer to a get of WHOLE, with what a test changes in it. */
function content(
  change: {
    headers?: Record<string, string>;
    status?: string;
    body?: Uint8Array;
    after?: 'close' | 'reset' | 'hang';
  } = {},
): RawAnswer {
  const headers: Record<string, string> = {
    ETag: ETAG,
    'Last-Modified': 'Wed, 21 Oct 2026 07:28:00 GMT',
    'Content-Length': String(SIZE),
    'Content-Range': `bytes 0-${SIZE - 1}/${SIZE}`,
    ...change.headers,
  };
  const lines = Object.entries(headers).filter(([, value]) => value !== '');
  return {
    head: [change.status ?? '206 Partial Content', ...lines.map(([name, value]) => `${name}: ${value}`)],
    body: change.body ?? ramp(SIZE),
    ...(change.after === undefined ? {} : { after: change.after }),
  };
}

function refusal(status: string, code = '', headers: readonly string[] = []): RawAnswer {
  const body = Buffer.from(
    `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>said so</Message></Error>`,
  );
  const azure = code === '' ? [] : [`x-ms-error-code: ${code}`];
  const head = [status, 'Content-Type: application/xml', `Content-Length: ${body.length}`, ...azure, ...headers];
  return { head, body };
}

const read = async (origin: Origin) => await collect(await origin.get('k', WHOLE));

for (const kind of KINDS) {
  test(`${kind}: a good answer is passed on, and the connection used again`, async (t) => {
    const { origin } = await setUp(t, kind, () => content());
    for (let round = 0; round < 3; round++) assert.deepEqual(await read(origin), ramp(SIZE));
  });

  const refusals: readonly (readonly [string, string, ErrorCode])[] = [
    ['403 Forbidden', 'AccessDenied', 'originDenied'],
    ['401 Unauthorized', '', 'originDenied'],
    ['404 Not Found', kind === 's3' ? 'NoSuchKey' : 'BlobNotFound', 'versionChanged'],
    ['404 Not Found', kind === 's3' ? 'NoSuchBucket' : 'ContainerNotFound', 'noSuchBucket'],
    ['412 Precondition Failed', kind === 's3' ? 'PreconditionFailed' : 'ConditionNotMet', 'versionChanged'],
    ['416 Range Not Satisfiable', 'InvalidRange', 'versionChanged'],
    ['429 Too Many Requests', '', 'originThrottled'],
    ['500 Internal Server Error', 'InternalError', 'originUnavailable'],
    ['502 Bad Gateway', '', 'originUnavailable'],
    ['503 Slow Down', kind === 's3' ? 'SlowDown' : 'ServerBusy', 'originThrottled'],
  ];
  for (const [status, code, expected] of refusals)
    test(`${kind}: ${status} ${code} is ${expected}, in one request`, async (t) => {
      const { origin, server } = await setUp(t, kind, () => refusal(status, code));
      await assert.rejects(read(origin), fails(expected));
      assert.equal(server.requests.length, 1, 'the SDK tries nothing again by itself');
    });

  test(`${kind}: Retry-After is passed on, in seconds and as a date`, async (t) => {
    const later = new Date(Date.now() + 30_000).toUTCString();
    const { origin } = await setUp(t, kind, ({ count }) =>
      refusal('503 Slow Down', 'SlowDown', [`Retry-After: ${count === 0 ? '7' : later}`]),
    );
    await assert.rejects(read(origin), (error) => isForebayError(error) && error.retryAfterMs === 7000);
    await assert.rejects(read(origin), (error) => {
      assert.ok(isForebayError(error, 'originThrottled'));
      assert.ok((error.retryAfterMs ?? 0) > 20_000 && (error.retryAfterMs ?? 0) <= 30_000);
      return true;
    });
  });

  test(`${kind}: a redirect is not followed, and the error says where it led`, async (t) => {
    const elsewhere = await startRawHttp(() => content());
    t.after(() => elsewhere.stop());
    for (const status of ['301 Moved Permanently', '302 Found', '307 Temporary Redirect']) {
      const { origin } = await setUp(t, kind, () =>
        refusal(status, 'TemporaryRedirect', [`Location: ${elsewhere.url}/x`]),
      );
      await assert.rejects(read(origin), (error) => {
        assert.ok(isForebayError(error, 'originUnavailable'), String(error));
        assert.match(error.message, /redirect to http:.*not followed/);
        return true;
      });
    }
    assert.equal(elsewhere.requests.length, 0);
  });

  test(`${kind}: an answer that is not what was asked for is refused before its first byte`, async (t) => {
    const half = SIZE / 2;
    const wrong: readonly (readonly [ErrorCode, RawAnswer])[] = [
      ['versionChanged', content({ headers: { ETag: '"another"' } })],
      ['originUnavailable', content({ headers: { 'Content-Range': `bytes 5-${SIZE + 4}/${SIZE + 5}` } })],
      [
        'originTruncated',
        content({
          headers: { 'Content-Length': String(half), 'Content-Range': `bytes 0-${SIZE - 1}/${SIZE}` },
          body: ramp(half),
        }),
      ],
      [
        'originUnavailable',
        content({
          status: '200 OK',
          headers: { 'Content-Range': '', 'Content-Length': String(SIZE + 10) },
          body: ramp(SIZE + 10),
        }),
      ],
    ];
    for (const [expected, answer] of wrong) {
      const { origin } = await setUp(t, kind, () => answer);
      await assert.rejects(origin.get('k', WHOLE), fails(expected));
    }
    const { origin } = await setUp(t, kind, () => content({ status: '200 OK', headers: { 'Content-Range': '' } }));
    assert.deepEqual(await read(origin), ramp(SIZE), 'a 200 that is the whole object is what was asked for');
  });

  test(`${kind}: fewer bytes than promised, by close or reset, are originTruncated`, async (t) => {
    for (const after of ['close', 'reset'] as const) {
      const { origin } = await setUp(t, kind, () => content({ body: ramp(SIZE - 1), after }));
      await assert.rejects(read(origin), fails('originTruncated'));
    }
  });

  test(`${kind}: an origin that hangs before or within its answer is given up after its idle time`, async (t) => {
    for (const answer of ['hang', content({ body: ramp(1000), after: 'hang' })] as const) {
      const { origin } = await setUp(t, kind, () => answer, IDLE_MS);
      await assert.rejects(read(origin), (error) => {
        assert.ok(isForebayError(error, 'originUnavailable'), String(error));
        assert.match(error.message, /nothing for 400 ms/);
        return true;
      });
    }
  });

  test(`${kind}: a reader that pauses is not taken for an origin that hangs`, async (t) => {
    const big = 4_000_000;
    const headers = { 'Content-Length': String(big), 'Content-Range': `bytes 0-${big - 1}/${big}` };
    const { origin } = await setUp(t, kind, () => content({ headers, body: ramp(big) }), IDLE_MS);
    let bytes = 0;
    for await (const piece of await origin.get('k', { etag: ETAG, range: { start: 0, end: big } })) {
      if (bytes === 0) await io.clock.sleep(3 * IDLE_MS);
      bytes += piece.length;
    }
    assert.equal(bytes, big);
  });

  test(`${kind}: nobody there is originUnavailable`, async (t) => {
    const { origin, server } = await setUp(t, kind, () => 'hang');
    await server.stop();
    await assert.rejects(origin.head('k'), fails('originUnavailable'));
  });

  test(`${kind}: an abort ends a request that hangs, with the caller's reason`, async (t) => {
    const stop = new AbortController();
    const { origin } = await setUp(t, kind, () => {
      setImmediate(() => stop.abort(new Error('never mind')));
      return 'hang';
    });
    await assert.rejects(origin.get('k', { ...WHOLE, signal: stop.signal }), { message: 'never mind' });
    await assert.rejects(origin.put('k', bodyOf(ramp(10)), { ...options(), signal: stop.signal }), {
      message: 'never mind',
    });
  });

  test(`${kind}: a put that is refused before its body was read fails with the refusal`, async (t) => {
    const { origin } = await setUp(t, kind, () => refusal('403 Forbidden', 'AccessDenied'));
    await assert.rejects(origin.put('k', onceOf(ramp(2_000_000)), options()), fails('originDenied'));
    await assert.rejects(origin.put('k', bodyOf(ramp(2_000_000)), options()), fails('originDenied'));
  });

  test(`${kind}: a put whose connection closes is originUnavailable, conditions that fail are preconditionFailed`, async (t) => {
    const { origin } = await setUp(t, kind, () => 'close');
    await assert.rejects(origin.put('k', onceOf(ramp(2_000_000)), options()), fails('originUnavailable'));
    const codes = kind === 's3' ? ['PreconditionFailed'] : ['ConditionNotMet', 'BlobAlreadyExists'];
    for (const code of codes) {
      const status = code === 'BlobAlreadyExists' ? '409 Conflict' : '412 Precondition Failed';
      const refusing = await setUp(t, kind, () => refusal(status, code));
      const put = refusing.origin.put('k', bodyOf(ramp(10)), options({ ifNoneMatch: '*' }));
      await assert.rejects(put, fails('preconditionFailed'));
    }
    const busy = await setUp(t, kind, () => refusal('409 Conflict', 'ConditionalRequestConflict'));
    await assert.rejects(busy.origin.put('k', bodyOf(ramp(10)), options()), fails('conflict'));
  });

  test(`${kind}: S-11: with retries, a body that breaks off is carried on from where it stopped`, async (t) => {
    const cut = [100_000, 250_000];
    const asked: string[] = [];
    const { origin: bare } = await setUp(t, kind, ({ headers, count }) => {
      const range = headers.get('range') ?? headers.get('x-ms-range') ?? '';
      asked.push(range);
      const start = Number(/bytes=(\d+)-/.exec(range)?.[1]);
      const end = cut[count] ?? SIZE;
      const answer = { 'Content-Length': String(SIZE - start), 'Content-Range': `bytes ${start}-${SIZE - 1}/${SIZE}` };
      return content({ headers: answer, body: ramp(end - start, start), after: 'close' });
    });
    const events: Event[] = [];
    const origin = retry(bare, { ...io, emit: (event) => events.push(event) });
    assert.deepEqual(await read(origin), ramp(SIZE));
    assert.deepEqual(asked, [`bytes=0-${SIZE - 1}`, `bytes=100000-${SIZE - 1}`, `bytes=250000-${SIZE - 1}`]);
    assert.deepEqual(
      events.map(({ kind }) => kind),
      ['origin.retry', 'origin.retry'],
    );
  });
}
