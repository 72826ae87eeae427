import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { type EtcdServer, startEtcd } from '../servers/etcd.ts';
import { expectMembers, expectReadOnce, type Fixture, fixture, MiB, VOLUME } from './fixture.ts';
import { type ClusterNode, eventually } from './node.ts';

/** For how long etcd is away: longer than a session's term. */
const OUTAGE_MS = Number(process.env['FOREBAY_ETCD_OUTAGE_S'] ?? 20) * 1000;
const NAMES = ['a', 'b', 'c'];
const object = (key: string, seed: number) => ({ key, sizeBytes: 6 * MiB + seed, seed });
const WARM = object('warm', 1);
const LAST = object('last', 2);
const COLD = Array.from({ length: 400 }, (_, i) => object(`cold/${i}`, i + 3));

interface OnEtcd {
  readonly fix: Fixture;
  readonly etcd: EtcdServer;
  readonly nodes: readonly ClusterNode[];
  readonly cluster: { readonly coordinator: string };
}

async function onEtcd(t: TestContext): Promise<OnEtcd | undefined> {
  const fix = await fixture(t, { generated: [WARM, LAST, ...COLD] });
  const [etcd] = (await startEtcd(t)) ?? [];
  if (etcd === undefined) return undefined;
  const cluster = { coordinator: `etcd://127.0.0.1:${etcd.port}` };
  const nodes = await fix.startAll(NAMES, { cluster });
  for (const node of nodes) await node.expectWhole(VOLUME, WARM);
  return { fix, etcd, nodes, cluster };
}

/** Reads on all nodes, of what is there and of what nobody has, for so long; every one has to be right. */
async function readOn(t: TestContext, nodes: readonly ClusterNode[], ms: number): Promise<void> {
  const from = performance.now();
  let reads = 0;
  let longestMs = 0;
  for (const cold of COLD) {
    const begun = performance.now();
    if (begun - from > ms) break;
    await Promise.all(nodes.flatMap((node) => [node.expectWhole(VOLUME, WARM), node.expectWhole(VOLUME, cold)]));
    reads++;
    longestMs = Math.max(longestMs, performance.now() - begun);
  }
  t.diagnostic(`${reads} rounds of reads, the longest took ${Math.round(longestMs)} ms`);
  assert.ok(reads > 0 && longestMs < 30_000);
}

const areFrozen = async (nodes: readonly ClusterNode[]) => {
  const all = await Promise.all(nodes.map((node) => node.status()));
  return all.map(({ membership }) => membership?.isFrozen);
};

test('S-15: etcd away for longer than a lease: reads go on, the members stay; with it back the cluster heals by itself', async (t) => {
  const on = await onEtcd(t);
  if (on === undefined) return;
  const { fix, etcd, nodes, cluster } = on;
  await etcd.stop();
  await readOn(t, nodes, OUTAGE_MS);
  assert.deepEqual(await areFrozen(nodes), [true, true, true]);
  for (const node of nodes) assert.deepEqual(await node.members(), NAMES, 'nobody is taken for gone');
  await etcd.restart();
  await eventually('each may act again', async () => {
    const all = await Promise.all(nodes.map((node) => node.status()));
    return all.every(({ membership }) => membership?.mayAct === true && !membership.isFrozen);
  });
  const late = await fix.start('late', { cluster });
  const all = [...nodes, late];
  await expectMembers(all, [...NAMES, 'late']);
  await Promise.all(all.map((node) => node.expectWhole(VOLUME, LAST)));
  expectReadOnce(fix.origin, LAST);
});

test('S-15: an etcd that comes back empty is refused with a clear message, and reads go on', async (t) => {
  const on = await onEtcd(t);
  if (on === undefined) return;
  const { etcd, nodes } = on;
  await etcd.restart({ empty: true });
  await eventually('each has seen that it went back', async () => (await areFrozen(nodes)).every(Boolean));
  await readOn(t, nodes, 2000);
  for (const node of nodes) {
    await eventually(`${node.name} says why`, () =>
      /"kind":"(cluster.frozen|session.lost|node.warning)"[^\n]*went back/.test(node.log),
    );
    assert.deepEqual(await node.members(), NAMES);
    assert.equal((await node.status()).membership?.mayAct, false, 'it acts on nothing that it cannot know');
  }
});
