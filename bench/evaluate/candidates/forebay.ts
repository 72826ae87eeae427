/** Forebay on all nodes: a volume before the origin, and a kv volume. */
import { randomBytes } from 'node:crypto';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Daemon } from '../../daemon.ts';
import { monotonicMs } from '../../fan-out-read/agent-command.ts';
import { acquainted } from '../../fan-out-read/cluster.ts';
import { isSafe, type WrittenState } from '../../fan-out-write/watch.ts';
import type { JobFile } from '../actor-command.ts';
import type { ConfigOf } from '../evaluation.ts';
import { BUCKET, type Site, type SiteNode } from '../site.ts';
import type { Kind, Running } from './candidate.ts';
import { variablesOf } from './servers.ts';

const MiB = 2 ** 20;
const ZONES = 3;
const SPARE_MIB = 256;
/** Payloads that a node has room for, all nodes' copies of them. */
const ROOM = 8;
const POLL_MS = 20;
const LOG_LINES = 5;

class RunningForebay implements Running {
  readonly #config: ConfigOf<'forebay'>;
  readonly #daemons = new Map<SiteNode, Daemon>();
  #directory = '';

  constructor(config: ConfigOf<'forebay'>) {
    this.#config = config;
  }

  async start(site: Site): Promise<void> {
    const name = `forebay-${this.#config.name.replaceAll(/[^A-Za-z0-9_-]/g, '_')}`;
    this.#directory = join(site.directory, name);
    mkdirSync(this.#directory, { recursive: true });
    writeFileSync(join(this.#directory, 'secret'), `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
    const started = await Promise.allSettled(
      site.nodes.map(async (node) => {
        this.#daemons.set(node, await this.#daemon(site, node));
      }),
    );
    // only now: one that starts after another has failed is to be ended too
    for (const outcome of started) if (outcome.status === 'rejected') throw outcome.reason;
    await acquainted(site.nodes.map((node) => ({ name: node.name, agent: node.agent, daemon: this.#on(node) })));
  }

  async #daemon(site: Site, node: SiteNode): Promise<Daemon> {
    const { dir, port } = await variablesOf(site, node, this.#config.name);
    const capacityMiB = Math.ceil((ROOM * site.options.payloadBytes) / MiB) + SPARE_MIB;
    const { ack, replicas } = this.#config;
    return Daemon.start({
      directory: String(dir),
      host: node.host,
      volumes: {
        [BUCKET]: {
          origin: `s3://${BUCKET}`,
          endpoint: site.origin.endpoint,
          region: 'us-east-1',
          write: true,
          ack,
          replicas,
        },
        values: { kind: 'kv', share: 0.4 },
      },
      node: {
        name: node.name,
        zone: `zone-${(node.index % ZONES) + 1}`,
        capacity: `${capacityMiB}MiB`,
        advertise: await node.host.publish(Number(port)),
      },
      doors: { peer: `${node.host.address}:${port}` },
      cluster: {
        coordinator: `embedded:${join(this.#directory, 'coordinator.sqlite')}`,
        secretFile: join(this.#directory, 'secret'),
      },
      environment: { AWS_ACCESS_KEY_ID: 'evaluation', AWS_SECRET_ACCESS_KEY: 'evaluation' },
    });
  }

  #on(node: SiteNode): Daemon {
    const daemon = this.#daemons.get(node);
    if (daemon === undefined) throw new Error(`${this.#config.name} does not run on ${node.name}`);
    return daemon;
  }

  #resp(node: SiteNode): string {
    const { resp } = this.#on(node);
    if (resp === undefined) throw new Error('the daemon has no RESP door');
    return resp;
  }

  source(node: SiteNode) {
    return { via: 'http', host: this.#on(node).s3, prefix: `/${BUCKET}/` } as const;
  }

  sink(node: SiteNode) {
    return { kind: 's3', host: this.#on(node).s3, prefix: `/${BUCKET}/`, ack: this.#config.ack } as const;
  }

  readonly values = {
    source: (node: SiteNode) => ({ via: 'resp', host: this.#resp(node), lookup: true }) as const,
    sink: (node: SiteNode) => ({ kind: 'resp', host: this.#resp(node) }) as const,
  };

  async untilSafe(files: readonly JobFile[], signal: AbortSignal): Promise<number | undefined> {
    const [node] = this.#daemons.keys() as MapIterator<SiteNode>;
    const prefix = files[0]?.name.replace(/[^/]*$/, '') ?? '';
    const query = new URLSearchParams({ volume: BUCKET, prefix });
    while (!signal.aborted) {
      const url = `http://${this.#on(node as SiteNode).admin}/v1/writes?${query.toString()}`;
      const { objects } = JSON.parse(await (node as SiteNode).agent.ask(url)) as { objects: readonly WrittenState[] };
      const safe = new Set(objects.filter(isSafe).map(({ key }) => key));
      if (files.every(({ name }) => safe.has(name))) return monotonicMs();
      await sleep(POLL_MS);
    }
    return undefined;
  }

  get complaint(): string {
    const logs = Array.from(this.#daemons, ([{ name }, daemon]) => {
      const lines = daemon.complaint.trimEnd().split('\n').slice(-LOG_LINES).join('\n');
      return lines === '' ? '' : `${name}: ${lines}`;
    });
    return logs.filter((text) => text !== '').join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(Array.from(this.#daemons.values(), (daemon) => daemon.kill()));
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

export const forebayKind: Kind<ConfigOf<'forebay'>> = {
  lacks: () => undefined,
  async open(config, site) {
    const running = new RunningForebay(config);
    try {
      await running.start(site);
      return running;
    } catch (error) {
      await running[Symbol.asyncDispose]();
      throw error;
    }
  },
};
