/** Records for tests: written out, and drawn. */
import fc from 'fast-check';
import type { ContentId } from '../../src/core/ids.ts';
import { MiB } from '../../src/core/limits.ts';
import type { DirtyRecord, ObjectRecord, Stub, Tombstone } from '../../src/write/object-record.ts';

/** The content id number `n` of what was written here. */
export function contentOf(n: number): ContentId {
  return n.toString(16).padStart(32, '0') as ContentId;
}

export function dirty(n: number, changes: Partial<DirtyRecord> = {}): DirtyRecord {
  return {
    kind: 'dirty',
    content: contentOf(n),
    sizeBytes: 1000 + n,
    chunkSizeBytes: 16 * MiB,
    modifiedMs: 1_000_000 + n,
    headers: { 'content-type': 'text/plain' },
    metadata: { n: String(n) },
    level: 'replicated',
    replicas: ['a', 'b'],
    table: n.toString(16).padStart(64, '0'),
    base: { origin: 'absent', own: [] },
    begunRevision: 1,
    urgent: false,
    ...changes,
  };
}

export function tombstone(changes: Partial<Tombstone> = {}): Tombstone {
  const base: Tombstone['base'] = { origin: { etag: '"x"' }, own: [] };
  return { kind: 'tombstone', modifiedMs: 5, base, begunRevision: 1, drained: false, ...changes };
}

export function stub(n: number, etag = `"${n}"`): Stub {
  const { content, sizeBytes, chunkSizeBytes, modifiedMs, headers, metadata } = dirty(n);
  return { kind: 'stub', content, sizeBytes, chunkSizeBytes, modifiedMs, headers, metadata, etag };
}

const text = fc.string({ maxLength: 40, unit: 'grapheme' });
const hex = (length: number) =>
  fc.string({ minLength: length, maxLength: length, unit: fc.constantFrom(...Array.from('0123456789abcdef')) });
const contents = hex(32) as fc.Arbitrary<ContentId>;
const count = fc.nat({ max: Number.MAX_SAFE_INTEGER });
const optional = { noNullPrototype: true } as const;

const base = fc.record<DirtyRecord['base'], 'origin' | 'own'>(
  {
    origin: fc.oneof(
      fc.constant('absent' as const),
      fc.constant('unknown' as const),
      fc.record({ etag: text }, optional),
    ),
    own: fc.array(contents, { maxLength: 4 }),
    ownDelete: fc.constant(true as const),
    late: fc.array(contents, { minLength: 1, maxLength: 3 }),
  },
  { noNullPrototype: true, requiredKeys: ['origin', 'own'] },
);

const trouble = fc.record<NonNullable<DirtyRecord['trouble']>, 'kind' | 'message'>(
  {
    kind: fc.constantFrom('refused', 'conflict', 'lost'),
    message: text,
    parked: fc.record({ key: text, etag: text }, optional),
  },
  { noNullPrototype: true, requiredKeys: ['kind', 'message'] },
);

const object = {
  content: contents,
  sizeBytes: count,
  chunkSizeBytes: count,
  modifiedMs: count,
  headers: fc.record({ 'content-type': text, expires: text }, { noNullPrototype: true, requiredKeys: [] }),
  metadata: fc.dictionary(text, text, { noNullPrototype: true, maxKeys: 5 }),
};
const order = { begunRevision: count, committedRevision: count, dirtySince: count };

const dirties = fc.record<
  DirtyRecord,
  Exclude<keyof DirtyRecord, 'committedRevision' | 'dirtySince' | 'upload' | 'trouble'>
>(
  {
    kind: fc.constant('dirty'),
    ...object,
    ...order,
    level: fc.constantFrom('local', 'replicated'),
    replicas: fc.array(text, { minLength: 1, maxLength: 5 }),
    table: hex(64),
    base,
    urgent: fc.boolean(),
    upload: text,
    trouble,
  },
  {
    noNullPrototype: true,
    requiredKeys: [
      ...(Object.keys(object) as (keyof typeof object)[]),
      ...(['kind', 'begunRevision', 'level', 'replicas', 'table', 'base', 'urgent'] as const),
    ],
  },
);

const tombstones = fc.record<Tombstone, 'kind' | 'modifiedMs' | 'base' | 'begunRevision' | 'drained'>(
  {
    kind: fc.constant('tombstone'),
    modifiedMs: count,
    base,
    ...order,
    drained: fc.boolean(),
    urgent: fc.boolean(),
    trouble,
  },
  { noNullPrototype: true, requiredKeys: ['kind', 'modifiedMs', 'base', 'begunRevision', 'drained'] },
);

const stubs = fc.record<Stub>({ kind: fc.constant('stub'), ...object, etag: text }, optional);
const intents = fc.array(fc.record({ checkpoint: text, attempt: text, to: fc.oneof(dirties, tombstones) }, optional), {
  minLength: 1,
  maxLength: 3,
});

/** Any record. */
export const records: fc.Arbitrary<ObjectRecord> = fc.oneof(
  fc.record({ current: fc.oneof(dirties, tombstones, stubs) }, optional),
  fc.record({ intents }, optional),
  fc.record({ current: fc.oneof(dirties, tombstones, stubs), intents }, optional),
);
