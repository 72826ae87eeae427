/**
 * The machines of the gather: nodes that hold values and one that reads, each behind a shaped link, a Forebay cluster on all of them, and
 * one redis-server on the first holder. Caches lie on tmpfs, for all nodes share one disk here.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../child.ts';
import { Daemon } from '../daemon.ts';
import { acquainted } from '../fan-out-read/cluster.ts';
import { HostAgent } from '../fan-out-read/host-agent.ts';
import { cleanUpOnInterrupt } from '../interrupt.ts';
import { type LinkedHost, type Links, openLinks } from '../links/links.ts';
import { directoryInMemory } from '../tmpfs.ts';
import { HostKv } from './host-kv.ts';
import type { Values } from './kv-command.ts';
import type { FanInReadOptions } from './part.ts';
import { RedisServer } from './redis-server.ts';

const MiB = 2 ** 20;
const PEER_PORT = 7074;
const ZONES = 3;
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
  #nodes: readonly RigNode[] = [];
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
  static async open(options: FanInReadOptions): Promise<Rig> {
    const stack = new AsyncDisposableStack();
    cleanUpOnInterrupt(stack);
    try {
      return await Rig.#open(options, stack);
    } catch (error) {
      await stack.disposeAsync();
      throw error;
    }
  }

  static async #open(options: FanInReadOptions, stack: AsyncDisposableStack): Promise<Rig> {
    const held = options.blocks * options.blockBytes;
    const directory = mkdtempSync(join(options.directory ?? directoryInMemory(4 * held), 'forebay-bench-'));
    stack.defer(() => rmSync(directory, { recursive: true, force: true }));
    const names = ['reader', ...Array.from({ length: options.nodes }, (_, i) => `node-${i + 1}`)];
    const links = await openLinks(
      names.map((name) => ({ name, mbitPerS: options.linkMbit })),
      { shaping: options.shaping },
    );
    stack.use(links);
    writeFileSync(join(directory, 'secret'), `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    const rig = new Rig(options, links, directory, stack);
    const started = await Promise.allSettled(links.hosts.map((host, index) => rig.#startNode(host, index)));
    rig.#nodes = started.flatMap((outcome) => (outcome.status === 'fulfilled' ? [outcome.value] : []));
    for (const outcome of started) if (outcome.status === 'rejected') throw outcome.reason;
    await acquainted(rig.#nodes);
    await rig.#startRedis();
    return rig;
  }

  async #startNode(host: LinkedHost, index: number): Promise<RigNode> {
    const agent = await HostAgent.start(host);
    this.#stack.defer(() => agent.stop());
    const kv = await HostKv.start(host);
    this.#stack.defer(() => kv.stop());
    const { nodes, blocks, blockBytes } = this.#options;
    const perNodeMiB = (Math.ceil(blocks / nodes) * blockBytes) / MiB;
    // On a host of its own any port is free; on a shared loopback it has to be looked for.
    const port = host.address === '127.0.0.1' ? await freePort() : PEER_PORT;
    const daemon = await Daemon.start({
      directory: join(this.directory, host.name),
      host,
      volumes: { [VOLUME]: { kind: 'kv', share: SHARE } },
      node: {
        name: host.name,
        zone: `zone-${(index % ZONES) + 1}`,
        capacity: `${Math.ceil((ROOM * perNodeMiB) / SHARE) + SPARE_MIB}MiB`,
        advertise: await host.publish(port),
      },
      doors: { peer: `${host.address}:${port}`, resp: '127.0.0.1:0' },
      cluster: {
        coordinator: `embedded:${join(this.directory, 'coordinator.sqlite')}`,
        secretFile: join(this.directory, 'secret'),
      },
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
