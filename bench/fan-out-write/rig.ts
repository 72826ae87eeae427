/**
 * The machines of `bench fan-out-write`: an origin that takes writes and N nodes behind shaped links; on each node an agent, the
 * training job, the tool that copies its files to the origin, and (unless only baselines are measured) a Forebay daemon. All
 * nodes share one disk here, so caches and files lie on tmpfs where links are to bound, and on the disk where the stall is
 * measured.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../child.ts';
import { Daemon } from '../daemon.ts';
import { acquainted, measureGoodput } from '../fan-out-read/cluster.ts';
import type { Goodput } from '../fan-out-read/floor.ts';
import { HostAgent } from '../fan-out-read/host-agent.ts';
import { cleanUpOnInterrupt } from '../interrupt.ts';
import { type LinkedHost, type Links, openLinks } from '../links/links.ts';
import { OriginProcess } from '../origin-process.ts';
import { directoryInMemory } from '../tmpfs.ts';
import { Adopter } from './adopter.ts';
import type { Checkpoint } from './checkpoint.ts';
import { HostJob } from './host-job.ts';
import { filesOf, type Step, stepOf } from './step.ts';

const MiB = 2 ** 20;
export const BUCKET = 'checkpoints';
const PEER_PORT = 7074;
const ZONES = 3;
/** Steps that caches have room for, all copies of them, even if one node had to hold all. */
const STEPS_KEPT = 6;

export interface RigOptions {
  readonly nodes: number;
  readonly linkMbit: number;
  /** The origin's link ÷ a node's. */
  readonly originLinks: number;
  readonly checkpoint: Checkpoint;
  readonly place: 'memory' | 'disk';
  readonly directory?: string;
  readonly shaping?: 'kernel' | 'user';
  readonly forebay: boolean;
  readonly adopt: boolean;
}

export interface RigNode {
  readonly index: number;
  readonly name: string;
  readonly host: LinkedHost;
  readonly agent: HostAgent;
  /** The disk of this node: what is lost with it. */
  readonly directory: string;
  /** Where its job writes plain files that nobody else looks at, and files that are adopted. */
  readonly files: string;
  readonly adopted: string;
  readonly job: HostJob;
  readonly copier: HostJob;
  readonly daemon?: Daemon;
  readonly adopter?: Adopter;
}

/** The daemon of a node of a rig that has them. */
export function daemonOf({ daemon, name }: RigNode): Daemon {
  if (daemon === undefined) throw new Error(`${name} has no daemon`);
  return daemon;
}

export class Rig implements AsyncDisposable {
  readonly options: RigOptions;
  readonly links: Links;
  readonly directory: string;
  readonly origin: OriginProcess;
  readonly nodes: RigNode[] = [];
  readonly #originAgent: HostAgent;
  readonly #agents: readonly HostAgent[];
  readonly #stack: AsyncDisposableStack;
  #nextStep = 1;

  private constructor(
    options: RigOptions,
    parts: Pick<Rig, 'links' | 'directory' | 'origin'> & { originAgent: HostAgent; agents: readonly HostAgent[] },
    stack: AsyncDisposableStack,
  ) {
    this.options = options;
    this.links = parts.links;
    this.directory = parts.directory;
    this.origin = parts.origin;
    this.#originAgent = parts.originAgent;
    this.#agents = parts.agents;
    this.#stack = stack;
  }

  /** Rejects when something cannot be started; what was started by then has ended. */
  static async open(options: RigOptions): Promise<Rig> {
    const stack = new AsyncDisposableStack();
    cleanUpOnInterrupt(stack);
    try {
      return await Rig.#open(options, stack);
    } catch (error) {
      await stack.disposeAsync();
      throw error;
    }
  }

