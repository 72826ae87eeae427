/** `forebay adopt` on real nodes: a job writes to a plain directory as it always did. */
import assert from 'node:assert/strict';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type TestContext, test } from 'node:test';
import { Child } from '../../bench/child.ts';
import type { AdoptProgress } from '../../src/adopt/adoption.ts';
import { MiB } from './fixture.ts';
import { type ClusterNode, eventually, ownEnvironment } from './node.ts';
import { expectBytes, ramp, STAGED, stagedCluster, untilReplicated, writes } from './staged.ts';

const COMMAND = join(import.meta.dirname, '..', '..', 'bin', 'forebay');

interface Adopting {
  readonly child: Child;
  readonly progress: () => AdoptProgress | undefined;
}

async function adopt(
  t: TestContext,
  node: ClusterNode,
  directory: string,
  more: readonly string[] = [],
): Promise<Adopting> {
  const operands = [directory, '--volume', STAGED, '--admin', node.doors.admin, '--json', ...more];
  const child = await Child.start(COMMAND, ['adopt', ...operands], {
    cwd: node.directory,
    env: ownEnvironment(node.directory),
  });
  t.after(() => child.kill());
  let last: AdoptProgress | undefined;
  const began = Promise.withResolvers<void>();
  const lines = createInterface({ input: child.process.stdout as NodeJS.ReadableStream });
  lines.on('line', (line) => {
    last = JSON.parse(line) as AdoptProgress;
    began.resolve();
  });
  await began.promise;
  return { child, progress: () => last };
}

/** As a careful job does: a temporary name, synced, then the final one. */
function save(path: string, bytes: Buffer): void {
  fs.mkdirSync(join(path, '..'), { recursive: true });
  const file = fs.openSync(`${path}.tmp`, 'w');
  fs.writeSync(file, bytes);
  fs.fsyncSync(file);
  fs.closeSync(file);
  fs.renameSync(`${path}.tmp`, path);
}

const keysOf = async (node: ClusterNode) =>
  (await writes(node))
    .filter(({ kind }) => kind !== 'tombstone')
    .map(({ key }) => key)
    .toSorted();

test('what a job writes to an adopted directory is committed, replicated and readable elsewhere, under its final names only', async (t) => {
  const { fix, nodes } = await stagedCluster(t, ['a', 'b']);
  const [a, b] = nodes as [ClusterNode, ClusterNode];
  const directory = join(fix.directory, 'job');
  save(join(directory, 'before/there.bin'), ramp(3 * MiB, 1));
  const adopting = await adopt(t, a, directory, ['--prefix', 'run-7/']);
  const files = { 'step-1/shard-0': 5 * MiB + 3, 'step-1/shard-1': 40_000, 'step-1/.metadata': 700, latest: 9 };
  for (const [path, size] of Object.entries(files)) save(join(directory, path), ramp(size, size));
  for (const [path, size] of Object.entries({ ...files, 'before/there.bin': 3 * MiB })) {
    await untilReplicated(b, `run-7/${path}`);
    const seed = path === 'before/there.bin' ? 1 : size;
    for (const node of [a, b]) await expectBytes(node, `run-7/${path}`, ramp(size, seed));
  }
  assert.deepEqual(
    await keysOf(b),
    ['run-7/before/there.bin', ...Object.keys(files).map((path) => `run-7/${path}`)].toSorted(),
  );
  assert.ok(fs.existsSync(join(directory, 'latest')), 'the directory is as the job left it');
  await eventually('the progress says so', () => adopting.progress()?.filesDone === 5);
  assert.deepEqual(adopting.progress()?.failed, []);
  await a.kill();
  for (const [path, size] of Object.entries(files)) await expectBytes(b, `run-7/${path}`, ramp(size, size));
});

