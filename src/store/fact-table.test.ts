import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { originContentId } from '../core/ids.ts';
import { contentDoorEtag, type ObjectFact } from '../core/object.ts';
import { decodeFact, encodeFact } from './fact-record.ts';
import { FactTable } from './fact-table.ts';

function factOf(key: string, version: number, more: Partial<ObjectFact> = {}): ObjectFact {
  const etag = `"${version}"`;
  const content = originContentId({ volume: 'models', key, etag });
  const base = { volume: 'models', key, etag, content, doorEtag: contentDoorEtag(content) };
  return { ...base, sizeBytes: version, modifiedMs: 5, checkedMs: version, headers: {}, metadata: {}, ...more };
}

test('a fact is read back as it was encoded, whatever its key, headers and metadata', () => {
  const words = fc.string({ unit: 'grapheme', maxLength: 50 });
  const fact = fc.record({ key: words, type: words, name: words, value: words, door: fc.boolean() });
  fc.assert(
    fc.property(fact, ({ key, type, name, value, door }) => {
      const made = factOf(key, 7, {
        headers: { 'content-type': type },
        metadata: { [`m${name}`]: value },
        ...(door ? { doorEtag: '"d41d8cd98f00b204e9800998ecf8427e"' } : {}),
      });
      assert.deepEqual(decodeFact(encodeFact(made)), made);
    }),
  );
});

test('the fact table agrees with a map through sets, deletes and touches, and empties dead segments', () => {
  const table = new FactTable({ bytesMax: 1 << 30, isHere: () => true });
  const model = new Map<string, ObjectFact>();
  const pad = 'x'.repeat(2000);
  for (let n = 0; n < 20_000; n += 1) {
    const key = `${(n * 7919) % 1009}-${pad}`;
    if (n % 5 === 4) {
      assert.equal(table.delete('models', key), model.delete(key));
    } else {
      const fact = factOf(key, n);
      table.set(fact);
      model.set(key, fact);
    }
  }
  assert.equal(table.count, model.size);
  for (const [key, fact] of model) assert.deepEqual(table.get('models', key), fact);
  const all = [...table.all()];
  assert.deepEqual(new Set(all.map((fact) => fact.key)), new Set(model.keys()));
  assert.ok(table.bytes < 12 << 20, `${table.bytes} bytes hold about 2 MB of live facts`);
  const touched = table.touch(all[0] as ObjectFact, 123_456);
  assert.equal(touched.checkedMs, 123_456);
  assert.equal(table.get('models', touched.key)?.checkedMs, 123_456);
});

test('over its bound the table keeps facts whose content is here and lets the oldest others go', () => {
  const kept = new Set<string>();
  const table = new FactTable({ bytesMax: 3 << 20, isHere: (content) => kept.has(content) });
  for (let n = 0; n < 20_000; n += 1) {
    const fact = factOf(`key-${n}-${'y'.repeat(200)}`, n);
    if (n % 100 === 0) kept.add(fact.content);
    table.set(fact);
  }
  assert.ok(table.bytes <= (4 << 20) + 1024 * 1024);
  for (let n = 0; n < 20_000; n += 100)
    assert.ok(table.get('models', `key-${n}-${'y'.repeat(200)}`), `fact ${n} of a present content`);
  assert.equal(table.get('models', `key-1-${'y'.repeat(200)}`), undefined);
});