  static async #open(options: RigOptions, stack: AsyncDisposableStack): Promise<Rig> {
    const needed = 3 * STEPS_KEPT * options.checkpoint.sizeBytes;
    const place = options.directory ?? (options.place === 'memory' ? directoryInMemory(needed) : tmpdir());
    const directory = mkdtempSync(join(place, 'forebay-bench-'));
    stack.defer(() => rmSync(directory, { recursive: true, force: true }));
    const links = await openLinks(
      [
        { name: 'origin', mbitPerS: options.linkMbit * options.originLinks },
        ...Array.from({ length: options.nodes }, (_, i) => ({ name: `node-${i + 1}`, mbitPerS: options.linkMbit })),
      ],
      options.shaping && { shaping: options.shaping },
    );
    stack.use(links);
    const all = await Promise.all(links.hosts.map((host) => HostAgent.start(host)));
    for (const agent of all) stack.defer(() => agent.stop());
    const [originAgent, ...agents] = all as [HostAgent, ...HostAgent[]];
    const origin = await OriginProcess.start({ bucket: BUCKET, writable: true }, originAgent.host);
    stack.defer(() => origin.stop());
    const rig = new Rig(options, { links, directory, origin, originAgent, agents }, stack);
    // Nothing of theirs is kept, so they need not put anything in order.
    stack.defer(async () => void (await Promise.all(rig.nodes.map((node) => stopNode(node)))));
    writeFileSync(join(directory, 'secret'), `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    const started = await Promise.allSettled(agents.map((agent, index) => rig.#startNode(agent, index)));
    for (const outcome of started) if (outcome.status === 'fulfilled') rig.nodes.push(outcome.value);
    for (const outcome of started) if (outcome.status === 'rejected') throw outcome.reason;
    await rig.acquainted();
    return rig;
  }

  /** How nodes reach the origin: `address:port`. */
  get originAddress(): string {
    return new URL(this.origin.endpoint).host;
  }

  /** Begins the path of every object, at every S3 door and at the origin. */
  get path(): string {
    return `/${BUCKET}/`;
  }

  /** A checkpoint that nobody has seen. */
  freshStep(checkpoint: Checkpoint = this.options.checkpoint): Step {
    return stepOf(checkpoint, this.#nextStep++);
  }

  async #startNode(agent: HostAgent, index: number): Promise<RigNode> {
    const { host } = agent;
    const directory = join(this.directory, host.name);
    const [files, adopted] = [join(directory, 'files'), join(directory, 'adopted')];
    for (const made of [files, adopted]) mkdirSync(made, { recursive: true });
    await using undo = new AsyncDisposableStack();
    const starting = { job: HostJob.start(host), copier: HostJob.start(host) };
    const serving = this.options.forebay ? this.#startDaemon(agent, index, directory) : undefined;
    const stop = async (started: Promise<HostJob>) => (await started.catch(() => undefined))?.stop();
    undo.defer(async () => (await serving?.catch(() => undefined))?.kill());
    undo.defer(() => stop(starting.job));
    undo.defer(() => stop(starting.copier));
    const [job, copier] = await Promise.all([starting.job, starting.copier]);
    const node = { index, name: host.name, host, agent, directory, files, adopted, job, copier };
    const daemon = await serving;
    if (daemon === undefined) {
      undo.move();
      return node;
    }
    const adopter = this.options.adopt ? await Adopter.start({ host, adopted, daemon, volume: BUCKET }) : undefined;
    undo.move();
    return { ...node, daemon, ...(adopter && { adopter }) };
  }

  async #startDaemon({ host }: HostAgent, index: number, directory: string): Promise<Daemon> {
    // On a host of its own any port is free; on a shared loopback it has to be looked for.
    const port = host.address === '127.0.0.1' ? await freePort() : PEER_PORT;
    const capacityMiB = Math.ceil((STEPS_KEPT * this.options.checkpoint.sizeBytes) / MiB) + 256;
    return Daemon.start({
      directory,
      host,
      volumes: {
        [BUCKET]: {
          origin: `s3://${BUCKET}`,
          endpoint: this.origin.endpoint,
          region: 'us-east-1',
          write: true,
          ack: 'local',
          replicas: 2,
        },
      },
      node: {
        name: host.name,
        zone: `zone-${(index % ZONES) + 1}`,
        capacity: `${capacityMiB}MiB`,
        advertise: await host.publish(port),
      },
      doors: { peer: `${host.address}:${port}` },
      cluster: {
        coordinator: `embedded:${join(this.directory, 'coordinator.sqlite')}`,
        secretFile: join(this.directory, 'secret'),
      },
      environment: { AWS_ACCESS_KEY_ID: 'bench', AWS_SECRET_ACCESS_KEY: 'bench' },
    });
  }

  /** Everything that runs on a node is killed at once, and its disk is removed. */
  async kill(node: RigNode): Promise<void> {
    await stopNode(node);
    rmSync(node.directory, { recursive: true, force: true });
  }

  /** The same for what runs on a node without Forebay; its daemon is spared. */
  async killJob({ job, copier, files }: RigNode): Promise<void> {
    await Promise.all([job.stop(), copier.stop()]);
    rmSync(files, { recursive: true, force: true });
  }

  /** A node of the same name with an empty disk. */
  async revive(node: RigNode): Promise<void> {
    this.nodes[node.index] = await this.#startNode(node.agent, node.index);
    await this.acquainted();
  }

  async reviveJob(node: RigNode): Promise<void> {
    mkdirSync(node.files, { recursive: true });
    const [job, copier] = await Promise.all([HostJob.start(node.host), HostJob.start(node.host)]);
    this.nodes[node.index] = { ...node, job, copier };
  }

  /** Waits until every daemon knows every other one. */
  async acquainted(): Promise<void> {
    if (this.options.forebay)
      await acquainted(this.nodes.map((node) => ({ name: node.name, agent: node.agent, daemon: daemonOf(node) })));
  }

  /** Removes the plain files of a step, and what the origin has of it. Caches make room by themselves. */
  async forget(step: Step): Promise<void> {
    for (const { files, adopted } of this.nodes)
      for (const place of [files, adopted]) rmSync(join(place, step.prefix), { recursive: true, force: true });
    for (const { name } of filesOf(step)) await this.origin.remove(name);
  }

  /** Raw TCP over the same links, now. */
  goodput(): Promise<Goodput> {
    return measureGoodput(this.#originAgent, this.#agents, this.options.originLinks);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}

async function stopNode({ daemon, adopter, job, copier }: RigNode): Promise<void> {
  await Promise.all([daemon?.kill(), adopter?.kill(), job.stop(), copier.stop()]);
}
