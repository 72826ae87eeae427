/** Bad days of the drain, with real daemons in front of a directory. */
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { copyFileSync, existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import type { Conflict } from '../../src/drain/conflicts.ts';
import type { WritesStatus } from '../../src/write/writes-status.ts';
import { expectMembers, MiB } from './fixture.ts';
import { type ClusterNode, eventually, ownEnvironment } from './node.ts';
import {
  expectBytes,
  put,
  ramp,
  STAGED,
  type StagedCluster,
  stagedCluster,
  untilReplicated,
  writes,
} from './staged.ts';

const COMMAND = join(import.meta.dirname, '..', '..', 'bin', 'forebay');
const SETTLED_MS = 2500;

interface Ran {
  readonly code: number;
  readonly out: string;
}

async function forebay(node: ClusterNode, ...args: readonly string[]): Promise<Ran> {
  try {
    const env = ownEnvironment(node.directory);
    const { stdout } = await promisify(execFile)(COMMAND, [...args, '--admin', node.doors.admin], { env });
    return { code: 0, out: stdout };
  } catch (error) {
    const { code, stdout, stderr } = error as { code: number; stdout: string; stderr: string };
    return { code, out: stdout + stderr };
  }
}

async function keeperOf({ nodes }: StagedCluster): Promise<ClusterNode> {
  let keeper: ClusterNode | undefined;
  await eventually('there is a keeper', async () => {
    const { out } = await forebay(nodes[0]!, 'drain', STAGED, '--json');
    const name = (JSON.parse(out) as { volumes: { keeper: string }[] }).volumes[0]?.keeper;
    keeper = nodes.find((node) => node.name === name);
    return keeper !== undefined;
  });
  return keeper as ClusterNode;
}

/** What a node says that it holds of the volume. */
async function heldBy(node: ClusterNode): Promise<WritesStatus> {
  const { volumes } = await node.admin<{ volumes: { name: string; writes: WritesStatus }[] }>('/v1/status');
  return volumes.find(({ name }) => name === STAGED)?.writes as WritesStatus;
}

/** The origin's file system, as somebody else uses it. */
const pathAt = ({ fix }: StagedCluster, key: string) => join(fix.directory, 'origin', key);

const isDrained = (node: ClusterNode, key: string) => async () =>
  (await writes(node, key)).some((object) => object.key === key && object.kind === 'stub');

test('S-14: a keeper that is killed while it drains is followed by another, and nothing is lost', async (t) => {
  const cluster = await stagedCluster(t, ['a', 'b', 'c'], { volume: { replicas: 3 } });
  const keeper = await keeperOf(cluster);
  const others = cluster.nodes.filter((node) => node !== keeper);
  const bytes = ramp(48 * MiB + 5, 1);
  await put(keeper, 'k', bytes, { 'x-forebay-ack': 'replicated' });
  // its parts go at once, the finalise settles
  await sleep(800);
  await keeper.kill();
  await eventually('k is drained', isDrained(others[0]!, 'k'), 90_000);
  assert.ok(cluster.atOrigin('k')?.equals(bytes));
  await expectBytes(others[1]!, 'k', bytes);
});

test('S-16: a keeper that was paused for longer than its lease and wakes does no harm', async (t) => {
  const cluster = await stagedCluster(t, ['a', 'b']);
  const keeper = await keeperOf(cluster);
  const other = cluster.nodes.find((node) => node !== keeper) as ClusterNode;
  await put(other, 'k', ramp(1000, 1), { 'x-forebay-ack': 'replicated' });
  keeper.signal('SIGSTOP');
  try {
    await eventually('the other one drains', isDrained(other, 'k'), 90_000);
    await put(other, 'k', ramp(2000, 2));
    await eventually('and what replaces it', async () => cluster.atOrigin('k')?.length === 2000, 90_000);
  } finally {
    keeper.signal('SIGCONT');
  }
  await sleep(SETTLED_MS);
  assert.ok(cluster.atOrigin('k')?.equals(ramp(2000, 2)));
  await expectMembers(cluster.nodes, ['a', 'b']);
  await put(keeper, 'after', ramp(10));
  await eventually('the drain goes on', isDrained(other, 'after'), 90_000);
});

test('S-8: a conflict is shown, ours is kept at the origin, and a person decides', async (t) => {
  const cluster = await stagedCluster(t, ['a', 'b']);
  const [a, b] = cluster.nodes as [ClusterNode, ClusterNode];
  for (const key of ['s/ours', 's/theirs']) {
    await put(a, key, ramp(100, 1));
    mkdirSync(dirname(pathAt(cluster, key)), { recursive: true });
    writeFileSync(pathAt(cluster, key), 'written by somebody else');
  }
  await eventually('both are in conflict', async () => {
    const { out } = await forebay(a, 'conflicts', 'ls', '--json');
    return (JSON.parse(out) as { conflicts: unknown[] }).conflicts.length === 1;
  });
  const { code, out } = await forebay(a, 'conflicts', 'ls');
  assert.equal(code, 1);
  assert.match(out, /somebody else wrote the object at the origin/);
  const parked = /\.forebay\/parked\/\S+/.exec(out)?.[0] as string;
  assert.ok(existsSync(pathAt(cluster, parked)), parked);
  assert.equal(cluster.atOrigin('s/ours')?.toString(), 'written by somebody else');
  const waited = await forebay(a, 'drain', '--wait');
  assert.equal(waited.code, 1, waited.out);
  assert.match(waited.out, /1 in trouble/);
  const first = await forebay(a, 'conflicts', 'resolve', `${STAGED}/s/ours`, '--keep', 'ours');
  assert.equal(first.code, 0, first.out);
  await eventually('ours is there', async () => cluster.atOrigin('s/ours')?.equals(ramp(100, 1)) ?? false);
  await eventually('and nowhere else', () => !existsSync(pathAt(cluster, parked)));
  await eventually(
    'what waited for it is in conflict now',
    async () => (await forebay(a, 'conflicts', 'ls')).code === 1,
  );
  const shown = await forebay(a, 'conflicts', 'ls', STAGED, '--json');
  const [found] = (JSON.parse(shown.out) as { conflicts: Conflict[] }).conflicts;
  assert.equal(found?.sizeBytes, 100);
  assert.ok(typeof found?.theirs === 'object' && found.theirs.sizeBytes === 'written by somebody else'.length);
  assert.ok(existsSync(pathAt(cluster, found?.parked as string)));
  // a holder that is not there when it is decided
  await b.kill();
  const second = await forebay(a, 'conflicts', 'resolve', STAGED, '--keep', 'theirs');
  assert.equal(second.code, 0, second.out);
  assert.match(second.out, /s\/theirs: theirs stays/);
  assert.ok(!existsSync(pathAt(cluster, found?.parked as string)), 'ours is not kept any more');
  const again = await cluster.start('b', { directory: b.directory });
  const nodes = [a, again];
  await expectMembers(nodes, ['a', 'b']);
  for (const node of nodes)
    await eventually(`${node.name} holds nothing that has to go to the origin`, async () => {
      const { dirty, exposed, uncommitted, replaced } = await heldBy(node);
      return dirty.objects + exposed.objects + uncommitted.objects === 0 && replaced.objects <= 1;
    });
  for (const node of nodes) await expectBytes(node, 's/theirs', 'written by somebody else');
  const done = await forebay(a, 'drain', '--wait');
  assert.equal(done.code, 0, done.out);
  assert.match(done.out, /everything is at the origin/);
  assert.equal((await forebay(a, 'conflicts', 'resolve', `${STAGED}/none`, '--keep', 'ours')).code, 1);
});

test('copies that a dead node had are made anew, and a node leaves once nothing is only there', async (t) => {
  // nothing drains: the origin's place is a file
  const cluster = await stagedCluster(t, ['a', 'b', 'c'], { volume: { origin: 'file:///proc/forebay-is-not-there' } });
  const [a, b, c] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode];
  const bytes = ramp(5 * MiB + 1, 3);
  await put(a, 'k', bytes);
  const { replicas = [] } = await untilReplicated(b, 'k');
  const spare = [b, c].find(({ name }) => !replicas.includes(name)) as ClusterNode;
  const replica = [b, c].find((node) => node !== spare) as ClusterNode;
  await a.kill();
  await eventually(
    'the spare node has a copy',
    async () => {
      const found = (await writes(spare, 'k'))[0];
      return found?.replicas?.includes(spare.name) === true && !found.replicas.includes('a');
    },
    90_000,
  );
  const left = await forebay(replica, 'leave', '--wait');
  assert.equal(left.code, 0, left.out);
  await eventually('it has ended', () => replica.hasEnded);
  await expectBytes(spare, 'k', bytes);
  const refused = await forebay(spare, 'leave');
  assert.equal(refused.code, 1, refused.out);
  assert.match(refused.out, /only here/);
});

