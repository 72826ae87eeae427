import assert from 'node:assert/strict';
import { ForebayError } from '../../src/core/errors.ts';
import { bodyOf } from '../../src/origin/body.ts';
import type { Suite } from './origin.ts';
import { badAtTheEnd, collect, fails, onceOf, options, put, ramp, read } from './origin-bytes.ts';

export function objectCases(suite: Suite): void {
  readingCases(suite);
  writingCases(suite);
  conditionCases(suite);
  copyCases(suite);
}

function readingCases({ on }: Suite): void {
  on('what was put is there, with its size, headers, metadata and a quoted ETag', async (origin) => {
    const headers = {
      'content-type': 'application/x-thing',
      'content-encoding': 'identity',
      'content-language': 'de',
      'content-disposition': 'attachment; filename="a b"',
      'cache-control': 'max-age=5',
      expires: 'Wed, 21 Oct 2026 07:28:00 GMT',
    };
    const metadata = { plain: 'yes', 'with-dash': 'a value', unicode: 'grüße, 世界', forebaymeta: 'mine' };
    const { etag } = await origin.put('a/thing', bodyOf(ramp(1000)), { headers, metadata });
    const version = await origin.head('a/thing');
    assert.ok(version);
    const { modifiedMs, ...rest } = version;
    assert.deepEqual(rest, { key: 'a/thing', sizeBytes: 1000, etag, headers, metadata });
    assert.match(etag, /^"[^"]+"$/);
    assert.ok(modifiedMs > Date.UTC(2020, 0) && modifiedMs <= Date.now() + 60_000);
    assert.deepEqual(await read(origin, 'a/thing'), ramp(1000));
  });

  on('an object without a content type is shown with some', async (origin) => {
    await put(origin, 'notes', ramp(3));
    const version = await origin.head('notes');
    assert.ok(version?.headers['content-type']);
    assert.deepEqual(version.metadata, {});
  });

  on('ranges give exactly their bytes', async (origin) => {
    await put(origin, 'r', ramp(3_000_000));
    for (const [start, end] of [
      [0, 1],
      [2_999_999, 3_000_000],
      [1_000_003, 2_000_001],
      [0, 3_000_000],
      [7, 7],
    ] as const)
      assert.deepEqual(await read(origin, 'r', { start, end }), ramp(end - start, start), `${start}–${end}`);
  });

  on('a missing object is undefined at head, versionChanged at get, and fine at delete', async (origin) => {
    assert.equal(await origin.head('nowhere/at/all'), undefined);
    const { etag } = await put(origin, 'there', ramp(10));
    await assert.rejects(origin.get('nowhere', { etag, range: { start: 0, end: 5 } }), fails('versionChanged'));
    await origin.delete('nowhere/at/all');
  });

  on('S-1: a get of a version that was replaced or deleted fails with versionChanged', async (origin) => {
    const first = await put(origin, 'v', ramp(100));
    const second = await put(origin, 'v', ramp(100, 1));
    assert.notEqual(first.etag, second.etag);
    await assert.rejects(origin.get('v', { etag: first.etag, range: { start: 0, end: 5 } }), fails('versionChanged'));
    assert.deepEqual(await read(origin, 'v'), ramp(100, 1));
    await origin.delete('v');
    await assert.rejects(origin.get('v', { etag: second.etag, range: { start: 0, end: 5 } }), fails('versionChanged'));
    assert.equal(await origin.head('v'), undefined);
  });

  on('a get that is stopped or aborted midway ends, and the origin goes on', async (origin) => {
    const { etag } = await put(origin, 'big', ramp(8_000_000));
    for await (const piece of await origin.get('big', { etag, range: { start: 0, end: 8_000_000 } })) {
      assert.ok(piece.length > 0);
      break;
    }
    const stop = new AbortController();
    const reason = new Error('enough');
    const pieces = await origin.get('big', { etag, range: { start: 0, end: 8_000_000 }, signal: stop.signal });
    await assert.rejects(async () => {
      for await (const _ of pieces) stop.abort(reason);
    }, reason);
    await assert.rejects(origin.head('big', { signal: stop.signal }), reason);
    assert.equal((await origin.head('big'))?.etag, etag);
  });

  on('probe finds a working origin', async (origin) => {
    await origin.probe();
  });
}

