/**
 * Whole nodes that save one step over links of a given rate, in virtual time: `createNode` on simulated io, so that the order in which
 * bytes leave, and every pause between them, is what the shipped code does, whatever else the machine is busy with.
 */
import { MiB } from '../../src/core/limits.ts';
import type { Volume } from '../../src/core/volume.ts';
import type { Event } from '../../src/observe/events.ts';
import type { AttemptName } from '../../src/write/checkpoint-decisions.ts';
import { Findings } from '../checkers/checker.ts';
import { ClusterMachine } from '../scenarios/cluster-machine.ts';
import { type Life, SimClock, SimMachineClock } from '../sim-clock.ts';
import { NO_COORDINATOR_FAULTS, SimCoordinator } from '../sim-coordinator.ts';
import { SimNetwork } from '../sim-network.ts';
import { type OriginChange, SimOrigin } from '../sim-origin.ts';
import { SimRandom } from '../sim-random.ts';
import { startClusterNode } from '../start-cluster-node.ts';
import { Trace } from '../trace.ts';

export interface VirtualOptions {
  /** Sizes of the files of each rank, by node and rank. */
  readonly nodes: readonly (readonly (readonly number[])[])[];
  readonly linkMiBPerS: number;
  /** The origin's link ÷ a node's. */
  readonly originLinks: number;
  readonly zones: number;
  readonly seed: number;
  /** Every line of the trace, for who looks for pauses. */
  readonly print?: (line: string) => void;
}

/** Milliseconds since the first rank began. */
export interface VirtualTimes {
  /** The last rank goes on. */
  readonly blockedMs: number;
  /** The step survives the loss of any node, and records say so. */
  readonly safeMs: number;
  readonly durableMs: number;
  /** The least time in which every byte can leave its node, and in which the origin can take all of them. */
  readonly safeFloorMs: number;
  readonly originFloorMs: number;
}

const VOLUME = 'steps';
const PIECE_BYTES = MiB / 4;
const MARKER_BYTES = 4096;
/** Sessions, keepers and the probes of a beginning are over. */
const QUIET_MS = 15_000;
const LATENCY_MS = 0.2;
const ORIGIN_MS = 4;
const VIRTUAL_MAX_MS = 600_000;

async function* pieces(sizeBytes: number, seed: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < sizeBytes; at += PIECE_BYTES)
    yield Buffer.alloc(Math.min(PIECE_BYTES, sizeBytes - at), (seed + at / PIECE_BYTES) % 251);
}

export class VirtualCluster {
  readonly clock: SimClock;
  readonly machines: ClusterMachine[] = [];
  readonly origin: SimOrigin;
  readonly #options: VirtualOptions;
  readonly #findings: Findings;
  readonly #arrived = new Map<string, number>();
  readonly #replicated = new Map<string, number>();

  constructor(options: VirtualOptions) {
    this.#options = options;
    const random = new SimRandom(options.seed);
    const trace = new Trace(options.print);
    const clock = new SimClock(random.fork('clock'), trace);
    this.clock = clock;
    this.#findings = new Findings(() => clock.nowMs);
    const shared = { clock, trace };
    const faults = { latencyMs: LATENCY_MS, lossChance: 0, lateChance: 0, lateMs: 0, duplicateChance: 0 };
    const network = new SimNetwork({ ...shared, random: random.fork('network'), faults });
    const coordinator = new SimCoordinator({
      ...shared,
      random: random.fork('coordinator'),
      faults: NO_COORDINATOR_FAULTS,
    });
    this.origin = this.#makeOrigin({ ...shared, random, network });
    const bytes = options.nodes.flat(2).reduce((sum, size) => sum + size, 0);
    for (const index of options.nodes.keys()) {
      const world = {
        ...shared,
        random,
        findings: this.#findings,
        startNode: startClusterNode,
        sabotage: undefined,
      };
      const capacityMiB = 64 + Math.ceil((3 * bytes) / MiB);
      const surroundings = {
        world,
        options: { zones: options.zones, capacityMiB, canPunch: true, linkMiBPerS: options.linkMiBPerS },
        volume: VOLUME_OF_STEPS,
        network,
        origin: this.origin,
        coordinator,
        emitted: (_machine: ClusterMachine, _life: Life, event: Event) => this.#emitted(event),
      };
      this.machines.push(new ClusterMachine(surroundings, index));
    }
  }

