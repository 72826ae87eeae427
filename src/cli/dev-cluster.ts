/**
 * `forebay dev --nodes N`: a cluster on this machine. Each node is a daemon of its own with its own cache, doors and zone;
 * they share an embedded coordinator, a secret made for them, and one log in which each line names its node. A node that
 * ends is reported and not started again: what the others do then is what one wants to see.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAddress } from '../core/address.ts';
import type { NodeStatus } from '../front/admin/node-status.ts';
import type { Config } from '../node/config.ts';
import { AdminClient } from './admin-client.ts';
import { type DevPlanOptions, originPath, type PlannedNode, planNodes, secretPath } from './dev-plan.ts';
import { DONE, FAILED, Failure } from './failure.ts';
import { NodeChild, type NodeReady } from './node-child.ts';
import type { Output } from './output.ts';

export interface DevClusterOptions
  extends Omit<DevPlanOptions, 'directory' | 'capacityBytes' | 'logFormat' | 'config'> {
  readonly config: Config;
  /** Where the state is kept; absent: in a temporary directory that goes when the cluster ends. */
  readonly directory: string | undefined;
}

/** A node that serves. */
type Serving = PlannedNode & NodeReady;

/** Past this a node that was told to stop is killed: longer than a daemon gives itself (`shutdownMaxMs`). */
const STOP_MAX_MS = 25_000;
/** Longer than the lease of a node of the same name that was killed just before. */
const ACQUAINT_MAX_MS = 30_000;
const ACQUAINT_POLL_MS = 50;

/** Runs until it is told to stop, or until no node is left; resolves with the exit code. */
export async function runCluster(options: DevClusterOptions, output: Output): Promise<number> {
  const directory = await directoryOf(options.directory);
  const logFormat = process.stderr.isTTY ? 'text' : 'json';
  const asked = stopAsked();
  const children: NodeChild[] = [];
  try {
    await makeShared(directory, options.config);
    const capacityBytes = await shareOf(directory, options.count);
    const plan = planNodes({ ...options, directory, capacityBytes, logFormat });
    const log = new ClusterLog(options.config.log.format === 'auto' ? logFormat : options.config.log.format);
    for (const { name, args } of plan) children.push(new NodeChild(name, args, (line) => log.line(name, line)));
    const serving = Promise.all(
      plan.map(
        async (node, index): Promise<Serving> => ({ ...node, ...(await (children[index] as NodeChild).ready()) }),
      ),
    );
    const nodes = await Promise.race([serving.then(acquainted), asked.then(() => undefined)]);
    if (nodes === undefined) {
      serving.catch(() => undefined);
      return DONE;
    }
    const left = watch(children, log, asked);
    announce(nodes, { directory, kept: options.directory !== undefined, output });
    const allGone = left.then(() => FAILED);
    return await Promise.race([asked.then(() => DONE), allGone]);
  } finally {
    await stopAll(children);
    if (options.directory === undefined) await rm(directory, { recursive: true, force: true });
  }
}

async function directoryOf(named: string | undefined): Promise<string> {
  if (named === undefined) return mkdtemp(join(tmpdir(), 'forebay-dev-'));
  const directory = resolve(named);
  await mkdir(directory, { recursive: true, mode: 0o700 });
  return directory;
}

/** Waits until every node knows every other: what is asked of all nodes then reaches all. */
async function acquainted(nodes: readonly Serving[]): Promise<readonly Serving[]> {
  const until = performance.now() + ACQUAINT_MAX_MS;
  const knowsAll = async ({ doors }: Serving): Promise<boolean> => {
    const admin = parseAddress(doors['admin'] ?? '');
    if (admin === undefined) return true; // it cannot be asked
    const { membership } = await new AdminClient(admin, undefined).get<NodeStatus>('/v1/status');
    const known = new Set(membership?.members.map(({ node }) => node));
    return nodes.every(({ name }) => known.has(name));
  };
  while (!(await Promise.all(nodes.map(knowsAll))).every(Boolean)) {
    if (performance.now() > until)
      throw new Failure(`the nodes do not all know each other after ${ACQUAINT_MAX_MS / 1000} s`, {
        hint: 'Their log says why; `forebay status` of each shows whom it knows.',
      });
    await sleep(ACQUAINT_POLL_MS);
  }
  return nodes;
}

