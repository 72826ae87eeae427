/**
 * The sequences by which frameworks write checkpoints as plain objects, over the S3 door of real daemons, cut short at every step by
 * `kill -9` of the node that is written through. torch's distributed checkpoint: shards, `.metadata.tmp`, the old `.metadata` deleted, the new one
 * renamed to it (over S3: copied, then deleted). DeepSpeed and others: a `latest` file at last. Whoever reads through another node finds the
 * step before or the new one, whole.
 */
import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ClusterNode, eventually } from './node.ts';
import { put, ramp, STAGED, stagedCluster, writes } from './staged.ts';

const SHARDS = 2;
const OLD = 1;
const NEW = 2;
const WATCH_MS = 50;

const shardOf = (job: number, step: number, shard: number): Buffer =>
  ramp(200_000 + 70_000 * shard, job * 100 + step * 10 + shard);
const stepDirectory = (job: number, step: number) => `job-${job}/step-${step}`;
const metadataOf = (job: number, step: number) => JSON.stringify({ job, step, shards: SHARDS });

type Step = (node: ClusterNode) => Promise<void>;

async function send(node: ClusterNode, key: string, init: RequestInit): Promise<void> {
  const response = await fetch(node.url(`${STAGED}/${key}`), init);
  const text = await response.text();
  assert.ok(response.ok, `${init.method} ${key}: ${response.status} ${text}`);
}

/** The requests of one save, in their order. */
function save(job: number, step: number): readonly Step[] {
  const directory = stepDirectory(job, step);
  const shards = Array.from({ length: SHARDS }, (_, shard): Step => {
    return async (node) => void (await put(node, `${directory}/__${shard}_0.distcp`, shardOf(job, step, shard)));
  });
  const temporary = `${directory}/.metadata.tmp`;
  const metadata = `${directory}/.metadata`;
  const source = { 'x-amz-copy-source': `/${STAGED}/${temporary}` };
  return [
    ...shards,
    async (node) => void (await put(node, temporary, metadataOf(job, step))),
    (node) => send(node, metadata, { method: 'DELETE' }),
    (node) => send(node, metadata, { method: 'PUT', headers: source }),
    (node) => send(node, temporary, { method: 'DELETE' }),
    async (node) => void (await put(node, `job-${job}/latest`, `step-${step}`)),
  ];
}

/** Where `.metadata` is there, and where `latest` names the step: the numbers of the requests that do it. */
const METADATA_AT = SHARDS + 2;
const LATEST_AT = SHARDS + 4;

/** The bytes of an object, or `undefined` where there is none; what is not answered yet is asked again, for whoever died is missed only after a while. */
async function read(node: ClusterNode, key: string): Promise<Buffer | undefined> {
  let found: Buffer | undefined;
  await eventually(`${key} is answered by ${node.name}`, async () => {
    const { status, bytes, cut } = await node.get(`${STAGED}/${key}`);
    if (status >= 500 || cut) return false;
    assert.ok(status === 200 || status === 404, `${key}: ${status}`);
    found = status === 200 ? bytes : undefined;
    return true;
  });
  return found;
}

async function expectWhole(node: ClusterNode, job: number, step: number): Promise<void> {
  assert.equal((await read(node, `${stepDirectory(job, step)}/.metadata`))?.toString(), metadataOf(job, step));
  for (let shard = 0; shard < SHARDS; shard += 1) {
    const bytes = await read(node, `${stepDirectory(job, step)}/__${shard}_0.distcp`);
    assert.ok(bytes?.equals(shardOf(job, step, shard)), `shard ${shard} of step ${step} of job ${job} on ${node.name}`);
  }
}

/** The step that `latest` names, and the newest that has its `.metadata`: both are whole. */
async function readJob(node: ClusterNode, job: number): Promise<{ latest: number; newest: number }> {
  const latest = Number((await read(node, `job-${job}/latest`))?.toString().replace('step-', ''));
  const newest = (await read(node, `${stepDirectory(job, NEW)}/.metadata`)) === undefined ? OLD : NEW;
  for (const step of new Set([latest, newest])) await expectWhole(node, job, step);
  return { latest, newest };
}

