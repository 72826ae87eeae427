/**
 * Nodes that share the values of one kv volume, with everything that can happen to them.
 *
 * Safety phase: clients of every node put, replace, delete, lock, look up, get and gather a few keys in a cache so small that something is
 * always evicted, while faults strike. Liveness phase: faults stop; what is under way must end, the members agree, and then each node's
 * put is seen by all, a lookup's yes is kept, one of several locks is won, and a delete is a delete, at the first try. At last the nodes are
 * closed, and nothing may be left.
 */
import { KiB, MiB } from '../../src/core/limits.ts';
import type { KvVolume } from '../../src/kv/kv.ts';
import type { Event } from '../../src/observe/events.ts';
import { checkClosed } from '../checkers/leaks.ts';
import { KeptPromises } from '../checkers/s10-kept-promises.ts';
import { Bounds } from '../checkers/s12-bounds.ts';
import { SimMachineClock } from '../sim-clock.ts';
import { assertContentUntouched } from '../sim-content.ts';
import { NO_COORDINATOR_FAULTS, SimCoordinator } from '../sim-coordinator.ts';
import { SimNetwork } from '../sim-network.ts';
import { SimOrigin } from '../sim-origin.ts';
import type { SimRandom } from '../sim-random.ts';
import { ClusterFaults, type FaultKind } from './cluster-faults.ts';
import { ClusterMachine, type Surroundings } from './cluster-machine.ts';
import { KvClient } from './kv-client.ts';
import { CALMER_KV, drawKv, KV_VOLUME, type KvScenarioOptions, kvKeys, kvVolume } from './kv-options.ts';
import { CALM_ORIGIN } from './read-cache-faults.ts';
import type { Scenario, World } from './scenario.ts';
import { UnderWay } from './under-way.ts';

const SAFETY_MAX_MS = 300_000;
/** After the faults: what is under way has ended. */
const RECOVERY_MAX_MS = 120_000;
/** From then on nothing is left of the faults. */
const SETTLE_MS = 60_000;
/** From the end of a fault until what it did to sessions and peers is over. */
const AFTER_MS = 20_000;
/** On a well cluster nothing takes longer. */
const PROMPT_MS = 10_000;

/** What is put on a well cluster lasts until it was looked at. */
const LASTS_MS = 600_000;

/** Faults of one machine; others are of all that is between them. */
const OF_ONE: ReadonlySet<FaultKind> = new Set([
  'kill',
  'power',
  'leave',
  'loseDisk',
  'pause',
  'slow',
  'silent',
  'corrupt',
  'disk',
]);

export const kv: Scenario<KvScenarioOptions> = {
  name: 'kv',
  draw: drawKv,
  calmer: CALMER_KV,
  sabotages: ['forget-leases'],
  begin: (world, options) => new KvRun(world, options),
};

class KvRun {
  readonly #world: World;
  readonly #options: KvScenarioOptions;
  readonly #random: SimRandom;
  readonly #network: SimNetwork;
  readonly #origin: SimOrigin;
  readonly #coordinator: SimCoordinator;
  readonly #machines: ClusterMachine[] = [];
  readonly #faults: ClusterFaults;
  readonly #promises: KeptPromises;
  readonly #bounds: Bounds;
  readonly #underWay: UnderWay;
  /** Machine → until when something is wrong with it, or since when it serves. */
  readonly #wellFrom = new Map<string, number>();
  #operationsLeft: number;
  #isSafety = true;
  readonly #safetyOver = Promise.withResolvers<void>();

