/**
 * The machines of an evaluation: an origin that takes writes and N nodes, each behind a shaped link and each with mounts of its own, so
 * that whatever a candidate mounts or starts there is gone when the evaluation is, also after kill -9.
 */
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Child, freePort } from '../child.ts';
import { measureGoodput } from '../fan-out-read/cluster.ts';
import type { Goodput } from '../fan-out-read/floor.ts';
import { HostAgent } from '../fan-out-read/host-agent.ts';
import { HostProcess } from '../host-process.ts';
import { cleanUpOnInterrupt } from '../interrupt.ts';
import { type LinkedHost, type Links, openLinks } from '../links/links.ts';
import { OriginProcess } from '../origin-process.ts';
import { directoryInMemory } from '../tmpfs.ts';
import type { ActorCommand, JobFile } from './actor-command.ts';

export const BUCKET = 'evaluation';
const ACTOR = join(import.meta.dirname, 'actor.ts');
/** Copies of the payload that candidates may keep on a node, of a few trials. */
const ROOM = 12;
const FIRST_PORT = 20_000;
const PREFIX = 'forebay-evaluate-';

/** What evaluations left that were killed: all else of them ended with them. */
function removeLeft(place: string): void {
  for (const name of readdirSync(place)) {
    const pid = name.startsWith(PREFIX) ? Number(name.slice(PREFIX.length).split('-')[0]) : Number.NaN;
    if (pid > 0 && !existsSync(`/proc/${pid}`)) rmSync(join(place, name), { recursive: true, force: true });
  }
}

export interface SiteNode {
  readonly index: number;
  readonly name: string;
  readonly host: LinkedHost;
  readonly directory: string;
  readonly agent: HostAgent;
  /** Replaced where a candidate made it hang. */
  actor: HostProcess<ActorCommand>;
}

const startActor = (host: LinkedHost) => HostProcess.start<ActorCommand>(host, ACTOR);

/** A host with mounts of its own. */
async function withMounts(host: LinkedHost, stack: AsyncDisposableStack): Promise<LinkedHost> {
  const line = host.commandLine('unshare', ['--mount', 'sh', '-c', 'echo held; exec cat >/dev/null']);
  const holder = await Child.start(...line, { stdio: ['pipe', 'pipe', 'pipe'] });
  stack.defer(() => holder.kill());
  for await (const said of createInterface({ input: holder.process.stdout as NodeJS.ReadableStream }))
    if (said === 'held') {
      const enter = [`--mount=/proc/${holder.pid}/ns/mnt`, '--'];
      return {
        name: host.name,
        address: host.address,
        commandLine: (command, args) => host.commandLine('nsenter', [...enter, command, ...args]),
        adopt: (pid) => host.adopt(pid),
        publish: (port) => host.publish(port),
        setRate: (mbitPerS) => host.setRate(mbitPerS),
      };
    }
  throw new Error(`no mounts of its own for ${host.name}: ${holder.complaint.trim()}`);
}

export interface SiteOptions {
  readonly nodes: number;
  readonly linkMbit: number;
  readonly originLinks: number;
  /** The largest payload of a trial. */
  readonly payloadBytes: number;
  readonly shaping?: 'kernel' | 'user';
}

export class Site implements AsyncDisposable {
  readonly options: SiteOptions;
  readonly links: Links;
  readonly directory: string;
  readonly origin: OriginProcess;
  readonly nodes: readonly SiteNode[];
  readonly #originAgent: HostAgent;
  readonly #stack: AsyncDisposableStack;
  #nextPort = FIRST_PORT;
  #nextSeed = 1;

  private constructor(
    options: SiteOptions,
    parts: Pick<Site, 'links' | 'directory' | 'origin' | 'nodes'> & { originAgent: HostAgent },
    stack: AsyncDisposableStack,
  ) {
    this.options = options;
    this.links = parts.links;
    this.directory = parts.directory;
    this.origin = parts.origin;
    this.nodes = parts.nodes;
    this.#originAgent = parts.originAgent;
    this.#stack = stack;
  }

  /** Rejects when something cannot be made; what was made by then is gone. */
  static async open(options: SiteOptions): Promise<Site> {
    const stack = new AsyncDisposableStack();
    cleanUpOnInterrupt(stack);
    try {
      return await Site.#open(options, stack);
    } catch (error) {
      await stack.disposeAsync();
      throw error;
    }
  }

  static async #open(options: SiteOptions, stack: AsyncDisposableStack): Promise<Site> {
    const needed = ROOM * (options.nodes + 1) * options.payloadBytes;
    const place = directoryInMemory(needed);
    removeLeft(place);
    const directory = mkdtempSync(join(place, `${PREFIX}${process.pid}-`));
    stack.defer(() => rmSync(directory, { recursive: true, force: true, maxRetries: 3 }));
    const names = Array.from({ length: options.nodes }, (_, i) => `node-${i + 1}`);
    const links = await openLinks(
      [
        { name: 'origin', mbitPerS: options.linkMbit * options.originLinks },
        ...names.map((name) => ({ name, mbitPerS: options.linkMbit })),
      ],
      options.shaping && { shaping: options.shaping },
    );
    stack.use(links);
    const [originHost, ...hosts] = links.hosts as [LinkedHost, ...LinkedHost[]];
    const originAgent = await HostAgent.start(originHost);
    stack.defer(() => originAgent.stop());
    const origin = await OriginProcess.start({ bucket: BUCKET, writable: true }, originHost);
    stack.defer(() => origin.stop());
    const isKernel = links.shaping.startsWith('kernel');
    const nodes = await Promise.all(
      hosts.map(async (linked, index) => {
        const host = isKernel ? await withMounts(linked, stack) : linked;
        const own = join(directory, host.name);
        mkdirSync(own);
        const [agent, actor] = await Promise.all([HostAgent.start(host), HostProcess.start<ActorCommand>(host, ACTOR)]);
        const node: SiteNode = { index, name: host.name, host, directory: own, agent, actor };
        stack.defer(() => agent.stop());
        stack.defer(() => node.actor.end());
        return node;
      }),
    );
    return new Site(options, { links, directory, origin, nodes, originAgent }, stack);
  }

  /** Whether candidates may mount: each node has mounts of its own, which end with it. */
  get mayMount(): boolean {
    return this.links.shaping.startsWith('kernel');
  }

  /** `address:port` by which nodes reach the origin. */
  get originAddress(): string {
    return new URL(this.origin.endpoint).host;
  }

  /** A port that no other candidate was given. */
  async port(): Promise<number> {
    if (this.nodes[0]?.host.address === '127.0.0.1') return freePort();
    this.#nextPort += 1;
    return this.#nextPort - 1;
  }

  /** Files with bytes that nobody has seen. */
  fresh(names: readonly string[], sizeBytes: number): JobFile[] {
    return names.map((name) => ({ name, sizeBytes, seed: this.#nextSeed++ }));
  }

  /** What actors were doing ends, with the commands that they run. */
  async restartActors(): Promise<void> {
    for (const node of this.nodes) {
      await node.actor.end();
      node.actor = await startActor(node.host);
    }
  }

  /** Raw TCP over the same links, now. */
  goodput(): Promise<Goodput> {
    const agents = this.nodes.map(({ agent }) => agent);
    return measureGoodput(this.#originAgent, agents, this.options.originLinks);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
