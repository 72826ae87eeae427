import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Life, SimClock, SimMachineClock } from '../../sim/sim-clock.ts';
import { NO_COORDINATOR_FAULTS, SimCoordinator } from '../../sim/sim-coordinator.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { Trace } from '../../sim/trace.ts';
import type { Coordinator, Session } from '../io/coordinator.ts';
import { type KeeperLease, keeperKey, runKeeper } from './keeper.ts';

const TTL_MS = 10_000;
const NAMES = ['a', 'b', 'c'];

class Cluster {
  readonly clock: SimClock;
  readonly server: SimCoordinator;
  readonly #random = new SimRandom(5);

  constructor() {
    const trace = new Trace();
    this.clock = new SimClock(this.#random.fork('clock'), trace);
    this.server = new SimCoordinator({
      clock: this.clock,
      trace,
      faults: NO_COORDINATOR_FAULTS,
      random: this.#random.fork('coordinator'),
    });
  }

  async start(node: string, volume = 'v'): Promise<Member> {
    const life = new Life(node);
    const clock = new SimMachineClock(this.clock, this.#random.fork(node)).attach(life);
    const coordinator = this.server.attach({ life, clock });
    const session = await this.clock.settle(coordinator.session({ ttlMs: TTL_MS }));
    const member = new Member({ node, life, coordinator, session, nowMs: () => clock.boottimeMs() });
    void runKeeper({
      volume,
      self: member,
      coordinator,
      clock,
      emit: () => undefined,
      signal: member.stop.signal,
      keep: async (lease) => {
        member.leases.push(lease);
        await new Promise<void>((resolve) => lease.lost.addEventListener('abort', () => resolve(), { once: true }));
      },
    });
    return member;
  }

  async pass(ms: number): Promise<void> {
    this.clock.schedule(ms, () => undefined);
    await this.clock.settle(this.clock.sleep(ms));
  }
}

class Member {
  readonly self: string;
  readonly life: Life;
  readonly coordinator: Coordinator;
  readonly stop = new AbortController();
  readonly leases: KeeperLease[] = [];
  readonly members = { members: NAMES.map((node) => ({ node })) };
  readonly #nowMs: () => number;
  held: Session;

  constructor(of: { node: string; life: Life; coordinator: Coordinator; session: Session; nowMs: () => number }) {
    this.self = of.node;
    this.life = of.life;
    this.coordinator = of.coordinator;
    this.held = of.session;
    this.#nowMs = of.nowMs;
  }

  get session(): string {
    return this.held.id;
  }

  mayAct(): boolean {
    return !this.held.lost.aborted && this.#nowMs() < this.held.actUntilMs;
  }

  fence() {
    return { key: `none/${this.self}`, target: 'createRevision', equals: 0 } as const;
  }

  get isKeeper(): boolean {
    return this.leases.at(-1)?.mayAct() ?? false;
  }
}

test('one node keeps a volume, and another one does once it is gone', async () => {
  const cluster = new Cluster();
  const members = [];
  for (const name of NAMES) members.push(await cluster.start(name));
  await cluster.pass(5000);
  const [keeper, ...none] = members.filter(({ isKeeper }) => isKeeper);
  assert.ok(keeper !== undefined && none.length === 0, 'there is one');
  keeper.life.alive = false;
  await cluster.pass(2 * TTL_MS);
  const next = members.filter((member) => member !== keeper && member.isKeeper);
  assert.equal(next.length, 1);
});

test('volumes are spread over the members', async () => {
  const cluster = new Cluster();
  const keepers = new Set<string>();
  for (const volume of ['v1', 'v2', 'v3', 'v4', 'v5', 'v6']) {
    const members = [];
    for (const name of NAMES) members.push(await cluster.start(name, volume));
    await cluster.pass(5000);
    for (const { self, isKeeper } of members) if (isKeeper) keepers.add(self);
  }
  assert.ok(keepers.size > 1, `${Array.from(keepers).join(', ')} keep them all`);
});

test('S-16: a keeper that slept for longer than its lease may not act when it wakes, and its commits fail', async () => {
  const cluster = new Cluster();
  const members = [await cluster.start('a'), await cluster.start('b')];
  await cluster.pass(5000);
  const keeper = members.find(({ isKeeper }) => isKeeper) as Member;
  const lease = keeper.leases.at(-1) as KeeperLease;
  const write = (value: number) =>
    cluster.clock.settle(
      keeper.coordinator.transaction({
        compares: [lease.fence],
        apply: [{ put: 'records/v/k', value: Uint8Array.of(value) }],
      }),
    );
  assert.equal((await write(1)).succeeded, true, 'while it is keeper it commits');
  keeper.life.pausedUntilMs = cluster.clock.nowMs + 4 * TTL_MS;
  await cluster.pass(4 * TTL_MS + 100);
  assert.equal(lease.mayAct(), false);
  const other = members.find((member) => member !== keeper) as Member;
  assert.equal(other.isKeeper, true, 'another one is keeper');
  assert.equal((await write(2)).succeeded, false, 'its token is no longer there');
});

test('S-15: nobody may act as keeper while the coordinator is away, and the keeper goes on when it is back', async () => {
  const cluster = new Cluster();
  const keeper = await cluster.start('a');
  await cluster.pass(3000);
  assert.equal(keeper.isKeeper, true);
  cluster.server.goAway(0.6 * TTL_MS);
  let wasSuspended = false;
  for (let ms = 0; ms < TTL_MS; ms += 100) {
    await cluster.pass(100);
    wasSuspended ||= !keeper.isKeeper;
  }
  assert.ok(wasSuspended, 'it may not act once its session may have lapsed');
  assert.equal(keeper.isKeeper, true);
  assert.equal(keeper.leases.length, 1, 'under the same token');
});

test('who ends gives its volumes up at once', async () => {
  const cluster = new Cluster();
  const members = [await cluster.start('a'), await cluster.start('b')];
  await cluster.pass(3000);
  const keeper = members.find(({ isKeeper }) => isKeeper) as Member;
  keeper.stop.abort(new Error('stopping'));
  void keeper.held.close();
  await cluster.pass(1500);
  assert.equal(members.find((member) => member !== keeper)?.isKeeper, true);
  const found = await cluster.clock.settle(keeper.coordinator.range(keeperKey('v')).catch(() => undefined));
  assert.notEqual(found?.entries.length, 0);
});
