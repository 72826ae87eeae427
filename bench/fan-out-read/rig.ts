/**
 * The machines of `bench fan-out-read`: an origin and N nodes behind shaped links, an agent on each, and a Forebay cluster
 * on the nodes. Caches lie on tmpfs where there is one, for N nodes share one disk here. An object is read only once
 * by each candidate: a fresh one, under a key of its own, is as cold as a fresh cluster.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../child.ts';
import { Daemon } from '../daemon.ts';
import { cleanUpOnInterrupt } from '../interrupt.ts';
import { type LinkedHost, type Links, openLinks } from '../links/links.ts';
import { OriginProcess } from '../origin-process.ts';
import { patternSlices } from '../pattern.ts';
import { directoryInMemory } from '../tmpfs.ts';
import { acquainted, measureGoodput } from './cluster.ts';
import type { Goodput } from './floor.ts';
import { HostAgent } from './host-agent.ts';

const MiB = 2 ** 20;
const BUCKET = 'lake';
const PEER_PORT = 7074;
const ZONES = 3;
/** Objects that may be in a cache at once: the one under measurement, and one that is being evicted. */
const OBJECTS_KEPT = 3;

export interface RigOptions {
  readonly nodes: number;
  readonly linkMbit: number;
  /** The origin's link ÷ a node's. */
  readonly originLinks: number;
  readonly chunks: number;
  readonly chunkMiB: number;
  readonly directory?: string;
  readonly shaping?: 'kernel' | 'user';
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
  readonly #daemons: Daemon[] = [];
  readonly #stack: AsyncDisposableStack;
  #nextSeed = 1;

  private constructor(
    options: RigOptions,
    parts: Pick<Rig, 'links' | 'directory' | 'originAgent' | 'origin'> & { agents: readonly HostAgent[] },
    stack: AsyncDisposableStack,
  ) {
    this.options = options;
    this.links = parts.links;
    this.directory = parts.directory;
    this.originHost = parts.originAgent.host;
    this.originAgent = parts.originAgent;
    this.origin = parts.origin;
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
    const sizeBytes = options.chunks * options.chunkMiB * MiB;
    const place = options.directory ?? directoryInMemory((options.nodes + 1) * OBJECTS_KEPT * sizeBytes);
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
    const agents = await Promise.all(links.hosts.map((host) => HostAgent.start(host)));
    for (const agent of agents) stack.defer(() => agent.stop());
    const [originAgent, ...rest] = agents as [HostAgent, ...HostAgent[]];
    const origin = await OriginProcess.start({ bucket: BUCKET }, originAgent.host);
    stack.defer(() => origin.stop());
    const rig = new Rig(options, { links, directory, originAgent, origin, agents: rest }, stack);
    // Nothing of theirs is kept, so they need not put anything in order.
    stack.defer(async () => void (await Promise.all(rig.#daemons.map((daemon) => daemon.kill()))));
    await rig.#startCluster();
    await rig.acquainted();
    return rig;
  }

  get sizeBytes(): number {
    return this.options.chunks * this.options.chunkMiB * MiB;
  }

  async #startCluster(): Promise<void> {
    writeFileSync(join(this.directory, 'secret'), `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    const started = await Promise.allSettled(this.#agents.map((agent, index) => this.#startNode(agent, index)));
    for (const outcome of started) if (outcome.status === 'fulfilled') this.nodes.push(outcome.value);
    for (const outcome of started) if (outcome.status === 'rejected') throw outcome.reason;
  }

  async #startNode(agent: HostAgent, index: number): Promise<RigNode> {
    const { host } = agent;
    // On a host of its own any port is free; on a shared loopback it has to be looked for.
    const port = host.address === '127.0.0.1' ? await freePort() : PEER_PORT;
    const capacityMiB = Math.ceil((OBJECTS_KEPT * this.sizeBytes) / MiB) + 64;
    const daemon = await Daemon.start({
      directory: join(this.directory, host.name),
      host,
      volumes: {
        [BUCKET]: {
          origin: `s3://${BUCKET}`,
          endpoint: this.origin.endpoint,
          region: 'us-east-1',
          chunkSize: `${this.options.chunkMiB}MiB`,
          revalidate: 'never',
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
