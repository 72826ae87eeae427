/**
 * The rival that also spreads what one node has to the others: a BitTorrent client (aria2), seeded from the origin's
 * host over the origin's link. Its tracker knows everyone from the start and its processes wait, connected to nobody, until the clock
 * starts, so that it is not charged for finding peers or starting up.
 */
import { createHash } from 'node:crypto';
import { createReadStream, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child, freePort } from '../child.ts';
import type { LinkedHost } from '../links/links.ts';
import { PATTERN_SLICE_MAX_BYTES, patternSlices } from '../pattern.ts';
import { findTool } from '../tool.ts';
import type { HostAgent } from './host-agent.ts';
import { metainfo } from './metainfo.ts';
import type { BenchObject, Rig } from './rig.ts';
import { runTrial, type Trial } from './trial.ts';

const START_MS = 15_000;
const POLL_MS = 25;

export const torrentClient = (): string | undefined => findTool('aria2c');

interface Ports {
  readonly listen: number;
  readonly rpc: number;
}

const portsOf = async (host: LinkedHost): Promise<Ports> =>
  host.address === '127.0.0.1' ? { listen: await freePort(), rpc: await freePort() } : { listen: 6881, rpc: 6800 };

class Aria {
  readonly rpc: string;
  readonly directory: string;
  readonly #child: Child;

  private constructor(child: Child, rpc: string, directory: string) {
    this.#child = child;
    this.rpc = rpc;
    this.directory = directory;
  }

  static async start(
    agent: HostAgent,
    options: { torrent: string; directory: string; ports: Ports; seed: boolean },
  ): Promise<Aria> {
    const { torrent, directory, ports, seed } = options;
    mkdirSync(directory, { recursive: true });
    const settings = {
      dir: directory,
      'listen-port': ports.listen,
      'enable-rpc': true,
      'rpc-listen-port': ports.rpc,
      'enable-dht': false,
      'enable-peer-exchange': false,
      'bt-enable-lpd': false,
      'bt-max-peers': 0,
      'bt-seed-unverified': seed,
      'file-allocation': 'none',
      'seed-ratio': '0.0',
      'disable-ipv6': true,
      'no-conf': true,
      pause: !seed,
      quiet: true,
    };
    const args = Object.entries(settings).map(([name, value]) => `--${name}=${value}`);
    const child = await Child.start(...agent.host.commandLine(torrentClient() as string, [...args, torrent]));
    agent.host.adopt(child.pid);
    child.process.stdout?.resume();
    const aria = new Aria(child, `127.0.0.1:${ports.rpc}`, directory);
    await aria.#ready(agent, seed);
    return aria;
  }

  /** Waits until it answers, with its one download known: waiting, or seeding. */
  async #ready(agent: HostAgent, seed: boolean): Promise<void> {
    const method = seed ? 'aria2.tellActive' : 'aria2.tellWaiting';
    const body = { jsonrpc: '2.0', id: 1, method, params: seed ? [['seeder']] : [0, 1] };
    const until = performance.now() + START_MS;
    while (performance.now() < until && !this.#child.hasEnded) {
      const said = await agent.ask(`http://${this.rpc}/jsonrpc`, body).catch(() => '');
      if (said.includes(seed ? '"seeder":"true"' : '"status":"paused"')) return;
      await sleep(POLL_MS);
    }
    await this.kill();
    throw new Error(`aria2c does not start: ${this.#child.complaint}`);
  }

  async kill(): Promise<void> {
    await this.#child.kill();
  }
}

async function sha256Of(path: string): Promise<string> {
  const digest = createHash('sha256');
  for await (const piece of createReadStream(path, { highWaterMark: 1 << 20 })) digest.update(piece as Buffer);
  return digest.digest('hex');
}

/** Every node gets the object by BitTorrent; every byte is checked when the clock has stopped. */
export async function torrentTrial(rig: Rig, object: BenchObject): Promise<Trial> {
  await using stack = new AsyncDisposableStack();
  const directory = join(rig.directory, `torrent-${object.key}`);
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  rig.writeFile(object, join(`torrent-${object.key}`, 'seed', object.key));
  const agents = [rig.originAgent, ...rig.nodes.map((node) => node.agent)];
  const ports = await Promise.all(agents.map((agent) => portsOf(agent.host)));
  const peers = await Promise.all(agents.map((agent, i) => agent.host.publish((ports[i] as Ports).listen)));
  const tracker = `http://${await rig.originAgent.track(peers)}/announce`;
  const torrent = join(directory, 'object.torrent');
  const { key: name, seed, sizeBytes } = object;
  const file = {
    name,
    sizeBytes,
    pieceBytes: PATTERN_SLICE_MAX_BYTES,
    slices: patternSlices(seed, sizeBytes),
    tracker,
  };
  writeFileSync(torrent, metainfo(file));
  const start = async (agent: HostAgent, index: number) => {
    const own = join(directory, index === 0 ? 'seed' : agent.host.name);
    const options = { torrent, directory: own, ports: ports[index] as Ports, seed: index === 0 };
    const aria = await Aria.start(agent, options);
    stack.defer(() => aria.kill());
    return aria;
  };
  const [, ...leechers] = await Promise.all(agents.map(start));
  const trial = await runTrial(rig, object, {
    candidate: 'BitTorrent (aria2)',
    get: (node, _, onBytes) => node.agent.torrent((leechers[rig.nodes.indexOf(node)] as Aria).rpc, onBytes),
  });
  for (const aria of leechers)
    if ((await sha256Of(join(aria.directory, name))) !== object.sha256) throw new Error('BitTorrent: wrong bytes');
  return trial;
}
