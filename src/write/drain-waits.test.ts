import assert from 'node:assert/strict';
import { test } from 'node:test';
import { newContentId } from '../core/ids.ts';
import type { Clock } from '../io/io.ts';
import { DrainWaits } from './drain-waits.ts';
import type { DirtyRecord, ObjectRecord } from './object-record.ts';
import type { RecordFeed, RecordListener } from './record-feed.ts';

const contentOf = (index: number) => newContentId({ wallMs: 1000, random: Buffer.alloc(10, index) });
const never: Clock = {
  boottimeMs: () => 0,
  wallMs: () => 0,
  bootId: 'boot',
  sleep: (_ms, signal) =>
    new Promise((_resolve, reject) => signal?.addEventListener('abort', () => reject(signal.reason as Error))),
};

function dirty(index: number, more: Partial<DirtyRecord> = {}): ObjectRecord {
  const shape = { sizeBytes: 1, chunkSizeBytes: 1 << 20, modifiedMs: 0, headers: {}, metadata: {} };
  const order = { begunRevision: 1, base: { origin: 'absent', own: [] } } as const;
  const version = { kind: 'dirty', content: contentOf(index), level: 'local', replicas: ['a'], table: '' } as const;
  return { current: { ...shape, ...order, ...version, urgent: true, ...more } };
}

const stub = (index: number): ObjectRecord => {
  const { current } = dirty(index) as { current: DirtyRecord };
  const { content, sizeBytes, chunkSizeBytes, modifiedMs, headers, metadata } = current;
  return { current: { kind: 'stub', content, sizeBytes, chunkSizeBytes, modifiedMs, headers, metadata, etag: '"e"' } };
};

function waiting(index: number, revision: number) {
  const listeners: RecordListener[] = [];
  const feed = {
    listen: (listener: RecordListener) => {
      listeners.push(listener);
      return () => undefined;
    },
  } as unknown as RecordFeed;
  const wait = new DrainWaits({ feed, clock: never }).begin({ volume: 'work', key: 'k' });
  let outcome = 'waits';
  const { signal } = new AbortController();
  wait.of({ volume: 'work', key: 'k', content: contentOf(index), revision }, signal).then(
    () => (outcome = 'drained'),
    (error: Error) => (outcome = error.message),
  );
  return {
    async tell(record: ObjectRecord | undefined, at: number): Promise<string> {
      for (const listener of listeners) listener('work', { kind: 'change', key: 'k', record, revision: at });
      await new Promise(setImmediate);
      return outcome;
    },
    async tellAll(records: readonly { key: string; record: ObjectRecord; revision: number }[], at: number) {
      for (const listener of listeners) listener('work', { kind: 'all', records, revision: at });
      await new Promise(setImmediate);
      return outcome;
    },
  };
}

test('a write at `origin` is answered when the origin has it, not when its record is seen', async () => {
  const wait = waiting(1, 10);
  assert.equal(await wait.tell(dirty(1), 10), 'waits');
  assert.equal(await wait.tell(dirty(1, { committedRevision: 10, upload: 'u' }), 11), 'waits', 'a record written anew');
  assert.equal(await wait.tell(stub(1), 12), 'drained');
});

test('one that was replaced before it was drained waits for the version that replaced it', async () => {
  const wait = waiting(1, 10);
  assert.equal(await wait.tell(dirty(2, { dirtySince: 10 }), 11), 'waits', 'the origin has neither');
  assert.equal(
    await wait.tell(dirty(3, { dirtySince: 13 }), 13),
    'drained',
    'the second got there before the third came',
  );
});

test('what was known before the write was committed says nothing of it', async () => {
  const wait = waiting(1, 10);
  assert.equal(await wait.tell(stub(9), 8), 'waits');
  assert.equal(await wait.tellAll([{ key: 'k', record: dirty(1), revision: 10 }], 20), 'waits');
  assert.equal(await wait.tellAll([], 30), 'drained', 'its stub has gone by then');
});

test('a conflict at the origin is the answer, and so is its refusal', async () => {
  const conflict = waiting(1, 10);
  const trouble = { kind: 'conflict', message: 'somebody else changed it' } as const;
  assert.match(await conflict.tell(dirty(1, { trouble, committedRevision: 10 }), 11), /somebody else changed it/);
});
