/** Checkpoints on a real cluster: by the S3 door, the admin door and the command line. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { MiB } from './fixture.ts';
import { type ClusterNode, eventually } from './node.ts';
import { expectBytes, put, ramp, STAGED, stagedCluster, writes } from './staged.ts';

const MARKER = '.forebay-checkpoint.json';

async function begin(node: ClusterNode, name: string): Promise<string> {
  const response = await node.post('/v1/checkpoints/begin', { volume: STAGED, name });
  assert.equal(response.status, 200);
  return ((await response.json()) as { attempt: string }).attempt;
}

async function refused(response: Response, code: string): Promise<string> {
  const answer = (await response.json()) as { code?: string; message?: string };
  assert.equal(answer.code, code, JSON.stringify(answer));
  return answer.message ?? '';
}

async function status(node: ClusterNode, key: string): Promise<number> {
  return (await node.get(`${STAGED}/${key}`)).status;
}

test('S-6: objects put by several nodes are committed as one, survive their writer, and the marker reaches the origin last', async (t) => {
  const { nodes, atOrigin } = await stagedCluster(t, ['a', 'b', 'c']);
  const [a, b, c] = nodes as [ClusterNode, ClusterNode, ClusterNode];
  const name = 'run/step-1';
  const attempt = await begin(a, name);
  const headers = { 'x-forebay-checkpoint': name, 'x-forebay-attempt': attempt };
  const sizes = { small: 1000, middle: 100_000, large: 9 * MiB + 5 };
  const keys = Object.keys(sizes).map((file) => `${name}/${file}`);
  let seed = 0;
  for (const [file, size] of Object.entries(sizes)) {
    const answer = await put(seed % 2 === 0 ? a : b, `${name}/${file}`, ramp(size, size), headers);
    assert.equal(answer.headers.get('x-forebay-ack'), 'replicated');
    seed += 1;
  }
  for (const node of nodes) for (const key of keys) assert.equal(await status(node, key), 404, 'nobody sees it yet');
  const late = { volume: STAGED, name, attempt, keys: [...keys, `${name}/lacking`] };
  const lacks = await refused(await c.post('/v1/checkpoints/commit', late), 'checkpointIncomplete');
  assert.match(lacks, /lacks "run\/step-1\/lacking"/);
  const response = await c.post('/v1/checkpoints/commit', { volume: STAGED, name, attempt, keys });
  assert.deepEqual(await response.json(), { name, objects: 3, bytes: 1000 + 100_000 + 9 * MiB + 5, isLatest: true });
  await a.kill();
  for (const node of [b, c])
    for (const [file, size] of Object.entries(sizes)) await expectBytes(node, `${name}/${file}`, ramp(size, size));
  await eventually('the marker is at the origin', async () => atOrigin(`${name}/${MARKER}`) !== undefined, 60_000);
  for (const [file, size] of Object.entries(sizes))
    assert.ok(atOrigin(`${name}/${file}`)?.equals(ramp(size, size)), `${file} is at the origin`);
  const marker = JSON.parse(atOrigin(`${name}/${MARKER}`)?.toString() ?? '') as { objects: { key: string }[] };
  assert.deepEqual(marker.objects.map(({ key }) => key).sort(), keys.toSorted());
  const again = await fetch(b.url(`${STAGED}/${name}/more`), { method: 'PUT', body: 'x', headers });
  assert.equal(again.status, 409, await again.text());
});

test('S-16: a begin of the same name fences the ranks of the attempt before it; what they put is let go', async (t) => {
  const { nodes } = await stagedCluster(t, ['a', 'b']);
  const [a, b] = nodes as [ClusterNode, ClusterNode];
  const old = { 'x-forebay-checkpoint': 's', 'x-forebay-attempt': await begin(a, 's') };
  await put(a, 's/x', 'old', old);
  const attempt = await begin(b, 's');
  const zombie = await fetch(a.url(`${STAGED}/s/y`), { method: 'PUT', body: 'old', headers: old });
  assert.equal(zombie.status, 409);
  assert.match(await zombie.text(), /taken over by a later begin/);
  await put(b, 's/y', 'new', { 'x-forebay-checkpoint': 's', 'x-forebay-attempt': attempt });
  await b.post('/v1/checkpoints/commit', { volume: STAGED, name: 's', attempt, count: 1 });
  await expectBytes(a, 's/y', 'new');
  assert.equal(await status(a, 's/x'), 404);
  await eventually('the intent is gone', async () => (await writes(a, 's/x')).length === 0);
  await eventually('its bytes are', async () => {
    const held = await Promise.all(nodes.map(async (node) => (await node.status()).store.dirtyBytes));
    return held.every((bytes) => bytes === 0);
  });
});

test('forebay checkpoint: begin, put, commit, latest, list, rollback, keep, abort', async (t) => {
  const { fix, nodes } = await stagedCluster(t, ['a', 'b']);
  const [a, b] = nodes as [ClusterNode, ClusterNode];
  const file = join(fix.directory, 'shard');
  writeFileSync(file, ramp(2 * MiB, 3));
  const forebay = cli();
  for (const step of ['step-1', 'step-2', 'step-3']) {
    const attempt = (await forebay(a, 'begin', `${STAGED}/${step}`)).trim();
    await forebay(b, 'put', `${STAGED}/${step}`, 'ranks/0', file, '--attempt', attempt);
    const paths = join(fix.directory, 'paths');
    writeFileSync(paths, 'ranks/0\n');
    const said = await forebay(a, 'commit', `${STAGED}/${step}`, '--attempt', attempt, '--count', '1', '--keys', paths);
    assert.match(said, new RegExp(`^${step} committed: 1 objects, 2.*MiB, the latest`));
  }
  await expectBytes(a, 'step-3/ranks/0', ramp(2 * MiB, 3));
  assert.equal((await forebay(b, 'latest', STAGED)).trim(), 'step-3');
  assert.match(await forebay(b, 'rollback', `${STAGED}/step-2`), /^step-2 is the latest now/);
  assert.equal((await forebay(a, 'latest', STAGED)).trim(), 'step-2');
  assert.match(await forebay(a, 'list', STAGED), /step-3\n.*step-2 \(latest\)\n.*step-1\n/s);
  assert.match(await forebay(a, 'keep', STAGED, '1'), /^deleting step-1/);
  await eventually('it is deleted', async () => (await status(b, 'step-1/ranks/0')) === 404);
  const attempt = (await forebay(a, 'begin', `${STAGED}/step-4`)).trim();
  assert.match(await forebay(b, 'abort', `${STAGED}/step-4`, '--attempt', attempt), /^step-4 aborted/);
  await assert.rejects(forebay(a, 'commit', `${STAGED}/step-4`, '--attempt', attempt), /was aborted/);
  await assert.rejects(forebay(a, 'commit', `${STAGED}/step-4`), /needs --attempt TOKEN/);
  await assert.rejects(forebay(a, 'dance', STAGED), /checkpoint takes one of/);
});

test('S-6: of many objects one is missing: the commit names it; put, all are there at once; a commit twice says the same, an abort after it is refused', async (t) => {
  // 2,000 take some 10 s on a quiet machine
  const objects = Number(process.env['FOREBAY_CHECKPOINT_OBJECTS'] ?? 200);
  const { nodes } = await stagedCluster(t, ['a'], {
    volume: { replicas: 1, origin: 'file:///proc/forebay-is-not-there' },
  });
  const [a] = nodes as [ClusterNode];
  const name = 'run/step-1';
  const attempt = await begin(a, name);
  const headers = { 'x-forebay-checkpoint': name, 'x-forebay-attempt': attempt };
  const keys = Array.from({ length: objects }, (_, index) => `${name}/shard-${index}`);
  const missing = keys[Math.floor(objects / 3)] as string;
  const left = keys.filter((key) => key !== missing);
  const putSome = async () => {
    for (let key = left.pop(); key !== undefined; key = left.pop()) await put(a, key, key, headers);
  };
  const fromMs = performance.now();
  await Promise.all(Array.from({ length: 16 }, putSome));
  const putMs = performance.now() - fromMs;
  const commit = () => a.post('/v1/checkpoints/commit', { volume: STAGED, name, attempt, keys, count: objects });
  const lacks = await refused(await commit(), 'checkpointIncomplete');
  assert.equal(lacks.includes(JSON.stringify(missing)), true, lacks);
  assert.equal(await status(a, keys[0] as string), 404, 'none is there');
  await put(a, missing, missing, headers);
  const commitMs = performance.now();
  const first = await commit();
  t.diagnostic(
    `${objects} puts in ${Math.round(putMs)} ms, their commit in ${Math.round(performance.now() - commitMs)} ms`,
  );
  const answer = await first.json();
  assert.deepEqual({ ...(answer as object), bytes: 0 }, { name, objects, bytes: 0, isLatest: true });
  assert.deepEqual(await (await commit()).json(), answer, 'committed is committed');
  for (const key of [keys[0] as string, missing, keys.at(-1) as string]) await expectBytes(a, key, key);
  const aborted = await refused(
    await a.post('/v1/checkpoints/abort', { volume: STAGED, name, attempt }),
    'attemptEnded',
  );
  assert.match(aborted, /is committed/);
  await expectBytes(a, missing, missing);
  assert.equal((await writes(a, `${name}/`)).filter(({ key }) => keys.includes(key)).length, objects);
});

function cli() {
  const run = promisify(execFile);
  return async (node: ClusterNode, ...words: readonly string[]): Promise<string> => {
    const parameters = ['src/main.ts', 'checkpoint', ...words, '--admin', node.doors.admin];
    const { stdout } = await run('scripts/with-node', parameters, { timeout: 60_000 });
    return stdout;
  };
}
