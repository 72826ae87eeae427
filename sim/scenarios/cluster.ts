/**
 * A cluster that reads one volume, with everything that can happen to it.
 *
 * Safety phase: clients of every node read, list, warm, evict and pin, crowds of them the same object at once, while
 * objects change at the origin and faults strike. Nothing wrong may ever be seen; errors may. Liveness phase: faults
 * stop; what is under way must end, the members must agree, and every object must be readable on every node, at the
 * first try, fresh and right, within a bound of virtual time. Then a drill (`cluster-drills.ts`): one hard case, played
 * by the book, with strict expectations. At last every node is emptied and closed, and nothing may be left.
 */
import { MiB, reopenMax } from '../../src/core/limits.ts';
import type { Volume } from '../../src/core/volume.ts';
import type { Json } from '../../src/io/peers.ts';
import type { Event } from '../../src/observe/events.ts';
import { Checkers } from '../checkers/checker.ts';
import { checkClosed, checkIdle } from '../checkers/leaks.ts';
import { Membership } from '../checkers/membership.ts';
import { OneVersion } from '../checkers/s1-one-version.ts';
import { Freshness } from '../checkers/s2-freshness.ts';
import { VerifiedBytes } from '../checkers/s9-verified-bytes.ts';
import { ClusterOnce, type Holder } from '../checkers/s11-cluster-once.ts';
import { Bounds } from '../checkers/s12-bounds.ts';
import { type Life, SimMachineClock } from '../sim-clock.ts';
import { assertContentUntouched } from '../sim-content.ts';
import { NO_COORDINATOR_FAULTS, SimCoordinator } from '../sim-coordinator.ts';
import { SimNetwork } from '../sim-network.ts';
import type { SimNode } from '../sim-node.ts';
import { SimOrigin } from '../sim-origin.ts';
import type { SimRandom } from '../sim-random.ts';
import { runDrill } from './cluster-drills.ts';
import { ClusterFaults } from './cluster-faults.ts';
import { ClusterMachine, type Surroundings } from './cluster-machine.ts';
import { CALMER_CLUSTER, type ClusterScenarioOptions, clusterVolume, drawCluster } from './cluster-options.ts';
import { ReadCacheClient } from './read-cache-client.ts';
import { originFaults } from './read-cache-faults.ts';
import { drawSize, keyOf, VOLUME_NAME } from './read-cache-options.ts';
import type { Sabotage, Scenario, World } from './scenario.ts';
import { UnderWay } from './under-way.ts';

/** The safety phase ends after this at the latest. */
const SAFETY_MAX_MS = 300_000;
/** After the faults: what is under way has ended, timeouts and back-offs included. */
const RECOVERY_MAX_MS = 180_000;
/** From then on nothing is left of the faults: sessions have ended, members agree, back-offs are over. */
const SETTLE_MS = 60_000;
/** How long a read may take, and whether the node may say that it could not ask for the current version. */
export interface ReadBounds {
  readonly boundMs: number;
  readonly mayBeStale: boolean;
}

/** A read of one object on a well cluster. */
export const PROMPT: ReadBounds = { boundMs: 20_000, mayBeStale: false };
/** A cluster that nobody uses says nothing for longer than this but renewals. */
const IDLE_MS = 10_000;

export const cluster: Scenario<ClusterScenarioOptions> = {
  name: 'cluster',
  draw: drawCluster,
  calmer: CALMER_CLUSTER,
  sabotages: ['trust-peers', 'forget-holders', 'young-facts'],
  begin: (world, options) => new ClusterRun(world, options),
};

export class ClusterRun {
  readonly world: World;
  readonly options: ClusterScenarioOptions;
  readonly volume: Volume;
  readonly random: SimRandom;
  readonly network: SimNetwork;
  readonly origin: SimOrigin;
  readonly coordinator: SimCoordinator;
  readonly machines: ClusterMachine[] = [];
  readonly faults: ClusterFaults;
  readonly once: ClusterOnce;
  readonly membership: Membership;
  readonly checkers: Checkers;
  readonly #surroundings: Surroundings;
  readonly #bounds: Bounds;
  /** Who last said where chunks are. */
  lastOwner: string | undefined;
  #operationsLeft: number;
  /** Operations of clients that have not ended, by the life that they use. */
  readonly #underWay: UnderWay;
  #isSafety = true;
  readonly #safetyOver = Promise.withResolvers<void>();

