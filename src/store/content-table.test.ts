import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { newContentId, originContentId } from '../core/ids.ts';
import { ChunkTable } from './chunk-table.ts';
import { type ContentRow, ContentTable } from './content-table.ts';

const idOf = (n: number) => originContentId({ volume: 'v', key: `k${n}`, etag: '"e"' });
const shape = { sizeBytes: 1 << 21, chunkSizeBytes: 16 << 20 };

test('the content table agrees with a map through any run of adds and removes', () => {
  const step = fc.record({ key: fc.nat(300), remove: fc.boolean() });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 800 }), (steps) => {
      const table = new ContentTable();
      const model = new Map<string, number>();
      for (const { key, remove } of steps) {
        const id = idOf(key);
        const row = table.find(id);
        assert.equal(row !== undefined, model.has(id));
        if (row !== undefined && remove) {
          table.remove(row);
          model.delete(id);
        } else if (row === undefined) {
          model.set(id, key);
          table.add(id, { ...shape, sizeBytes: key });
        }
      }
      assert.equal(table.count, model.size);
      const seen = [...table.rows()].map((row) => table.id(row)).sort();
      assert.deepEqual(seen, [...model.keys()].sort());
      for (const [id, key] of model) assert.equal(table.sizeBytes(table.find(id as never) as ContentRow), key);
    }),
    { numRuns: 60 },
  );
});

test('ids that were made in one moment do not crowd in one place of the table', { timeout: 20_000 }, () => {
  const table = new ContentTable();
  const random = Buffer.alloc(10);
  for (let n = 0; n < 50_000; n++) {
    // As random bytes are: what differs may be anywhere in them. All in a row took minutes.
    random.writeUInt32LE(Math.imul(n, 0x9e3779b1) >>> 0, 6);
    table.add(newContentId({ wallMs: 1_795_000_000_000, random }), shape);
  }
  assert.equal(table.count, 50_000);
});

test('a million contents take less than 300 bytes each, and a chunk of one block less than 100', () => {
  const contents = new ContentTable();
  const chunks = new ChunkTable();
  const count = 200_000;
  for (let n = 0; n < count; n += 1) chunks.add(contents.add(idOf(n), { ...shape, sizeBytes: 4096 }), 0, 1);
  assert.ok(contents.bytes / count < 300, `${contents.bytes / count} bytes a content`);
  assert.ok(chunks.bytes / count < 150, `${chunks.bytes / count} bytes a chunk`);
});

test('the chunk table agrees with a map through any run of adds, blocks and removes', () => {
  const step = fc.record({
    content: fc.integer({ min: 1, max: 20 }),
    index: fc.nat(20),
    block: fc.nat(15),
    sum: fc.nat(),
    remove: fc.boolean(),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 600 }), (steps) => {
      const table = new ChunkTable();
      const model = new Map<string, Map<number, number>>();
      for (const { content, index, block, sum, remove } of steps) {
        const name = `${content}/${index}`;
        const row = table.find(content as ContentRow, index) ?? table.add(content as ContentRow, index, 16);
        if (!model.has(name)) model.set(name, new Map());
        if (remove) {
          table.remove(row);
          model.delete(name);
          continue;
        }
        table.setBlock(row, block, sum);
        model.get(name)?.set(block, sum);
      }
      assert.equal(table.count, model.size);
      for (const row of table.rows()) {
        const blocks = model.get(`${table.content(row)}/${table.index(row)}`);
        assert.ok(blocks);
        for (let block = 0; block < 16; block += 1) {
          assert.equal(table.hasBlock(row, block), blocks.has(block));
          if (blocks.has(block)) assert.equal(table.checksum(row, block), blocks.get(block));
        }
      }
      let linked = 0;
      for (let row = table.oldest; row !== undefined; row = table.newer(row)) linked += 1;
      assert.equal(linked, model.size);
    }),
    { numRuns: 60 },
  );
});
