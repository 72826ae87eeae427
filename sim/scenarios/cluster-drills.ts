/**
 * Drills: after the faults, on a cluster that is well and whose caches are empty, one hard case is played by the book, and
 * what must come of it is checked strictly. Each run of the cluster scenario plays one.
 */
import { MiB } from '../../src/core/limits.ts';
import { OriginAway } from '../checkers/s13-origin-away.ts';
import { CoordinatorAway } from '../checkers/s15-coordinator-away.ts';
import type { SimNode } from '../sim-node.ts';
import type { SimVersion } from '../sim-origin.ts';
import { type ClusterRun, PROMPT, type ReadBounds } from './cluster.ts';
import type { ClusterMachine } from './cluster-machine.ts';
import type { Drill } from './cluster-options.ts';
import { VOLUME_NAME } from './read-cache-options.ts';

/**
 * A read while a node is lost, or half of what it says and hears: its session has to end, its slots to be taken over, its
 * pulls to be given up. Where it owned the metadata, a remembered fact may be served as stale until then.
 */
const HARD: ReadBounds = { boundMs: 60_000, mayBeStale: true };
/** The same, where whoever is lost says no hello: the others ask the origin, and serve nothing as stale. */
const FRESH: ReadBounds = { ...HARD, mayBeStale: false };
/** Two owners that say no hello, of the object and of its chunk, and a deputy who finds that out: about 3.5 s. */
const SOON: ReadBounds = { boundMs: 5000, mayBeStale: false };
/** Longer than a session's term. */
const LAPSE_MS = 25_000;
/** Until the members agree again. */
const AGREE_MS = 40_000;
const KEY = 'drill/object';

const DRILL_OF: Readonly<Record<Drill, (drill: ClusterDrill) => Promise<void>>> = {
  crowd: (drill) => drill.crowd(),
  'late-joiner': (drill) => drill.lateJoiner(),
  'origin-away': (drill) => drill.originAway(),
  'coordinator-away': (drill) => drill.coordinatorAway(),
  'half-without-origin': (drill) => drill.halfWithoutOrigin(),
  'killed-midway': (drill) => drill.killedMidway(),
  'paused-midway': (drill) => drill.pausedMidway(),
  'corrupt-holder': (drill) => drill.corruptHolder(),
  'silent-holder': (drill) => drill.silentHolder(),
  overwritten: (drill) => drill.overwritten(),
};

export async function runDrill(run: ClusterRun): Promise<void> {
  const { drill } = run.options;
  run.world.trace.note(`drill ${drill}`);
  const played = new ClusterDrill(run);
  await played.makeRoom();
  await DRILL_OF[drill](played);
}

class ClusterDrill {
  readonly #run: ClusterRun;
  readonly #machines: readonly ClusterMachine[];
  readonly #version: SimVersion;
  #countedBefore = 0;

  constructor(run: ClusterRun) {
    this.#run = run;
    const { random, options } = run;
    this.#machines = random.chance(0.5) ? run.machines : run.machines.toReversed();
    const mostBytes = Math.min(options.sizeMaxMiB, options.capacityMiB / 2) * MiB;
    this.#version = run.origin.replace(KEY, { sizeBytes: random.between(1, Math.floor(mostBytes)) });
    this.#countedBefore = this.#counted();
  }

  /** Empties every cache, so that nothing needs to be evicted while the drill is played. */
  async makeRoom(): Promise<void> {
    const everything = { volume: VOLUME_NAME, prefix: '' };
    for (const { node } of this.#machines) {
      await (node as SimNode).reader.pin(everything, false);
      await (node as SimNode).reader.evict(everything);
    }
    await this.#pass(1000);
  }

