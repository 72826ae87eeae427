/**
 * The faults of the cluster scenario, drawn one after another until they are told to stop. Each is a window: it changes
 * something, and puts it back. What overlaps is counted, so that the last one to end puts the calm value back.
 */
import { NO_COORDINATOR_FAULTS, type SimCoordinator } from '../sim-coordinator.ts';
import type { SimNetwork } from '../sim-network.ts';
import type { SimOrigin } from '../sim-origin.ts';
import type { SimRandom } from '../sim-random.ts';
import type { ClusterMachine } from './cluster-machine.ts';
import type { ClusterScenarioOptions } from './cluster-options.ts';
import { CALM_DISK, CALM_ORIGIN } from './read-cache-faults.ts';
import type { World } from './scenario.ts';

const KINDS = {
  kill: 'killWeight',
  power: 'powerWeight',
  leave: 'leaveWeight',
  pause: 'pauseWeight',
  split: 'splitWeight',
  oneWay: 'oneWayWeight',
  originCut: 'originCutWeight',
  originAway: 'originAwayWeight',
  coordinatorCut: 'coordinatorCutWeight',
  coordinatorAway: 'coordinatorAwayWeight',
  coordinatorBack: 'coordinatorBackWeight',
  slow: 'slowWeight',
  silent: 'silentWeight',
  corrupt: 'corruptWeight',
  disk: 'diskWeight',
  wall: 'wallWeight',
  loseDisk: 'loseDiskWeight',
  coordinatorSlow: 'coordinatorSlowWeight',
  coordinatorDeaf: 'coordinatorDeafWeight',
  originDenied: 'originDeniedWeight',
} as const satisfies Record<string, keyof ClusterScenarioOptions>;

type Kind = keyof typeof KINDS;

export interface ClusterPlaces {
  readonly world: World;
  readonly random: SimRandom;
  readonly options: Pick<ClusterScenarioOptions, (typeof KINDS)[Kind] | 'faultMs'>;
  readonly machines: readonly ClusterMachine[];
  readonly network: SimNetwork;
  readonly origin: SimOrigin;
  readonly coordinator: SimCoordinator;
  /** A coordinator that is set back is put right after a while. */
  readonly restoresCoordinator?: boolean;
  /** Starts the daemon of a machine that is down, and lets clients use it. */
  start(machine: ClusterMachine): Promise<void>;
}

/** What a fault is. */
export type FaultKind = Kind;

export class ClusterFaults {
  readonly #places: ClusterPlaces;
  readonly #kinds: readonly Kind[];
  #isOver = false;
  /** Machines that are down or coming up again. */
  readonly #down = new Set<ClusterMachine>();
  readonly #ends = new Set<() => void>();
  /** Machines that cannot reach the origin; cut pairs of hosts. Counted, for windows overlap. */
  readonly #originCuts = new Map<ClusterMachine, number>();
  readonly #cuts = new Map<string, number>();
  #lastMs = 0;
  #isOlder = false;
  /** The coordinator went back in time: nodes that have seen the future refuse it until they are started anew. */
  wasSetBack = false;
  /** Told when a machine has lost its disk. */
  onDiskLost: ((machine: ClusterMachine) => void) | undefined;
  /** Told of each fault and for how long it lasts, where it is one that ends by itself. */
  onStrike: ((kind: Kind, machine: ClusterMachine, ms: number) => void) | undefined;

