import assert from 'node:assert/strict';
import { bodyOf } from '../../src/origin/body.ts';
import type { Suite } from './origin.ts';
import { badAtTheEnd, fails, onceOf, options, put, ramp, read } from './origin-bytes.ts';

const PART = 5 * 1024 * 1024;

export function uploadCases({ on, limits }: Suite): void {
  const honours = (what: NonNullable<typeof limits.ignores>[number]) => !limits.ignores?.includes(what);

  on('an upload in parts, sent in any order, becomes one object with its headers and metadata', async (origin) => {
    const attributes = { headers: { 'content-type': 'text/x-parts' }, metadata: { made: 'of parts' } };
    const whole = ramp(2 * PART + 12_345);
    const id = await origin.begin('big', attributes);
    assert.ok(id.length > 0 && id.length <= 1024);
    const upload = { key: 'big', id };
    const third = await origin.part(upload, 7, bodyOf(whole.subarray(2 * PART)));
    const first = await origin.part(upload, 1, onceOf(whole.subarray(0, PART)));
    await origin.part(upload, 3, bodyOf(ramp(PART, 9)));
    const second = await origin.part(upload, 3, bodyOf(whole.subarray(PART, 2 * PART)));
    assert.equal(await origin.head('big'), undefined, 'S-5: nothing is visible before');
    const parts = await origin.parts(upload);
    assert.deepEqual(
      parts.map(({ number, sizeBytes }) => [number, sizeBytes]),
      [
        [1, PART],
        [3, PART],
        [7, 12_345],
      ],
    );
    assert.deepEqual(parts, [first, second, third]);
    const { etag } = await origin.finalise(upload, parts, attributes);
    const version = await origin.head('big');
    assert.equal(version?.etag, etag);
    assert.equal(version?.headers['content-type'], 'text/x-parts');
    assert.deepEqual(version?.metadata, { made: 'of parts' });
    assert.deepEqual(await read(origin, 'big'), whole);
  });

  on('parts that are not there are refused, and nothing becomes visible', async (origin) => {
    const upload = { key: 'p', id: await origin.begin('p', options()) };
    const one = await origin.part(upload, 1, bodyOf(ramp(1000)));
    const refused = origin.finalise(upload, [one, { ...one, number: 2 }], options());
    await assert.rejects(refused, fails('invalidPart'));
    assert.equal(await origin.head('p'), undefined);
    await origin.finalise(upload, [one], options());
    assert.deepEqual(await read(origin, 'p'), ramp(1000));
  });

  on('a part whose body fails at its end is not there', async (origin) => {
    const upload = { key: 'q', id: await origin.begin('q', options()) };
    const bad = new Error('wrong sum');
    await assert.rejects(origin.part(upload, 1, badAtTheEnd(ramp(2_000_000), bad)), bad);
    assert.deepEqual(await origin.parts(upload), []);
    await origin.abort(upload);
  });

  on('an aborted upload leaves nothing, and an unknown one may be aborted', async (origin) => {
    const upload = { key: 'z', id: await origin.begin('z', options()) };
    await origin.part(upload, 1, bodyOf(ramp(1000)));
    await origin.abort(upload);
    await origin.abort(upload);
    assert.equal(await origin.head('z'), undefined);
    if (limits.uploadsNeverEnd) return;
    if (honours('part.noSuchUpload'))
      await assert.rejects(origin.part(upload, 2, bodyOf(ramp(1000))), fails('noSuchUpload'));
    await assert.rejects(origin.parts(upload), fails('noSuchUpload'));
    if (honours('finalise.noSuchUpload'))
      await assert.rejects(origin.finalise(upload, [], options()), fails('noSuchUpload'));
  });

  if (honours('finalise.ifNoneMatch'))
    on('S-8: an upload completes under ifNoneMatch only where nothing is', async (origin) => {
      const upload = { key: 'n', id: await origin.begin('n', options()) };
      const one = await origin.part(upload, 1, bodyOf(ramp(1000)));
      const { etag } = await origin.finalise(upload, [one], options({ ifNoneMatch: '*' }));
      const again = { key: 'n', id: await origin.begin('n', options()) };
      const other = await origin.part(again, 1, bodyOf(ramp(1001)));
      await assert.rejects(origin.finalise(again, [other], options({ ifNoneMatch: '*' })), fails('preconditionFailed'));
      assert.equal((await origin.head('n'))?.etag, etag);
      await origin.abort(again);
    });

  if (honours('finalise.ifMatch'))
    on('S-8: an upload completes under ifMatch only over that version', async (origin) => {
      const first = await put(origin, 'm', ramp(5));
      const upload = { key: 'm', id: await origin.begin('m', options()) };
      const one = await origin.part(upload, 1, bodyOf(ramp(1000)));
      const second = await origin.finalise(upload, [one], options({ ifMatch: first.etag }));
      const again = { key: 'm', id: await origin.begin('m', options()) };
      const other = await origin.part(again, 1, bodyOf(ramp(1001)));
      await assert.rejects(
        origin.finalise(again, [other], options({ ifMatch: first.etag })),
        fails('preconditionFailed'),
      );
      assert.equal((await origin.head('m'))?.etag, second.etag);
      await origin.abort(again);
    });
}
