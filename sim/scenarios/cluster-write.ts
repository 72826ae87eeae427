/**
 * A cluster that is written to, with everything that can happen to it.
 *
 * Safety phase: clients of every node write, overwrite, rename, delete, read and list, some in the sequences of checkpoint
 * writers, while faults strike: nodes die, some with their disks. Nothing wrong may ever be seen, by clients or by an observer
 * of the origin, and nothing acknowledged may be lost but with all of its copies. Liveness phase: faults stop; everything
 * committed reaches the origin or is shown as what cannot, and every key reads the same on every node. At last the whole
 * history must fit one order per key, and nothing may be left over.
 */
import { drainRefusedRetryMs, MiB, originAckMaxMs, originLateMs } from '../../src/core/limits.ts';
import type { Volume } from '../../src/core/volume.ts';
import { Checkers } from '../checkers/checker.ts';
import { checkClosed, checkIdle } from '../checkers/leaks.ts';
import { Membership } from '../checkers/membership.ts';
import { Linearizable, textOf } from '../checkers/s2-linearizable.ts';
import { AckLevels } from '../checkers/s3-ack-levels.ts';
import { Copies } from '../checkers/s3-copies.ts';
import { Latest } from '../checkers/s6-latest.ts';
import { numberOf, OriginWatch } from '../checkers/s7-origin-watch.ts';
import { Bounds } from '../checkers/s12-bounds.ts';
import { Drained } from '../checkers/s13-drained.ts';
import { CommitsWait } from '../checkers/s15-commits.ts';
import { RecordWatch } from '../record-watch.ts';
import { type Life, SimMachineClock } from '../sim-clock.ts';
import { assertContentUntouched } from '../sim-content.ts';
import { NO_COORDINATOR_FAULTS, SimCoordinator } from '../sim-coordinator.ts';
import { SimNetwork } from '../sim-network.ts';
import type { SimNode } from '../sim-node.ts';
import { SimOrigin } from '../sim-origin.ts';
import type { SimRandom } from '../sim-random.ts';
import { type KeyHistory, WriteHistory } from '../write-history.ts';
import { ClusterFaults } from './cluster-faults.ts';
import { ClusterMachine, type Surroundings } from './cluster-machine.ts';
import { type Seen, WriteClient } from './cluster-write-client.ts';
import {
  CALMER_CLUSTER_WRITE,
  type ClusterWriteOptions,
  drawClusterWrite,
  SHARED_DIRECTORY,
  writeVolumes,
} from './cluster-write-options.ts';
import { WriteWork } from './cluster-write-work.ts';
import { originFaults } from './read-cache-faults.ts';
import type { Scenario, World } from './scenario.ts';

/** The safety phase ends after this at the latest. */
const SAFETY_MAX_MS = 300_000;
/** After the faults: what is under way has ended, timeouts and back-offs included. */
const RECOVERY_MAX_MS = originAckMaxMs + 300_000;
/** Sessions have ended, members agree, back-offs are over. */
const SETTLE_MS = 60_000;
/** Within which everything has drained then. */
const DRAIN_MAX_MS = originLateMs + 300_000;
/** How often it is looked whether copies are where the records say. */
const AUDIT_MS = 2000;
const READ_MAX_MS = 30_000;
const IDLE_MS = 10_000;
/** Longer than what was replaced is kept for its readers. */
const KEPT_MS = 660_000;

export const clusterWrite: Scenario<ClusterWriteOptions> = {
  name: 'cluster-write',
  draw: drawClusterWrite,
  calmer: CALMER_CLUSTER_WRITE,
  sabotages: ['blind-origin', 'cut-objects', 'late-origin', 'lose-disk', 'blind-compares', 'forget-records'],
  begin: (world, options) => new ClusterWriteRun(world, options),
};

interface Place {
  readonly volume: Volume;
  readonly origin: SimOrigin;
  readonly watch: OriginWatch;
}

const isOwn = (key: string): boolean => !key.startsWith(SHARED_DIRECTORY);

