import assert from 'node:assert/strict';
import { test } from 'node:test';
import { dirty, tombstone } from '../../tests/write/samples.ts';
import { CHUNK_BYTES, ramp, SimNodes, VOLUME } from '../../tests/write/sim-nodes.ts';
import { leftLookMs, replacedKeepMs } from '../core/limits.ts';
import type { Event } from '../observe/events.ts';
import { DirtyKeeping } from './dirty-keeping.ts';
import { encodeNote, type NotedRecord } from './dirty-note.ts';
import type { ObjectRecord } from './object-record.ts';
import { RecordFeed } from './record-feed.ts';
import { RecordLineage } from './record-lineage.ts';

const OPTIONS = { chunkSizeBytes: CHUNK_BYTES, onFull: 'fail', lengthBytes: 1000 } as const;

/** A node that kept `content` under the key `tmp`, as far as it knows not committed, and whose writer's life is over. */
async function bench(
  current: NonNullable<ObjectRecord['current']> | undefined,
  n: number,
  notedAs: (life: { id: string; revision: number }) => Partial<NotedRecord> = () => ({}),
) {
  const sim = new SimNodes();
  const node = await sim.start('a');
  const { store, records, cluster } = node;
  const { clock } = cluster;
  const version = dirty(n, { sizeBytes: 1000, chunkSizeBytes: CHUNK_BYTES, replicas: ['a'] });
  const { content } = version;
  const { signal } = new AbortController();
  const lineage = new RecordLineage({
    coordinator: sim.coordinator.attach(sim.attachment('a')),
    random: sim.random('a'),
  });
  const noted = { record: { current: version }, session: 'gone', ...notedAs(await sim.run(lineage.read())) };
  const seal = async () => {
    const staging = await store.stage({ ...OPTIONS, id: content, signal });
    await staging.write(0, ramp(1000));
    await staging.sum(1000);
    await staging.seal(encodeNote(VOLUME, 'tmp', noted));
  };
  await sim.run(seal());
  const named = { volume: VOLUME, key: 'new', expected: 0, record: { current: version } };
  const gone = { volume: VOLUME, key: 'tmp', expected: 0, record: current && { current } };
  if (current !== undefined) await sim.run(records.commitAll(current.kind === 'tombstone' ? [named, gone] : [gone]));
  const events: Event[] = [];
  const emit = (event: Event): void => void events.push(event);
  const feed = new RecordFeed({ records, clock, emit });
  const keeping = new DirtyKeeping({
    cluster,
    store,
    records,
    lineage,
    feed,
    emit,
    isOver: async () => false,
    policyOf: () => undefined,
    onHeld: () => undefined,
  });
  void keeping.run();
  const wait = (ms = 4 * leftLookMs) => sim.run(clock.sleep(ms), ms + leftLookMs);
  /** As a node starts. */
  const start = async () => {
    await sim.run(keeping.learn());
    feed.start([VOLUME]);
    await wait();
  };
  const commit = (record: ObjectRecord, expected: number) =>
    sim.run(records.commit({ volume: VOLUME, key: 'tmp', expected, record }));
  const close = () => {
    keeping.close();
    feed.close();
  };
  return { store, feed, keeping, content, version, wait, start, commit, close, events, lineage, sim };
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

test('what reached the origin while this node was away is let go, also once its record is forgotten, and stays as cache', async () => {
  const { store, start, content, close } = await bench(undefined, 1, ({ id, revision }) => ({ revision, lineage: id }));
  await start();
  assert.equal(store.dirty(content), undefined);
  const hold = store.holdKnown(content, 1000);
  assert.ok(hold !== undefined, 'its bytes are cache now');
  hold.release();
  close();
});

test('S-3: an absent record frees nothing that was noted of a coordinator that is lost, and what a record names again is let go in its time', async () => {
  const lost = () => ({ revision: 3, lineage: 'of the coordinator that is lost' });
  const { store, start, wait, commit, content, version, close, events, keeping } = await bench(undefined, 1, lost);
  await start();
  assert.ok(store.dirty(content) !== undefined);
  assert.match(JSON.stringify(events), /the coordinator lost what it knew of 1 objects .* forebay recover/);
  const revision = await commit({ current: dirty(2) }, 0);
  await wait(2 * replacedKeepMs);
  assert.ok(store.dirty(content) !== undefined, 'which of the two is newer, the revisions do not tell');
  const again = await commit({ current: version }, revision);
  await wait();
  const [kept] = Array.from(keeping.contents());
  assert.equal(kept?.noted?.lineage, keeping.lineage);
  await commit({ current: dirty(3) }, again);
  await wait(2 * replacedKeepMs);
  assert.equal(store.dirty(content), undefined);
  close();
});

test('S-3: a coordinator that was set back to before a note begins another life of the records, and frees nothing', async () => {
  let first = '';
  const ahead = ({ id, revision }: { id: string; revision: number }) => {
    first = id;
    return { revision: revision + 100, lineage: id };
  };
  const { store, start, content, close, events, lineage, keeping, sim } = await bench(undefined, 1, ahead);
  await start();
  assert.ok(store.dirty(content) !== undefined);
  assert.match(JSON.stringify(events), /set back to an older state/);
  assert.notEqual(keeping.lineage, first);
  assert.equal((await sim.run(lineage.read())).id, keeping.lineage, 'for all nodes');
  close();
});

test('what somebody found to be older than its record goes as what was replaced', async () => {
  const lost = () => ({ revision: 3, lineage: 'of the coordinator that is lost' });
  const { store, start, wait, content, close, keeping } = await bench(dirty(2), 1, lost);
  await start();
  assert.ok(store.dirty(content) !== undefined);
  keeping.judged(content);
  await wait(2 * replacedKeepMs);
  assert.equal(store.dirty(content), undefined);
  close();
});

test('S-4: a copy that its writer asked for anew is not let go by what took back the promise before', async () => {
  const { store, start, content, version, close, keeping, sim } = await bench(undefined, 1);
  await start();
  const note = encodeNote(VOLUME, 'tmp', { record: { current: version }, session: 'gone' });
  keeping.promised(content, note, 200);
  await sim.run(keeping.unpromised(content, 'gone', 100));
  assert.ok(store.dirty(content) !== undefined, 'it came late');
  const takenBack = keeping.unpromised(content, 'gone', 300);
  keeping.promised(content, note, 400);
  await sim.run(takenBack);
  assert.ok(store.dirty(content) !== undefined, 'it was asked for again while the record was read');
  await sim.run(keeping.unpromised(content, 'gone', 500));
  assert.equal(store.dirty(content), undefined);
  close();
});
