import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Life, SimClock, SimMachineClock } from '../../sim/sim-clock.ts';
import { type CoordinatorFaults, NO_COORDINATOR_FAULTS, SimCoordinator } from '../../sim/sim-coordinator.ts';
import { SimRandom } from '../../sim/sim-random.ts';
import { Trace } from '../../sim/trace.ts';
import { isForebayError } from '../core/errors.ts';
import type { Coordinator } from '../io/coordinator.ts';
import type { Event } from '../observe/events.ts';
import type { Members } from './member.ts';
import { type JoinOptions, joinCluster, type Membership } from './membership.ts';

const TTL_MS = 10_000;

interface SimMember {
  readonly name: string;
  readonly life: Life;
  readonly machine: SimMachineClock;
  readonly coordinator: Coordinator;
  readonly events: Event[];
  /** Every `current` this node had. */
  readonly seen: Members[];
  readonly membership: Membership;
}

class SimCluster {
  readonly clock: SimClock;
  readonly server: SimCoordinator;
  readonly #random: SimRandom;
  #machines = 0;

  constructor(seed = 1, faults: CoordinatorFaults = NO_COORDINATOR_FAULTS) {
    this.#random = new SimRandom(seed);
    const trace = new Trace();
    this.clock = new SimClock(this.#random.fork('clock'), trace);
    this.server = new SimCoordinator({ clock: this.clock, trace, faults, random: this.#random.fork('coordinator') });
  }

  join(name: string, options: Partial<JoinOptions> & { machine?: SimMachineClock } = {}): Promise<SimMember> {
    const life = new Life(name);
    const machine = options.machine ?? new SimMachineClock(this.clock, this.#random.fork(`m${this.#machines++}`));
    const clock = machine.attach(life);
    const coordinator = this.server.attach({ life, clock });
    const [events, seen]: [Event[], Members[]] = [[], []];
    const address = { host: '10.0.0.1', port: 7074 };
    const self = { node: name, zone: 'z', capacityBytes: 1e12, address, protocol: 1 };
    const emit = (event: Event) => void events.push(event);
    const joining = joinCluster({ coordinator, clock, emit, self, ttlMs: TTL_MS, ...options });
    return joining.then((membership) => {
      seen.push(membership.current);
      membership.onChange((members) => seen.push(members));
      return { name, life, machine, coordinator, events, seen, membership };
    });
  }

  async joinAll(...names: string[]): Promise<SimMember[]> {
    return await this.clock.settle(Promise.all(names.map((name) => this.join(name))));
  }

  /** Lets time pass until the condition holds of every one of them. */
  async until(members: readonly SimMember[], holds: (member: SimMember) => boolean, limitMs = 60_000): Promise<void> {
    this.#tick(limitMs);
    await this.clock.run(() => members.every(holds), this.clock.nowMs + limitMs);
  }

  async pass(ms: number): Promise<void> {
    await this.clock.settle(this.clock.sleep(ms));
  }

  /** Something happens every second, so that time passes also where nothing else does. */
  #tick(leftMs: number): void {
    if (leftMs > 0) this.clock.schedule(1000, () => this.#tick(leftMs - 1000));
  }
}

const namesOf = ({ members }: Members): string => members.map(({ node }) => node).join(' ');
const has = (names: string) => (member: SimMember) => namesOf(member.membership.current) === names;
const changesOf = ({ events }: SimMember) => events.filter(({ kind }) => kind === 'cluster.changed');

/** One number never means two memberships, on whichever node, and numbers rise. */
function assertEpochs(members: readonly SimMember[]): void {
  const meaning = new Map<number, string>();
  for (const { name, seen } of members) {
    let last = 0;
    for (const current of seen) {
      assert.ok(current.epoch >= last, `epochs rise on ${name}`);
      last = current.epoch;
      const shown = current.members.map(({ node, session }) => `${node}=${session}`).join(' ');
      assert.equal(meaning.get(current.epoch) ?? shown, shown, `epoch ${current.epoch} on ${name}`);
      meaning.set(current.epoch, shown);
    }
  }
}

test('nodes that start together are one epoch or two, the same on all, and know each other’s addresses', async () => {
  const cluster = new SimCluster();
  const nodes = await cluster.joinAll('c', 'a', 'b', 'd', 'e');
  await cluster.until(nodes, has('a b c d e'));
  assert.equal(new Set(nodes.map(({ membership }) => membership.current.epoch)).size, 1);
  assertEpochs(nodes);
  for (const node of nodes) {
    assert.ok(changesOf(node).length <= 2, `${changesOf(node).length} changes`);
    assert.ok(node.membership.mayAct());
    assert.deepEqual(node.membership.current, nodes[0]?.membership.current);
  }
  assert.deepEqual(nodes[0]?.membership.current.members[0]?.address, { host: '10.0.0.1', port: 7074 });
});

test('a node alone is in at once', async () => {
  const cluster = new SimCluster();
  const [alone] = await cluster.joinAll('only');
  assert.ok(alone);
  assert.ok(cluster.clock.nowMs < 100, `${cluster.clock.nowMs} ms`);
  assert.equal(namesOf(alone.membership.current), 'only');
});

test('a clean leave and a restart within a second are one change each, and a death is one after its lease', async () => {
  const cluster = new SimCluster();
  const nodes = await cluster.joinAll('a', 'b', 'c', 'd');
  await cluster.until(nodes, has('a b c d'));
  const [a, b, c, d] = nodes as [SimMember, SimMember, SimMember, SimMember];
  const before = changesOf(a).length;
  await cluster.clock.settle(d.membership.leave());
  await cluster.until([a, b, c], has('a b c'), 5000);
  assert.equal(changesOf(a).length, before + 1);

  await cluster.clock.settle(c.membership.leave());
  const again = await cluster.clock.settle(cluster.join('c'));
  const { session } = again.membership.self;
  await cluster.until([a, b, again], ({ membership }) => membership.current.members[2]?.session === session, 5000);
  assert.ok(has('a b c')(a));
  assert.equal(changesOf(a).length, before + 2);

  again.life.alive = false;
  await cluster.until([a, b], has('a b'), TTL_MS + 5000);
  assert.equal(changesOf(a).length, before + 3);
  assertEpochs(nodes);
});

test('two nodes with one name: the second is told, and the first goes on', async () => {
  const cluster = new SimCluster();
  const [first] = await cluster.joinAll('same');
  assert.ok(first);
  const second = cluster.join('same');
  await assert.rejects(cluster.clock.settle(second), (error: unknown) => {
    assert.ok(isForebayError(error, 'nameTaken'));
    assert.match(error.message, /10\.0\.0\.1:7074.*same/);
    return true;
  });
  assert.ok(first.membership.mayAct());
  await cluster.pass(TTL_MS * 2);
  assert.equal(namesOf(first.membership.current), 'same');
  assert.equal(changesOf(first).length, 1);
});

test('a node that was killed comes back after its lease, or at once where nobody else can be it', async () => {
  const cluster = new SimCluster();
  const [a] = await cluster.joinAll('a');
  const killed = await cluster.clock.settle(cluster.join('b'));
  killed.life.alive = false;
  let fromMs = cluster.clock.nowMs;
  const waited = await cluster.clock.settle(cluster.join('b', { instance: 'directory 7' }));
  assert.ok(cluster.clock.nowMs - fromMs > TTL_MS / 2);
  waited.life.alive = false;
  fromMs = cluster.clock.nowMs;
  const same = await cluster.clock.settle(cluster.join('b', { instance: 'directory 7' }));
  assert.ok(cluster.clock.nowMs - fromMs < 3000);
  await cluster.until([a as SimMember, same], has('a b'));
  await cluster.pass(TTL_MS * 2);
  assert.ok(has('a b')(a as SimMember), 'the former life’s lease takes nothing with it');
  assertEpochs([a as SimMember, same]);
});

test('S-15: with the coordinator away the members stay as they are, frozen, and it heals by itself', async () => {
  const cluster = new SimCluster();
  const nodes = await cluster.joinAll('a', 'b', 'c');
  await cluster.until(nodes, has('a b c'));
  const sessions = new Set(nodes.map(({ membership }) => membership.self.session));
  const epoch = nodes[0]?.membership.current.epoch ?? 0;
  cluster.server.goAway(60_000);
  await cluster.pass(55_000);
  for (const node of nodes) {
    assert.equal(node.membership.current.epoch, epoch);
    assert.equal(namesOf(node.membership.current), 'a b c');
    assert.ok(node.membership.isFrozen && !node.membership.mayAct());
  }
  await cluster.until(nodes, (node) => node.membership.mayAct() && !node.membership.isFrozen, 30_000);
  await cluster.until(nodes, (node) => has('a b c')(node) && node.membership.current.epoch > epoch, 30_000);
  const renewed = nodes[0]?.membership.current.members ?? [];
  assert.ok(renewed.every(({ session }) => !sessions.has(session)));
  assert.ok(nodes.every((node) => node.events.some(({ kind }) => kind === 'cluster.thawed')));
  assertEpochs(nodes);
});

test('S-16: a node that was stopped for longer than its lease may not act when it wakes, and joins again', async () => {
  const cluster = new SimCluster();
  const nodes = await cluster.joinAll('a', 'b', 'c');
  await cluster.until(nodes, has('a b c'));
  const [a, b, c] = nodes as [SimMember, SimMember, SimMember];
  const { session } = b.membership.self;
  const fence = b.membership.fence();
  b.life.pausedUntilMs = cluster.clock.nowMs + 25_000;
  await cluster.until([a, c], has('a c'), 20_000);
  assert.ok(!b.membership.mayAct(), 'what it would find on waking');
  await cluster.until(nodes, has('a b c'), 60_000);
  assert.notEqual(b.membership.self.session, session);
  const late = a.coordinator.transaction({ compares: [fence], apply: [{ put: 'x', value: new Uint8Array() }] });
  assert.ok(!(await cluster.clock.settle(late)).succeeded, 'what it meant to do is fenced');
  const now = { compares: [b.membership.fence()], apply: [] };
  assert.ok((await cluster.clock.settle(a.coordinator.transaction(now))).succeeded);
  assertEpochs(nodes);
});

test('a clock that is ten minutes off, and jumps, does not matter', async () => {
  const cluster = new SimCluster();
  const nodes = await cluster.joinAll('a', 'b');
  await cluster.until(nodes, has('a b'));
  const [a, b] = nodes as [SimMember, SimMember];
  b.machine.jumpWall(600_000);
  await cluster.pass(30_000);
  b.machine.jumpWall(-1_200_000);
  await cluster.pass(30_000);
  assert.ok(a.membership.mayAct() && b.membership.mayAct());
  assert.equal(a.membership.current.epoch, b.membership.current.epoch);
  assert.ok(nodes.every(({ events }) => events.every(({ kind }) => kind !== 'session.lost')));
});

test('a watch that missed history learns the members from a snapshot, with the same number as everyone', async () => {
  const cluster = new SimCluster();
  const nodes = await cluster.joinAll('a', 'b', 'c', 'd');
  await cluster.until(nodes, has('a b c d'));
  const [a, b, c, d] = nodes as [SimMember, SimMember, SimMember, SimMember];
  // short enough for a to keep its session
  cluster.server.cut('a', 4500);
  await cluster.clock.settle(d.membership.leave());
  await cluster.until([b, c], has('a b c'), 4000);
  cluster.server.compact();
  await cluster.until([a, b, c], has('a b c'), 10_000);
  const late = await cluster.clock.settle(cluster.join('e'));
  await cluster.until([a, b, c, late], has('a b c e'), 10_000);
  assert.equal(new Set([a, b, c, late].map(({ membership }) => membership.current.epoch)).size, 1);
  assertEpochs([...nodes, late]);
});

test('what strangers wrote below our prefix is nobody', async () => {
  const cluster = new SimCluster();
  const life = new Life('stranger');
  const clock = new SimMachineClock(cluster.clock, new SimRandom(3)).attach(life);
  const stranger = cluster.server.attach({ life, clock });
  const values = ['', '{', 'null', '[]', '{"node":"x"}', '{"node":"members","session":7}'];
  const apply = values.map((value, index) => ({ put: `members/x${index}`, value: new TextEncoder().encode(value) }));
  apply.push({ put: 'members', value: new TextEncoder().encode('{"epoch":"one"}') });
  await cluster.clock.settle(stranger.transaction({ compares: [], apply }));
  const nodes = await cluster.joinAll('a', 'b');
  await cluster.until(nodes, has('a b'));
  await cluster.pass(20_000);
  assert.ok(changesOf(nodes[0] as SimMember).length <= 2, 'and they do not keep the others busy');
});

test('S-15: a coordinator that went back in time is not believed', async () => {
  const cluster = new SimCluster();
  const nodes = await cluster.joinAll('a', 'b', 'c');
  await cluster.until(nodes, has('a b c'));
  const epoch = nodes[0]?.membership.current.epoch;
  cluster.server.setBack(3);
  await cluster.until(nodes, ({ membership }) => membership.isFrozen && !membership.mayAct(), 20_000);
  for (const { membership, events } of nodes) {
    assert.equal(namesOf(membership.current), 'a b c');
    assert.equal(membership.current.epoch, epoch);
    assert.ok(events.some((event) => event.kind === 'cluster.frozen' && /back in time/.test(event.message)));
  }
});

test('a node that cannot reach the coordinator does not join', async () => {
  const cluster = new SimCluster();
  cluster.server.goAway(120_000);
  const joining = cluster.join('a');
  await assert.rejects(cluster.clock.settle(joining), (error: unknown) =>
    isForebayError(error, 'coordinatorUnavailable', 'coordinatorUncertain'),
  );
});

test('a session that ends while its name is on its way makes joining fail, and not wait forever', async () => {
  const cluster = new SimCluster();
  const life = new Life('slow');
  const attached = cluster.server.attach({
    life,
    clock: new SimMachineClock(cluster.clock, new SimRandom(2)).attach(life),
  });
  // the answer to the put comes when the session has lapsed
  const coordinator: Coordinator = {
    description: attached.description,
    session: (options) => attached.session(options),
    range: (prefix, options) => attached.range(prefix, options),
    transaction: async (transaction) => {
      const result = await attached.transaction(transaction);
      cluster.server.cut('slow', TTL_MS + 1000);
      await cluster.clock.sleep(TTL_MS + 1000);
      return result;
    },
    watch: (prefix, options) => attached.watch(prefix, options),
    close: () => attached.close(),
  };
  const joining = cluster.join('slow', { coordinator });
  const failing = assert.rejects(joining, (error: unknown) => isForebayError(error, 'sessionLost'));
  await cluster.clock.settle(failing, 60_000);
});

test('joining can be called off, and leaves nothing behind', async () => {
  const cluster = new SimCluster();
  const [first] = await cluster.joinAll('same');
  const stop = new AbortController();
  const joining = cluster.join('same', { signal: stop.signal });
  joining.catch(() => undefined);
  await cluster.pass(2000);
  stop.abort(new Error('called off'));
  await assert.rejects(cluster.clock.settle(joining), /called off/);
  await cluster.pass(1000);
  assert.equal(cluster.server.state.sessions.size, 1);
  assert.ok(first?.membership.mayAct());
});

test('whatever happens to nodes and coordinator, epochs mean one thing, and all agree in the end', async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const random = new SimRandom(seed).fork('faults');
    const faults = { latencyMs: 4, slowChance: 0.03, slowMs: 2200, lostRequestChance: 0.02, lostAnswerChance: 0.02 };
    const cluster = new SimCluster(seed, faults);
    const all: SimMember[] = [];
    const names = ['a', 'b', 'c', 'd', 'e'];
    const alive = new Map<string, SimMember>();
    const rejoin = async (name: string) => {
      const member = await cluster.join(name, { instance: name });
      all.push(member);
      alive.set(name, member);
    };
    await cluster.clock.settle(Promise.all(names.map((name) => retried(() => rejoin(name)))));
    for (let turn = 0; turn < 12; turn++) {
      const name = random.pick(names);
      const member = alive.get(name);
      switch (random.integer(6)) {
        case 0:
          cluster.server.goAway(random.between(100, 20_000));
          break;
        case 1:
          cluster.server.cut(name, random.between(100, 20_000));
          break;
        case 2:
          if (member) member.life.pausedUntilMs = cluster.clock.nowMs + random.between(100, 25_000);
          break;
        case 3:
          cluster.server.compact();
          break;
        case 4:
          if (member) member.life.alive = false;
          alive.delete(name);
          break;
        default:
          if (!member) void retried(() => rejoin(name));
      }
      await cluster.pass(random.between(10, 8000));
    }
    cluster.server.heal();
    for (const name of names) if (!alive.has(name)) void retried(() => rejoin(name));
    const isSettled = () => {
      const members = [...alive.values()];
      const epochs = new Set(members.map(({ membership }) => membership.current.epoch));
      return members.length === names.length && epochs.size === 1 && members.every(has('a b c d e'));
    };
    // one that does not look, so that time passes
    const watcher = all[0] as SimMember;
    await cluster.until([watcher], isSettled, 120_000).catch((error: unknown) => {
      throw new Error(`seed ${seed}`, { cause: error });
    });
    assertEpochs(all);
  }
});

async function retried(act: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      return await act();
    } catch (error) {
      if (!isForebayError(error)) throw error;
    }
  }
}
