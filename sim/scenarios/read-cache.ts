/**
 * One node that caches one volume for reading, with everything that can happen to it.
 *
 * Safety phase: clients read, list, warm, evict and pin while objects change at the origin and faults strike. Nothing
 * wrong may ever be seen; errors may. Liveness phase: faults stop; what is under way must end, and then every object
 * must be readable, at the first try, fresh and right, within a bound of virtual time. At last the node is emptied and
 * closed, and nothing may be left.
 */
import { KiB, MiB, reopenMax } from '../../src/core/limits.ts';
import type { Volume } from '../../src/core/volume.ts';
import { Checkers } from '../checkers/checker.ts';
import { checkClosed, checkIdle } from '../checkers/leaks.ts';
import { OneVersion } from '../checkers/s1-one-version.ts';
import { Freshness } from '../checkers/s2-freshness.ts';
import { VerifiedBytes } from '../checkers/s9-verified-bytes.ts';
import { OriginOnce } from '../checkers/s11-origin-once.ts';
import { Bounds } from '../checkers/s12-bounds.ts';
import { CrashRestart } from '../checkers/s14-crash-restart.ts';
import { Life, SimMachineClock } from '../sim-clock.ts';
import { assertContentUntouched } from '../sim-content.ts';
import { SimDisk } from '../sim-disk.ts';
import type { SimNode } from '../sim-node.ts';
import { SimOrigin } from '../sim-origin.ts';
import type { SimRandom } from '../sim-random.ts';
import { ReadCacheClient } from './read-cache-client.ts';
import { CALM_DISK, isContent, originFaults, ReadCacheFaults } from './read-cache-faults.ts';
import {
  CALMER_READ_CACHE,
  drawReadCache,
  drawSize,
  keyOf,
  type ReadCacheOptions,
  VOLUME_NAME,
  volumeOf,
} from './read-cache-options.ts';
import type { Scenario, World } from './scenario.ts';

/** The safety phase ends after this at the latest. */
const SAFETY_MAX_MS = 600_000;
/** After the faults: what is under way has ended, timeouts and back-offs included. */
const RECOVERY_MAX_MS = 120_000;
/** A read of one object on a well node. */
const READ_MAX_MS = 20_000;

export const readCache: Scenario<ReadCacheOptions> = {
  name: 'read-cache',
  draw: drawReadCache,
  calmer: CALMER_READ_CACHE,
  sabotages: ['drop-write', 'keep-boot-id'],
  begin: (world, options) => new ReadCacheRun(world, options),
};

class ReadCacheRun {
  readonly #world: World;
  readonly #options: ReadCacheOptions;
  readonly #volume: Volume;
  readonly #random: SimRandom;
  readonly #machine: SimMachineClock;
  readonly #disk: SimDisk;
  readonly #origin: SimOrigin;
  readonly #faults: ReadCacheFaults;
  readonly #once: OriginOnce;
  readonly #bounds: Bounds;
  readonly #restart: CrashRestart;
  readonly #checkers: Checkers;
  #life = new Life('life 0');
  #node: SimNode | undefined;
  #lives = 0;
  #operationsLeft: number;
  /** Operations of clients of the current life that have not ended. */
  #underWay = 0;
  #isSafety = true;
  /** Resolved when the clients have begun all their operations, or time is up. */
  readonly #safetyOver = Promise.withResolvers<void>();
  #diskTroubleUntilMs = 0;

