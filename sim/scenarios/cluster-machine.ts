/**
 * One machine of a simulated cluster: its clocks, its disk, its link, and the daemon that runs on it, life after life. A
 * daemon that does not come up while something explains it is started again, as a supervisor does.
 */
import { KiB, MiB } from '../../src/core/limits.ts';
import type { Volume } from '../../src/core/volume.ts';
import type { Event } from '../../src/observe/events.ts';
import { Life, SimMachineClock } from '../sim-clock.ts';
import type { SimCoordinator } from '../sim-coordinator.ts';
import { SimDisk } from '../sim-disk.ts';
import type { SimHost, SimNetwork } from '../sim-network.ts';
import type { SimNode } from '../sim-node.ts';
import type { SimOrigin } from '../sim-origin.ts';
import type { SimRandom } from '../sim-random.ts';
import type { ClusterScenarioOptions } from './cluster-options.ts';
import { CALM_DISK } from './read-cache-faults.ts';
import type { World } from './scenario.ts';

/** What all machines share. */
export interface Surroundings {
  readonly world: World;
  readonly options: Pick<ClusterScenarioOptions, 'zones' | 'capacityMiB' | 'canPunch' | 'linkMiBPerS'>;
  readonly volume: Volume;
  readonly network: SimNetwork;
  readonly origin: SimOrigin;
  /** Further volumes. */
  readonly others?: readonly { readonly volume: Volume; readonly origin: SimOrigin }[];
  readonly coordinator: SimCoordinator;
  emitted(machine: ClusterMachine, life: Life, event: Event): void;
}

const SECRET = Buffer.from('the secret of the simulated cluster');
const PEER_PORT = 7074;
const RESTART_MS = 500;

export class ClusterMachine {
  readonly name: string;
  readonly zone: string;
  readonly clock: SimMachineClock;
  disk: SimDisk;
  readonly host: SimHost;
  life: Life;
  /** The daemon, while it serves. */
  node: SimNode | undefined;
  lives = 0;
  /** Until then its disk misbehaves, or something keeps it from starting. */
  troubleUntilMs = 0;
  readonly #surroundings: Surroundings;
  readonly #random: SimRandom;
  /** Counts starts asked for: one that was overtaken by a newer one gives up. */
  #turn = 0;

  constructor(surroundings: Surroundings, index: number) {
    const { world, options, network } = surroundings;
    const { clock } = world;
    this.#surroundings = surroundings;
    this.name = `node-${index}`;
    this.zone = `zone-${index % options.zones}`;
    this.#random = world.random.fork(this.name);
    this.clock = new SimMachineClock(clock, this.#random.fork('clock'));
    this.disk = this.#makeDisk('disk');
    const bytesPerMs = (options.linkMiBPerS * MiB) / 1000;
    this.host = network.addHost(`10.0.0.${index + 1}`, { upBytesPerMs: bytesPerMs, downBytesPerMs: bytesPerMs });
    this.life = new Life(`${this.name} life 0`);
    this.life.alive = false;
  }

  #makeDisk(name: string): SimDisk {
    const { world, options } = this.#surroundings;
    const { clock, trace } = world;
    return new SimDisk({
      clock,
      trace,
      machine: this.clock,
      random: this.#random.fork(name),
      capacityBytes: (options.capacityMiB + 64) * MiB,
      canPunch: options.canPunch,
      canClone: false,
      deadlineMs: Number.POSITIVE_INFINITY,
      faults: CALM_DISK,
    });
  }

  /** The machine gets a new, empty disk. To be called while it is down. */
  replaceDisk(): void {
    this.#surroundings.world.trace.note(`${this.name} lost its disk`);
    this.disk.dispose();
    this.disk = this.#makeDisk(`disk ${this.lives}`);
  }

  get isPaused(): boolean {
    return this.life.pausedUntilMs > this.#surroundings.world.clock.nowMs;
  }

  /** Starts the daemon; resolves when it serves. Resolves without one when the machine was crashed or started anew meanwhile. */
  async start(): Promise<void> {
    const { clock, findings, trace } = this.#surroundings.world;
    const turn = ++this.#turn;
    const fromMs = clock.nowMs;
    for (;;) {
      const life = new Life(`${this.name} life ${++this.lives}`);
      this.life = life;
      try {
        const node = await this.#startNode(life);
        if (turn !== this.#turn) return;
        this.node = node;
        trace.note(`${life.name} serves`);
        return;
      } catch (error) {
        if (turn !== this.#turn) return;
        trace.note(`${life.name} does not start`);
        const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
        if (fromMs >= this.troubleUntilMs) findings.add('errors', `${life.name} does not start: ${text}`);
        if (!findings.isEmpty) return;
        this.#end(life, 'process');
        await clock.sleep(RESTART_MS);
        if (turn !== this.#turn) return;
      }
    }
  }

  #startNode(life: Life): Promise<SimNode> {
    const { world, options, volume, network, origin, coordinator, others = [] } = this.#surroundings;
    return world.startNode({
      clock: this.clock.attach(life),
      random: this.#random.fork(life.name),
      disk: this.disk.attach(life),
      origin: origin.attach(life),
      volume,
      others: others.map((each) => ({ volume: each.volume, origin: each.origin.attach(life) })),
      directory: '/cache',
      capacityBytes: options.capacityMiB * MiB,
      hotBytes: 256 * KiB,
      scrubBytesPerS: 0,
      snapshotAfterBytes: 16 * KiB,
      emit: (event) => {
        world.trace.note(`${this.name} ${JSON.stringify(event)}`);
        this.#surroundings.emitted(this, life, event);
      },
      cluster: {
        cluster: 'sim',
        node: this.name,
        zone: this.zone,
        address: { host: this.host.name, port: PEER_PORT },
        coordinator: coordinator.attach({ life, clock: this.clock.attach(life), node: this.name }),
        listenPeers: network.attach(this.host, life),
        secrets: () => [SECRET],
      },
    });
  }

  #end(life: Life, kind: 'process' | 'machine'): void {
    this.disk.crash(life, kind);
    this.#surroundings.network.crash(life, kind);
  }

  /** Ends the daemon, or the machine; nobody starts it again. */
  crash(kind: 'process' | 'machine'): void {
    this.#turn++;
    this.node = undefined;
    this.#end(this.life, kind);
    if (kind === 'machine') this.host.hasPower = false;
  }

  /** Gives a machine that was without it power again. */
  boot(): void {
    if (this.host.hasPower) return;
    this.host.hasPower = true;
    this.clock.reboot();
  }

  /** Closes the daemon in good order. */
  async leave(): Promise<void> {
    const { node, life } = this;
    if (!node) return;
    const { clock, findings } = this.#surroundings.world;
    this.#turn++;
    this.node = undefined;
    await node.close().catch((error: unknown) => {
      const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
      if (clock.nowMs >= this.troubleUntilMs) findings.add('errors', `${life.name} does not close: ${text}`);
    });
    this.#end(life, 'process');
  }

  pause(ms: number): void {
    const { nowMs } = this.#surroundings.world.clock;
    this.life.pausedUntilMs = Math.max(this.life.pausedUntilMs, nowMs + ms);
    // a daemon that loses its session while it starts may give up
    this.trouble(this.life.pausedUntilMs + 1);
  }

  trouble(untilMs: number): void {
    this.troubleUntilMs = Math.max(this.troubleUntilMs, untilMs);
  }
}
