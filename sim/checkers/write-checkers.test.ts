/** Each checker of fan-out writes finds what it is there for, and nothing in a sound history. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ContentId } from '../../src/core/ids.ts';
import type { DirtyRecord, ObjectRecord } from '../../src/write/object-record.ts';
import { RecordWatch } from '../record-watch.ts';
import { CALM_CLUSTER_WRITE } from '../regressions/cluster-write.ts';
import { type ClusterWriteOptions, writeVolumes } from '../scenarios/cluster-write-options.ts';
import { originFaults } from '../scenarios/read-cache-faults.ts';
import { Life, SimClock, SimMachineClock } from '../sim-clock.ts';
import { contentSlice } from '../sim-content.ts';
import { NO_COORDINATOR_FAULTS, SimCoordinator } from '../sim-coordinator.ts';
import type { SimNode } from '../sim-node.ts';
import { SimOrigin } from '../sim-origin.ts';
import { SimRandom } from '../sim-random.ts';
import { Trace } from '../trace.ts';
import { NUMBER_METADATA, WriteHistory, type WriteOperation } from '../write-history.ts';
import { Findings } from './checker.ts';
import { Linearizable } from './s2-linearizable.ts';
import { Copies } from './s3-copies.ts';
import { Latest } from './s6-latest.ts';
import { OriginWatch } from './s7-origin-watch.ts';
import { CommitsWait } from './s15-commits.ts';

const [volume] = writeVolumes(CALM_CLUSTER_WRITE as unknown as ClusterWriteOptions);
assert.ok(volume);
const NAME = volume.name;
const SIZE = 100;

function rig() {
  const random = new SimRandom(1);
  const trace = new Trace();
  const clock = new SimClock(random.fork('clock'), trace);
  const machine = new SimMachineClock(clock, random.fork('machine'));
  const findings = new Findings(() => clock.nowMs);
  const history = new WriteHistory();
  const origin = new SimOrigin({ clock, machine, random, trace, faults: originFaults(0) });
  const isOwn = (key: string) => !key.startsWith('shared/');
  assert.ok(volume);
  new OriginWatch({
    findings,
    history,
    origin,
    volume,
    isOwn,
    isBaseless: () => false,
    hadTrouble: () => false,
    isDeleteDrained: () => false,
  });
  const node = new Life('node');
  let nowMs = 0;
  /** A put that was asked for and acknowledged, one millisecond after everything before. */
  const put = (key: string, kind: 'put' | 'delete' = 'put'): WriteOperation => {
    const number = kind === 'put' ? history.number(SIZE) : 0;
    const asked = { volume: NAME, key, kind, number, sizeBytes: SIZE, node: 'a', how: kind, level: undefined } as const;
    const write = history.asked({ ...asked, condition: undefined, askedMs: ++nowMs });
    write.outcome = 'done';
    write.endedMs = ++nowMs;
    return write;
  };
  const show = ({ key, number }: WriteOperation, bytes = contentSlice(number, 0, SIZE)) =>
    origin.replace(key, { bytes }, { metadata: { [NUMBER_METADATA]: String(number) } }, node);
  const seen = (key: string, saw: 'absent' | { number: number }) =>
    history.observed({ volume: NAME, key, node: 'b', askedMs: ++nowMs, answeredMs: ++nowMs, saw });
  const promises = () => findings.all.map(({ promise }) => promise);
  return { clock, random, trace, findings, history, origin, node, put, show, seen, promises, isOwn };
}

test('S-7: an object is at the origin before what was committed below its directory', () => {
  const { put, show, promises } = rig();
  const shard = put('step 1/shard');
  const latest = put('latest');
  show(latest);
  assert.deepEqual(promises(), ['S-7']);
  assert.equal(shard.key, 'step 1/shard');
});

test('S-7: in order nothing is found, whatever lies elsewhere', () => {
  const { put, show, promises } = rig();
  put('other/object');
  const [shard, metadata] = [put('step 1/shard'), put('step 1/.metadata')];
  show(shard);
  show(metadata);
  assert.deepEqual(promises(), []);
});

test('S-7: an object is at the origin in part, or with bytes of another', () => {
  const cut = rig();
  const first = cut.put('a');
  cut.show(first, contentSlice(first.number, 0, SIZE - 1));
  assert.deepEqual(cut.promises(), ['S-7']);
  const mixed = rig();
  const second = mixed.put('a');
  mixed.show(second, contentSlice(second.number + 1, 0, SIZE));
  assert.deepEqual(mixed.promises(), ['S-7']);
});

test('S-5: an object that was refused is at the origin', () => {
  const { put, show, promises } = rig();
  const refused = put('a');
  refused.outcome = 'refused';
  show(refused);
  assert.deepEqual(promises(), ['S-5']);
});

test('S-8: a write replaces what someone else put there after it was acknowledged, not what it could know of', async () => {
  const { put, show, origin, clock, promises } = rig();
  const early = put('shared/a');
  await clock.settle(clock.sleep(100));
  origin.replace('shared/a', { sizeBytes: 5 });
  show(early);
  assert.deepEqual(promises(), ['S-8']);
  const known = rig();
  known.origin.replace('shared/a', { sizeBytes: 5 });
  known.show(known.put('shared/a'));
  assert.deepEqual(known.promises(), []);
});

test('S-16: an older version, or a deleted one, comes after a newer one or the delete', async () => {
  const { put, show, promises } = rig();
  const [older, newer] = [put('a'), put('a')];
  show(newer);
  show(older);
  assert.deepEqual(promises(), ['S-16']);
  const back = rig();
  const written = back.put('a');
  back.show(written);
  back.put('a', 'delete');
  await back.clock.settle(back.clock.sleep(100));
  back.origin.remove('a', back.node);
  back.show(written);
  assert.deepEqual(back.promises(), ['S-16']);
});