export class ClusterWriteRun {
  readonly world: World;
  readonly options: ClusterWriteOptions;
  readonly random: SimRandom;
  readonly history = new WriteHistory();
  readonly machines: ClusterMachine[] = [];
  readonly places: readonly Place[];
  readonly coordinator: SimCoordinator;
  readonly records: RecordWatch;
  readonly network: SimNetwork;
  readonly faults: ClusterFaults;
  readonly #copies: Copies;
  readonly #levels: AckLevels;
  readonly #latest: Latest;
  readonly #linearizable: Linearizable;
  readonly #drained: Drained;
  readonly #commitsWait: CommitsWait;
  readonly #membership: Membership;
  readonly #checkers: Checkers;
  readonly #bounds: Bounds;
  #operationsLeft: number;
  readonly #underWay = new Map<Life, number>();
  #isSafety = true;
  readonly #safetyOver = Promise.withResolvers<void>();

  constructor(world: World, options: ClusterWriteOptions) {
    const { findings } = world;
    this.world = world;
    this.options = options;
    this.random = world.random.fork('run');
    this.#operationsLeft = options.operations;
    this.network = this.#makeNetwork();
    this.coordinator = this.#makeCoordinator();
    this.records = new RecordWatch(this.coordinator);
    const holders = () => this.machines;
    this.#copies = new Copies({
      findings,
      records: this.records,
      holders,
      begunMs: (number) => this.history.begunMs(number),
    });
    this.records.onStep = (step) => {
      world.trace.note(`record ${step.volume}/${step.key} ${JSON.stringify(step.now ?? 'gone')}`);
      this.#copies.stepped(step);
    };
    this.places = this.#makePlaces();
    const watchOf = (volume: string) => this.places.find((place) => place.volume.name === volume) as Place;
    this.#levels = new AckLevels({
      findings,
      copies: this.#copies,
      volumeOf: (name) => watchOf(name).volume,
      hasShown: (write) => watchOf(write.volume).watch.hasShown(write),
    });
    this.#latest = new Latest(findings);
    this.#linearizable = new Linearizable(this.history, findings, isOwn);
    const volumes = this.places.map(({ volume }) => volume);
    this.#drained = new Drained({ findings, records: this.records, copies: this.#copies, volumes, isOwn });
    this.#commitsWait = new CommitsWait(findings, this.coordinator);
    this.#membership = new Membership(findings, this.coordinator);
    this.#checkers = new Checkers([this.#membership]);
    this.network.onAnswer = (seen) => this.#membership.answered(seen);
    this.#bounds = new Bounds(findings, { capacityBytes: options.capacityMiB * MiB, clients: options.clientsPerNode });
    const first = this.places[0] as Place;
    const surroundings: Surroundings = {
      world,
      options,
      volume: first.volume,
      others: this.places.slice(1),
      network: this.network,
      origin: first.origin,
      coordinator: this.coordinator,
      emitted: (machine, life, event) => {
        // what no record ever named is a write that failed
        if (event.kind === 'store.dropped' && event.reason === 'caller' && this.#copies.isKnown(event.content))
          this.#commitsWait.dropped(machine.name, event.content);
        this.#checkers.tell('event', life, event);
        this.#bounds.disk(machine.disk);
      },
    };
    for (let index = 0; index < options.nodes; index++) this.machines.push(new ClusterMachine(surroundings, index));
    this.faults = new ClusterFaults({
      world,
      options,
      random: world.random.fork('faults'),
      machines: this.machines,
      network: this.network,
      origin: first.origin,
      coordinator: this.coordinator,
      restoresCoordinator: true,
      start: (each) => this.start(each),
    });
    if (options.zombieChance > 0) this.#makeZombies();
    this.faults.onDiskLost = (machine) => this.lostDisk(machine);
  }

  /** A machine has lost its disk. */
  lostDisk({ name }: ClusterMachine): void {
    if (this.world.sabotage !== 'lose-disk') this.#copies.lost(name, this.world.clock.nowMs);
  }

  /** Nodes are paused right before they send what they have decided, for longer than their sessions last. */
  #makeZombies(): void {
    const random = this.world.random.fork('zombies');
    const pause = (life: Life): void => {
      const machine = this.machines.find((each) => each.life === life);
      if (!machine || machine.isPaused || !this.#isSafety || !random.chance(this.options.zombieChance)) return;
      const ms = random.between(11_000, 40_000);
      this.world.trace.note(`fault zombie ${machine.name}`, ms);
      machine.pause(ms);
    };
    this.coordinator.beforeSend = pause;
    for (const { origin } of this.places) origin.beforeSend = pause;
  }

  #makeNetwork(): SimNetwork {
    const { clock, trace, random } = this.world;
    const { latencyMs, lossChance, duplicateChance, lateChance } = this.options;
    const faults = { latencyMs, lossChance, duplicateChance, lateChance, lateMs: 200 };
    return new SimNetwork({ clock, trace, random: random.fork('network'), faults });
  }

  #makeCoordinator(): SimCoordinator {
    const { clock, trace, random, sabotage } = this.world;
    const { lossChance } = this.options;
    const faults = { ...NO_COORDINATOR_FAULTS, lostRequestChance: lossChance, lostAnswerChance: lossChance };
    const coordinator = new SimCoordinator({ clock, trace, random: random.fork('coordinator'), faults });
    coordinator.state.ignoresCompares = sabotage === 'blind-compares';
    if (sabotage === 'forget-records') coordinator.state.hides = (key) => key.startsWith('records/');
    return coordinator;
  }

  #makePlaces(): Place[] {
    const { world, options, history } = this;
    const { clock, trace, findings, sabotage } = world;
    const machine = new SimMachineClock(clock, world.random.fork('origin clock'));
    const faults = { ...originFaults(options.originFaultChance), unansweredChance: options.unansweredChance };
    const places: Place[] = [];
    for (const volume of writeVolumes(options)) {
      const random = world.random.fork(`origin of ${volume.name}`);
      const twin = places[0]?.origin;
      const origin = new SimOrigin({ clock, trace, machine, random, faults, ...(twin && { twin }) });
      origin.keepsBeginOptions = options.keepsBeginOptions;
      origin.uploadBytesPerMs = 100 << 10;
      if (sabotage === 'blind-origin') origin.damage.ignoresConditions = true;
      if (sabotage === 'cut-objects') origin.damage.cutsObjects = true;
      if (sabotage === 'late-origin') origin.damage.lateMs = 5000;
      const isBaseless = (what: number | string) => this.#copies.isBaseless(what);
      const isDeleteDrained = (name: string, key: string) => this.#isDeleteDrained(name, key);
      const hadTrouble = (name: string, key: string) => this.#copies.hadTrouble(name, key);
      // what a paused daemon had decided to send goes out when it wakes
      const isPrompt = options.zombieChance === 0 && options.pauseWeight === 0;
      const finalised = (key: string) => isPrompt && this.#commitsWait.finalised(key);
      const watch = new OriginWatch({
        finalised,
        findings,
        history,
        origin,
        volume,
        isOwn,
        isBaseless,
        hadTrouble,
        isDeleteDrained,
      });
      places.push({ volume, origin, watch });
    }
    return places;
  }

  /** To be called when nothing runs any more. */
  dispose(): void {
    for (const { disk } of this.machines) disk.dispose();
    assertContentUntouched();
  }

  async run(): Promise<void> {
    const { clock, findings } = this.world;
    await Promise.all(this.machines.map((machine) => this.start(machine)));
    if (!findings.isEmpty) return;
    const limit = clock.schedule(SAFETY_MAX_MS, () => this.#safetyOver.resolve());
    const faults = this.faults.run();
    void this.#changeObjects();
    void this.#auditAlways();
    await this.#safetyOver.promise;
    limit.run = undefined;
    this.#isSafety = false;
    await this.faults.stop();
    for (const { origin } of this.places) origin.faults.unansweredChance = 0;
    await faults;
    await this.#settle();
    if (findings.isEmpty) await this.#drain();
    if (findings.isEmpty) await this.#readAll();
    if (findings.isEmpty) this.#checkEnds(this.#linearizable.check());
    if (findings.isEmpty) await this.#empty();
  }

  /** Starts a machine's daemon and its clients. */
  async start(machine: ClusterMachine): Promise<void> {
    const { lossChance } = this.options;
    if (this.#isSafety && lossChance > 0) machine.trouble(Number.POSITIVE_INFINITY);
    await machine.start();
    if (!machine.node || !this.#isSafety) return;
    for (let index = 0; index < this.options.clientsPerNode; index++) void this.#runClient(machine, index);
  }

  client(machine: ClusterMachine, name: string): WriteClient {
    const { life } = machine;
    const { clock, findings } = this.world;
    return new WriteClient({
      clock,
      random: this.random.fork(`${life.name} ${name}`),
      life,
      name: machine.name,
      node: machine.node as SimNode,
      history: this.history,
      findings,
      latest: this.#latest,
      isServed: () => machine.life === life && machine.node !== undefined,
      seen: (observation) => {
        this.history.observed(observation);
        this.#linearizable.seen(observation);
      },
      acknowledged: (write, written) => {
        this.#levels.acknowledged(write, written);
        this.#commitsWait.acknowledged(write);
      },
    });
  }

  async #runClient(machine: ClusterMachine, index: number): Promise<void> {
    const { clock, findings } = this.world;
    const { life } = machine;
    const random = this.random.fork(`${life.name} work ${index}`);
    const work = new WriteWork({
      job: `job of ${machine.name} ${index}`,
      random,
      options: this.options,
      history: this.history,
      volumes: this.places.map(({ volume }) => volume.name),
      client: this.client(machine, `client ${index}`),
      others: () =>
        this.machines.flatMap((each) => (each.node && each !== machine ? [this.client(each, `${clock.nowMs}`)] : [])),
    });
    while (findings.isEmpty) {
      await clock.sleep(random.exponential(this.options.thinkMs), { life });
      if (!this.#isSafety || this.#operationsLeft === 0 || machine.life !== life || !machine.node) return;
      if (--this.#operationsLeft === 0) this.#safetyOver.resolve();
      this.#underWay.set(life, (this.#underWay.get(life) ?? 0) + 1);
      await work.operation();
      this.#underWay.set(life, (this.#underWay.get(life) ?? 0) - 1);
    }
  }

  /** Someone else changes objects at the origin, under keys that the cluster writes, too. */
  async #changeObjects(): Promise<void> {
    const { clock } = this.world;
    const { changeMs } = this.options;
    if (!Number.isFinite(changeMs)) return;
    const random = this.random.fork('someone else');
    while (this.#isSafety) {
      await clock.sleep(random.exponential(changeMs));
      if (!this.#isSafety) return;
      const { origin } = random.pick(this.places);
      const key = `${SHARED_DIRECTORY}object ${random.integer(2)}`;
      if (random.chance(0.2)) origin.remove(key);
      else origin.replace(key, { sizeBytes: random.integer(100_000) });
    }
  }

  async #auditAlways(): Promise<void> {
    const { clock, findings } = this.world;
    while (this.#isSafety && findings.isEmpty) {
      await clock.sleep(AUDIT_MS);
      this.#copies.audit();
    }
  }

  async #settle(): Promise<void> {
    const { clock, findings } = this.world;
    for (const { life } of this.machines) await clock.sleep(life.pausedUntilMs - clock.nowMs);
    const deadlineMs = clock.nowMs + RECOVERY_MAX_MS;
    const left = () => this.machines.reduce((sum, { life }) => sum + (this.#underWay.get(life) ?? 0), 0);
    while (left() > 0 && findings.isEmpty) {
      if (clock.nowMs > deadlineMs) {
        const open = this.history.open().map(textOf);
        const text = `${left()} operations have not ended ${RECOVERY_MAX_MS} ms after the faults`;
        findings.add('liveness', `${text}: ${open.join(', ')}`);
        return;
      }
      await clock.sleep(100);
    }
    await clock.sleep(SETTLE_MS);
    this.#membership.agree(this.machines.filter(({ node }) => node).map(({ name, life }) => ({ name, life })));
    this.#copies.audit();
  }

  async #drain(): Promise<void> {
    const { clock, findings } = this.world;
    const deadlineMs = clock.nowMs + DRAIN_MAX_MS;
    while (this.#drained.refused().length > 0 && findings.isEmpty) {
      if (clock.nowMs > deadlineMs + drainRefusedRetryMs) break;
      await clock.sleep(1000);
    }
    while (this.#drained.pending().length > 0 && clock.nowMs < deadlineMs && findings.isEmpty) await clock.sleep(1000);
    this.#drained.check();
    // what a late request brought back is looked for until then
    if (this.#hasReturned()) await clock.sleep(originLateMs + IDLE_MS);
  }

  #isDeleteDrained(volume: string, key: string): boolean {
    const current = this.records.of(volume, key)?.current;
    return current?.kind === 'tombstone' && current.drained;
  }

  #hasReturned(): boolean {
    return this.places.some(({ volume, origin }) =>
      origin.keys().some((key) => isOwn(key) && this.#isDeleteDrained(volume.name, key)),
    );
  }

  /** Every key reads the same on every node, at the first try; what was lost is shown as an error. */
  async #readAll(): Promise<void> {
    for (const history of this.history.keys()) {
      await Promise.all(this.machines.map((machine) => this.#mustRead(machine, history)));
      if (!this.world.findings.isEmpty) return;
    }
    for (const { volume } of this.places)
      await Promise.all(
        this.machines.map(async (machine) => {
          const client = this.client(machine, 'lists');
          await client.list(volume.name, '');
          await client.latest(volume.name);
        }),
      );
  }

  async #mustRead(machine: ClusterMachine, { volume, key }: KeyHistory): Promise<void> {
    const { clock, findings } = this.world;
    const fromMs = clock.nowMs;
    let seen: Seen | undefined;
    try {
      seen = await this.client(machine, `must ${fromMs}`).read({ volume, key });
      if (seen?.stale) findings.add('liveness', `${machine.name} serves ${key} as stale though nothing is wrong`);
    } catch (error) {
      const current = this.records.of(volume, key)?.current;
      if (current?.kind === 'dirty' && this.#copies.isContentLost(current.content)) return;
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      const record = JSON.stringify(current);
      findings.add(
        'S-3',
        `${volume}/${key} cannot be read on ${machine.name} though nothing is wrong: ${text} ${record}`,
      );
    }
    const tookMs = clock.nowMs - fromMs;
    if (tookMs > READ_MAX_MS) findings.add('liveness', `the read of ${key} took ${tookMs} ms on ${machine.name}`);
  }

  /** The origin has what the key holds. */
  #checkEnds(ends: ReadonlyMap<KeyHistory, ReadonlySet<number>>): void {
    for (const [{ volume, key }, states] of ends) {
      const record = this.records.of(volume, key)?.current;
      if (record?.kind === 'dirty' || (record?.kind === 'tombstone' && !record.drained)) continue;
      const place = this.places.find((each) => each.volume.name === volume) as Place;
      const shown = numberOf(place.origin.current(key)) ?? 0;
      if (states.has(shown)) continue;
      const holds = [...states].map((state) => (state === 0 ? 'nothing' : `content ${state}`)).join(' or ');
      this.world.findings.add(
        'S-13',
        `the origin shows ${shown || 'nothing'} of ${volume}/${key}, which holds ${holds}`,
      );
    }
  }

  /** Nothing is left when everything was evicted and the nodes are closed. */
  async #empty(): Promise<void> {
    const { clock, findings } = this.world;
    // it takes long: not in every run
    // what a client does not know the outcome of, or left midway, is kept for a day
    const isKnown = this.history.keys().every(({ writes }) => writes.every(({ outcome }) => outcome !== 'unknown'));
    if (!isKnown || this.history.leftUploads > 0 || !this.random.chance(0.3)) return;
    await clock.sleep(KEPT_MS);
    const isAllDrained = this.records.all().every(({ record }) => record.current?.kind !== 'dirty');
    for (const machine of this.machines) {
      const node = machine.node as SimNode;
      let keptBytes = 0;
      for (let tries = 0; tries < 5; tries++) {
        await clock.sleep(1000);
        keptBytes = 0;
        for (const { volume } of this.places)
          keptBytes += (await node.reader.evict({ volume: volume.name, prefix: '' })).kept;
        if (keptBytes === 0) break;
      }
      if (isAllDrained) checkIdle(findings, { status: node.status(), keptBytes, wasKilled: true });
    }
    for (const machine of this.machines) {
      const { life, disk } = machine;
      // what the others' leaving set off is over
      await clock.sleep(IDLE_MS);
      await machine.leave();
      for (const { origin } of this.places) checkClosed(findings, life, { disk, origin });
    }
  }
}