test('a node that is leaving takes no writes and no copies, and does again when the leave is given up', async (t) => {
  // nothing drains: the origin's place is a file
  const volume = { origin: 'file:///proc/forebay-is-not-there', replicas: 1 };
  const cluster = await stagedCluster(t, ['a', 'b'], { volume });
  const [a, b] = cluster.nodes as [ClusterNode, ClusterNode];
  await put(a, 'only-here', ramp(1000, 1));
  const leaving = spawn(COMMAND, ['leave', '--wait', '--admin', a.doors.admin], { env: ownEnvironment(a.directory) });
  const ended = once(leaving, 'exit');
  try {
    const tryPut = () => fetch(a.url(`${STAGED}/new`), { method: 'PUT', body: 'new' });
    let refused = '';
    await eventually('a refuses writes', async () => {
      const answer = await tryPut();
      refused = await answer.text();
      return answer.status === 503;
    });
    assert.match(refused, /a is leaving and takes no more writes: write through another node/i);
    await put(b, 'elsewhere', ramp(10));
    await expectBytes(a, 'only-here', ramp(1000, 1));
    leaving.kill('SIGTERM');
    await eventually('a takes writes again', async () => (await tryPut()).status === 200);
  } finally {
    leaving.kill('SIGKILL');
    await ended;
  }
});

