import assert from 'node:assert/strict';
import { isForebayError } from '../../src/core/errors.ts';
import { bodyOf } from '../../src/origin/body.ts';
import type { Suite } from './origin.ts';
import { collect, fails, options, put, ramp } from './origin-bytes.ts';

const SIZE = 3_000_000;

export function concurrencyCases({ on, limits }: Suite): void {
  on('S-1: a get during overwrites gives one version or versionChanged', async (origin) => {
    await put(origin, 'hot', ramp(SIZE, 0));
    let whole = 0;
    let isWriting = true;
    const writing = (async () => {
      for (let round = 1; round <= 12; round++) await put(origin, 'hot', ramp(SIZE, round));
      isWriting = false;
    })();
    const reading = (async () => {
      do {
        const version = await origin.head('hot');
        assert.ok(version, 'S-5: an overwritten object is never gone');
        try {
          const bytes = await collect(await origin.get('hot', { etag: version.etag, range: { start: 0, end: SIZE } }));
          assert.deepEqual(bytes, ramp(SIZE, bytes[0] as number));
          whole++;
        } catch (error) {
          assert.ok(isForebayError(error, 'versionChanged'), String(error));
        }
      } while (isWriting);
    })();
    await Promise.all([writing, reading]);
    const last = await origin.head('hot');
    assert.deepEqual(
      await collect(await origin.get('hot', { etag: last?.etag ?? '', range: { start: 0, end: SIZE } })),
      ramp(SIZE, 12),
    );
    assert.ok(whole >= 0);
  });

  const races = !limits.ignores?.includes('put.race');
  (races ? on : () => undefined)('S-8: of many writers that each want to be first, one is', async (origin) => {
    const tries = Array.from({ length: 8 }, (_, i) => put(origin, 'first', ramp(1000 + i), { ifNoneMatch: '*' }));
    const results = await Promise.allSettled(tries);
    const won = results.flatMap((result, i) => (result.status === 'fulfilled' ? [{ i, etag: result.value.etag }] : []));
    assert.equal(won.length, 1);
    for (const result of results)
      if (result.status === 'rejected') fails('preconditionFailed', 'conflict')(result.reason);
    const version = await origin.head('first');
    assert.equal(version?.sizeBytes, 1000 + (won[0]?.i ?? -1));
    assert.equal(version?.etag, won[0]?.etag);
  });

  on('objects of one directory come and go beside each other', async (origin) => {
    const work = Array.from({ length: 6 }, async (_, i) => {
      for (let round = 0; round < 5; round++) {
        const key = `shared/deep/${i}`;
        await origin.put(key, bodyOf(ramp(100, i)), options());
        assert.ok(await origin.head(key));
        await origin.delete(key);
      }
    });
    await Promise.all(work);
    assert.deepEqual(await origin.list({ prefix: '', delimiter: '/', limit: 10 }), { objects: [], prefixes: [] });
  });
}
