/** Nodes on this machine's loopback, for what no link shall bound: one alone, or a cluster. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../child.ts';
import { clusterIn, openRig, rigDirectory } from '../cluster-rig.ts';
import { Daemon, type Setting } from '../daemon.ts';
import { acquainted } from '../fan-out-read/cluster.ts';
import { HostAgent } from '../fan-out-read/host-agent.ts';
import { directoryInMemory } from '../tmpfs.ts';
import { HERE, HostKv } from './host-kv.ts';
import type { NodeDoors } from './kv-command.ts';
import { respOf, VOLUME } from './rig.ts';

/** The least capacity that a node takes. */
const CAPACITY_MIN_BYTES = 64 * 2 ** 20;
const SHARE_MAX = 0.9;

/** What a part has on this machine; all of it ends with it. */
export class Bench implements AsyncDisposable {
  readonly directory: string;
  readonly kv: HostKv;
  readonly stack: AsyncDisposableStack;

  private constructor(directory: string, kv: HostKv, stack: AsyncDisposableStack) {
    this.directory = directory;
    this.kv = kv;
    this.stack = stack;
  }

  /** `neededBytes` are looked for in memory. */
  static open(neededBytes: number, place: string | undefined): Promise<Bench> {
    return openRig(async (stack) => {
      const directory = rigDirectory(stack, place ?? directoryInMemory(neededBytes));
      const kv = await HostKv.start();
      stack.defer(() => kv.stop());
      return new Bench(directory, kv, stack);
    });
  }

  /** A node whose kv volume may take `shareBytes`, and all but nothing else. */
  async startNode(
    name: string,
    shareBytes: number,
    more: { node?: Record<string, Setting>; doors?: Record<string, Setting>; cluster?: Record<string, Setting> } = {},
  ): Promise<Daemon> {
    const capacityBytes = Math.max(CAPACITY_MIN_BYTES, Math.ceil(shareBytes / SHARE_MAX));
    const daemon = await Daemon.start({
      directory: join(this.directory, name),
      volumes: { [VOLUME]: { kind: 'kv', share: shareBytes / capacityBytes } },
      node: { ...more.node, name, capacity: `${capacityBytes}B` },
      doors: { resp: '127.0.0.1:0', ...more.doors },
      ...(more.cluster && { cluster: more.cluster }),
    });
    this.stack.defer(() => daemon.kill());
    return daemon;
  }

  async startCluster(count: number, shareBytes: number): Promise<Daemon[]> {
    mkdirSync(this.directory, { recursive: true });
    const cluster = clusterIn(this.directory);
    const agent = await HostAgent.start(HERE);
    this.stack.defer(() => agent.stop());
    const nodes = await Promise.all(
      Array.from({ length: count }, async (_, i) => {
        const name = `node-${i + 1}`;
        const peer = `127.0.0.1:${await freePort()}`;
        const node = { advertise: peer, zone: `zone-${i + 1}` };
        return { name, agent, daemon: await this.startNode(name, shareBytes, { node, doors: { peer }, cluster }) };
      }),
    );
    await acquainted(nodes);
    return nodes.map(({ daemon }) => daemon);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stack.disposeAsync();
  }
}

export const doorsOf = (daemon: Daemon): NodeDoors => ({ resp: respOf(daemon), admin: daemon.admin });
