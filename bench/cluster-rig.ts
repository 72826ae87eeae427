/** What the rigs of all benches of several nodes are made of: what they own and let go of, one cluster, and an origin beside the nodes. */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from './child.ts';
import type { DaemonOptions, Settings } from './daemon.ts';
import { HostAgent } from './fan-out-read/host-agent.ts';
import { cleanUpOnInterrupt } from './interrupt.ts';
import { type LinkedHost, type Links, openLinks } from './links/links.ts';
import { OriginProcess } from './origin-process.ts';

const PEER_PORT = 7074;
const ZONES = 3;

/**
 * What `open` makes; it puts whatever has to end on the stack. Rejects when something cannot be started, and when the user presses Ctrl-C
 * all ends: what was started by then has ended.
 */
export async function openRig<R>(open: (stack: AsyncDisposableStack) => Promise<R>): Promise<R> {
  const stack = new AsyncDisposableStack();
  cleanUpOnInterrupt(stack);
  try {
    return await open(stack);
  } catch (error) {
    await stack.disposeAsync();
    throw error;
  }
}

/** A directory of its own below `place`, for as long as the stack lasts. */
export function rigDirectory(stack: AsyncDisposableStack, place: string): string {
  const directory = mkdtempSync(join(place, 'forebay-bench-'));
  stack.defer(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

/** `[cluster]` of every daemon of the one cluster in a directory; makes its secret. */
export function clusterIn(directory: string): Settings {
  const secretFile = join(directory, 'secret');
  writeFileSync(secretFile, `${randomBytes(32).toString('base64')}\n`, { mode: 0o600 });
  return { coordinator: `embedded:${join(directory, 'coordinator.sqlite')}`, secretFile };
}

/** How the daemon on a host is a member: its name, its zone, and where its peers reach it. */
export async function memberOn(
  host: LinkedHost,
  index: number,
): Promise<Required<Pick<DaemonOptions, 'host' | 'node' | 'doors'>>> {
  // On a host of its own any port is free; on a shared loopback it has to be looked for.
  const port = host.address === '127.0.0.1' ? await freePort() : PEER_PORT;
  return {
    host,
    node: { name: host.name, zone: `zone-${(index % ZONES) + 1}`, advertise: await host.publish(port) },
    doors: { peer: `${host.address}:${port}` },
  };
}

/** All that start, told to `add` in order, also those beside one that does not. */
export async function startAll<N>(starting: readonly Promise<N>[], add: (node: N) => void): Promise<void> {
  const started = await Promise.allSettled(starting);
  for (const outcome of started) if (outcome.status === 'fulfilled') add(outcome.value);
  for (const outcome of started) if (outcome.status === 'rejected') throw outcome.reason;
}

export interface OriginRigOptions {
  readonly nodes: number;
  readonly linkMbit: number;
  /** The origin's link ÷ a node's. */
  readonly originLinks: number;
  readonly shaping?: 'kernel' | 'user';
}

export interface OriginRig {
  readonly links: Links;
  readonly origin: OriginProcess;
  readonly originAgent: HostAgent;
  /** Of the nodes. */
  readonly agents: readonly HostAgent[];
}

/** An origin and N nodes behind shaped links, an agent on each. */
export async function openOriginRig(
  stack: AsyncDisposableStack,
  { nodes, linkMbit, originLinks, shaping }: OriginRigOptions,
  bucket: { readonly bucket: string; readonly writable?: boolean },
): Promise<OriginRig> {
  const links = await openLinks(
    [
      { name: 'origin', mbitPerS: linkMbit * originLinks },
      ...Array.from({ length: nodes }, (_, i) => ({ name: `node-${i + 1}`, mbitPerS: linkMbit })),
    ],
    shaping && { shaping },
  );
  stack.use(links);
  const all = await Promise.all(links.hosts.map((host) => HostAgent.start(host)));
  for (const agent of all) stack.defer(() => agent.stop());
  const [originAgent, ...agents] = all as [HostAgent, ...HostAgent[]];
  const origin = await OriginProcess.start(bucket, originAgent.host);
  stack.defer(() => origin.stop());
  return { links, origin, originAgent, agents };
}