/** Looks at the origin all the time: neither `.metadata` nor `latest` is ever ahead of its shards. */
async function watchOrigin(directory: string, signal: AbortSignal): Promise<void> {
  const jobs = () => (existsSync(directory) ? readdirSync(directory).filter((name) => name.startsWith('job-')) : []);
  const bytesAt = (...path: string[]) => {
    const file = join(directory, ...path);
    return existsSync(file) ? readFileSync(file) : undefined;
  };
  const isWhole = (job: number, step: number) =>
    Array.from({ length: SHARDS }, (_, shard) => shard).every((shard) =>
      bytesAt(`job-${job}`, `step-${step}`, `__${shard}_0.distcp`)?.equals(shardOf(job, step, shard)),
    );
  while (!signal.aborted) {
    for (const name of jobs()) {
      const job = Number(name.slice('job-'.length));
      for (const step of [OLD, NEW])
        if (bytesAt(name, `step-${step}`, '.metadata') !== undefined)
          assert.ok(isWhole(job, step), `at the origin .metadata of step ${step} of ${name} is ahead of its shards`);
      const latest = bytesAt(name, 'latest')?.toString();
      if (latest === undefined) continue;
      const step = Number(latest.replace('step-', ''));
      assert.ok(
        bytesAt(name, latest, '.metadata') !== undefined,
        `at the origin latest of ${name} is ahead of ${latest}`,
      );
      assert.ok(isWhole(job, step), `at the origin latest of ${name} is ahead of its shards`);
    }
    await sleep(WATCH_MS, undefined, { signal }).catch(() => undefined);
  }
}

test('S-5, S-7: a save that is cut short at any step leaves the step before or the new one, whole, for readers elsewhere and at the origin', async (t) => {
  const cluster = await stagedCluster(t, ['a', 'b', 'c'], { volume: { ack: 'replicated' } });
  const nodes: ClusterNode[] = [...cluster.nodes];
  const over = new AbortController();
  const watched = watchOrigin(join(cluster.fix.directory, 'origin'), over.signal);
  watched.catch(() => undefined);
  const steps = save(0, NEW).length;
  const jobs = Array.from({ length: steps }, (_, job) => job);
  await Promise.all(
    jobs.map(async (job) => {
      for (const step of save(job, OLD)) await step(nodes[job % nodes.length] as ClusterNode);
    }),
  );
  let back: Promise<void> | undefined;
  for (const cut of jobs) {
    const writer = nodes[cut % nodes.length] as ClusterNode;
    const reader = nodes[(cut + 1) % nodes.length] as ClusterNode;
    const sequence = save(cut, NEW);
    for (const step of sequence.slice(0, cut)) await step(writer);
    // of three nodes one may be away
    await back;
    // answered or not: nobody knows
    const last = (sequence[cut] as Step)(writer).then(
      () => true,
      () => false,
    );
    await sleep(cut * 3);
    await writer.kill();
    const isDone = await last;
    const { latest, newest } = await readJob(reader, cut);
    const done = isDone ? cut : cut - 1;
    if (done >= METADATA_AT) assert.equal(newest, NEW, `cut at ${cut}`);
    if (cut < METADATA_AT) assert.equal(newest, OLD, `cut at ${cut}`);
    if (done >= LATEST_AT) assert.equal(latest, NEW, `cut at ${cut}`);
    if (cut < LATEST_AT) assert.equal(latest, OLD, `cut at ${cut}`);
    back = cluster.start(writer.name, { directory: writer.directory }).then((node) => {
      nodes[cut % nodes.length] = node;
    });
    back.catch(() => undefined);
  }
  await back;
  // what is replaced before it is at the origin leaves no order there (S-7, decision 0023)
  const isAtRest = async () => (await writes(nodes[0] as ClusterNode)).every(({ kind }) => kind !== 'dirty');
  await eventually('what was cut short is at the origin as far as it came', isAtRest);
  // whoever was cut short saves the step once more, on any node, and everything comes to the origin in its order
  await Promise.all(
    jobs.map(async (job) => {
      for (const step of save(job, NEW)) await step(nodes[(job + 2) % nodes.length] as ClusterNode);
    }),
  );
  for (const job of jobs) assert.deepEqual(await readJob(nodes[0] as ClusterNode, job), { latest: NEW, newest: NEW });
  await eventually(
    'all is at the origin',
    () => jobs.every((job) => cluster.atOrigin(`job-${job}/latest`)?.toString() === `step-${NEW}`),
    60_000,
  );
  over.abort();
  await watched;
});
