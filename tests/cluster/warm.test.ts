import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { test } from 'node:test';
import { Child } from '../../bench/child.ts';
import { firstWrong } from '../../bench/pattern.ts';
import { expectReadOnce, fixture, MiB, originBytes, total, VOLUME } from './fixture.ts';
import { eventually, ownEnvironment } from './node.ts';

const OBJECTS = [
  { key: 'set/one', sizeBytes: 17 * MiB + 1, seed: 1 },
  { key: 'set/two', sizeBytes: 30_000, seed: 2 },
  { key: 'set/three', sizeBytes: 6 * MiB, seed: 3 },
];
const BIG = { key: 'big', sizeBytes: 256 * MiB, seed: 9 };

/** The command line as a user runs it. */
async function forebay(directory: string, ...args: string[]) {
  const command = join(import.meta.dirname, '..', '..', 'bin', 'forebay');
  const child = await Child.start(command, args, { cwd: directory, env: ownEnvironment(directory) });
  const stdout = text(child.process.stdout as NodeJS.ReadableStream);
  return { child, done: async () => ({ code: await child.ended(), stdout: await stdout, stderr: child.complaint }) };
}

test('forebay warm --to DIR --nodes all: every node has the objects, and the directory has them as files', async (t) => {
  const { origin, directory, startAll } = await fixture(t, { generated: OBJECTS });
  const nodes = await startAll(['a', 'b', 'c']);
  const to = join(directory, 'files');
  const { done } = await forebay(
    directory,
    'warm',
    `${VOLUME}/set/`,
    '--to',
    to,
    '--nodes',
    'all',
    '--admin',
    nodes[1]!.doors.admin,
  );
  const { code, stdout, stderr } = await done();
  assert.equal(code, 0, stdout + stderr);
  assert.match(stdout, /9 of 9 objects/);
  for (const object of OBJECTS) {
    const bytes = readFileSync(join(to, object.key));
    assert.equal(bytes.length, object.sizeBytes);
    assert.equal(firstWrong(object.seed, 0, bytes), undefined);
    expectReadOnce(origin, object);
    for (const node of nodes) assert.equal((await node.check(VOLUME, object.key)).state, 'whole');
  }
});

test('forebay warm --nodes: a node that is none is named, with those that are; nothing is read', async (t) => {
  const { origin, directory, startAll } = await fixture(t, { generated: OBJECTS });
  const [a] = await startAll(['a', 'b']);
  const { done } = await forebay(directory, 'warm', `${VOLUME}/set/`, '--nodes', 'a,nobody', '--admin', a!.doors.admin);
  const { code, stderr } = await done();
  assert.equal(code, 1);
  assert.match(stderr, /nobody[\s\S]*a, b/);
  assert.equal(origin.requests.filter(({ method }) => method === 'GET').length, 0);
});

test('a warm on all nodes whose client goes away stops on all of them', async (t) => {
  const { origin, startAll } = await fixture(t, { generated: [BIG], bytesPerS: 16 * MiB });
  const nodes = await startAll(['a', 'b', 'c']);
  const gone = new AbortController();
  const warm = nodes[0]!
    .warm(
      { volume: VOLUME, key: BIG.key, nodes: 'all' },
      {
        signal: gone.signal,
        onProgress: ({ nodes: parts = [] }) => {
          if (parts.length === 3 && parts.every(({ bytesDone }) => bytesDone > 0)) gone.abort();
        },
      },
    )
    .catch((error: unknown) => error);
  await warm;
  assert.ok(gone.signal.aborted);
  let before = -1;
  let same = 0;
  await eventually('no node brings anything more', async () => {
    const bytes = originBytes(origin, BIG) + (await total(nodes, 'forebay_store_present_bytes'));
    same = bytes === before ? same + 1 : 0;
    before = bytes;
    return same >= 20;
  });
  const here = await total(nodes, 'forebay_store_present_bytes');
  t.diagnostic(`${Math.round(here / MiB)} MiB of ${(3 * BIG.sizeBytes) / MiB} came before it stopped`);
  assert.ok(here < 1.5 * BIG.sizeBytes);
});
