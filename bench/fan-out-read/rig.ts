/**
 * The machines of `bench fan-out-read`: an origin and N nodes behind shaped links, an agent on each, and a Forebay cluster
 * on the nodes. Caches lie on tmpfs where there is one, for N nodes share one disk here. An object is read only once
 * by each candidate: a fresh one, under a key of its own, is as cold as a fresh cluster.
 */
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
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
import type { LinkedHost, Links } from '../links/links.ts';
import type { OriginProcess } from '../origin-process.ts';
import { patternSlices } from '../pattern.ts';
import { directoryInMemory } from '../tmpfs.ts';
import { acquainted, measureGoodput } from './cluster.ts';
import type { Goodput } from './floor.ts';
import type { HostAgent } from './host-agent.ts';

const MiB = 2 ** 20;
const BUCKET = 'lake';
/** Objects that may be in a cache at once: the one under measurement, and one that is being evicted. */
const OBJECTS_KEPT = 3;

export interface RigOptions extends OriginRigOptions {
  readonly chunks: number;
  readonly chunkMiB: number;
  readonly directory?: string;
}

export interface BenchObject {
  readonly key: string;
  readonly seed: number;
  readonly sizeBytes: number;
  readonly sha256: string;
}

export interface RigNode {
  readonly name: string;
  readonly host: LinkedHost;
  readonly agent: HostAgent;
  readonly daemon: Daemon;
  /** How this node reaches the origin: `address:port`. */
  readonly origin: string;
}

export class Rig implements AsyncDisposable {
  readonly options: RigOptions;
  readonly links: Links;
  readonly directory: string;
  readonly originHost: LinkedHost;
  readonly originAgent: HostAgent;
  readonly origin: OriginProcess;
  readonly nodes: RigNode[] = [];
  readonly #agents: readonly HostAgent[];
  readonly #cluster: Settings;
  readonly #daemons: Daemon[] = [];
  readonly #stack: AsyncDisposableStack;
  #nextSeed = 1;

  private constructor(
    options: RigOptions,
    parts: OriginRig & { directory: string; cluster: Settings },
    stack: AsyncDisposableStack,
  ) {
    this.options = options;
    this.links = parts.links;
    this.directory = parts.directory;
    this.originHost = parts.originAgent.host;
    this.originAgent = parts.originAgent;
    this.origin = parts.origin;
    this.#agents = parts.agents;
    this.#cluster = parts.cluster;
    this.#stack = stack;
  }

  /** Rejects when something cannot be started; what was started by then has ended. */
  static open(options: RigOptions): Promise<Rig> {
    return openRig((stack) => Rig.#open(options, stack));
  }

  static async #open(options: RigOptions, stack: AsyncDisposableStack): Promise<Rig> {
    const sizeBytes = options.chunks * options.chunkMiB * MiB;
    const place = options.directory ?? directoryInMemory((options.nodes + 1) * OBJECTS_KEPT * sizeBytes);
    const directory = rigDirectory(stack, place);
    const parts = await openOriginRig(stack, options, { bucket: BUCKET });
    const rig = new Rig(options, { ...parts, directory, cluster: clusterIn(directory) }, stack);
    // Nothing of theirs is kept, so they need not put anything in order.
    stack.defer(async () => void (await Promise.all(rig.#daemons.map((daemon) => daemon.kill()))));
    const starting = parts.agents.map((agent, index) => rig.#startNode(agent, index));
    await startAll(starting, (node) => rig.nodes.push(node));
    await rig.acquainted();
    return rig;
  }

  get sizeBytes(): number {
    return this.options.chunks * this.options.chunkMiB * MiB;
  }

  async #startNode(agent: HostAgent, index: number): Promise<RigNode> {
    const { host } = agent;
    const member = await memberOn(host, index);
    const capacityMiB = Math.ceil((OBJECTS_KEPT * this.sizeBytes) / MiB) + 64;
    const daemon = await Daemon.start({
      directory: join(this.directory, host.name),
      ...member,
      volumes: {
        [BUCKET]: {
          origin: `s3://${BUCKET}`,
          endpoint: this.origin.endpoint,
          region: 'us-east-1',
          chunkSize: `${this.options.chunkMiB}MiB`,
          revalidate: 'never',
        },
      },
      node: { ...member.node, capacity: `${capacityMiB}MiB` },
      cluster: this.#cluster,
      environment: { AWS_ACCESS_KEY_ID: 'bench', AWS_SECRET_ACCESS_KEY: 'bench' },
    });
    this.#daemons.push(daemon);
    return { name: host.name, host, agent, daemon, origin: new URL(this.origin.endpoint).host };
  }

  /** Starts the daemon of a node that was killed; its cache is what it was. */
  async revive(node: RigNode): Promise<RigNode> {
    const index = this.nodes.indexOf(node);
    const revived = await this.#startNode(node.agent, index);
    this.nodes[index] = revived;
    await this.acquainted();
    return revived;
  }

  /** Waits until every node knows every other one. */
  acquainted(): Promise<void> {
    return acquainted(this.nodes);
  }

  pathOf(object: BenchObject): string {
    return `/${BUCKET}/${object.key}`;
  }

  /** What `POST /v1/warm` and `/v1/evict` take. */
  targetOf(object: BenchObject): { volume: string; key: string } {
    return { volume: BUCKET, key: object.key };
  }

  /** Puts an object into the origin that nobody has seen. */
  async freshObject(): Promise<BenchObject> {
    const seed = this.#nextSeed++;
    const digest = createHash('sha256');
    for (const slice of patternSlices(seed, this.sizeBytes)) digest.update(slice);
    const object = { key: `object-${seed}`, seed, sizeBytes: this.sizeBytes, sha256: digest.digest('hex') };
    await this.origin.put(object);
    return object;
  }

  /** Writes an object as a file, for candidates that serve files. */
  writeFile(object: BenchObject, name: string): string {
    const file = join(this.directory, name);
    mkdirSync(join(file, '..'), { recursive: true });
    writeFileSync(file, Buffer.concat([...patternSlices(object.seed, object.sizeBytes)]));
    return file;
  }

  /** Makes room: no node keeps the object. */
  async forget(object: BenchObject): Promise<void> {
    const evict = (node: RigNode) => node.agent.ask(`http://${node.daemon.admin}/v1/evict`, this.targetOf(object));
    await Promise.all(this.nodes.filter((node) => !node.daemon.hasEnded).map(evict));
    await this.origin.remove(object.key);
  }

  /** Raw TCP over the same links, now. */
  goodput(): Promise<Goodput> {
    return measureGoodput(this.originAgent, this.#agents, this.options.originLinks);
  }

  /** Sum over the nodes of a counter in their metrics, over all its labels. */
  async counter(name: string): Promise<number> {
    const texts = await Promise.all(
      this.nodes
        .filter((node) => !node.daemon.hasEnded)
        .map((node) => node.agent.ask(`http://${node.daemon.admin}/metrics`)),
    );
    const line = new RegExp(`^${name}(?:\\{[^}]*\\})? ([0-9.e+-]+)$`, 'gm');
    return texts.flatMap((text) => [...text.matchAll(line)]).reduce((sum, match) => sum + Number(match[1]), 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