test('a file that is replaced, or changed in place, is a new version; readers see one or the other, never a mix', async (t) => {
  const { fix, nodes } = await stagedCluster(t, ['a', 'b']);
  const [a, b] = nodes as [ClusterNode, ClusterNode];
  const directory = join(fix.directory, 'job');
  fs.mkdirSync(directory);
  await adopt(t, a, directory);
  const path = join(directory, 'weights');
  const versions = [ramp(2 * MiB + 1, 1), ramp(2 * MiB + 1, 2), ramp(3 * MiB, 3), ramp(3 * MiB, 4)];
  for (const [at, bytes] of versions.entries()) {
    if (at % 2 === 0) save(path, bytes);
    else fs.writeFileSync(path, bytes);
    await eventually(`version ${at} is there`, async () => {
      for (const node of [a, b]) {
        const { status, bytes: read, cut } = await node.get(`${STAGED}/weights`);
        if (status !== 200 || cut) return false;
        const found = versions.findIndex((version) => version.equals(read));
        assert.ok(found >= 0, 'one of the versions, whole');
        if (found !== at) return false;
      }
      return true;
    });
  }
  assert.ok(fs.readFileSync(path).equals(versions[3] as Buffer));
});

test('a renamed directory is renamed in the volume; deletes are followed only when asked; --once ends by itself', async (t) => {
  const { fix, nodes } = await stagedCluster(t, ['a', 'b']);
  const [a] = nodes as [ClusterNode, ClusterNode];
  const directory = join(fix.directory, 'job');
  fs.mkdirSync(directory);
  const adopting = await adopt(t, a, directory, ['--delete']);
  for (let n = 0; n < 3; n += 1) save(join(directory, `step-1.tmp/shard-${n}`), ramp(100_000, n));
  await eventually('all are taken over', () => adopting.progress()?.filesDone === 3);
  fs.renameSync(join(directory, 'step-1.tmp'), join(directory, 'step-1'));
  const expected = [0, 1, 2].map((n) => `step-1/shard-${n}`);
  await eventually('they have their final names', async () => (await keysOf(a)).join() === expected.join());
  await expectBytes(a, 'step-1/shard-2', ramp(100_000, 2));
  fs.rmSync(join(directory, 'step-1/shard-1'));
  await eventually('the deleted one is gone', async () => (await a.get(`${STAGED}/step-1/shard-1`)).status === 404);
  await adopting.child.kill();
  const other = join(fix.directory, 'other');
  save(join(other, 'sub/file'), ramp(200_000, 5));
  const once = await adopt(t, a, other, ['--once', '--prefix', 'other/']);
  assert.equal(await once.child.ended(), 0);
  await expectBytes(a, 'other/sub/file', ramp(200_000, 5));
  const [before] = await writes(a, 'other/');
  assert.equal(await (await adopt(t, a, other, ['--once', '--prefix', 'other/'])).child.ended(), 0);
  assert.equal((await writes(a, 'other/'))[0]?.content, before?.content, 'what the volume has is not taken again');
  fs.rmSync(join(other, 'sub/file'));
  await expectBytes(a, 'other/sub/file', ramp(200_000, 5));
});

test('where nothing tells of changes the directory is looked at, and a file is taken over when it is quiet', async (t) => {
  const { fix, nodes } = await stagedCluster(t, ['a'], { node: { ffi: 'off' }, volume: { replicas: 1 } });
  const [a] = nodes as [ClusterNode];
  const directory = join(fix.directory, 'job');
  fs.mkdirSync(directory);
  const adopting = await adopt(t, a, directory);
  assert.equal(adopting.progress()?.state, 'polled');
  save(join(directory, 'sub/file'), ramp(2 * MiB + 7, 1));
  await eventually('it is taken over', () => adopting.progress()?.filesDone === 1);
  await expectBytes(a, 'sub/file', ramp(2 * MiB + 7, 1));
  save(join(directory, 'sub/file'), ramp(2 * MiB + 7, 2));
  await eventually('its next version too', async () =>
    (await a.get(`${STAGED}/sub/file`)).bytes.equals(ramp(2 * MiB + 7, 2)),
  );
});

test('what cannot be adopted is refused with a sentence that says why', async (t) => {
  const { nodes } = await stagedCluster(t, ['a']);
  const [a] = nodes as [ClusterNode];
  const refused = async (body: object) => {
    const response = await fetch(`http://${a.doors.admin}/v1/adopt`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
    return `${response.status} ${await response.text()}`;
  };
  assert.match(await refused({ volume: STAGED, directory: 'relative' }), /^400 .*an absolute path/);
  assert.match(await refused({ volume: STAGED, directory: '/nonexistent' }), /^400 .*is not a directory/);
  assert.match(await refused({ volume: STAGED, directory: join(a.cache, 'small') }), /^400 .*cache directory/);
  assert.match(await refused({ volume: 'other', directory: a.directory }), /^400 .*adopts no files/);
});
