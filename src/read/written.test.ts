/** Reads of what was written here and is not in the origin yet, on nodes of a simulated cluster. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contentOf, tombstone } from '../../tests/write/samples.ts';
import { bytesOf, ramp, SimNodes, VOLUME } from '../../tests/write/sim-nodes.ts';
import { slotOfChunk, slotOfDirectory } from '../cluster/slot.ts';
import { type ErrorCode, isForebayError } from '../core/errors.ts';
import { MiB } from '../core/limits.ts';

const fails = (code: ErrorCode) => (error: unknown) => isForebayError(error, code);

test('S-2, S-5: what was committed is read whole on every node, from peers, and the origin is not asked for it', async () => {
  const sim = new SimNodes();
  const [a, b, c] = [await sim.start('a'), await sim.start('b'), await sim.start('c')];
  const bytes = ramp(9 * MiB + 17);
  await sim.write([a, b], 'step/shard', { n: 1, bytes });
  for (const node of [a, b, c]) {
    const got = await sim.get(node, 'step/shard');
    assert.ok(got.bytes.equals(bytes), `${node.name} reads it`);
    assert.equal(got.doorEtag, `"${contentOf(1)}-1"`);
    assert.equal(got.stale, false);
  }
  const part = await sim.get(c, 'step/shard', { start: 5 * MiB + 3, end: 6 * MiB });
  assert.ok(part.bytes.equals(bytes.subarray(5 * MiB + 3, 6 * MiB)));
  assert.deepEqual(sim.asked, []);
});

test('S-2: an overwrite and a delete are seen at once on a node that has read what was there', async () => {
  const sim = new SimNodes();
  const [a, b] = [await sim.start('a'), await sim.start('b')];
  await sim.put('k', ramp(100, 1));
  assert.ok((await sim.get(b, 'k')).bytes.equals(ramp(100, 1)), 'what the origin has');
  await sim.write([a], 'k', { n: 1, bytes: ramp(2 * MiB, 2) });
  assert.ok((await sim.get(b, 'k')).bytes.equals(ramp(2 * MiB, 2)));
  const { revision } = await sim.write([a], 'k', { n: 2, bytes: ramp(300, 3) });
  assert.ok((await sim.get(b, 'k')).bytes.equals(ramp(300, 3)));
  const record = { current: tombstone() };
  await sim.run(a.records.commit({ volume: VOLUME, key: 'k', expected: revision, record }));
  await assert.rejects(sim.get(b, 'k'), fails('noSuchKey'));
  await assert.rejects(sim.get(a, 'k'), fails('noSuchKey'));
});

test('S-1: bytes of a version that is drained while it is read go on under the same name, and the rest comes from the origin', async () => {
  const sim = new SimNodes();
  const [a, b] = [await sim.start('a'), await sim.start('b')];
  const bytes = ramp(9 * MiB, 4);
  await sim.write([a], 'k', { n: 1, bytes });
  const signal = new AbortController().signal;
  const opened = await sim.run(b.reader.open(VOLUME, 'k', signal));
  await sim.drain(a, 'k', bytes);
  a.store.cleaned(contentOf(1));
  a.store.drop(contentOf(1), 'caller');
  const got = await sim.run(bytesOf(opened.pieces({ start: 0, end: bytes.length }, signal)));
  opened.close();
  assert.ok(got.equals(bytes));
  assert.ok(sim.asked.includes('get k'), 'nobody had it any more');
  const again = await sim.get(b, 'k');
  assert.equal(again.doorEtag, `"${contentOf(1)}-1"`);
  assert.ok(again.bytes.equals(bytes));
  const gets = sim.asked.filter((what) => what === 'get k').length;
  assert.ok((await sim.get(a, 'k')).bytes.equals(bytes));
  assert.equal(sim.asked.filter((what) => what === 'get k').length, gets, 'its new holder is asked, not the origin');
});

test('S-9: when all replicas are lost the read fails, says so, and serves nothing else', async () => {
  const sim = new SimNodes();
  const [a, b] = [await sim.start('a'), await sim.start('b')];
  await sim.put('k', ramp(100));
  await sim.write([a], 'k', { n: 1, bytes: ramp(3 * MiB, 5) });
  a.crash();
  await assert.rejects(sim.get(b, 'k'), (error) => {
    assert.ok(isForebayError(error, 'replicasUnavailable'), String(error));
    assert.match(error.message, /steps\/k is not in the origin yet, and a did not give its bytes/);
    return true;
  });
  assert.deepEqual(
    sim.asked.filter((what) => what !== 'put k'),
    [],
    'an older version at the origin is no substitute',
  );
});

test('the death of a node that knew who has what does not hold a read up', async () => {
  const sim = new SimNodes();
  const [a, b, c] = [await sim.start('a'), await sim.start('b'), await sim.start('c')];
  const bytes = ramp(24 * MiB, 6);
  await sim.write([a], 'k', { n: 1, bytes });
  const owners = [0, 1, 2, 3, 4, 5].map(
    (chunk) => b.cluster.placement.owner(slotOfChunk({ content: contentOf(1), chunk }))?.node,
  );
  assert.ok(owners.includes('c'), 'some chunk is asked of the one that dies');
  c.crash();
  const fromMs = sim.clock.nowMs;
  assert.ok((await sim.get(b, 'k')).bytes.equals(bytes));
  assert.ok(sim.clock.nowMs - fromMs < 1500, `${sim.clock.nowMs - fromMs} ms`);
});

test('a dead replica is passed over, and others that a repair named since are found', async () => {
  const sim = new SimNodes();
  const nodes = [await sim.start('a'), await sim.start('b'), await sim.start('c')] as const;
  const [a, b, c] = nodes;
  const bytes = ramp(3 * MiB, 6);
  const { record, revision } = await sim.write([a, b], 'k', { n: 1, bytes });
  const signal = new AbortController().signal;
  const opened = await sim.run(c.reader.open(VOLUME, 'k', signal));
  a.crash();
  const got = await sim.run(bytesOf(opened.pieces({ start: 0, end: bytes.length }, signal)));
  assert.ok(got.equals(bytes));
  opened.close();
  const repaired = { ...record, replicas: ['b', 'c'] };
  await sim.run(b.records.commit({ volume: VOLUME, key: 'k', expected: revision, record: { current: repaired } }));
  assert.deepEqual((await sim.run(c.reader.open(VOLUME, 'k'))).fact.replicas, ['b', 'c']);
});

test('S-15: without the coordinator reads go on from what is known, marked as stale, and nothing is said to be absent', async () => {
  const sim = new SimNodes();
  const [a, b] = [await sim.start('a'), await sim.start('b')];
  await sim.put('clean', ramp(100, 1));
  await sim.write([a, b], 'dirty', { n: 1, bytes: ramp(2 * MiB, 2) });
  await sim.get(b, 'dirty');
  sim.coordinator.goAway(600_000);
  const known = await sim.get(b, 'dirty');
  assert.ok(known.bytes.equals(ramp(2 * MiB, 2)) && known.stale);
  const clean = await sim.get(b, 'clean');
  assert.ok(clean.bytes.equals(ramp(100, 1)) && clean.stale);
  await assert.rejects(sim.get(b, 'other'), fails('coordinatorUnavailable'));
  const listing = await sim.run(b.reader.list({ volume: VOLUME, prefix: '', limit: 10 }));
  assert.equal(listing.stale, true);
});

test('S-2: a volume that says so refuses to read without the coordinator', async () => {
  const sim = new SimNodes({ onPartition: 'refuse' });
  const a = await sim.start('a');
  await sim.put('clean', ramp(100, 1));
  assert.equal((await sim.get(a, 'clean')).stale, false);
  sim.coordinator.goAway(600_000);
  await assert.rejects(sim.get(a, 'clean'), fails('coordinatorUnavailable'));
  await assert.rejects(
    sim.run(a.reader.list({ volume: VOLUME, prefix: '', limit: 10 })),
    fails('coordinatorUnavailable'),
  );
});

test('a drained object keeps its name on nodes that see it only after its stub is gone, as far as its owner knows it', async () => {
  const sim = new SimNodes();
  const [a, b, c] = [await sim.start('a'), await sim.start('b'), await sim.start('c')];
  const bytes = ramp(2 * MiB, 7);
  await sim.write([a], 'k', { n: 1, bytes });
  await sim.get(b, 'k');
  await sim.drain(a, 'k', bytes);
  const owner = [a, b, c].find(({ name }) => name === a.cluster.placement.owner(slotOfDirectory(VOLUME, 'k'))?.node);
  await sim.get(owner ?? a, 'k');
  const { revision } = await sim.run(a.records.read(VOLUME, 'k'));
  await sim.run(a.records.commit({ volume: VOLUME, key: 'k', expected: revision, record: undefined }));
  for (const node of [a, b, c]) assert.equal((await sim.get(node, 'k')).doorEtag, `"${contentOf(1)}-1"`, node.name);
  assert.ok(!sim.asked.includes('get k'), 'the bytes are cache under the same content id');
  await sim.put('k', ramp(50, 8));
  await sim.run(a.reader.written(VOLUME, 'k'));
  for (const node of [a, b, c])
    assert.ok((await sim.get(node, 'k')).bytes.equals(ramp(50, 8)), 'somebody else’s version');
});

test('warm, check, pin, evict and explain work on dirty objects', async () => {
  const sim = new SimNodes();
  const [a, b] = [await sim.start('a'), await sim.start('b')];
  const bytes = ramp(5 * MiB, 9);
  await sim.write([a], 'step/x', { n: 1, bytes });
  const signal = new AbortController().signal;
  const all = async <T>(from: AsyncIterable<T>): Promise<T[]> => {
    const found: T[] = [];
    for await (const each of from) found.push(each);
    return found;
  };
  const explained = await sim.run(b.reader.explain(VOLUME, 'step/x'));
  assert.match(
    explained.steps.map(({ source, result }) => `${source}: ${result}`).join('\n'),
    /record: not in the origin yet: a has it/,
  );
  const warmed = await sim.run(all(b.reader.warm({ volume: VOLUME, prefix: 'step/' }, { signal })));
  assert.deepEqual([warmed.at(-1)?.bytesDone, warmed.at(-1)?.failed], [bytes.length, []]);
  for (const node of [a, b]) {
    const [state] = await sim.run(all(node.reader.check({ volume: VOLUME, prefix: '' }, { verify: true, signal })));
    assert.deepEqual([state?.state, state?.content], ['whole', contentOf(1)], node.name);
  }
  assert.deepEqual(await sim.run(b.reader.pin({ volume: VOLUME, key: 'step/x' }, true)), { objects: 1 });
  assert.deepEqual(await sim.run(b.reader.evict({ volume: VOLUME, prefix: '' })), { bytes: 0, kept: bytes.length });
  await sim.run(b.reader.pin({ volume: VOLUME, key: 'step/x' }, false));
  assert.deepEqual(await sim.run(b.reader.evict({ volume: VOLUME, prefix: '' })), { bytes: bytes.length, kept: 0 });
  assert.deepEqual(await sim.run(a.reader.evict({ volume: VOLUME, prefix: '' })), { bytes: 0, kept: bytes.length });
  assert.ok((await sim.get(b, 'step/x')).bytes.equals(bytes), 'S-4: what is dirty was not evicted');
});
