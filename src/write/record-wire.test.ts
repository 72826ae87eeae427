import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { dirty, records, stub, tombstone } from '../../tests/write/samples.ts';
import { isForebayError } from '../core/errors.ts';
import { intentsPerKeyMax, recordVersionMaxBytes } from '../core/limits.ts';
import { decodeRecord, encodeRecord } from './record-wire.ts';

const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const isUnreadable = (error: unknown): boolean => isForebayError(error, 'recordUnreadable');

test('every record comes back as it was', () => {
  fc.assert(
    fc.property(records, (record) => {
      assert.deepEqual(decodeRecord(encodeRecord(record)), record);
    }),
    { numRuns: 300 },
  );
});

test('whatever bytes are there, a record is read or refused, and nothing else is thrown', () => {
  fc.assert(
    fc.property(records, fc.nat(), fc.integer({ min: 0, max: 255 }), (record, at, byte) => {
      const bytes = Uint8Array.from(encodeRecord(record));
      bytes[at % bytes.length] = byte;
      try {
        encodeRecord(decodeRecord(bytes));
      } catch (error) {
        assert.ok(isForebayError(error, 'recordUnreadable', 'metadataTooLarge'), String(error));
      }
    }),
    { numRuns: 500 },
  );
});

test('another form, a missing field, a field too many or of another type, and no bytes at all are refused', () => {
  const good = JSON.parse(Buffer.from(encodeRecord({ current: dirty(1) })).toString()) as Record<string, object>;
  decodeRecord(encode(good));
  const { table: _table, ...lacking } = good['current'] as Record<string, unknown>;
  const wrong = [
    { ...good, form: 2 },
    { current: good['current'] },
    { ...good, more: 1 },
    { form: 1 },
    { form: 1, intents: [] },
    { ...good, current: lacking },
    { ...good, current: { ...good['current'], more: 1 } },
    { ...good, current: { ...good['current'], content: 'xyz' } },
    { ...good, current: { ...good['current'], replicas: [] } },
    { ...good, current: { ...good['current'], sizeBytes: -1 } },
    { ...good, current: { ...good['current'], sizeBytes: 1.5 } },
    { ...good, current: { ...good['current'], headers: { 'x-other': '1' } } },
    { ...good, current: { ...good['current'], metadata: { n: 1 } } },
    { ...good, current: { ...good['current'], base: { origin: 'gone', own: [] } } },
    { ...good, current: { ...good['current'], base: { origin: 'absent', own: [], ownDelete: false } } },
    { ...good, current: { ...stub(1), kind: 'other' } },
    { ...good, intents: [{ checkpoint: 'c', attempt: 'a', to: stub(1) }] },
    [],
    null,
    7,
  ];
  for (const value of wrong) assert.throws(() => decodeRecord(encode(value)), isUnreadable, JSON.stringify(value));
  assert.throws(() => decodeRecord(new Uint8Array(0)), isUnreadable);
  assert.throws(() => decodeRecord(Uint8Array.of(0xff, 0xfe)), isUnreadable);
});

test('a version whose metadata does not fit is refused with what to do, and so is one checkpoint too many', () => {
  const large = dirty(1, { metadata: { text: 'x'.repeat(recordVersionMaxBytes) } });
  const isTooLarge = (error: unknown): boolean => isForebayError(error, 'metadataTooLarge');
  assert.throws(() => encodeRecord({ current: large }), isTooLarge);
  assert.throws(() => encodeRecord({ intents: [{ checkpoint: 'c', attempt: 'a', to: large }] }), isTooLarge);
  const intents = Array.from({ length: intentsPerKeyMax + 1 }, (_, n) => ({
    checkpoint: `step-${n}`,
    attempt: 'a',
    to: tombstone(),
  }));
  assert.throws(
    () => encodeRecord({ intents }),
    (error) => isForebayError(error, 'overloaded'),
  );
  assert.equal(decodeRecord(encodeRecord({ intents: intents.slice(1) })).intents?.length, intentsPerKeyMax);
});
