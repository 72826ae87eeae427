import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ContentId } from '../core/ids.ts';
import { type JournalRecord, RecordBuffer, RecordReader } from './journal-record.ts';

const id = '80112233445566778899aabbccddeeff' as ContentId;
const RECORDS: readonly JournalRecord[] = [
  { type: 'boot', bootId: '6d0b2c7e-2f0e-4a7b-9d64-0d1f0a1b2c3d', wallMs: 1_790_000_000_000 },
  {
    type: 'blocks',
    id,
    sizeBytes: 5_000_000_000_000,
    chunkSizeBytes: 16 << 20,
    firstBlock: 17,
    checksums: [1, 2, 0xffffffff],
  },
  { type: 'absent', id, firstBlock: 3, count: 16 },
  { type: 'gone', id },
  { type: 'small', id, sizeBytes: 4096, pack: 3, offset: 77, checksum: 0xdeadbeef },
  { type: 'fact', fact: Buffer.from('opaque here') },
  { type: 'forgotten', volume: 'models', key: 'ключ/with spaces' },
  { type: 'flags', id, sizeBytes: 12, chunkSizeBytes: 1 << 20, pinned: true, lent: false },
  { type: 'end', records: 8 },
];

function encode(records: readonly JournalRecord[]): Buffer {
  const buffer = new RecordBuffer();
  for (const record of records) buffer.append(record);
  return buffer.take();
}

function decodeAll(bytes: Uint8Array) {
  const reader = new RecordReader(bytes);
  const records: JournalRecord[] = [];
  for (let record = reader.next(); record !== undefined; record = reader.next()) records.push(record);
  return { records, damaged: reader.damaged, offset: reader.offset };
}

test('every kind of record is read back as it was written', () => {
  assert.deepEqual(decodeAll(encode(RECORDS)), { records: RECORDS, damaged: false, offset: encode(RECORDS).length });
});

test('the bytes of the journal are those of docs/formats/store.md', () => {
  const bytes = encode([{ type: 'absent', id, firstBlock: 3, count: 16 }]);
  assert.equal(bytes.toString('hex'), `19000000${bytes.subarray(4, 8).toString('hex')}03${id}0300000010000000`);
});

test('cut anywhere, a log gives the whole records before the cut and says that it is damaged', () => {
  const bytes = encode(RECORDS);
  fc.assert(
    fc.property(fc.nat(bytes.length), (length) => {
      const { records, damaged, offset } = decodeAll(bytes.subarray(0, length));
      assert.deepEqual(records, RECORDS.slice(0, records.length));
      assert.equal(damaged, offset !== length);
    }),
  );
});

test('with any byte changed, no wrong record is read', () => {
  const bytes = encode(RECORDS);
  fc.assert(
    fc.property(fc.nat(bytes.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
      const changed = Buffer.from(bytes);
      changed[at] = (changed[at] as number) ^ flip;
      const { records, damaged } = decodeAll(changed);
      assert.ok(damaged);
      assert.deepEqual(records, RECORDS.slice(0, records.length));
    }),
  );
});

test('garbage is never taken for a record, and never throws', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
      const { records } = decodeAll(bytes);
      assert.equal(records.length, 0);
    }),
  );
});