test("S-3: records are rebuilt from the nodes' journals when the coordinator's data is gone", async (t) => {
  const cluster = await stagedCluster(t, ['a', 'b']);
  const [a, b] = cluster.nodes as [ClusterNode, ClusterNode];
  const objects = new Map([
    ['s/0', ramp(3 * MiB, 1)],
    ['s/1', ramp(1000, 2)],
    ['s/.metadata', ramp(20, 3)],
  ]);
  await put(a, 'drained', ramp(10));
  await eventually('one drains', isDrained(a, 'drained'));
  const place = join(cluster.fix.directory, 'origin');
  renameSync(place, `${place}.away`);
  await put(a, 's/0', 'will be replaced', { 'x-forebay-ack': 'replicated' });
  for (const [key, bytes] of objects) await put(a, key, bytes, { 'x-forebay-ack': 'replicated' });
  const before = await forebay(a, 'recover', STAGED);
  assert.match(before.out, /0 objects, .* have a record again; \d had one/, 'nothing is taken back that is known');
  await Promise.all(cluster.nodes.map((node) => node.kill()));
  for (const suffix of ['', '-wal', '-shm'])
    rmSync(join(cluster.fix.directory, `coordinator.sqlite${suffix}`), { force: true });
  renameSync(`${place}.away`, place);
  const again = await Promise.all([a, b].map(({ name, directory }) => cluster.start(name, { directory })));
  await expectMembers(again, ['a', 'b']);
  const report = await forebay(again[0]!, 'recover', STAGED, '--json');
  assert.equal(report.code, 0, report.out);
  assert.equal((JSON.parse(report.out) as { recovered: number }).recovered, objects.size, report.out);
  await eventually(
    'all is drained', //
    async () => (await writes(again[1]!)).every(({ kind, key }) => kind === 'stub' || !objects.has(key)),
    90_000,
  );
  for (const [key, bytes] of objects) {
    await expectBytes(again[1]!, key, bytes);
    assert.ok(cluster.atOrigin(key)?.equals(bytes), key);
  }
  // what was replaced before the loss, too: the recovery found that it is older
  for (const node of again)
    await eventually(`${node.name} holds nothing that has to go to the origin`, async () => {
      const { dirty, uncommitted } = await heldBy(node);
      return dirty.objects + uncommitted.objects === 0;
    });
});

test('S-3: versions that are newer than an older state of the coordinator come back, and nothing is dropped before', async (t) => {
  const cluster = await stagedCluster(t, ['a', 'b']);
  const [a, b] = cluster.nodes as [ClusterNode, ClusterNode];
  const place = join(cluster.fix.directory, 'origin');
  renameSync(place, `${place}.away`);
  const replicated = { 'x-forebay-ack': 'replicated' };
  await put(a, 'k', ramp(1000, 1), replicated);
  await put(a, 'same', ramp(1000, 2), replicated);
  await Promise.all([a, b].map((node) => node.kill()));
  const files = ['', '-wal', '-shm'].map((suffix) => join(cluster.fix.directory, `coordinator.sqlite${suffix}`));
  for (const file of files) if (existsSync(file)) copyFileSync(file, `${file}.older`);
  const restart = () => Promise.all([a, b].map(({ name, directory }) => cluster.start(name, { directory })));
  const second = await restart();
  await expectMembers(second, ['a', 'b']);
  await put(second[0]!, 'k', ramp(2000, 3), replicated);
  await put(second[0]!, 'new', ramp(3000, 4), replicated);
  await Promise.all(second.map((node) => node.kill()));
  for (const file of files) {
    rmSync(file, { force: true });
    if (existsSync(`${file}.older`)) renameSync(`${file}.older`, file);
  }
  const again = await restart();
  await expectMembers(again, ['a', 'b']);
  await expectBytes(again[1]!, 'k', ramp(1000, 1));
  const report = await forebay(again[0]!, 'recover', STAGED, '--json');
  assert.equal(report.code, 0, report.out);
  const { recovered, replaced } = JSON.parse(report.out) as { recovered: number; replaced: number };
  assert.deepEqual({ recovered, replaced }, { recovered: 2, replaced: 1 }, report.out);
  const expected = { k: ramp(2000, 3), same: ramp(1000, 2), new: ramp(3000, 4) };
  for (const node of again) for (const [key, bytes] of Object.entries(expected)) await expectBytes(node, key, bytes);
  renameSync(`${place}.away`, place);
  for (const [key, bytes] of Object.entries(expected))
    await eventually(`${key} is drained`, () => cluster.atOrigin(key)?.equals(bytes) ?? false, 90_000);
  for (const node of again)
    await eventually(`${node.name} holds nothing that has to go to the origin`, async () => {
      const { dirty, uncommitted } = await heldBy(node);
      return dirty.objects + uncommitted.objects === 0;
    });
});
