/** Every checker across nodes must object: each is shown what breaks its promise. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Volume } from '../../src/core/volume.ts';
import { CALM_ORIGIN } from '../scenarios/read-cache-faults.ts';
import { Life, SimClock, SimMachineClock } from '../sim-clock.ts';
import { NO_COORDINATOR_FAULTS, SimCoordinator } from '../sim-coordinator.ts';
import { SimOrigin, type SimVersion } from '../sim-origin.ts';
import { SimRandom } from '../sim-random.ts';
import { Trace } from '../trace.ts';
import { Findings } from './checker.ts';
import { Membership } from './membership.ts';
import { ClusterOnce, type Holder, SETTLED_MS } from './s11-cluster-once.ts';
import { OriginAway } from './s13-origin-away.ts';
import { CoordinatorAway } from './s15-coordinator-away.ts';

const VOLUME: Volume = {
  name: 'models',
  origin: 'memory:',
  write: false,
  revalidateMs: 100,
  staleIfErrorMs: 1000,
  chunkSizeBytes: 1 << 20,
  verify: 'arrival',
};

function makeWorld() {
  const random = new SimRandom(1);
  const trace = new Trace();
  const clock = new SimClock(random.fork('clock'), trace);
  const machine = new SimMachineClock(clock, random.fork('machine'));
  const origin = new SimOrigin({ clock, machine, random: random.fork('origin'), trace, faults: CALM_ORIGIN });
  const coordinator = new SimCoordinator({
    clock,
    random: random.fork('coordinator'),
    trace,
    faults: NO_COORDINATOR_FAULTS,
  });
  const findings = new Findings(() => clock.nowMs);
  const read = (life: Life, { key, etag, sizeBytes }: SimVersion) => {
    const reading = async () => {
      for await (const _ of await origin.attach(life).get(key, { etag, range: { start: 0, end: sizeBytes } }));
    };
    return reading();
  };
  return { clock, machine, origin, coordinator, findings, read };
}

const promises = (findings: Findings): string[] => findings.all.map(({ promise }) => promise);

function holder(holds: boolean): Holder {
  return { life: new Life('holder'), holds: () => holds };
}

test('S-11: reading what another node has is objected to once nothing was wrong for long, unless it is counted', async () => {
  const { clock, origin, findings, read } = makeWorld();
  const version = origin.replace('a', { sizeBytes: 3000 });
  let [quietMs, holders] = [SETTLED_MS, [holder(false)]];
  const view = { quietMs: () => quietMs, holders: () => holders };
  const checker = new ClusterOnce({ origin, findings, volume: VOLUME.name, view });
  const life = new Life('reader');
  await clock.settle(read(life, version));
  checker.check();
  holders = [holder(true)];
  quietMs = SETTLED_MS - 1;
  await clock.settle(read(life, version));
  checker.check();
  assert.deepEqual(promises(findings), []);
  quietMs = SETTLED_MS;
  await clock.settle(read(life, version));
  checker.event(life, { kind: 'origin.refill', volume: VOLUME.name, reason: 'evicted', bytes: 3000 });
  checker.check();
  assert.deepEqual(promises(findings), [], 'counted');
  await clock.settle(read(new Life('another'), version));
  checker.check();
  assert.deepEqual(promises(findings), ['S-11']);
});

test('S-11: two nodes that read one block from the origin at once are objected to', async () => {
  const { clock, origin, findings, read } = makeWorld();
  const version = origin.replace('a', { sizeBytes: 300_000 });
  const view = { quietMs: () => SETTLED_MS, holders: () => [] };
  const checker = new ClusterOnce({ origin, findings, volume: VOLUME.name, view });
  await clock.settle(Promise.all([read(new Life('one'), version), read(new Life('two'), version)]));
  checker.check();
  assert.deepEqual(promises(findings), ['S-11']);
  assert.deepEqual(checker.delivered(version), { bytes: 600_000, again: 300_000 });
  checker.whole(version, { counted: 200_000, lost: 100_000 });
  assert.equal(findings.all.length, 1);
  checker.whole(version, { counted: 0, lost: 299_999 });
  assert.equal(findings.all.length, 2);
});

test('S-13, S-15: what is not served is objected to; an object is held when each block is somewhere', () => {
  const { origin, findings } = makeWorld();
  const version = origin.replace('a', { sizeBytes: 3 << 20 });
  const away = new OriginAway(findings, VOLUME);
  const some = (...blocks: number[]): Holder => ({
    life: new Life('some'),
    holds: (_, block) => blocks.includes(block),
  });
  assert.equal(away.isHeld(version, [some(0, 1), some(2)]), true);
  assert.equal(away.isHeld(version, [some(0, 1), some(0)]), false);
  away.failed('node-0', version, new Error('no'));
  new CoordinatorAway(findings).failed('node-0', 'a', 1000, new Error('no'));
  new CoordinatorAway(findings).slow('node-0', 'a', 60_000);
  assert.deepEqual(promises(findings), ['S-13', 'S-15', 'S-15']);
});

test('S-16: an owner without a session is objected to, and one that says it is none is not', async () => {
  const { clock, machine, coordinator, findings } = makeWorld();
  const checker = new Membership(findings, coordinator);
  const answer = (kind: string) =>
    checker.answered({
      from: 'a',
      to: 'node-1',
      type: 'directory.locate',
      message: '{}',
      answer: JSON.stringify([{ kind }]),
    });
  answer('notOwner');
  assert.equal(findings.all.length, 0);
  answer('fill');
  assert.deepEqual(promises(findings), ['S-16']);
  const life = new Life('node-1 life 1');
  const io = coordinator.attach({ life, clock: machine.attach(life) });
  const join = async () => {
    const session = await io.session({ ttlMs: 10_000 });
    const value = Buffer.from(JSON.stringify({ node: 'node-1' }));
    await io.transaction({ compares: [], apply: [{ put: 'members/node-1', value, session: session.id }] });
  };
  await clock.settle(join());
  answer('pull');
  assert.equal(findings.all.length, 1);
});

test('membership: nodes that do not agree on who is in, or at which epoch, are objected to', () => {
  const { coordinator, findings } = makeWorld();
  const checker = new Membership(findings, coordinator);
  const [one, two] = [new Life('one'), new Life('two')];
  const live = [
    { name: 'a', life: one },
    { name: 'b', life: two },
  ];
  const changed = (life: Life, epoch: number, joined: string, left = '') =>
    checker.event(life, { kind: 'cluster.changed', epoch, members: 0, joined, left });
  changed(one, 1, 'a');
  changed(one, 2, 'b');
  changed(two, 2, 'a b');
  checker.agree(live);
  assert.deepEqual(promises(findings), []);
  changed(two, 3, 'c');
  checker.agree(live);
  changed(two, 4, '', 'c');
  checker.agree(live);
  changed(two, 3, '');
  assert.deepEqual(promises(findings), ['membership', 'membership', 'S-16']);
});
