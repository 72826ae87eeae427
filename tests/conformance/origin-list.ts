import assert from 'node:assert/strict';
import type { ListOptions, ListPage, Origin } from '../../src/origin/origin.ts';
import type { Suite } from './origin.ts';
import { put, ramp } from './origin-bytes.ts';

const inBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** What a listing holds, said without pages: every name after `after`, in byte order. */
function expected(keys: readonly string[], { prefix, delimiter, after }: Omit<ListOptions, 'limit'>): string[] {
  const names = new Set<string>();
  for (const key of keys) {
    if (!key.startsWith(prefix)) continue;
    const at = delimiter === undefined ? -1 : key.indexOf(delimiter, prefix.length);
    const name = at < 0 ? key : key.slice(0, at + (delimiter as string).length);
    if (after === undefined || inBytes(name, after) > 0) names.add(name);
  }
  return [...names].sort(inBytes);
}

function namesOf(page: ListPage): string[] {
  return [...page.objects.map(({ key }) => key), ...page.prefixes].sort(inBytes);
}

async function listed(origin: Origin, options: ListOptions): Promise<string[]> {
  const names: string[] = [];
  let after = options.after;
  for (let pages = 0; pages < 500; pages++) {
    const page = await origin.list({ ...options, ...(after === undefined ? {} : { after }) });
    const here = namesOf(page);
    assert.ok(here.length <= options.limit);
    names.push(...here);
    if (page.next === undefined) return names;
    assert.equal(page.next, here.at(-1), 'the next page begins after the last name of this one');
    after = page.next;
  }
  throw new Error('the listing does not end');
}

const KEYS = [
  'a',
  'a-b',
  'a.b',
  'b/1',
  'b/2',
  'b/c/3',
  'b/c/4',
  'b!x',
  'b0',
  'c/d/e/f',
  'Z',
  'é/1',
  'é/2',
  '\uffee',
  '\u{10000}',
];

export function listCases({ on, limits }: Suite): void {
  on('listings agree with the model for every prefix, delimiter, beginning and page size', async (origin) => {
    const keys = limits.ordersByUtf16 ? KEYS.filter((key) => key !== '\uffee') : KEYS;
    for (const key of keys) await put(origin, key, ramp(3));
    for (const prefix of ['', 'b', 'b/', 'b/c/', 'é/', 'nothing', 'c/d/'])
      for (const delimiter of [undefined, '/', 'c'])
        for (const after of [undefined, 'a', 'b/', 'b/1', 'b/c/', 'b0', 'é', '\u{10000}'])
          for (const limit of [1, 2, 1000]) {
            if (limit < 1000 && after !== undefined && after !== 'b/1') continue;
            const options = { prefix, ...(delimiter ? { delimiter } : {}), ...(after ? { after } : {}), limit };
            assert.deepEqual(await listed(origin, options), expected(keys, options), JSON.stringify(options));
          }
  });

  on('entries tell size, ETag and time as head does', async (origin) => {
    const { etag } = await put(origin, 'one', ramp(77));
    const { objects } = await origin.list({ prefix: '', limit: 5 });
    const version = await origin.head('one');
    assert.deepEqual(objects, [{ key: 'one', sizeBytes: 77, etag, modifiedMs: version?.modifiedMs }]);
  });

  const count = limits.manyKeys ?? 10_000;
  on(`${count} keys are listed in pages, each once`, async (origin) => {
    const keys = Array.from({ length: count }, (_, i) => `many/${(i % 97).toString().padStart(2, '0')}/${i}`);
    const empty = new Uint8Array(1);
    const each = 50;
    for (let at = 0; at < keys.length; at += each)
      await Promise.all(keys.slice(at, at + each).map((key) => put(origin, key, empty)));
    assert.deepEqual(await listed(origin, { prefix: 'many/', limit: 1000 }), expected(keys, { prefix: 'many/' }));
    const tops = { prefix: 'many/', delimiter: '/' };
    assert.deepEqual(await listed(origin, { ...tops, limit: 40 }), expected(keys, tops));
    const later = { prefix: 'many/', after: 'many/50/' };
    assert.deepEqual(await listed(origin, { ...later, limit: 999 }), expected(keys, later));
  });
}
