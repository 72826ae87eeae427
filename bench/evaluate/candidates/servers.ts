/** Command lines of a candidate that stay in the foreground on nodes: servers and mounts. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Child } from '../../child.ts';
import { ownEnvironment } from '../../daemon.ts';
import { BUCKET, type Site, type SiteNode } from '../site.ts';

const START_MS = 30_000;
const POLL_MS = 50;
const COMPLAINT_CHARACTERS = 600;

export type Variables = Readonly<Record<string, string | number>>;

/** Of one candidate on one node; the directory is made. */
export async function variablesOf(site: Site, node: SiteNode, name: string): Promise<Variables> {
  const dir = join(node.directory, name.replaceAll(/[^A-Za-z0-9_-]/g, '_'));
  mkdirSync(dir, { recursive: true });
  return {
    node: node.name,
    index: node.index,
    address: node.host.address,
    port: await site.port(),
    dir,
    mount: join(dir, 'mount'),
    origin: site.origin.endpoint,
    originHost: site.originAddress,
    bucket: BUCKET,
    nodes: site.nodes.map(({ host }) => host.address).join(','),
  };
}

export class Servers implements AsyncDisposable {
  readonly #children: Child[] = [];

  /** Starts a command line on a node; resolves once `isReady` says so. Rejects with what the command complained of. */
  async start(node: SiteNode, line: string, directory: string, isReady: () => Promise<boolean>): Promise<void> {
    const child = await Child.start(...node.host.commandLine('sh', ['-c', `exec ${line}`]), {
      cwd: directory,
      env: ownEnvironment(),
    });
    child.process.stdout?.resume();
    node.host.adopt(child.pid);
    this.#children.push(child);
    const until = performance.now() + START_MS;
    while (!(await isReady())) {
      if (child.hasEnded) throw new Error(`${line}: ended with ${await child.ended()}: ${tail(child)}`);
      if (performance.now() > until) throw new Error(`${line}: not ready after ${START_MS / 1000} s: ${tail(child)}`);
      await sleep(POLL_MS);
    }
  }

  get complaint(): string {
    return this.#children
      .map(tail)
      .filter((text) => text !== '')
      .join('\n');
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#children.map((child) => child.stop(2000)));
  }
}

const tail = (child: Child) => child.complaint.trim().slice(-COMPLAINT_CHARACTERS);
