import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dirty, tombstone } from '../../tests/write/samples.ts';
import { CHUNK_BYTES, ramp, SimNodes, VOLUME } from '../../tests/write/sim-nodes.ts';
import { leftLookMs } from '../core/limits.ts';
import { DirtyKeeping } from './dirty-keeping.ts';
import { encodeNote } from './dirty-note.ts';
import type { ObjectRecord } from './object-record.ts';
import { RecordFeed } from './record-feed.ts';

const OPTIONS = { chunkSizeBytes: CHUNK_BYTES, onFull: 'fail', lengthBytes: 1000 } as const;

/** A node that kept `content` under the key `tmp`, as far as it knows not committed, and whose writer's life is over. */
async function bench(current: NonNullable<ObjectRecord['current']> | undefined, n: number) {
  const sim = new SimNodes();
  const node = await sim.start('a');
  const { store, records, cluster } = node;
  const { clock } = cluster;
  const version = dirty(n, { sizeBytes: 1000, chunkSizeBytes: CHUNK_BYTES, replicas: ['a'] });
  const { content } = version;
  const { signal } = new AbortController();
  const seal = async () => {
    const staging = await store.stage({ ...OPTIONS, id: content, signal });
    await staging.write(0, ramp(1000));
    await staging.sum(1000);
    await staging.seal(encodeNote(VOLUME, 'tmp', { record: { current: version }, session: 'gone' }));
  };
  await sim.run(seal());
  const named = { volume: VOLUME, key: 'new', expected: 0, record: { current: version } };
  const gone = { volume: VOLUME, key: 'tmp', expected: 0, record: current && { current } };
  await sim.run(records.commitAll(current?.kind === 'tombstone' ? [named, gone] : [gone]));
  const emit = () => undefined;
  const feed = new RecordFeed({ records, clock, emit });
  const keeping = new DirtyKeeping({
    cluster,
    store,
    records,
    feed,
    emit,
    isOver: async () => false,
    policyOf: () => undefined,
    onHeld: () => undefined,
  });
  void keeping.run();
  const wait = () => sim.run(clock.sleep(4 * leftLookMs), 5 * leftLookMs);
  return { store, feed, keeping, content, wait };
}

test('S-4: what was renamed is not let go by a node that forgot of it in a power cut, before or after it has heard', async () => {
  const deleted = tombstone({ base: { origin: 'absent', own: [dirty(1).content] } });
  const { store, feed, keeping, content, wait } = await bench(deleted, 1);
  await wait();
  assert.ok(store.dirty(content) !== undefined, 'before the feed has told anything');
  feed.start([VOLUME]);
  await wait();
  assert.ok(store.dirty(content) !== undefined);
  assert.deepEqual(
    Array.from(keeping.contents(), ({ key }) => key),
    ['new'],
  );
  keeping.close();
  feed.close();
});

test('what was never committed is let go once its writer is gone and its key has another version', async () => {
  const { store, feed, keeping, content, wait } = await bench(dirty(2), 1);
  feed.start([VOLUME]);
  await wait();
  assert.equal(store.dirty(content), undefined);
  keeping.close();
  feed.close();
});