  #makeOrigin(parts: { clock: SimClock; trace: Trace; random: SimRandom; network: SimNetwork }): SimOrigin {
    const { clock, trace, random, network } = parts;
    const { linkMiBPerS, originLinks } = this.#options;
    const bytesPerMs = (originLinks * linkMiBPerS * MiB) / 1000;
    const machine = new SimMachineClock(clock, random.fork('origin machine'));
    const none = {
      throttleChance: 0,
      failChance: 0,
      silentChance: 0,
      resetChance: 0,
      truncateChance: 0,
      stallChance: 0,
    };
    const faults = { latencyMs: ORIGIN_MS, bytesPerMs, ...none };
    const origin = new SimOrigin({ clock, machine, random: random.fork('origin'), trace, faults });
    const host = network.addHost('origin', { upBytesPerMs: bytesPerMs, downBytesPerMs: bytesPerMs });
    origin.carry = (life, bytes) => {
      const from = this.machines.find((each) => each.life === life)?.host;
      if (from === undefined) return Promise.resolve();
      return new Promise((resolve) => network.links.start({ from, to: host }, bytes, resolve));
    };
    origin.onChange = ({ key, now }: OriginChange) => {
      if (now !== undefined) this.#arrived.set(key, clock.nowMs);
    };
    return origin;
  }

  #emitted(event: Event): void {
    if (event.kind === 'write.replicated') this.#replicated.set(event.key, this.clock.nowMs);
  }

  /** Virtual time until `work` is done. */
  async run<T>(work: Promise<T>): Promise<T> {
    return this.clock.settle(work, this.clock.nowMs + VIRTUAL_MAX_MS);
  }

  async start(): Promise<void> {
    await this.run(Promise.all(this.machines.map((machine) => machine.start())));
    await this.run(this.clock.sleep(QUIET_MS));
    if (!this.#findings.isEmpty) throw new Error(this.#findings.all.map(({ message }) => message).join('\n'));
  }

  async close(): Promise<void> {
    await this.run(Promise.all(this.machines.map((machine) => machine.leave())));
    for (const { disk } of this.machines) disk.dispose();
  }

  /** All ranks save at once, each a file after the other; the last of them makes the first node write the marker. */
  async save(step: string, { asCheckpoint }: { asCheckpoint: boolean }): Promise<VirtualTimes> {
    const first = this.#node(0);
    const { nodes } = this.#options;
    const checkpoints = first.checkpoints;
    const checkpoint: AttemptName | undefined =
      asCheckpoint && checkpoints !== undefined
        ? { checkpoint: step, ...(await this.run(checkpoints.begin(VOLUME, step))) }
        : undefined;
    const fromMs = this.clock.nowMs;
    const keys: string[] = [];
    const ranks = nodes.flatMap((all, node) => all.map((sizes, rank) => ({ node, rank, sizes })));
    const put = async (node: number, key: string, sizeBytes: number): Promise<void> => {
      keys.push(key);
      const body = { lengthBytes: sizeBytes, stream: () => pieces(sizeBytes, keys.length) };
      const { signal } = new AbortController();
      const options = { headers: {}, metadata: {}, signal, ...(checkpoint && { checkpoint }) };
      await this.#node(node).writer?.put({ volume: VOLUME, key }, body, options);
    };
    const save = async (): Promise<{ blockedMs: number; committedMs: number }> => {
      await Promise.all(
        ranks.map(async ({ node, rank, sizes }) => {
          for (const [file, size] of sizes.entries()) await put(node, `${step}/${node}-${rank}-${file}`, size);
        }),
      );
      const blockedMs = this.clock.nowMs;
      await put(0, `${step}/.metadata`, MARKER_BYTES);
      if (checkpoint !== undefined) await checkpoints?.commit(VOLUME, checkpoint);
      return { blockedMs, committedMs: this.clock.nowMs };
    };
    const { blockedMs, committedMs } = await this.run(save());
    await this.#until(keys, this.#arrived);
    if (checkpoint === undefined) await this.#until(keys, this.#replicated);
    const last = (times: ReadonlyMap<string, number>) => Math.max(...keys.map((key) => times.get(key) as number));
    const shares = nodes.map((node) => node.flat().reduce((sum, size) => sum + size, 0));
    const perMs = (this.#options.linkMiBPerS * MiB) / 1000;
    return {
      blockedMs: blockedMs - fromMs,
      safeMs: (checkpoint === undefined ? last(this.#replicated) : committedMs) - fromMs,
      durableMs: last(this.#arrived) - fromMs,
      safeFloorMs: Math.max(...shares) / perMs,
      originFloorMs: Math.max(
        shares.reduce((sum, share) => sum + share, 0) / (this.#options.originLinks * perMs),
        Math.max(...shares) / perMs,
      ),
    };
  }

  #node(index: number) {
    const node = this.machines[index]?.node;
    if (node === undefined) throw new Error(`node ${index} does not serve`);
    return node;
  }

  async #until(keys: readonly string[], times: ReadonlyMap<string, number>): Promise<void> {
    const untilMs = this.clock.nowMs + VIRTUAL_MAX_MS;
    while (!keys.every((key) => times.has(key))) {
      if (this.clock.nowMs > untilMs) throw new Error(`${keys.filter((key) => !times.has(key)).join(', ')} never came`);
      await this.run(this.clock.sleep(5));
    }
  }
}

const VOLUME_OF_STEPS: Volume = {
  name: VOLUME,
  origin: 'memory:steps',
  write: true,
  revalidateMs: 60_000,
  staleIfErrorMs: Number.POSITIVE_INFINITY,
  chunkSizeBytes: 16 * MiB,
  verify: 'arrival',
  writes: {
    ack: 'local',
    replicas: 2,
    onDegraded: 'wait',
    onFull: 'block',
    onConflict: 'hold',
    drainOrder: 'directory',
  },
};