test('S-2: a history without an order is found, and what is committed in the end is told', () => {
  const sound = rig();
  const first = sound.put('a');
  sound.seen('a', { number: first.number });
  sound.put('a', 'delete');
  sound.seen('a', 'absent');
  const ends = new Linearizable(sound.history, sound.findings, sound.isOwn).check();
  assert.deepEqual([...(ends.get(sound.history.of(NAME, 'a')) ?? [])], [0]);
  const broken = rig();
  broken.put('a');
  broken.seen('a', 'absent');
  new Linearizable(broken.history, broken.findings, broken.isOwn).check();
  assert.deepEqual(broken.promises(), ['S-2']);
});

test('S-3, S-4: who has a content follows the records, and what they promise must be there', () => {
  const { clock, random, trace, findings, promises } = rig();
  const coordinator = new SimCoordinator({ clock, random, trace, faults: NO_COORDINATOR_FAULTS });
  const records = new RecordWatch(coordinator);
  const content = '00'.repeat(16) as ContentId;
  const held = new Set(['a', 'b']);
  const nodeOf = (name: string) => ({ holds: () => held.has(name) }) as unknown as SimNode;
  const holders = () => ['a', 'b'].map((name) => ({ name, node: nodeOf(name) }));
  const copies = new Copies({ findings, records, holders, begunMs: () => 0 });
  records.onStep = (step) => copies.stepped(step);
  const dirty: DirtyRecord = {
    kind: 'dirty',
    content,
    sizeBytes: SIZE,
    chunkSizeBytes: 1 << 20,
    modifiedMs: 0,
    headers: {},
    metadata: { [NUMBER_METADATA]: '7' },
    level: 'replicated',
    replicas: ['a', 'b'],
    table: '',
    base: { origin: 'absent', own: [] },
    begunRevision: 1,
    urgent: false,
  };
  const record: ObjectRecord = { current: dirty };
  const value = Buffer.from(JSON.stringify(record));
  coordinator.state.transaction({ compares: [], apply: [{ put: `records/${NAME}/key`, value }] });
  assert.deepEqual([copies.mostOf(7), copies.isLost(7), promises()], [2, false, []]);
  copies.lost('a', 1);
  held.delete('a');
  copies.audit();
  assert.deepEqual([copies.isLost(7), promises()], [false, []]);
  held.delete('b');
  copies.audit();
  assert.deepEqual(promises(), ['S-4']);
  copies.lost('b', 1);
  assert.equal(copies.isLost(7), true);
});

/** A committed checkpoint, its times 10 ms after each other from `fromMs` on; what became of `latest` is then seen. */
function checkpoints() {
  const { findings, promises } = rig();
  const latest = new Latest(findings);
  const asked = (name: string, askedMs: number, endedMs = askedMs + 10) => ({ volume: NAME, name, askedMs, endedMs });
  const commit = (name: string, begunMs: number, committedMs: number) => {
    latest.begun(asked(name, begunMs)).commit = asked(name, committedMs);
  };
  const saw = (name: string | undefined, askedMs: number) =>
    latest.saw('a', NAME, name, { askedMs, answeredMs: askedMs + 5 });
  return { latest, asked, commit, saw, promises };
}

test('S-6: the latest checkpoint is one that was committed, and none that was begun before another that is', () => {
  const { commit, saw, promises } = checkpoints();
  saw(undefined, 0);
  commit('one', 10, 30);
  commit('two', 50, 70);
  saw('two', 75);
  saw('one', 72);
  assert.deepEqual(promises(), []);
  saw('one', 90);
  saw('none of ours', 90);
  saw(undefined, 90);
  assert.deepEqual(promises(), ['S-6', 'S-6', 'S-6']);
});

test('S-6: the latest checkpoint goes back by a rollback, and then forward only to what was begun after it', () => {
  const { latest, asked, commit, saw, promises } = checkpoints();
  commit('one', 10, 30);
  commit('two', 50, 170);
  commit('three', 55, 75);
  latest.rollback(asked('one', 100));
  saw('one', 120);
  assert.deepEqual(promises(), []);
  saw('two', 200);
  assert.deepEqual(promises(), ['S-6']);
  commit('four', 210, 230);
  saw('four', 250);
  assert.deepEqual(promises(), ['S-6']);
  saw('one', 260);
  assert.deepEqual(promises(), ['S-6', 'S-6']);
});

test('S-15: with the coordinator away nothing is acknowledged that was begun then, and later nothing let go or finalised', () => {
  const { clock, random, trace, findings, put, promises } = rig();
  const coordinator = new SimCoordinator({ clock, random, trace, faults: NO_COORDINATOR_FAULTS });
  const waits = new CommitsWait(findings, coordinator);
  const during = async () => {
    await clock.sleep(1000);
    coordinator.goAway(60_000);
    waits.acknowledged(put('begun before'));
    await clock.sleep(20_000);
    waits.dropped('a', 'content');
    assert.deepEqual(promises(), []);
    waits.acknowledged({ ...put('begun then'), askedMs: clock.nowMs });
    await clock.sleep(20_000);
    waits.dropped('a', 'content');
    waits.finalised('key');
    assert.deepEqual(promises(), ['S-15', 'S-15', 'S-15']);
    await clock.sleep(30_000);
    waits.acknowledged({ ...put('begun after'), askedMs: clock.nowMs });
    waits.finalised('key');
    assert.equal(promises().length, 3);
  };
  return clock.settle(during(), 120_000);
});