  constructor(world: World, options: ReadCacheOptions) {
    const { clock, trace, findings } = world;
    this.#world = world;
    this.#options = options;
    this.#volume = volumeOf(options);
    this.#operationsLeft = options.operations;
    this.#random = world.random.fork('run');
    const machine = new SimMachineClock(clock, world.random.fork('machine'));
    const shared = { clock, trace, machine };
    const capacityBytes = options.capacityMiB * MiB;
    const { canPunch, canClone } = options;
    this.#machine = machine;
    this.#disk = new SimDisk({
      ...shared,
      random: world.random.fork('disk'),
      capacityBytes: capacityBytes + 64 * MiB,
      canPunch,
      canClone,
      // the node has a deadline of its own
      deadlineMs: Number.POSITIVE_INFINITY,
      faults: CALM_DISK,
    });
    this.#machine.keepsBootId = world.sabotage === 'keep-boot-id';
    if (world.sabotage === 'drop-write') this.#disk.dropsWrite = dropsOneWrite();
    const origin = new SimOrigin({
      ...shared,
      random: world.random.fork('origin'),
      faults: originFaults(options.originFaultChance),
    });
    this.#origin = origin;
    this.#once = new OriginOnce(origin, findings, VOLUME_NAME);
    this.#bounds = new Bounds(findings, { capacityBytes, clients: options.clients });
    this.#restart = new CrashRestart(clock, findings);
    this.#checkers = new Checkers([
      new OneVersion(origin, findings),
      new Freshness(origin, findings, this.#volume),
      new VerifiedBytes(origin, findings, this.#volume),
      this.#once,
      this.#restart,
    ]);
    this.#faults = new ReadCacheFaults({
      ...shared,
      random: world.random.fork('faults'),
      disk: this.#disk,
      origin,
      options,
      diskTrouble: (untilMs) => {
        this.#diskTroubleUntilMs = Math.max(this.#diskTroubleUntilMs, untilMs);
        this.#diskFailed();
      },
      pause: (ms) => {
        this.#life.pausedUntilMs = Math.max(this.#life.pausedUntilMs, clock.nowMs + ms);
      },
      crash: (kind) => this.#crash(kind),
    });
  }

  /** To be called when nothing runs any more. */
  dispose(): void {
    this.#disk.dispose();
    assertContentUntouched();
  }

  async run(): Promise<void> {
    const { clock } = this.#world;
    for (let index = 0; index < this.#options.objects; index++) this.#replace(index);
    await this.#start();
    this.#startClients();
    const faults = this.#faults.run();
    void this.#changeObjects();
    const limit = clock.schedule(SAFETY_MAX_MS, () => this.#safetyOver.resolve());
    await this.#safetyOver.promise;
    limit.run = undefined;
    this.#isSafety = false;
    this.#faults.stop();
    await faults;
    await this.#liveness();
  }

  #diskFailed(): void {
    this.#restart.diskFailed(this.#diskTroubleUntilMs);
    this.#once.diskFailed(this.#life);
  }

  #replace(index: number): void {
    this.#origin.replace(keyOf(index), { sizeBytes: drawSize(this.#random, this.#options) });
  }

  /** Objects change at the origin behind the node's back. */
  async #changeObjects(): Promise<void> {
    const { clock } = this.#world;
    if (!Number.isFinite(this.#options.changeMs)) return;
    while (this.#isSafety) {
      await clock.sleep(this.#random.exponential(this.#options.changeMs));
      if (!this.#isSafety) return;
      const index = this.#random.integer(this.#options.objects);
      if (this.#random.chance(0.1)) this.#origin.remove(keyOf(index));
      else this.#replace(index);
    }
  }

  /** Starts a life; one that does not come up, because the disk fails, is killed and tried again, as a supervisor does. */
  async #start(): Promise<void> {
    const { clock, findings, trace } = this.#world;
    const fromMs = clock.nowMs;
    for (;;) {
      const life = new Life(`life ${++this.#lives}`);
      this.#life = life;
      if (clock.nowMs < this.#diskTroubleUntilMs) this.#diskFailed();
      try {
        const node = await this.#startOrDie(life);
        if (!node) continue;
        this.#node = node;
        trace.note(`${life.name} serves`);
        this.#checkers.tell('started', life);
        return;
      } catch (error) {
        const mayFail = clock.nowMs < this.#diskTroubleUntilMs || fromMs < this.#diskTroubleUntilMs;
        const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
        if (!mayFail) findings.add('errors', `${life.name} does not start: ${text}`);
        if (!findings.isEmpty) return;
        trace.note(`${life.name} does not start`);
        this.#disk.crash(life, 'process');
        await clock.sleep(500);
      }
    }
  }

  /** Starts a node that may be killed while it starts; `undefined` when it was. */
  async #startOrDie(life: Life): Promise<SimNode | undefined> {
    const starting = this.#startNode(life);
    const mayDie = this.#isSafety && this.#lives > 1 && Number.isFinite(this.#options.faultMs);
    if (!mayDie || !this.#random.chance(0.3)) return starting;
    const death = Promise.withResolvers<undefined>();
    const timer = this.#world.clock.schedule(this.#random.exponential(5), () => {
      this.#kill(life, this.#options.powerWeight > 0 && this.#random.chance(0.3) ? 'machine' : 'process');
      death.resolve(undefined);
    });
    try {
      return await Promise.race([starting, death.promise]);
    } finally {
      timer.run = undefined;
    }
  }

  #startNode(life: Life): Promise<SimNode> {
    const { trace } = this.#world;
    return this.#world.startNode({
      clock: this.#machine.attach(life),
      random: this.#world.random.fork(life.name),
      disk: this.#disk.attach(life),
      origin: this.#origin.attach(life),
      volume: this.#volume,
      directory: '/cache',
      capacityBytes: this.#options.capacityMiB * MiB,
      hotBytes: this.#options.hotKiB * KiB,
      scrubBytesPerS: this.#options.scrubMiBPerS * MiB,
      snapshotAfterBytes: this.#options.snapshotKiB * KiB,
      emit: (event) => {
        trace.note(JSON.stringify(event));
        this.#checkers.tell('event', life, event);
        this.#bounds.disk(this.#disk);
        this.#bounds.requests(this.#origin.requestsOpen.get(life) ?? 0);
      },
    });
  }

  #client(name: string): ReadCacheClient {
    return new ReadCacheClient({
      clock: this.#world.clock,
      random: this.#world.random.fork(`${this.#life.name} ${name}`),
      life: this.#life,
      node: this.#node as SimNode,
      origin: this.#origin,
      checkers: this.#checkers,
      findings: this.#world.findings,
      options: this.#options,
    });
  }

  #startClients(): void {
    this.#underWay = 0;
    for (let index = 0; index < this.#options.clients; index++) void this.#runClient(`client ${index}`);
  }

  async #runClient(name: string): Promise<void> {
    const { clock, findings } = this.#world;
    const life = this.#life;
    const client = this.#client(name);
    const random = this.#world.random.fork(`${life.name} ${name} pauses`);
    while (findings.isEmpty) {
      await clock.sleep(random.exponential(this.#options.thinkMs), { life });
      if (!this.#isSafety || this.#operationsLeft === 0) return;
      if (--this.#operationsLeft === 0) this.#safetyOver.resolve();
      this.#underWay++;
      await client.operation();
      this.#underWay--;
    }
  }

  async #crash(kind: 'process' | 'machine'): Promise<void> {
    const { clock } = this.#world;
    const random = this.#random;
    const life = this.#life;
    if (clock.nowMs < this.#diskTroubleUntilMs) this.#diskFailed();
    this.#once.check(life);
    this.#checkers.tell('crashed', life, kind);
    this.#kill(life, kind);
    await clock.sleep(random.exponential(2000));
    const originIsAway = random.chance(0.5);
    if (originIsAway) this.#origin.awayUntilMs = clock.nowMs + 30_000 + random.exponential(10_000);
    await this.#start();
    if (!this.#world.findings.isEmpty) return;
    if (originIsAway && this.#volume.staleIfErrorMs === Number.POSITIVE_INFINITY) await this.#readKept();
    this.#startClients();
    this.#origin.awayUntilMs = clock.nowMs + random.exponential(1000);
  }

  #kill(life: Life, kind: 'process' | 'machine'): void {
    this.#disk.crash(life, kind);
    if (kind === 'process') return;
    this.#restart.diskFailed(this.#world.clock.nowMs);
    this.#machine.reboot();
    for (let rots = this.#random.between(0, 3); rots > 0 && this.#options.rotWeight > 0; rots--) {
      this.#disk.rot(isContent);
    }
  }

  /** S-14: with the origin away, what was whole before is served. */
  async #readKept(): Promise<void> {
    const client = this.#client('after crash');
    for (const kept of this.#restart.expected) {
      if (this.#world.clock.nowMs < this.#diskTroubleUntilMs) return;
      if (!this.#origin.isAway) return;
      try {
        await client.readWhole(kept.key);
      } catch (error) {
        if (this.#world.clock.nowMs < this.#diskTroubleUntilMs) return;
        this.#restart.lost(kept, error instanceof Error ? error.message : String(error));
        return;
      }
    }
  }

  async #liveness(): Promise<void> {
    const { clock, findings } = this.#world;
    // a process that stands still has no time to recover in
    await clock.sleep(this.#life.pausedUntilMs - clock.nowMs);
    const deadlineMs = clock.nowMs + RECOVERY_MAX_MS;
    while (this.#underWay > 0 && findings.isEmpty) {
      if (clock.nowMs > deadlineMs) {
        findings.add(
          'liveness',
          `${this.#underWay} operations of clients have not ended ${RECOVERY_MAX_MS} ms after the faults`,
        );
        return;
      }
      await clock.sleep(100);
    }
    if (!findings.isEmpty) return;
    await clock.sleep(RECOVERY_MAX_MS / 2);
    await this.#readAll();
    if (findings.isEmpty) await this.#empty();
  }

  /** Every object is readable at the first try, fresh and right. */
  async #readAll(): Promise<void> {
    const { clock, findings } = this.#world;
    const client = this.#client('liveness');
    for (const key of this.#origin.keys()) {
      const fromMs = clock.nowMs;
      try {
        const seen = await client.readWhole(key, reopenMax);
        if (seen.stale) findings.add('liveness', `${key} is served as stale though the origin answers`);
      } catch (error) {
        const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
        findings.add('liveness', `${key} cannot be read ${RECOVERY_MAX_MS / 2} ms after the faults: ${text}`);
      }
      const tookMs = clock.nowMs - fromMs;
      if (tookMs > READ_MAX_MS) findings.add('liveness', `the read of ${key} took ${tookMs} ms on a well node`);
      if (!findings.isEmpty) return;
    }
    await client.list();
  }

  /** Nothing is left when everything was evicted and the node is closed. */
  async #empty(): Promise<void> {
    const { clock, findings } = this.#world;
    const node = this.#node as SimNode;
    const everything = { volume: VOLUME_NAME, prefix: '' };
    await node.reader.pin(everything, false);
    let keptBytes = 0;
    for (let tries = 0; tries < 5; tries++) {
      // the scrubber may just be at one of them
      await clock.sleep(1000);
      keptBytes = (await node.reader.evict(everything)).kept;
      if (keptBytes === 0) break;
    }
    await clock.sleep(60_000);
    this.#once.check(this.#life);
    checkIdle(findings, { status: node.status(), keptBytes, wasKilled: this.#lives > 1 });
    await node.close();
    checkClosed(findings, this.#life, { disk: this.#disk, origin: this.#origin });
    this.#bounds.disk(this.#disk);
  }
}

/** The canary's damage: the third write of content bytes is acknowledged and never happens. */
function dropsOneWrite(): (path: string, at: number, lengthBytes: number) => boolean {
  let count = 0;
  return (path) => (path.includes('/objects/') || path.includes('/small/')) && ++count === 3;
}
