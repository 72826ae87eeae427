import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContentId } from '../core/ids.ts';
import { MiB } from '../core/limits.ts';
import { decodeTable, encodeTable } from './table-file.ts';

test('a table is read back as it was written, and never when cut or changed', () => {
  const table = {
    id: '000000000000000000000000000000ab' as ContentId,
    sizeBytes: 2 * MiB + 1,
    chunkSizeBytes: 4 * MiB,
    checksums: Uint32Array.of(1, 2 ** 32 - 1, 3),
    volume: 'v',
    key: 'schlüssel',
    record: Buffer.from('{}'),
  };
  const bytes = encodeTable(table);
  const back = decodeTable(bytes);
  assert.deepEqual({ ...back, record: Buffer.from(back?.record ?? []) }, table);
  for (let at = 0; at < bytes.length; at += 1) {
    assert.equal(decodeTable(bytes.subarray(0, at)), undefined);
    const changed = Buffer.from(bytes);
    changed[at] = (changed[at] as number) ^ 16;
    assert.equal(decodeTable(changed), undefined, `byte ${at}`);
  }
});