  constructor(places: ClusterPlaces) {
    this.#places = places;
    const { options, origin, machines } = places;
    this.#kinds = Object.entries(KINDS).flatMap(([kind, weight]) => Array<Kind>(options[weight]).fill(kind as Kind));
    origin.isCutFrom = (life) => machines.some((each) => each.life === life && this.#originCuts.has(each));
  }

  /** For how long nothing has been wrong; 0 while something is. */
  get quietMs(): number {
    const { world, origin, network, machines } = this.#places;
    const { nowMs } = world.clock;
    if (this.#ends.size > 0 || this.#down.size > 0 || machines.some((each) => each.isPaused || !each.node)) return 0;
    if (network.faults.lossChance > 0 || origin.faults.failChance > 0) return 0;
    return nowMs - this.#lastMs;
  }

  /** Draws faults until `stop`. */
  async run(): Promise<void> {
    const { world, random, options } = this.#places;
    if (this.#kinds.length === 0 || !Number.isFinite(options.faultMs)) return;
    while (!this.#isOver) {
      await world.clock.sleep(random.exponential(options.faultMs));
      if (this.#isOver) return;
      this.#strike(random.pick(this.#kinds));
    }
  }

  /** Ends every fault; machines that are down come back. */
  async stop(): Promise<void> {
    const { world, network, coordinator, origin, machines } = this.#places;
    this.#isOver = true;
    for (const end of Array.from(this.#ends)) end();
    Object.assign(network.faults, { lossChance: 0, duplicateChance: 0, lateChance: 0 });
    Object.assign(origin.faults, CALM_ORIGIN);
    origin.awayUntilMs = 0;
    Object.assign(coordinator.faults, NO_COORDINATOR_FAULTS);
    coordinator.heal();
    while (this.#down.size > 0 && world.findings.isEmpty) await world.clock.sleep(100);
    // who refuses a coordinator that went back in time does so until it is started anew
    if (this.wasSetBack) for (const machine of machines) await this.restart(machine, 'kill');
    this.wasSetBack = false;
    for (const machine of machines) machine.troubleUntilMs = world.clock.nowMs;
  }

  /** Ends a machine's daemon in one way or another, and starts it again after a while. */
  async restart(machine: ClusterMachine, how: 'kill' | 'power' | 'leave' | 'disk'): Promise<void> {
    if (this.#down.has(machine)) return;
    const { world, random } = this.#places;
    this.#down.add(machine);
    world.trace.note(`fault ${how} ${machine.name}`);
    if (how === 'leave') await machine.leave();
    else machine.crash(how === 'kill' ? 'process' : 'machine');
    if (how === 'disk') {
      machine.replaceDisk();
      this.onDiskLost?.(machine);
    }
    await world.clock.sleep(random.exponential(random.pick([50, 2000, 20_000])));
    // nobody would start a daemon that knows nothing with a coordinator that is wrong
    while (this.#isOlder) await world.clock.sleep(100);
    machine.boot();
    while (!this.#isOver && random.chance(0.2)) {
      void this.#places.start(machine);
      await world.clock.sleep(random.exponential(random.pick([3, 30])));
      machine.crash('process');
    }
    await this.#places.start(machine);
    this.#down.delete(machine);
    this.#touch();
  }

  #touch(): void {
    this.#lastMs = this.#places.world.clock.nowMs;
  }

  #strike(kind: Kind): void {
    const { world, random, machines } = this.#places;
    const machine = random.pick(machines);
    const ms = random.exponential(random.pick([300, 4000, 20_000]));
    world.trace.note(`fault ${kind} ${machine.name}`, ms);
    this.#touch();
    this.onStrike?.(kind, machine, ms);
    this.#strikes[kind](machine, ms);
  }

  readonly #strikes: Readonly<Record<Kind, (machine: ClusterMachine, ms: number) => void>> = {
    kill: (machine) => void this.restart(machine, 'kill'),
    power: (machine) => void this.restart(machine, 'power'),
    leave: (machine) => void this.restart(machine, 'leave'),
    pause: (machine, ms) => {
      machine.pause(ms);
      this.#window(ms, () => {});
    },
    split: (_, ms) => this.#cutBetween(ms, ...this.#halves(), 'both'),
    oneWay: (machine, ms) => {
      const { random, machines } = this.#places;
      if (random.chance(0.5)) this.#cutBetween(ms, ...this.#halves(), 'one');
      else this.#cutBetween(ms, [machine], [random.pick(machines)], 'one');
    },
    originCut: (machine, ms) => this.#cutOrigin(ms, this.#someOr(machine)),
    originAway: (_, ms) => this.#originAway(ms),
    coordinatorCut: (machine, ms) => {
      const { world, coordinator } = this.#places;
      for (const each of this.#someOr(machine)) {
        each.trouble(world.clock.nowMs + ms);
        coordinator.cut(each.name, ms);
      }
      this.#window(ms, () => {});
    },
    coordinatorAway: (_, ms) => {
      const { world, coordinator, machines } = this.#places;
      coordinator.goAway(ms);
      for (const each of machines) each.trouble(world.clock.nowMs + ms);
      this.#window(ms, () => {});
    },
    coordinatorBack: (_, ms) => {
      const { random, coordinator, machines } = this.#places;
      if (this.#places.restoresCoordinator) return this.#coordinatorOlder(2 * ms);
      this.wasSetBack = true;
      coordinator.setBack(random.between(1, 20));
      for (const each of machines) each.trouble(Number.POSITIVE_INFINITY);
    },
    slow: (machine, ms) => this.#slow(machine, ms),
    silent: ({ host }, ms) => {
      host.isSilent = true;
      this.#window(ms, () => {
        host.isSilent = false;
      });
    },
    corrupt: ({ host }, ms) => {
      host.corruptChance = this.#places.random.pick([0.1, 1]);
      this.#window(ms, () => {
        host.corruptChance = 0;
      });
    },
    disk: (machine, ms) => this.#disk(machine, ms / 2),
    loseDisk: (machine) => void this.restart(machine, 'disk'),
    coordinatorSlow: (_, ms) => {
      const { coordinator, random, world, machines } = this.#places;
      Object.assign(coordinator.faults, { slowChance: 0.5, slowMs: random.pick([100, 1000, 8000]) });
      for (const each of machines) each.trouble(world.clock.nowMs + ms);
      this.#window(ms, () => Object.assign(coordinator.faults, { slowChance: 0 }));
    },
    originDenied: (_, ms) => {
      const { origin, world } = this.#places;
      origin.deniedUntilMs = Math.max(origin.deniedUntilMs, world.clock.nowMs + ms);
      this.#window(ms, () => {
        if (this.#isOver) origin.deniedUntilMs = 0;
      });
    },
    coordinatorDeaf: (machine, ms) => {
      const { coordinator, world } = this.#places;
      machine.trouble(world.clock.nowMs + ms);
      coordinator.loseAnswers(machine.name, true);
      this.#window(ms, () => coordinator.loseAnswers(machine.name, false));
    },
    wall: (machine) => machine.clock.jumpWall(this.#places.random.between(-86_400_000, 86_400_000)),
  };

  #originAway(ms: number): void {
    const { world, origin } = this.#places;
    origin.awayUntilMs = Math.max(origin.awayUntilMs, world.clock.nowMs + ms);
    this.#window(ms, () => {
      if (this.#isOver) origin.awayUntilMs = 0;
    });
  }

  #slow({ host }: ClusterMachine, ms: number): void {
    const { random, network } = this.#places;
    const { upBytesPerMs, downBytesPerMs } = host;
    if (host.slowMs > 0) return;
    host.upBytesPerMs /= 50;
    host.downBytesPerMs /= 50;
    host.slowMs = random.pick([5, 50]);
    network.links.changed();
    this.#window(ms, () => {
      Object.assign(host, { upBytesPerMs, downBytesPerMs, slowMs: 0 });
      network.links.changed();
    });
  }

  #disk(machine: ClusterMachine, ms: number): void {
    const { world, random } = this.#places;
    const { disk } = machine;
    machine.trouble(world.clock.nowMs + ms);
    const calm = () => void Object.assign(disk.faults, CALM_DISK);
    const kind = random.pick(['hang', 'full', 'slow', 'error'] as const);
    if (kind === 'hang') {
      disk.hang(ms);
      this.#window(ms, () => {
        if (this.#isOver) disk.hungUntilMs = 0;
      });
    } else if (kind === 'full') {
      disk.othersBytes = Math.max(0, disk.capacityBytes - disk.usedBytes - random.pick([0, 100_000, 1 << 20]));
      this.#window(ms, () => {
        disk.othersBytes = 0;
      });
    } else if (kind === 'slow') {
      Object.assign(disk.faults, { slowChance: 0.3, slowMs: random.pick([5, 100, 3000]) });
      this.#window(ms, calm);
    } else {
      Object.assign(disk.faults, { errorChance: random.pick([0.02, 0.2, 1]) });
      this.#window(ms, calm);
    }
  }

  /** The coordinator shows an older state until somebody puts that right, and starts every daemon anew. */
  #coordinatorOlder(ms: number): void {
    const { random, coordinator, machines } = this.#places;
    if (this.#down.size > 0 || machines.some((each) => !each.node)) return;
    const restore = coordinator.showOlder(random.pick([0.2, 0.5, 0.8]));
    if (restore === undefined) return;
    this.#isOlder = true;
    for (const each of machines) each.trouble(Number.POSITIVE_INFINITY);
    this.#window(ms, () => {
      restore();
      this.#isOlder = false;
      for (const each of machines) {
        each.troubleUntilMs = this.#places.world.clock.nowMs;
        void this.restart(each, 'kill');
      }
    });
  }

  /** Two groups, neither empty where there are two machines. */
  #halves(): [ClusterMachine[], ClusterMachine[]] {
    const { random, machines } = this.#places;
    const first = random.pick(machines);
    const some = machines.filter((each) => each === first || random.chance(0.4));
    const others = machines.filter((each) => !some.includes(each));
    return [some, others];
  }

  #someOr(machine: ClusterMachine): readonly ClusterMachine[] {
    return this.#places.random.chance(0.5) ? [machine] : this.#halves()[0];
  }

  #cutBetween(
    ms: number,
    some: readonly ClusterMachine[],
    others: readonly ClusterMachine[],
    ways: 'one' | 'both',
  ): void {
    const pairs = some.flatMap((a) => others.filter((b) => b !== a).map((b) => [a.host.name, b.host.name] as const));
    const all = ways === 'both' ? [...pairs, ...pairs.map(([a, b]) => [b, a] as const)] : pairs;
    const { network } = this.#places;
    for (const [a, b] of all) {
      const name = `${a}>${b}`;
      this.#cuts.set(name, (this.#cuts.get(name) ?? 0) + 1);
      network.cut(a, b);
    }
    this.#window(ms, () => {
      for (const [a, b] of all) {
        const name = `${a}>${b}`;
        const left = (this.#cuts.get(name) ?? 0) - 1;
        this.#cuts.set(name, left);
        if (left <= 0) network.mend(a, b);
      }
    });
  }

  #cutOrigin(ms: number, machines: readonly ClusterMachine[]): void {
    const counts = this.#originCuts;
    for (const each of machines) counts.set(each, (counts.get(each) ?? 0) + 1);
    this.#window(ms, () => {
      for (const each of machines) {
        const left = (counts.get(each) ?? 0) - 1;
        if (left > 0) counts.set(each, left);
        else counts.delete(each);
      }
    });
  }

  #window(ms: number, undo: () => void): void {
    const end = (): void => {
      if (!this.#ends.delete(end)) return;
      undo();
      this.#touch();
    };
    this.#ends.add(end);
    this.#places.world.clock.schedule(ms, end);
  }
}
