import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContentId } from '../core/ids.ts';
import { kvDroppedKeptMax, kvLeaseMaxMs } from '../core/kv-limits.ts';
import { DroppedKeys } from './dropped-keys.ts';
import { LeaseMemory } from './lease-memory.ts';

const promised = (endMs: number) => ({
  node: 'a',
  session: 's',
  fact: { content: '0'.repeat(32) as ContentId, sizeBytes: 1, remainingMs: 1, modifiedMs: 0 },
  endMs,
});

test('S-10: a promise is relied on until its lease ends, and no longer', () => {
  const memory = new LeaseMemory();
  memory.set('k', promised(100));
  assert.equal(memory.get(99, 'k')?.node, 'a');
  assert.equal(memory.get(100, 'k'), undefined);
  memory.set('k', promised(200));
  memory.delete('k');
  assert.equal(memory.get(150, 'k'), undefined);
});

test('S-12: of more promises than the bound the oldest are forgotten', () => {
  const memory = new LeaseMemory(64);
  for (let number = 0; number < 65; number++) memory.set(`k${number}`, promised(100));
  assert.equal(memory.get(0, 'k0'), undefined);
  for (let number = 8; number < 65; number++) assert.ok(memory.get(0, `k${number}`), `k${number}`);
});

test('what clients deleted is remembered for as long as a lease may last, within its bound', () => {
  const dropped = new DroppedKeys();
  for (let number = 0; number <= kvDroppedKeptMax; number++) dropped.add(1000, `k${number}`);
  assert.equal(dropped.has(1001, 'k0'), false);
  assert.equal(dropped.has(1001, `k${kvDroppedKeptMax}`), true);
  assert.equal(dropped.has(1000 + kvLeaseMaxMs, `k${kvDroppedKeptMax}`), false);
});