  constructor(world: World, options: ClusterScenarioOptions) {
    const { clock, trace, findings } = world;
    this.world = world;
    this.options = options;
    this.#underWay = new UnderWay(world, this.machines);
    this.volume = clusterVolume(options);
    this.random = world.random.fork('run');
    this.#operationsLeft = options.operations;
    const { latencyMs, lossChance, duplicateChance, lateChance } = options;
    this.network = new SimNetwork({
      clock,
      trace,
      random: world.random.fork('network'),
      faults: { latencyMs, lossChance, duplicateChance, lateChance, lateMs: 200 },
    });
    this.network.trustsBytes = world.sabotage === 'trust-peers';
    this.network.tamper = world.sabotage && TAMPERING[world.sabotage];
    const machine = new SimMachineClock(clock, world.random.fork('origin clock'));
    const faults = originFaults(options.originFaultChance);
    this.origin = new SimOrigin({ clock, trace, machine, random: world.random.fork('origin'), faults });
    this.coordinator = new SimCoordinator({
      clock,
      trace,
      random: world.random.fork('coordinator'),
      faults: { ...NO_COORDINATOR_FAULTS, lostRequestChance: lossChance, lostAnswerChance: lossChance },
    });
    this.membership = new Membership(findings, this.coordinator);
    this.#bounds = new Bounds(findings, { capacityBytes: options.capacityMiB * MiB, clients: options.clientsPerNode });
    this.once = new ClusterOnce({
      origin: this.origin,
      findings,
      volume: VOLUME_NAME,
      view: { quietMs: () => (this.#isSafety ? this.faults.quietMs : 0), holders: () => this.holders() },
    });
    this.checkers = new Checkers([
      new OneVersion(this.origin, findings),
      new Freshness(this.origin, findings, this.volume),
      new VerifiedBytes(this.origin, findings, this.volume),
      this.once,
      this.membership,
    ]);
    this.network.onAnswer = (seen) => {
      if (seen.type === 'directory.locate') this.lastOwner = seen.to;
      // what the coordinator holds says nothing while it is astray
      if (!this.faults.wasSetBack) this.membership.answered(seen);
    };
    this.#surroundings = {
      world,
      options,
      volume: this.volume,
      network: this.network,
      origin: this.origin,
      coordinator: this.coordinator,
      emitted: (machine, life, event) => this.#emitted(machine, life, event),
    };
    for (let index = 0; index < options.nodes; index++) this.addMachine();
    this.faults = new ClusterFaults({
      world,
      options,
      random: world.random.fork('faults'),
      machines: this.machines,
      network: this.network,
      origin: this.origin,
      coordinator: this.coordinator,
      start: (each) => this.start(each),
    });
  }

  /** To be called when nothing runs any more. */
  dispose(): void {
    for (const { disk } of this.machines) disk.dispose();
    assertContentUntouched();
  }

  async run(): Promise<void> {
    const { clock, findings } = this.world;
    for (let index = 0; index < this.options.objects; index++) this.#replace(index);
    await Promise.all(this.machines.map((machine) => this.start(machine)));
    if (!findings.isEmpty) return;
    const limit = clock.schedule(SAFETY_MAX_MS, () => this.#safetyOver.resolve());
    const faults = this.faults.run();
    void this.#changeObjects();
    void this.#crowds();
    await this.#safetyOver.promise;
    limit.run = undefined;
    this.#isSafety = false;
    await this.faults.stop();
    await faults;
    await this.#settle();
    if (findings.isEmpty) this.once.check();
    if (findings.isEmpty) await this.#readAll();
    if (findings.isEmpty) await runDrill(this);
    if (findings.isEmpty) await this.#empty();
  }

  /** A new machine, not started. */
  addMachine(): ClusterMachine {
    const machine = new ClusterMachine(this.#surroundings, this.machines.length);
    this.machines.push(machine);
    return machine;
  }

  /** Starts a machine's daemon and its clients. */
  async start(machine: ClusterMachine): Promise<void> {
    const { lossChance } = this.options;
    if (this.#isSafety && lossChance > 0) machine.trouble(Number.POSITIVE_INFINITY);
    await machine.start();
    if (!machine.node || !this.#isSafety) return;
    for (let index = 0; index < this.options.clientsPerNode; index++) void this.#runClient(machine, index);
  }

  holders(): Holder[] {
    return this.machines.flatMap(({ life, node }) =>
      node ? [{ life, holds: (content, block) => node.holds(content, block) }] : [],
    );
  }

  client(machine: ClusterMachine, name: string): ReadCacheClient {
    const { life } = machine;
    return new ReadCacheClient({
      clock: this.world.clock,
      random: this.random.fork(`${life.name} ${name}`),
      life,
      node: machine.node as SimNode,
      origin: this.origin,
      checkers: this.checkers,
      findings: this.world.findings,
      options: this.options,
      isServed: () => machine.life === life && machine.node !== undefined,
      alsoExpected: ['shuttingDown'],
    });
  }

  #emitted(machine: ClusterMachine, life: Life, event: Event): void {
    this.checkers.tell('event', life, event);
    this.#bounds.disk(machine.disk);
  }

  #replace(index: number): void {
    this.origin.replace(keyOf(index), { sizeBytes: drawSize(this.random, this.options) });
  }

  /** Objects change at the origin behind the nodes' backs. */
  async #changeObjects(): Promise<void> {
    const { clock } = this.world;
    const { changeMs, objects } = this.options;
    if (!Number.isFinite(changeMs)) return;
    while (this.#isSafety) {
      await clock.sleep(this.random.exponential(changeMs));
      if (!this.#isSafety) return;
      const index = this.random.integer(objects);
      if (this.random.chance(0.1)) this.origin.remove(keyOf(index));
      else this.#replace(index);
    }
  }

  /** All nodes want the same object at the same time. */
  async #crowds(): Promise<void> {
    const { clock } = this.world;
    const { stampedeMs, stampedeSpreadMs, objects } = this.options;
    if (!Number.isFinite(stampedeMs)) return;
    const random = this.random.fork('crowds');
    while (this.#isSafety) {
      await clock.sleep(random.exponential(stampedeMs));
      const key = keyOf(random.integer(objects));
      const warms = random.chance(0.5);
      for (const machine of this.machines) {
        if (!this.#isSafety || !machine.node) continue;
        const { life } = machine;
        const client = this.client(machine, `crowd ${clock.nowMs}`);
        const late = random.fraction() * stampedeSpreadMs;
        clock.schedule(late, () => void this.#underWay.counted(life, () => client.crowd(key, warms)), life);
      }
    }
  }

  async #runClient(machine: ClusterMachine, index: number): Promise<void> {
    const { clock, findings } = this.world;
    const { life } = machine;
    const client = this.client(machine, `client ${index}`);
    const random = this.random.fork(`${life.name} pauses ${index}`);
    while (findings.isEmpty) {
      await clock.sleep(random.exponential(this.options.thinkMs), { life });
      if (!this.#isSafety || this.#operationsLeft === 0 || machine.life !== life || !machine.node) return;
      if (--this.#operationsLeft === 0) this.#safetyOver.resolve();
      await this.#underWay.counted(life, () => client.operation());
    }
  }

  /** Everything that was under way has ended, and the members agree. */
  async #settle(): Promise<void> {
    const { clock } = this.world;
    if (!(await this.#underWay.ended(RECOVERY_MAX_MS))) return;
    await clock.sleep(SETTLE_MS);
    this.checkMembers();
  }

  checkMembers(): void {
    const live = this.machines.filter(({ node }) => node).map(({ name, life }) => ({ name, life }));
    this.membership.agree(live);
  }

  /** Every object is readable on every node at the first try, fresh and right. */
  async #readAll(): Promise<void> {
    for (const key of this.origin.keys()) {
      await Promise.all(this.machines.map((machine) => this.mustRead(machine, key)));
      if (!this.world.findings.isEmpty) return;
    }
    await Promise.all(this.machines.map((machine) => this.client(machine, 'lists').list()));
  }

  /** Reads an object whole on a well cluster: an error, stale bytes or too long a wait is a finding. */
  async mustRead(machine: ClusterMachine, key: string, { boundMs, mayBeStale }: ReadBounds = PROMPT): Promise<void> {
    const { clock, findings } = this.world;
    const fromMs = clock.nowMs;
    try {
      const seen = await this.client(machine, `must ${fromMs}`).readWhole(key, reopenMax);
      if (seen.stale && !mayBeStale)
        findings.add('liveness', `${machine.name} serves ${key} as stale though the origin answers`);
    } catch (error) {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      findings.add('liveness', `${key} cannot be read on ${machine.name} though nothing is wrong: ${text}`);
    }
    const tookMs = clock.nowMs - fromMs;
    if (tookMs > boundMs) findings.add('liveness', `the read of ${key} took ${tookMs} ms on ${machine.name}`);
  }

  /** Nothing is left when everything was evicted and the nodes are closed. */
  async #empty(): Promise<void> {
    const { clock, findings } = this.world;
    const everything = { volume: VOLUME_NAME, prefix: '' };
    for (const machine of this.machines) {
      const node = machine.node as SimNode;
      await node.reader.pin(everything, false);
      let keptBytes = 0;
      for (let tries = 0; tries < 5; tries++) {
        await clock.sleep(1000);
        keptBytes = (await node.reader.evict(everything)).kept;
        if (keptBytes === 0) break;
      }
      checkIdle(findings, { status: node.status(), keptBytes, wasKilled: machine.lives > 1 });
    }
    for (const machine of this.machines) {
      const { life, disk } = machine;
      // what the others' leaving set off is over
      await clock.sleep(IDLE_MS);
      const open = this.network.openExchanges(life);
      if (open > 0) findings.add('leaks', `${open} calls or pulls of ${machine.name} are under way though it is idle`);
      await machine.leave();
      checkClosed(findings, life, { disk, origin: this.origin });
    }
  }
}

/** What the canary makes of answers on their way. */
const TAMPERING: Partial<Record<Sabotage, (type: string, answer: Json) => Json>> = {
  'forget-holders': (type, answer) =>
    type === 'directory.locate' && Array.isArray(answer) ? answer.map(() => ({ kind: 'fill' })) : answer,
  'young-facts': (type, answer) => (type === 'head' ? { ...(answer as object), ageMs: 0 } : answer),
};
