import assert from 'node:assert/strict';
import type { Suite } from './origin.ts';
import { fails, put, ramp, read } from './origin-bytes.ts';

const KEYS = [
  'plain',
  'with space and  two',
  'plus+and%2Fpercent%',
  'a/b/c/deep',
  'ünïcödé/日本語/🚀',
  '~tilde!*\'()&=,;:@$"<>\\^`{|}[]',
  'question?and#hash',
  '%2e%2e/%2F',
  'trailing.',
  '.hidden/..twodots../...',
  'A', // and its lower-case sister
  'a-lower',
];

export function keyCases({ on, limits }: Suite): void {
  on('keys of every kind are kept apart, read, listed and deleted as they were given', async (origin) => {
    const fifths = Array.from({ length: 5 }, (_, i) => `${i}`.repeat(199));
    const long = [...fifths, 'é'.repeat(12)].join('/');
    const plain = limits.noDotSegments ? KEYS.map((key) => key.replace('\\', '')) : KEYS;
    const keys = [...plain, long, ...(limits.noControlCharacters ? [] : ['control\u0001\u007f'])];
    assert.equal(Buffer.byteLength(long), 1024);
    for (const [i, key] of keys.entries()) await put(origin, key, ramp(10 + i, i));
    for (const [i, key] of keys.entries()) assert.deepEqual(await read(origin, key), ramp(10 + i, i), key);
    const { objects } = await origin.list({ prefix: '', limit: 1000 });
    const inOrder = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    assert.deepEqual(
      objects.map(({ key }) => key),
      inOrder,
    );
    for (const key of keys) await origin.delete(key);
    assert.deepEqual((await origin.list({ prefix: '', limit: 1000 })).objects, []);
  });

  if (!limits.keysArePaths)
    on('keys need not look like paths', async (origin) => {
      const keys = ['/leading', 'a//b', 'a', 'a/', 'a/b', '//'];
      for (const [i, key] of keys.entries()) await put(origin, key, ramp(5, i));
      for (const [i, key] of keys.entries()) assert.deepEqual(await read(origin, key), ramp(5, i), key);
      const { objects } = await origin.list({ prefix: '', limit: 1000 });
      assert.deepEqual(
        objects.map(({ key }) => key),
        keys.toSorted(),
      );
    });

  if (limits.keysArePaths || limits.noDotSegments)
    on('keys that would lead elsewhere are a miss to read and an error to write', async (origin) => {
      for (const key of ['..', '../x', 'a/../../b', './a', 'a/.', ...(limits.noDotSegments ? ['back\\slash'] : [])]) {
        await assert.rejects(put(origin, key, ramp(5)), fails('invalidArgument'), key);
        assert.equal(await origin.head(key), undefined, key);
        await assert.rejects(
          origin.get(key, { etag: '"x"', range: { start: 0, end: 1 } }),
          fails('versionChanged'),
          key,
        );
        await origin.delete(key);
      }
    });
  else
    on('dots are letters like others', async (origin) => {
      for (const [i, key] of ['..', '../x', 'a/../../b', './a', 'a/.'].entries()) {
        await put(origin, key, ramp(5, i));
        assert.deepEqual(await read(origin, key), ramp(5, i), key);
      }
    });

  on('a key that ends in / is an object of its own, and a prefix', async (origin) => {
    await put(origin, 'dir/', new Uint8Array(0));
    assert.equal((await origin.head('dir/'))?.sizeBytes, 0);
    await put(origin, 'dir/x', ramp(5));
    assert.deepEqual(
      (await origin.list({ prefix: 'dir/', delimiter: '/', limit: 10 })).objects.map(({ key }) => key),
      ['dir/', 'dir/x'],
    );
    assert.deepEqual(await origin.list({ prefix: '', delimiter: '/', limit: 10 }), { objects: [], prefixes: ['dir/'] });
    await origin.delete('dir/');
    assert.equal(await origin.head('dir/'), undefined);
    assert.deepEqual(
      (await origin.list({ prefix: '', limit: 10 })).objects.map(({ key }) => key),
      ['dir/x'],
    );
    await origin.delete('dir/x');
    assert.deepEqual(await origin.list({ prefix: '', delimiter: '/', limit: 10 }), { objects: [], prefixes: [] });
  });
}