  get #first(): ClusterMachine {
    return this.#machines[0] as ClusterMachine;
  }

  get #others(): readonly ClusterMachine[] {
    return this.#machines.slice(1);
  }

  #pass(ms: number): Promise<void> {
    return this.#run.world.clock.sleep(ms);
  }

  #counted(): number {
    return this.#run.machines.reduce((sum, { life }) => sum + this.#run.once.counted(life), 0);
  }

  /** Some machines read the object, beginning within a drawn time; each must have it. */
  async #read(machines: readonly ClusterMachine[], bounds = PROMPT): Promise<void> {
    const { random } = this.#run;
    const spreadMs = random.pick([0, 0, 5, 500]);
    await Promise.all(
      machines.map(async (machine) => {
        await this.#pass(random.fraction() * spreadMs);
        // it was killed before it began
        if (!machine.node) return;
        if (random.chance(0.3)) await this.#run.client(machine, 'warms').crowd(KEY, true);
        await this.#run.mustRead(machine, KEY, bounds);
      }),
    );
  }

  /** Read from the origin once, without a count. */
  #checkOnce(): void {
    const { once, world } = this.#run;
    once.whole(this.#version, { counted: 0, lost: 0 });
    const counted = this.#counted() - this.#countedBefore;
    if (counted > 0) world.findings.add('S-11', `${counted} bytes are counted as read again though nothing was wrong`);
  }

  /** An object that nobody knows, of the directory whose owner may be the dead one: its lease need not end first. */
  async #readUnknown(dead: ClusterMachine): Promise<void> {
    const { origin, random, world } = this.#run;
    const key = `${KEY} ${world.clock.nowMs}`;
    origin.replace(key, { sizeBytes: 100_000 });
    const reader = random.pick(this.#machines.filter((machine) => machine !== dead));
    await this.#run.mustRead(reader, key, SOON);
  }

  /** Whoever died, the others found out from each other what they have, at once. */
  #checkSpread(lostBytes: number): void {
    const { once, world, volume } = this.#run;
    const { again } = once.delivered(this.#version);
    const mostBytes = lostBytes + Math.max(this.#version.sizeBytes / 4, volume.chunkSizeBytes);
    if (again <= mostBytes) return;
    const { sizeBytes } = this.#version;
    world.findings.add(
      'S-11',
      `${again} of ${sizeBytes} bytes were read again from the origin after one node was killed`,
    );
  }

  async #agree(): Promise<void> {
    await this.#pass(AGREE_MS);
    this.#run.checkMembers();
  }

  async crowd(): Promise<void> {
    await this.#read(this.#machines);
    this.#checkOnce();
  }

  /** Who comes when others have it reads nothing from the origin. */
  async lateJoiner(): Promise<void> {
    const { once } = this.#run;
    await this.#read(this.#machines);
    const machine = this.#run.addMachine();
    await this.#run.start(machine);
    await this.#pass(this.#run.random.pick([0, 500, AGREE_MS]));
    const before = once.delivered(this.#version).bytes;
    await this.#read([machine]);
    const bytes = once.delivered(this.#version).bytes - before;
    const { findings } = this.#run.world;
    if (bytes > 0) findings.add('S-11', `a late joiner read ${bytes} bytes from the origin that others hold`);
    this.#checkOnce();
    await this.#agree();
  }

  async originAway(): Promise<void> {
    const { world, origin, volume, random } = this.#run;
    const checker = new OriginAway(world.findings, volume);
    await this.#read([this.#first]);
    origin.awayUntilMs = Number.POSITIVE_INFINITY;
    await this.#pass(random.pick([0, 3000, 100_000]));
    const isHeld = checker.isHeld(this.#version, this.#run.holders());
    const isServed =
      volume.revalidateMs === Number.POSITIVE_INFINITY || volume.staleIfErrorMs === Number.POSITIVE_INFINITY;
    if (isHeld && isServed) {
      for (const machine of this.#machines) {
        const client = this.#run.client(machine, 'away');
        await client.readWhole(KEY).catch((error: unknown) => checker.failed(machine.name, this.#version, error));
      }
    }
    origin.awayUntilMs = 0;
    await this.#pass(AGREE_MS);
    await this.#read(this.#machines);
  }

  async coordinatorAway(): Promise<void> {
    const { world, coordinator, random, origin } = this.#run;
    const checker = new CoordinatorAway(world.findings);
    await this.#read(this.#machines.slice(0, 2));
    const fromMs = world.clock.nowMs;
    coordinator.goAway(90_000);
    origin.replace('drill/new', { sizeBytes: this.#version.sizeBytes });
    await this.#pass(random.pick([0, 5000, 9000, 15_000, 40_000]));
    await Promise.all(
      this.#machines.map(async (machine) => {
        for (const key of [KEY, 'drill/new']) {
          const begunMs = world.clock.nowMs;
          const reading = this.#run.client(machine, 'away').readWhole(key);
          await reading.catch((error: unknown) => checker.failed(machine.name, key, begunMs - fromMs, error));
          const tookMs = world.clock.nowMs - begunMs;
          if (tookMs > PROMPT.boundMs) checker.slow(machine.name, key, tookMs);
        }
      }),
    );
    coordinator.heal();
    await this.#agree();
    await this.#read(this.#machines);
  }

  /**
   * Those that reach the origin are served, perhaps as stale where the owner of the metadata is among the others; these
   * as soon as they reach it again.
   */
  async halfWithoutOrigin(): Promise<void> {
    const { origin } = this.#run;
    const without = this.#machines.filter((_, index) => index % 2 === 1);
    const isCutFrom = origin.isCutFrom;
    origin.isCutFrom = (life) => without.some((machine) => machine.life === life);
    const trying = without.map((machine) => this.#run.client(machine, 'without').crowd(KEY, false));
    await this.#read(
      this.#machines.filter((machine) => !without.includes(machine)),
      HARD,
    );
    await Promise.all(trying);
    origin.isCutFrom = isCutFrom;
    await this.#pass(AGREE_MS);
    await this.#read(this.#machines);
  }

  /** Everybody reads; after a drawn time something happens to one, and all others must have it nevertheless. */
  async #midway(happens: (machine: ClusterMachine) => Promise<void>): Promise<void> {
    const { random } = this.#run;
    const [victim, ...others] = [this.#first, ...this.#others];
    const reading = this.#run.client(victim, 'victim').crowd(KEY, random.chance(0.5));
    const all = this.#read(others, FRESH);
    await this.#pass(random.exponential(random.pick([5, 50, 300])));
    await happens(victim);
    await all;
    // a killed reader's read never ends
    if (victim.life.alive && victim.node) await Promise.race([reading, this.#pass(HARD.boundMs)]);
  }

  /** One dies while everybody reads: whoever it is, or the owner that they wait for. */
  async killedMidway(): Promise<void> {
    const { once, random, origin, machines } = this.#run;
    const reads = new Map(this.#machines.map((machine) => [machine, this.#read([machine], FRESH)]));
    await this.#pass(random.exponential(random.pick([5, 50, 300])));
    const owner = machines.find(({ name }) => name === this.#run.lastOwner);
    const victim = (random.chance(0.6) ? owner : undefined) ?? this.#first;
    const { life } = victim;
    victim.crash(random.chance(0.5) ? 'process' : 'machine');
    const lost = origin.served
      .filter((served) => served.life === life && served.etag === this.#version.etag)
      .reduce((sum, { start, end }) => sum + end - start, 0);
    // a killed reader's read never ends
    reads.delete(victim);
    await Promise.all(reads.values());
    once.whole(this.#version, { counted: this.#counted() - this.#countedBefore, lost });
    this.#checkSpread(lost);
    await this.#readUnknown(victim);
    victim.boot();
    await this.#run.start(victim);
    await this.#agree();
    await this.#read([victim]);
  }

  async pausedMidway(): Promise<void> {
    await this.#midway(async (victim) => {
      victim.pause(LAPSE_MS);
    });
    await this.#pass(LAPSE_MS);
    await this.#agree();
    await this.#read(this.#machines);
  }

  async corruptHolder(): Promise<void> {
    const { host } = this.#first;
    await this.#read([this.#first]);
    host.corruptChance = 1;
    await this.#read(this.#others, FRESH);
    host.corruptChance = 0;
    this.#run.once.whole(this.#version, { counted: this.#counted() - this.#countedBefore, lost: 0 });
  }

  async silentHolder(): Promise<void> {
    const { host } = this.#first;
    await this.#read([this.#first]);
    host.isSilent = true;
    await this.#read(this.#others, FRESH);
    host.isSilent = false;
    this.#run.once.whole(this.#version, { counted: this.#counted() - this.#countedBefore, lost: 0 });
    await this.#agree();
  }

  /** Every node ends with one version: the same, or a newer one. */
  async overwritten(): Promise<void> {
    const { random, origin, volume } = this.#run;
    const reading = this.#read(this.#machines, HARD);
    await this.#pass(random.exponential(random.pick([5, 50, 300])));
    const sizeBytes = random.chance(0.5) ? this.#version.sizeBytes : 1 + random.integer(this.#version.sizeBytes);
    const newest = origin.replace(KEY, { sizeBytes });
    await reading;
    const { findings } = this.#run.world;
    if (!Number.isFinite(volume.revalidateMs) || !findings.isEmpty) return;
    await this.#pass(volume.revalidateMs + 10);
    for (const machine of this.#machines) {
      const { fact } = await this.#run.client(machine, 'newest').readWhole(KEY);
      if (fact.etag !== newest.etag) findings.add('S-2', `${machine.name} still serves ${fact.etag} of ${KEY}`);
    }
  }
}
