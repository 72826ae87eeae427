/**
 * The machines of `bench fan-out-write`: an origin that takes writes and N nodes behind shaped links; on each node an agent, the
 * training job, the tool that copies its files to the origin, and (unless only baselines are measured) a Forebay daemon. All
 * nodes share one disk here, so caches and files lie on tmpfs where links are to bound, and on the disk where the stall is
 * measured.
 */
import { mkdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  clusterIn,
  memberOn,
  type OriginRig,
  type OriginRigOptions,
  openOriginRig,
  openRig,
  rigDirectory,
  startAll,
} from '../cluster-rig.ts';
import { Daemon, type Settings } from '../daemon.ts';
import { acquainted, measureGoodput } from '../fan-out-read/cluster.ts';
import type { Goodput } from '../fan-out-read/floor.ts';
import type { HostAgent } from '../fan-out-read/host-agent.ts';
import type { LinkedHost, Links } from '../links/links.ts';
import type { OriginProcess } from '../origin-process.ts';
import { directoryInMemory } from '../tmpfs.ts';
import { Adopter } from './adopter.ts';
import type { Checkpoint } from './checkpoint.ts';
import { HostJob } from './host-job.ts';
import { filesOf, type Step, stepOf } from './step.ts';

const MiB = 2 ** 20;
export const BUCKET = 'checkpoints';
/** Steps that caches have room for, all copies of them, even if one node had to hold all. */
const STEPS_KEPT = 6;

export interface RigOptions extends OriginRigOptions {
  readonly checkpoint: Checkpoint;
  readonly place: 'memory' | 'disk';
  readonly directory?: string;
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
  readonly #cluster: Settings;
  readonly #stack: AsyncDisposableStack;
  #nextStep = 1;

  private constructor(
    options: RigOptions,
    parts: OriginRig & { directory: string; cluster: Settings },
    stack: AsyncDisposableStack,
  ) {
    this.options = options;
    this.links = parts.links;
    this.directory = parts.directory;
    this.origin = parts.origin;
    this.#originAgent = parts.originAgent;
    this.#agents = parts.agents;
    this.#cluster = parts.cluster;
    this.#stack = stack;
  }

  /** Rejects when something cannot be started; what was started by then has ended. */
  static open(options: RigOptions): Promise<Rig> {
    return openRig((stack) => Rig.#open(options, stack));
  }

  static async #open(options: RigOptions, stack: AsyncDisposableStack): Promise<Rig> {
    const needed = 3 * STEPS_KEPT * options.checkpoint.sizeBytes;
    const place = options.directory ?? (options.place === 'memory' ? directoryInMemory(needed) : tmpdir());
    const directory = rigDirectory(stack, place);
    const parts = await openOriginRig(stack, options, { bucket: BUCKET, writable: true });
    const rig = new Rig(options, { ...parts, directory, cluster: clusterIn(directory) }, stack);
    // Nothing of theirs is kept, so they need not put anything in order.
    stack.defer(async () => void (await Promise.all(rig.nodes.map((node) => stopNode(node)))));
    const starting = parts.agents.map((agent, index) => rig.#startNode(agent, index));
    await startAll(starting, (node) => rig.nodes.push(node));
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
    const member = await memberOn(host, index);
    const capacityMiB = Math.ceil((STEPS_KEPT * this.options.checkpoint.sizeBytes) / MiB) + 256;
    return Daemon.start({
      directory,
      ...member,
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
      node: { ...member.node, capacity: `${capacityMiB}MiB` },
      cluster: this.#cluster,
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