  constructor(world: World, options: KvScenarioOptions) {
    const { clock, trace, findings } = world;
    this.#world = world;
    this.#options = options;
    this.#underWay = new UnderWay(world, this.#machines);
    this.#random = world.random.fork('run');
    this.#operationsLeft = options.operations;
    const { latencyMs, lossChance, duplicateChance, lateChance } = options;
    this.#network = new SimNetwork({
      clock,
      trace,
      random: world.random.fork('network'),
      faults: { latencyMs, lossChance, duplicateChance, lateChance, lateMs: 200 },
    });
    const machine = new SimMachineClock(clock, world.random.fork('origin clock'));
    this.#origin = new SimOrigin({
      clock,
      trace,
      machine,
      random: world.random.fork('origin'),
      faults: { ...CALM_ORIGIN },
    });
    this.#coordinator = new SimCoordinator({
      clock,
      trace,
      random: world.random.fork('coordinator'),
      faults: { ...NO_COORDINATOR_FAULTS, lostRequestChance: lossChance, lostAnswerChance: lossChance },
    });
    this.#bounds = new Bounds(findings, { capacityBytes: options.capacityMiB * MiB, clients: options.clientsPerNode });
    this.#promises = new KeptPromises(findings, {
      nowMs: () => clock.nowMs,
      holderOf: (content) => this.#machines.find(({ node }) => node?.holds(content, 0))?.name,
      wellSinceMs: (name) => this.#wellSinceMs(name),
      allWellSinceMs: () => Math.max(...this.#machines.map(({ name }) => this.#wellSinceMs(name))),
    });
    const surroundings: Surroundings = {
      world,
      options,
      volume: kvVolume(options),
      network: this.#network,
      origin: this.#origin,
      coordinator: this.#coordinator,
      emitted: (from, _life, event) => this.#emitted(from, event),
    };
    for (let index = 0; index < options.nodes; index++) this.#machines.push(new ClusterMachine(surroundings, index));
    this.#faults = new ClusterFaults({
      world,
      options,
      random: world.random.fork('faults'),
      machines: this.#machines,
      network: this.#network,
      origin: this.#origin,
      coordinator: this.#coordinator,
      start: (each) => this.#start(each),
    });
    this.#faults.onStrike = (kind, struck, ms) => this.#struck(kind, struck, ms);
  }

  dispose(): void {
    for (const { disk } of this.#machines) disk.dispose();
    assertContentUntouched();
  }

  async run(): Promise<void> {
    const { clock, findings, trace } = this.#world;
    await Promise.all(this.#machines.map((machine) => this.#start(machine)));
    if (!findings.isEmpty) return;
    const limit = clock.schedule(SAFETY_MAX_MS, () => this.#safetyOver.resolve());
    const faults = this.#faults.run();
    await this.#safetyOver.promise;
    limit.run = undefined;
    this.#isSafety = false;
    await this.#faults.stop();
    await faults;
    await this.#settle();
    trace.note('promises checked', this.#promises.checked);
    for (const machine of this.#machines) if (findings.isEmpty) await this.#mustShare(machine);
    if (findings.isEmpty) await this.#mustLockOnce();
    if (findings.isEmpty) await this.#mustDelete();
    if (findings.isEmpty) await this.#close();
  }

  #emitted(machine: ClusterMachine, event: Event): void {
    this.#bounds.disk(machine.disk);
    const { findings } = this.#world;
    if (event.kind !== 'kv.missed') return;
    const holder = this.#machines.find(({ name }) => name === event.holder);
    const isWell = [machine, holder].every(
      (each) => each && this.#wellSinceMs(each.name) < this.#world.clock.nowMs - AFTER_MS,
    );
    if (isWell) findings.add('S-10', `${machine.name} counts ${event.key} of ${event.holder} as promised and missed`);
  }

  #wellSinceMs(name: string): number {
    const { nowMs } = this.#world.clock;
    const machine = this.#machines.find((each) => each.name === name);
    if (machine?.node === undefined || this.#network.faults.lossChance > 0) return Number.POSITIVE_INFINITY;
    const fromMs = this.#wellFrom.get(name) ?? 0;
    return fromMs > nowMs ? Number.POSITIVE_INFINITY : fromMs;
  }

  #struck(kind: FaultKind, machine: ClusterMachine, ms: number): void {
    if (kind === 'wall') return;
    const { nowMs } = this.#world.clock;
    for (const each of OF_ONE.has(kind) ? [machine] : this.#machines)
      this.#wellFrom.set(each.name, Math.max(this.#wellFrom.get(each.name) ?? 0, nowMs + ms + AFTER_MS));
  }

  async #start(machine: ClusterMachine): Promise<void> {
    const { clock } = this.#world;
    if (this.#isSafety && this.#options.lossChance > 0) machine.trouble(Number.POSITIVE_INFINITY);
    await machine.start();
    this.#wellFrom.set(machine.name, Math.max(this.#wellFrom.get(machine.name) ?? 0, clock.nowMs));
    if (!machine.node || !this.#isSafety) return;
    for (let index = 0; index < this.#options.clientsPerNode; index++) void this.#runClient(machine, index);
  }

  #volume(machine: ClusterMachine): KvVolume {
    return machine.node?.kv?.volumes.get(KV_VOLUME) as KvVolume;
  }

  #client(machine: ClusterMachine, name: string): KvClient {
    const { life } = machine;
    const { clock, findings, sabotage } = this.#world;
    return new KvClient({
      clock,
      random: this.#random.fork(`${life.name} ${name}`),
      life,
      machine: machine.name,
      volume: this.#volume(machine),
      promises: this.#promises,
      findings,
      options: this.#options,
      forgetsLeases: sabotage === 'forget-leases',
      isServed: () => machine.life === life && machine.node !== undefined,
    });
  }

  async #runClient(machine: ClusterMachine, index: number): Promise<void> {
    const { clock, findings } = this.#world;
    const { life } = machine;
    const client = this.#client(machine, `client ${index}`);
    const random = this.#random.fork(`${life.name} pauses ${index}`);
    while (findings.isEmpty) {
      await clock.sleep(random.exponential(this.#options.thinkMs), { life });
      if (!this.#isSafety || this.#operationsLeft === 0 || machine.life !== life || !machine.node) return;
      if (--this.#operationsLeft === 0) this.#safetyOver.resolve();
      await this.#underWay.counted(life, () => client.operation());
      this.#checkShare(machine);
    }
  }

  /** S-12: a volume's share, and leases within half of it. */
  #checkShare(machine: ClusterMachine): void {
    if (!machine.node) return;
    const { bytes, shareBytes, leasedBytes } = this.#volume(machine).status;
    const { findings } = this.#world;
    if (bytes > shareBytes) findings.add('S-12', `${machine.name} holds ${bytes} bytes, its share is ${shareBytes}`);
    if (leasedBytes > shareBytes / 2)
      findings.add('S-12', `${machine.name} has leased ${leasedBytes} bytes of a share of ${shareBytes}`);
  }

  async #settle(): Promise<void> {
    const { clock } = this.#world;
    if (!(await this.#underWay.ended(RECOVERY_MAX_MS))) return;
    await clock.sleep(SETTLE_MS);
    for (const { name } of this.#machines)
      this.#wellFrom.set(name, Math.min(this.#wellFrom.get(name) ?? 0, clock.nowMs - SETTLE_MS / 2));
  }

  /** What one node takes in, all have: looked up, and got as promised. */
  async #mustShare(machine: ClusterMachine): Promise<void> {
    const { clock, findings } = this.#world;
    const key = `${machine.name} shares`;
    const fromMs = clock.nowMs;
    await this.#client(machine, 'shares').put(key, {
      sizeBytes: Math.min(100 * KiB, this.#shareBytes / 8),
      ttlMs: LASTS_MS,
    });
    for (const each of this.#machines) {
      const client = this.#client(each, `${key} with`);
      if ((await client.lookup([key])) !== 1)
        findings.add('liveness', `${each.name} does not find what ${machine.name} has just put`);
      const { bytes } = await client.get(key);
      if (bytes === undefined) findings.add('liveness', `${each.name} does not get what ${machine.name} has put`);
      if (!findings.isEmpty) return;
    }
    if (clock.nowMs - fromMs > PROMPT_MS) findings.add('liveness', `to share a value took ${clock.nowMs - fromMs} ms`);
  }

  get #shareBytes(): number {
    return Math.floor(this.#options.share * this.#options.capacityMiB * MiB);
  }

  /** Of all who put where nothing is, one does. */
  async #mustLockOnce(): Promise<void> {
    const { findings } = this.#world;
    const clients = this.#machines.flatMap((machine) => [
      this.#client(machine, 'locks'),
      this.#client(machine, 'locks too'),
    ]);
    const outcomes = await Promise.all(
      clients.map((client) => client.put('the lock', { onlyIfAbsent: true, sizeBytes: 10, ttlMs: LASTS_MS })),
    );
    const won = outcomes.filter((outcome) => outcome === 'stored').length;
    if (won !== 1) findings.add('S-10', `${won} of ${clients.length} put where nothing was: ${outcomes.join(' ')}`);
  }

  /** Whoever deletes, nobody has it then. */
  async #mustDelete(): Promise<void> {
    const { findings } = this.#world;
    const all = [...kvKeys(this.#options), 'the lock', ...this.#machines.map(({ name }) => `${name} shares`)];
    const deleter = this.#client(this.#random.pick(this.#machines), 'deletes');
    await deleter.delete(all);
    for (const machine of this.#machines) {
      const client = this.#client(machine, 'looks after');
      const left = await client.list();
      for (const key of all) if ((await client.get(key)).bytes !== undefined) left.push(key);
      if (left.length > 0) findings.add('S-10', `${machine.name} has ${left.join(', ')} though all was deleted`);
    }
    for (const machine of this.#machines) {
      const { values, bytes, leasedBytes } = this.#volume(machine).status;
      if (values > 0 || bytes > 0 || leasedBytes > 0)
        findings.add(
          'leaks',
          `${machine.name}: ${values} values of ${bytes} bytes, ${leasedBytes} leased, after all was deleted`,
        );
    }
  }

  async #close(): Promise<void> {
    const { clock, findings } = this.#world;
    await clock.sleep(AFTER_MS);
    for (const machine of this.#machines) {
      const { life, disk } = machine;
      await clock.sleep(AFTER_MS);
      const open = this.#network.openExchanges(life);
      if (open > 0) findings.add('leaks', `${open} calls or pulls of ${machine.name} are under way though it is idle`);
      await machine.leave();
      checkClosed(findings, life, { disk, origin: this.#origin });
    }
  }
}