/** The secret, once, and the origin of the volume that a cluster without volumes gets. */
async function makeShared(directory: string, config: Config): Promise<void> {
  if (config.volumes.length === 0) await mkdir(originPath(directory), { recursive: true });
  if (config.cluster.coordinator !== undefined) return;
  try {
    const secret = `${randomBytes(32).toString('base64')}\n`;
    await writeFile(secretPath(directory), secret, { flag: 'wx', mode: 0o600 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
}

/** What one of `count` nodes on this disk may take: they share what one alone would. Decided once per directory. */
async function shareOf(directory: string, count: number): Promise<number> {
  const [{ createRealDisk }, { decideCapacity }] = await Promise.all([
    import('../io/real/disk.ts'),
    import('../node/capacity.ts'),
  ]);
  const disk = createRealDisk();
  try {
    return Math.floor((await decideCapacity(disk, directory)) / count);
  } finally {
    await disk.close();
  }
}

/** One log of all nodes on stderr: lines of text begin with the node's name, lines of JSON have it as their first field. */
class ClusterLog {
  readonly #format: 'json' | 'text';

  constructor(format: 'json' | 'text') {
    this.#format = format;
    // A reader of stderr that went away is no reason to stop the cluster.
    process.stderr.on('error', () => undefined);
  }

  line(node: string, line: string): void {
    const isJson = this.#format === 'json' && line.startsWith('{');
    process.stderr.write(isJson ? `{"node":${JSON.stringify(node)},${line.slice(1)}\n` : `${node}  ${line}\n`);
  }

  nodeEnded(node: string, how: number | string, left: number): void {
    const message = `ended with ${how}; ${left} ${left === 1 ? 'node is' : 'nodes are'} left, and none is started again`;
    if (this.#format === 'text') this.line(node, message);
    else
      this.line(
        node,
        JSON.stringify({ level: 'error', time: new Date().toISOString(), kind: 'dev.nodeEnded', message }),
      );
  }
}

/** Reports each node that ends without having been asked; resolves when none is left. */
async function watch(children: readonly NodeChild[], log: ClusterLog, asked: Promise<void>): Promise<void> {
  let left = children.length;
  let expected = false;
  void asked.then(() => {
    expected = true;
  });
  await Promise.all(
    children.map(async (child) => {
      const how = await child.ended;
      left--;
      if (!expected) log.nodeEnded(child.name, how, left);
    }),
  );
}

function announce(
  nodes: readonly Serving[],
  { directory, kept, output }: { directory: string; kept: boolean; output: Output },
): void {
  // The cluster goes on when whoever read its first line goes away.
  process.stdout.on('error', () => undefined);
  const [first] = nodes as [Serving];
  if (output.json) {
    const told = nodes.map(({ name, zone, pid, doors }) => ({ name, zone, pid, doors }));
    output.object({ ready: true, pid: process.pid, doors: first.doors, directory, nodes: told });
    return;
  }
  output.line(`forebay is ready: ${nodes.length} nodes, pid ${process.pid}`);
  const names = Object.keys(first.doors);
  output.table(
    ['NODE', 'ZONE', 'PID', ...names.map((name) => name.toUpperCase())],
    nodes.map(({ name, zone, pid, doors }) => [name, zone, String(pid), ...names.map((door) => doors[door] ?? '')]),
    ['PID'],
  );
  output.line(kept ? `state is kept in ${directory}` : 'state goes when the cluster ends; --dir DIR keeps it');
  output.line('no keys are asked for; client commands reach another node than the first with --admin; Ctrl-C stops');
}

/** Resolves when this process is asked to end, or a parent that opened a channel is gone; a second signal ends it at once, and its nodes with it. */
function stopAsked(): Promise<void> {
  const { promise, resolve: asked } = Promise.withResolvers<void>();
  let before = false;
  process.once('disconnect', asked);
  // Listening to it would keep this process when all else has ended.
  process.channel?.unref();
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) {
    process.on(signal, () => {
      if (before) process.exit(FAILED);
      before = true;
      asked();
    });
  }
  return promise;
}

async function stopAll(children: readonly NodeChild[]): Promise<void> {
  for (const child of children) child.signal('SIGTERM');
  const timer = setTimeout(() => {
    for (const child of children) child.signal('SIGKILL');
  }, STOP_MAX_MS);
  await Promise.allSettled(children.map((child) => child.ended));
  clearTimeout(timer);
}
