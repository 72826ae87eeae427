/** Checkpoints on nodes of a simulated cluster: what readers see at every step, and what attempts that are over may not do. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { contentOf, dirty, tombstone } from '../../tests/write/samples.ts';
import { ramp, SimNodes, type SimReadNode, VOLUME } from '../../tests/write/sim-nodes.ts';
import { type ErrorCode, isForebayError } from '../core/errors.ts';
import { checkpointEndedMs } from '../core/limits.ts';
import { type AttemptName, decideDeleteIntent } from './checkpoint-decisions.ts';
import { CheckpointWork } from './checkpoint-work.ts';
import { Checkpoints, MARKER } from './checkpoints.ts';
import { recordKey } from './coordinator-records.ts';
import type { DirtyRecord } from './object-record.ts';
import { decodeRecord } from './record-wire.ts';
import type { RecordChange } from './records.ts';
import { committedRevision } from './version-order.ts';
import type { Target, WriteBody } from './writer.ts';

const fails = (code: ErrorCode, message?: RegExp) => (error: unknown) => {
  assert.ok(isForebayError(error, code), String(error));
  if (message !== undefined) assert.match(error.message, message);
  return true;
};

/** Checkpoints of a node, with a writer that commits records only. */
class Bench {
  readonly sim = new SimNodes();
  readonly written: string[] = [];
  #numbers = 100;

  async node(name: string) {
    const node = await this.sim.start(name);
    const coordinator = this.sim.coordinator.attach(this.sim.attachment(name));
    const { records, reader } = node;
    async function* keysBelow(volume: string, prefix: string): AsyncGenerator<string> {
      const page = await reader.list({ volume, prefix, limit: 1000 });
      for (const { key } of page.objects) yield key;
    }
    const { clock } = node.cluster;
    const putDelete = async (volume: string, key: string, attempt: AttemptName): Promise<void> => {
      const read = await records.read(volume, key);
      const origin = { has: { etag: '"o"' } };
      const record = decideDeleteIntent(read, { modifiedMs: 1, begunRevision: read.asOf, origin }, attempt);
      if (record !== undefined) await records.commit({ volume, key, expected: read.revision, record });
    };
    const checkpoints = new Checkpoints({
      coordinator,
      records,
      clock,
      random: this.sim.random(name),
      copiesOf: () => 1,
      isLive: (replica) => replica !== 'dead',
      keysBelow,
      putDelete,
    });
    const work = new CheckpointWork({
      coordinator,
      records,
      checkpoints,
      volumes: [VOLUME],
      isMine: () => true,
      isOrdered: () => true,
      keysBelow,
      clock,
      emit: ({ kind, ...rest }) => assert.fail(`${kind} ${JSON.stringify(rest)}`),
      writer: {
        put: (target, body) => this.#write(node, target, body),
        delete: async ({ key }) => {
          const { revision } = await records.read(VOLUME, key);
          this.written.push(`delete ${key}`);
          await records.commit({ volume: VOLUME, key, expected: revision, record: { current: tombstone() } });
        },
      },
    });
    return { ...node, checkpoints, work, coordinator };
  }

  run<T>(work: Promise<T>): Promise<T> {
    return this.sim.run(work);
  }

