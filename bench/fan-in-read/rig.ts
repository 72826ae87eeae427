/**
 * The machines of the gather: nodes that hold values and one that reads, each behind a shaped link, a Forebay cluster on all of them, and
 * one redis-server on the first holder. Caches lie on tmpfs, for all nodes share one disk here.
 */
import { join } from 'node:path';
import { clusterIn, memberOn, openRig, rigDirectory, startAll } from '../cluster-rig.ts';
import { Daemon, type Settings } from '../daemon.ts';
import { acquainted } from '../fan-out-read/cluster.ts';
import { HostAgent } from '../fan-out-read/host-agent.ts';
import { type LinkedHost, type Links, openLinks } from '../links/links.ts';
import { directoryInMemory } from '../tmpfs.ts';
import { HostKv } from './host-kv.ts';
import type { Values } from './kv-command.ts';
import type { FanInReadOptions } from './part.ts';
import { RedisServer } from './redis-server.ts';

const MiB = 2 ** 20;
export const VOLUME = 'blocks';
/** Leased bytes may be half of a node's share, and a node needs room besides its values. */
const ROOM = 4;
const SHARE = 0.9;
const SPARE_MIB = 96;
const GOODPUT_MS = 1500;

export interface RigNode {
  readonly name: string;
  readonly host: LinkedHost;
  readonly agent: HostAgent;
  readonly kv: HostKv;
  readonly daemon: Daemon;
}

/** The RESP door of a daemon that has one. */
export function respOf({ resp }: Daemon): string {
  if (resp === undefined) throw new Error('the daemon has no RESP door');
  return resp;
}

export class Rig implements AsyncDisposable {
  readonly links: Links;
  readonly directory: string;
  readonly #stack: AsyncDisposableStack;
  readonly #options: FanInReadOptions;
  readonly #nodes: RigNode[] = [];
  #redis: RedisServer | undefined;
  /** `address:port` of redis as the reader reaches it. */
  redisAddress = '';

  private constructor(options: FanInReadOptions, links: Links, directory: string, stack: AsyncDisposableStack) {
    this.#options = options;
    this.links = links;
    this.directory = directory;
    this.#stack = stack;
  }

  /** Rejects when something cannot be started; what was started by then has ended. */
  static open(options: FanInReadOptions): Promise<Rig> {
    return openRig((stack) => Rig.#open(options, stack));
  }

  static async #open(options: FanInReadOptions, stack: AsyncDisposableStack): Promise<Rig> {
    const held = options.blocks * options.blockBytes;
    const directory = rigDirectory(stack, options.directory ?? directoryInMemory(4 * held));
    const names = ['reader', ...Array.from({ length: options.nodes }, (_, i) => `node-${i + 1}`)];
    const links = await openLinks(
      names.map((name) => ({ name, mbitPerS: options.linkMbit })),
      { shaping: options.shaping },
    );
    stack.use(links);
    const rig = new Rig(options, links, directory, stack);
    const cluster = clusterIn(directory);
    const starting = links.hosts.map((host, index) => rig.#startNode(host, index, cluster));
    await startAll(starting, (node) => rig.#nodes.push(node));
    await acquainted(rig.#nodes);
    await rig.#startRedis();
    return rig;
  }

  async #startNode(host: LinkedHost, index: number, cluster: Settings): Promise<RigNode> {
    const agent = await HostAgent.start(host);
    this.#stack.defer(() => agent.stop());
    const kv = await HostKv.start(host);
    this.#stack.defer(() => kv.stop());
    const { nodes, blocks, blockBytes } = this.#options;
    const perNodeMiB = (Math.ceil(blocks / nodes) * blockBytes) / MiB;
    const member = await memberOn(host, index);
    const daemon = await Daemon.start({
      directory: join(this.directory, host.name),
      ...member,
      volumes: { [VOLUME]: { kind: 'kv', share: SHARE } },
      node: { ...member.node, capacity: `${Math.ceil((ROOM * perNodeMiB) / SHARE) + SPARE_MIB}MiB` },
      doors: { ...member.doors, resp: '127.0.0.1:0' },
      cluster,
    });
    // Nothing of theirs is kept, so they need not put anything in order.
    this.#stack.defer(() => daemon.kill());
    return { name: host.name, host, agent, kv, daemon };
  }

  async #startRedis(): Promise<void> {
    const { host } = this.holders[0] as RigNode;
    this.#redis = await RedisServer.start(join(this.directory, 'redis'), host);
    const redis = this.#redis;
    this.#stack.defer(() => redis.stop());
    host.adopt(redis.pid);
    this.redisAddress = await host.publish(Number(redis.host.split(':')[1]));
  }

  get reader(): RigNode {
    return this.#nodes[0] as RigNode;
  }

  get holders(): readonly RigNode[] {
    return this.#nodes.slice(1);
  }

  /** Each holder gets every so manieth value, as its own writer. */
  async spread(values: Values): Promise<void> {
    const step = this.holders.length;
    await Promise.all(this.holders.map(({ kv, daemon }, from) => kv.put({ host: respOf(daemon), values, from, step })));
  }

  /** Redis gets all of them. */
  async gatherInRedis(values: Values): Promise<void> {
    const { host } = this.#redis as RedisServer;
    await (this.holders[0] as RigNode).kv.put({ host, values, from: 0, step: 1 });
  }

  /** Raw TCP to the reader over the same links, now, in bytes per second. */
  async goodput(): Promise<number> {
    const source = await (this.holders[0] as RigNode).agent.source();
    const { bytes, ms } = await this.reader.agent.receive(source, GOODPUT_MS);
    return (bytes * 1000) / ms;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack.disposeAsync();
  }
}
