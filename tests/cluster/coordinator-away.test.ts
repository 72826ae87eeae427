import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { startEtcd } from '../servers/etcd.ts';
import { expectMembers, expectReadOnce, fixture, MiB, VOLUME } from './fixture.ts';
import { eventually } from './node.ts';

const NAMES = ['a', 'b', 'c'];
/** Long past every session's term. */
const AWAY_MS = 60_000;
const BEFORE = { key: 'before', sizeBytes: 20 * MiB + 77, seed: 1 };
const DURING = Array.from({ length: 12 }, (_, index) => ({
  key: `during/${index}`,
  sizeBytes: 5 * MiB + index,
  seed: 10 + index,
}));
const AFTER = { key: 'after', sizeBytes: 20 * MiB + 99, seed: 2 };

test('S-15: with etcd stopped for a minute reads go on and nobody is dropped; when it is back the cluster heals by itself', async (t) => {
  const [etcd] = (await startEtcd(t)) ?? [];
  if (!etcd) return;
  const { origin, startAll } = await fixture(t, {
    generated: [BEFORE, AFTER, ...DURING],
    coordinator: `etcd://127.0.0.1:${etcd.port}`,
  });
  const nodes = await startAll(NAMES);
  await Promise.all(nodes.map((node) => node.expectWhole(VOLUME, BEFORE)));
  await etcd.stop();
  for (const object of DURING) {
    await Promise.all(nodes.map((node) => node.expectWhole(VOLUME, BEFORE)));
    await Promise.all(nodes.map((node) => node.expectWhole(VOLUME, object)));
    await sleep(AWAY_MS / DURING.length);
  }
  for (const node of nodes) {
    assert.deepEqual(await node.members(), NAMES);
    assert.equal((await node.status()).membership?.isFrozen, true);
  }
  await etcd.restart();
  await eventually('the members are no longer frozen', async () => {
    const states = await Promise.all(nodes.map((node) => node.status()));
    return states.every(({ membership }) => membership?.isFrozen === false);
  });
  await expectMembers(nodes, NAMES);
  await eventually('all are in one epoch, with sessions of after the outage', async () => {
    const states = await Promise.all(nodes.map((node) => node.status()));
    return new Set(states.map(({ membership }) => membership?.epoch)).size === 1;
  });
  origin.reset();
  await Promise.all(nodes.map((node) => node.expectWhole(VOLUME, AFTER)));
  expectReadOnce(origin, AFTER);
});