function writingCases({ on }: Suite): void {
  on('empty objects are objects', async (origin) => {
    await put(origin, 'empty', new Uint8Array(0));
    assert.equal((await origin.head('empty'))?.sizeBytes, 0);
    assert.equal((await read(origin, 'empty')).length, 0);
    assert.equal((await origin.list({ prefix: '', limit: 10 })).objects[0]?.sizeBytes, 0);
  });

  on('a body that comes only once arrives whole', async (origin) => {
    await origin.put('once', onceOf(ramp(5_000_011)), options());
    assert.deepEqual(await read(origin, 'once'), ramp(5_000_011));
  });

  on(
    'S-5: a body that fails after its last byte, or is shorter or longer than declared, leaves what was there',
    async (origin) => {
      const { etag } = await put(origin, 'k', ramp(10));
      const bad = new ForebayError('badDigest', 'not what was signed');
      for (const bytes of [ramp(100), ramp(3_000_000)]) {
        await assert.rejects(origin.put('k', badAtTheEnd(bytes, bad), options()), bad);
        const shorter = { ...onceOf(bytes), lengthBytes: bytes.length + 1 };
        await assert.rejects(origin.put('k', shorter, options()), fails('incompleteBody'));
        const longer = { ...onceOf(bytes), lengthBytes: bytes.length - 1 };
        await assert.rejects(origin.put('k', longer, options()), fails('incompleteBody'));
        assert.equal((await origin.head('k'))?.etag, etag);
      }
      assert.deepEqual(await read(origin, 'k'), ramp(10));
    },
  );

  on('a put that is aborted leaves nothing', async (origin) => {
    const stop = new AbortController();
    const body = {
      lengthBytes: 2_000_000,
      replayable: false,
      async *stream() {
        yield ramp(1_000_000);
        stop.abort(new Error('gone'));
        yield ramp(1_000_000);
      },
    };
    await assert.rejects(origin.put('never', body, { ...options(), signal: stop.signal }), { message: 'gone' });
    assert.equal(await origin.head('never'), undefined);
  });

  on('a replaced object keeps nothing of its former headers and metadata', async (origin) => {
    await origin.put('x', bodyOf(ramp(5)), { headers: { 'cache-control': 'no-store' }, metadata: { a: 'b' } });
    await put(origin, 'x', ramp(6));
    const version = await origin.head('x');
    assert.equal(version?.headers['cache-control'], undefined);
    assert.deepEqual(version?.metadata, {});
  });
}

function conditionCases({ on, limits }: Suite): void {
  const honours = (what: NonNullable<typeof limits.ignores>[number]) => !limits.ignores?.includes(what);

  on('S-8: ifNoneMatch puts only where nothing is', async (origin) => {
    const { etag } = await put(origin, 'c', ramp(10), { ifNoneMatch: '*' });
    await assert.rejects(put(origin, 'c', ramp(11), { ifNoneMatch: '*' }), fails('preconditionFailed'));
    assert.equal((await origin.head('c'))?.etag, etag);
  });

  if (honours('put.ifMatch'))
    on('S-8: ifMatch puts only over the version it names', async (origin) => {
      const first = await put(origin, 'm', ramp(10));
      const second = await put(origin, 'm', ramp(11), { ifMatch: first.etag });
      await assert.rejects(put(origin, 'm', ramp(12), { ifMatch: first.etag }), fails('preconditionFailed'));
      assert.equal((await origin.head('m'))?.etag, second.etag);
      await assert.rejects(put(origin, 'absent', ramp(12), { ifMatch: first.etag }), fails('preconditionFailed'));
      assert.equal(await origin.head('absent'), undefined);
    });

  if (honours('delete.ifMatch'))
    on('S-8: a conditional delete spares another version', async (origin) => {
      const first = await put(origin, 'd', ramp(10));
      const second = await put(origin, 'd', ramp(11));
      await assert.rejects(origin.delete('d', { ifMatch: first.etag }), fails('preconditionFailed'));
      assert.equal((await origin.head('d'))?.etag, second.etag);
      await origin.delete('d', { ifMatch: second.etag });
      assert.equal(await origin.head('d'), undefined);
    });
}

function copyCases({ on, limits }: Suite): void {
  on('a copy is of the version named, with headers and metadata of its own, or declined', async (origin) => {
    const { etag } = await put(origin, 'from here', ramp(1_234_567));
    const attributes = { headers: { 'content-type': 'text/x-copy' }, metadata: { copied: 'yes' } };
    const made = await origin.copy({ key: 'from here', etag }, 'to/there', attributes);
    if (made === undefined) {
      assert.equal(await origin.head('to/there'), undefined);
      return;
    }
    const version = await origin.head('to/there');
    assert.equal(version?.etag, made.etag);
    assert.equal(version?.headers['content-type'], 'text/x-copy');
    assert.deepEqual(version?.metadata, { copied: 'yes' });
    assert.deepEqual(
      await collect(await origin.get('to/there', { ...made, range: { start: 0, end: 1_234_567 } })),
      ramp(1_234_567),
    );
    await put(origin, 'from here', ramp(5));
    await assert.rejects(origin.copy({ key: 'from here', etag }, 'to/there', attributes), fails('versionChanged'));
    assert.equal((await origin.head('to/there'))?.etag, made.etag);
    if (limits.ignores?.includes('copy.ifNoneMatch')) return;
    const now = await origin.head('from here');
    const refused = origin.copy({ key: 'from here', etag: now?.etag ?? '' }, 'to/there', {
      ...attributes,
      condition: { ifNoneMatch: '*' },
    });
    await assert.rejects(refused, fails('preconditionFailed'));
  });
}