  async #write({ records, name }: SimReadNode, { volume, key }: Target, body: WriteBody) {
    let text = '';
    for await (const piece of body.stream()) text += Buffer.from(piece).toString();
    this.written.push(`put ${key} ${text}`);
    const { revision } = await records.read(volume, key);
    const current = dirty((this.#numbers += 1), { replicas: [name], begunRevision: revision });
    await records.commit({ volume, key, expected: revision, record: { current } });
    return { doorEtag: '', modifiedMs: 0, level: 'local' as const };
  }

  /** Puts an object of an attempt, as the writer does after it was staged. */
  async put(
    { checkpoints, records, name: replica }: Awaited<ReturnType<Bench['node']>>,
    key: string,
    name: AttemptName,
    changes: Partial<DirtyRecord> = {},
  ): Promise<void> {
    const fence = await this.run(checkpoints.fence(VOLUME, key, name));
    const to = dirty((this.#numbers += 1), { replicas: [replica], begunRevision: 1, ...changes });
    const { record, revision } = await this.run(records.read(VOLUME, key));
    const intents = [
      ...(record?.intents ?? []).filter(({ checkpoint }) => checkpoint !== name.checkpoint),
      { ...name, to },
    ];
    const next = { ...record, intents };
    await this.run(records.commit({ volume: VOLUME, key, expected: revision, record: next, fences: [fence] }));
  }

  async keys({ reader }: SimReadNode, prefix = ''): Promise<string[]> {
    const { objects } = await this.run(reader.list({ volume: VOLUME, prefix, limit: 1000 }));
    return objects.map(({ key }) => key);
  }

  async raw({ coordinator }: Awaited<ReturnType<Bench['node']>>, key: string) {
    const { entries } = await this.run(coordinator.range(recordKey(VOLUME, key)));
    return entries[0] && decodeRecord(entries[0].value);
  }
}

test('S-6: nothing of a checkpoint is seen before its commit, and all of it after, on every node, before and after it is folded', async () => {
  const bench = new Bench();
  const [a, b] = [await bench.node('a'), await bench.node('b')];
  await bench.sim.put('step-1/x', ramp(10));
  const { attempt } = await bench.run(a.checkpoints.begin(VOLUME, 'step-1'));
  const name = { checkpoint: 'step-1', attempt };
  await bench.put(a, 'step-1/x', name);
  await bench.put(b, 'step-1/sub/y', name);
  assert.deepEqual(await bench.keys(b), ['step-1/x']);
  assert.ok((await bench.sim.get(b, 'step-1/x')).bytes.equals(ramp(10)), 'the origin’s is still current');
  assert.equal(await bench.run(b.checkpoints.latest(VOLUME)), undefined);
  const done = await bench.run(b.checkpoints.commit(VOLUME, name, { count: 2 }));
  assert.deepEqual([done.objects, done.isLatest], [2, true]);
  for (const stage of ['committed', 'folded']) {
    for (const node of [a, b]) {
      assert.deepEqual(await bench.keys(node), ['step-1/sub/y', 'step-1/x'], stage);
      const { record } = await bench.run(node.records.read(VOLUME, 'step-1/x'));
      assert.ok(record?.current?.kind === 'dirty' && record.current.urgent && record.intents === undefined);
      assert.deepEqual(record.current.base.origin, 'absent');
    }
    const latest = await bench.run(a.checkpoints.latest(VOLUME));
    assert.deepEqual([latest?.name, latest?.state, latest?.objects], ['step-1', 'committed', 2]);
    const raw = await bench.raw(a, 'step-1/x');
    assert.equal(raw?.intents?.length, stage === 'folded' ? undefined : 1);
    if (stage === 'committed') await bench.run(a.work.sweep());
  }
});

test('the marker is put last, names every object, and is put once', async () => {
  const bench = new Bench();
  const a = await bench.node('a');
  const { attempt } = await bench.run(a.checkpoints.begin(VOLUME, 'run/step-1'));
  const name = { checkpoint: 'run/step-1', attempt };
  for (const file of ['x', 'y', 'z/w']) await bench.put(a, `run/step-1/${file}`, name);
  await bench.run(a.checkpoints.commit(VOLUME, name));
  for (let turn = 0; turn < 4; turn += 1) {
    await bench.run(a.work.sweep());
    await bench.run(a.cluster.clock.sleep(1000));
  }
  assert.equal(bench.written.length, 1);
  const [, key, text] = /^put (\S+) (.*)/s.exec(bench.written[0] ?? '') ?? [];
  assert.equal(key, `run/step-1/${MARKER}`);
  const marker = JSON.parse(text ?? '') as { checkpoint: string; objects: { key: string }[] };
  assert.deepEqual(
    marker.objects.map((object) => object.key),
    ['run/step-1/x', 'run/step-1/y', 'run/step-1/z/w'],
  );
  assert.deepEqual([marker.checkpoint, (await bench.keys(a)).length], ['run/step-1', 4]);
});

test('S-6, S-16: a later begin of the same name takes its rights from the attempt before, wherever that is', async () => {
  const bench = new Bench();
  const [a, b] = [await bench.node('a'), await bench.node('b')];
  const zombie = { checkpoint: 's', ...(await bench.run(a.checkpoints.begin(VOLUME, 's'))) };
  await bench.put(a, 's/x', zombie, { content: contentOf(1) });
  const fence = await bench.run(a.checkpoints.fence(VOLUME, 's/y', zombie));
  const next = { checkpoint: 's', ...(await bench.run(b.checkpoints.begin(VOLUME, 's'))) };
  const late = { intents: [{ ...zombie, to: dirty(2) }] };
  await assert.rejects(
    bench.run(a.records.commit({ volume: VOLUME, key: 's/y', expected: 0, record: late, fences: [fence] })),
    fails('recordChanged'),
  );
  const isOver = fails('attemptEnded', /taken over by a later begin/);
  await assert.rejects(bench.put(a, 's/y', zombie), isOver);
  await assert.rejects(bench.run(a.checkpoints.commit(VOLUME, zombie)), isOver);
  await assert.rejects(bench.run(a.checkpoints.abort(VOLUME, zombie)), isOver);
  await bench.put(b, 's/y', next);
  await bench.run(b.work.sweep());
  assert.equal(await bench.raw(a, 's/x'), undefined, 'what the zombie had put is gone');
  await bench.run(b.checkpoints.commit(VOLUME, next));
  assert.deepEqual(await bench.keys(a), ['s/y']);
});

test('bad input: an unknown attempt, a put after the commit, a commit twice, an abort after the commit, names and keys that are none', async () => {
  const bench = new Bench();
  const a = await bench.node('a');
  const { checkpoints } = a;
  const unknown = { checkpoint: 's', attempt: 'nobody’s' };
  await assert.rejects(bench.run(checkpoints.commit(VOLUME, unknown)), fails('noSuchCheckpoint'));
  await assert.rejects(bench.put(a, 's/x', unknown), fails('noSuchCheckpoint'));
  const name = { checkpoint: 's', ...(await bench.run(checkpoints.begin(VOLUME, 's'))) };
  await assert.rejects(bench.run(checkpoints.commit(VOLUME, unknown)), fails('attemptEnded'));
  await assert.rejects(bench.run(checkpoints.commit(VOLUME, name)), fails('checkpointIncomplete', /nothing was put/));
  for (const key of ['other/x', 's', 's2/x', `s/${MARKER}`])
    await assert.rejects(bench.put(a, key, name), fails('invalidArgument', /is not one of the checkpoint/));
  await bench.put(a, 's/x', name);
  const first = await bench.run(checkpoints.commit(VOLUME, name));
  assert.deepEqual(await bench.run(checkpoints.commit(VOLUME, name)), first, 'twice is as once');
  const isOver = fails('attemptEnded', /is committed/);
  await assert.rejects(bench.put(a, 's/y', name), isOver);
  await assert.rejects(bench.run(checkpoints.abort(VOLUME, name)), isOver);
  for (const bad of ['', '/', 'a//b', 'a/', '../a', 'x'.repeat(300), 'a\0b', '\ud800'])
    await assert.rejects(bench.run(checkpoints.begin(VOLUME, bad)), fails('invalidArgument'), JSON.stringify(bad));
  await assert.rejects(bench.run(checkpoints.keep(VOLUME, 0)), fails('invalidArgument'));
  await assert.rejects(bench.run(checkpoints.rollback(VOLUME, 'none')), fails('noSuchCheckpoint'));
});

test('S-6: of 2,000 objects with one missing none is committed, the missing one is named, and with it all are', async () => {
  const bench = new Bench();
  const [a, b] = [await bench.node('a'), await bench.node('b')];
  const name = { checkpoint: 's', ...(await bench.run(a.checkpoints.begin(VOLUME, 's'))) };
  const keys = Array.from({ length: 2000 }, (_, n) => `s/${String(n).padStart(4, '0')}`);
  const fences = [await bench.run(a.checkpoints.fence(VOLUME, 's/0', name))];
  const put = async (some: readonly string[]): Promise<void> => {
    for (let first = 0; first < some.length; first += 50)
      await bench.run(
        a.records.commitAll(
          some.slice(first, first + 50).map((key, index) => {
            const to = dirty(first + index + 1, { replicas: ['a'] });
            return { volume: VOLUME, key, expected: 0, record: { intents: [{ ...name, to }] }, fences };
          }),
        ),
      );
  };
  await put(keys.filter((key) => key !== 's/1234'));
  await assert.rejects(
    bench.run(a.checkpoints.commit(VOLUME, name, { keys })),
    fails('checkpointIncomplete', /lacks "s\/1234"$/),
  );
  await assert.rejects(
    bench.run(a.checkpoints.commit(VOLUME, name, { count: 2000 })),
    fails('checkpointIncomplete', /has 1999 objects, not 2000/),
  );
  assert.deepEqual(await bench.keys(b), []);
  await put(['s/1234']);
  const seen = new Set<string>();
  const stop = new AbortController();
  const watching = (async () => {
    for await (const change of b.records.watch(VOLUME, stop.signal)) {
      const told: readonly (RecordChange & { kind: 'change' })[] = change.kind === 'change' ? [change] : [];
      for (const { key, record } of told) if (record?.current?.kind === 'dirty') seen.add(key);
      if (seen.size === keys.length) return;
    }
  })();
  await bench.run(b.records.read(VOLUME, 's/0000'));
  const done = await bench.run(a.checkpoints.commit(VOLUME, name, { keys, count: 2000 }));
  assert.equal(done.objects, 2000);
  await bench.run(watching);
  stop.abort();
  assert.deepEqual((await bench.keys(b)).length, 1000, 'a page of them');
  await bench.run(b.work.sweep());
  for (const key of ['s/0000', 's/1234', 's/1999']) assert.equal((await bench.raw(b, key))?.intents, undefined, key);
});

test('an aborted checkpoint leaves nothing behind, and its name can be used again', async () => {
  const bench = new Bench();
  const a = await bench.node('a');
  const name = { checkpoint: 's', ...(await bench.run(a.checkpoints.begin(VOLUME, 's'))) };
  await bench.put(a, 's/x', name);
  await bench.run(a.checkpoints.abort(VOLUME, name));
  await bench.run(a.checkpoints.abort(VOLUME, name));
  await assert.rejects(bench.put(a, 's/x', name), fails('attemptEnded', /was aborted/));
  await assert.rejects(bench.run(a.checkpoints.commit(VOLUME, name)), fails('attemptEnded', /was aborted/));
  assert.deepEqual(
    (await bench.run(a.checkpoints.list(VOLUME))).map(({ state }) => state),
    ['aborted'],
  );
  await bench.run(a.work.sweep());
  assert.equal(await bench.raw(a, 's/x'), undefined);
  await bench.sim.run(a.cluster.clock.sleep(checkpointEndedMs + 1000), 2 * checkpointEndedMs);
  await bench.run(a.work.sweep());
  assert.deepEqual(await bench.run(a.checkpoints.list(VOLUME)), []);
  await bench.run(a.checkpoints.begin(VOLUME, 's'));
});

test('what became of an attempt is remembered for an hour, however far apart the clocks of machines are', async () => {
  const bench = new Bench();
  const nodes = [await bench.node('a'), await bench.node('b')] as const;
  for (const [at, aborting] of nodes.entries()) {
    const name = { checkpoint: `s${at}`, ...(await bench.run(aborting.checkpoints.begin(VOLUME, `s${at}`))) };
    await bench.run(aborting.checkpoints.abort(VOLUME, name));
  }
  const apartMs = nodes[0].cluster.clock.wallMs() - nodes[1].cluster.clock.wallMs();
  assert.ok(Math.abs(apartMs) > checkpointEndedMs, `${apartMs}`);
  const known = async () => {
    for (const { work } of nodes) await bench.run(work.sweep());
    return (await bench.run(nodes[0].checkpoints.list(VOLUME))).length;
  };
  assert.equal(await known(), 2);
  await bench.sim.run(nodes[0].cluster.clock.sleep(checkpointEndedMs / 2), checkpointEndedMs);
  assert.equal(await known(), 2);
  await bench.sim.run(nodes[0].cluster.clock.sleep(checkpointEndedMs / 2 + 1000), checkpointEndedMs);
  assert.equal(await known(), 0);
});

test('S-6: a checkpoint made anew replaces the old one in one step, with what the old one alone had', async () => {
  const bench = new Bench();
  const a = await bench.node('a');
  const make = async (files: readonly string[]): Promise<void> => {
    const name = { checkpoint: 's', ...(await bench.run(a.checkpoints.begin(VOLUME, 's'))) };
    for (const file of files) await bench.put(a, `s/${file}`, name);
    if (bench.written.length > 0) assert.deepEqual(await bench.keys(a), ['s/.forebay-checkpoint.json', 's/x', 's/y']);
    await bench.run(a.checkpoints.commit(VOLUME, name));
  };
  await make(['x', 'y']);
  await bench.run(a.work.sweep());
  await bench.run(a.work.sweep());
  await bench.run(a.cluster.clock.sleep(1000));
  await make(['y', 'z']);
  assert.deepEqual(await bench.keys(a), ['s/y', 's/z']);
});

test('latest goes forward by what was begun later, and back only by a rollback, which fences what was begun before it', async () => {
  const bench = new Bench();
  const a = await bench.node('a');
  const { checkpoints } = a;
  const begin = async (checkpoint: string): Promise<AttemptName> => {
    const name = { checkpoint, ...(await bench.run(checkpoints.begin(VOLUME, checkpoint))) };
    await bench.put(a, `${checkpoint}/x`, name);
    return name;
  };
  const latest = async (): Promise<string | undefined> => (await bench.run(checkpoints.latest(VOLUME)))?.name;
  const commit = (name: AttemptName) => bench.run(checkpoints.commit(VOLUME, name));
  const [one, two] = [await begin('1'), await begin('2')];
  assert.equal((await commit(two)).isLatest, true);
  assert.equal((await commit(one)).isLatest, false, 'a slow commit of an earlier one');
  assert.equal(await latest(), '2');
  await commit(await begin('3'));
  const lost = await begin('4');
  assert.equal((await bench.run(checkpoints.rollback(VOLUME, '1'))).isLatest, true);
  assert.equal(await latest(), '1');
  assert.equal((await commit(lost)).isLatest, false, 'begun before the rollback');
  assert.equal(await latest(), '1');
  await assert.rejects(commit(await begin('2')), fails('conflict', /still being brought into the records/));
  await bench.run(a.work.sweep());
  assert.equal((await commit(await begin('2'))).isLatest, true, 'the same step again');
  assert.equal(await latest(), '2');
  assert.deepEqual(
    (await bench.run(checkpoints.list(VOLUME))).map(({ name, isLatest }) => `${name}${isLatest ? ' latest' : ''}`),
    ['2 latest', '4', '3', '1'],
  );
});

test('keep deletes the oldest, the marker first, never the latest, and goes on after a crash', async () => {
  const bench = new Bench();
  const [a, b] = [await bench.node('a'), await bench.node('b')];
  for (const checkpoint of ['1', '2', '3', '4']) {
    const name = { checkpoint, ...(await bench.run(a.checkpoints.begin(VOLUME, checkpoint))) };
    for (const file of ['x', 'y']) await bench.put(b, `${checkpoint}/${file}`, name);
    await bench.run(a.checkpoints.commit(VOLUME, name));
  }
  await bench.run(a.checkpoints.rollback(VOLUME, '1'));
  assert.deepEqual(await bench.run(a.checkpoints.keep(VOLUME, 2)), ['2']);
  a.crash();
  await bench.run(b.work.sweep());
  await bench.run(b.work.sweep());
  assert.deepEqual(
    (await bench.run(b.checkpoints.list(VOLUME))).map(({ name }) => name),
    ['4', '3', '1'],
  );
  const deletes = bench.written.filter((what) => what.startsWith('delete'));
  assert.equal(deletes[0], `delete 2/${MARKER}`);
  assert.deepEqual(deletes.slice(1).sort(), ['delete 2/x', 'delete 2/y']);
  const isShard = (key: string) => !key.endsWith(MARKER);
  assert.deepEqual((await bench.keys(b)).filter(isShard), ['1/x', '1/y', '3/x', '3/y', '4/x', '4/y']);
});

test('S-6: an object that has lost its copies holds the commit up until it has them again', async () => {
  const bench = new Bench();
  const a = await bench.node('a');
  const name = { checkpoint: 's', ...(await bench.run(a.checkpoints.begin(VOLUME, 's'))) };
  await bench.put(a, 's/x', name);
  await bench.put(a, 's/y', name, { replicas: ['dead'] });
  await assert.rejects(
    bench.run(a.checkpoints.commit(VOLUME, name)),
    fails('checkpointIncomplete', /"s\/y" has 0 of 1 copies now/),
  );
  await bench.put(a, 's/y', name);
  await bench.run(a.checkpoints.commit(VOLUME, name));
});

test('S-5: a write after the commit of a checkpoint is newer than it, folded or not', async () => {
  const bench = new Bench();
  const a = await bench.node('a');
  const name = { checkpoint: 's', ...(await bench.run(a.checkpoints.begin(VOLUME, 's'))) };
  await bench.put(a, 's/x', name);
  await bench.run(a.checkpoints.commit(VOLUME, name));
  const { record, revision } = await bench.run(a.records.read(VOLUME, 's/x'));
  const next = { ...record, current: dirty(7) };
  await bench.run(a.records.commit({ volume: VOLUME, key: 's/x', expected: revision, record: next }));
  await bench.run(a.work.sweep());
  assert.deepEqual((await bench.run(a.records.read(VOLUME, 's/x'))).record, { current: dirty(7) });
});

test('S-7: what was put into a checkpoint after other objects were there goes to the origin after them', async () => {
  const bench = new Bench();
  const a = await bench.node('a');
  const name = { checkpoint: 's', ...(await bench.run(a.checkpoints.begin(VOLUME, 's'))) };
  await bench.put(a, 's/shard', name);
  await bench.run(a.records.commit({ volume: VOLUME, key: 'other', expected: 0, record: { current: dirty(1) } }));
  const { asOf } = await bench.run(a.records.read(VOLUME, 's/.metadata'));
  await bench.put(a, 's/.metadata', name, { begunRevision: asOf });
  const again = { checkpoint: 's/sub', ...(await bench.run(a.checkpoints.begin(VOLUME, 's/sub'))) };
  await bench.put(a, 's/sub/x', name);
  await bench.put(a, 's/sub/x', again);
  await bench.run(a.checkpoints.commit(VOLUME, name));
  const placeOf = async (key: string) => {
    const { record, revision } = await bench.run(a.records.read(VOLUME, key));
    assert.ok(record?.current?.kind === 'dirty', key);
    return { begun: record.current.begunRevision, committed: committedRevision(record.current, revision), revision };
  };
  for (const stage of ['committed', 'folded']) {
    const [shard, metadata, sub] = [await placeOf('s/shard'), await placeOf('s/.metadata'), await placeOf('s/sub/x')];
    assert.ok(shard.committed <= metadata.begun && metadata.begun < metadata.committed, stage);
    assert.ok(sub.committed < sub.revision, 'put before its record was rewritten');
    await bench.run(a.work.sweep());
  }
});
