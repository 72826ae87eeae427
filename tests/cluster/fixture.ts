/** A real cluster of daemons on one coordinator, in front of the bench's counting origin, for the tests of bad days. */
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { coverage } from '../../bench/origin-log.ts';
import { type OriginOptions, OriginServer } from '../../bench/origin-server.ts';
import { ClusterNode, eventually, type NodeOptions, NodeRefused, type Settings, type TestObject } from './node.ts';

export const MiB = 1 << 20;
export const VOLUME = 'lake';
export const CHUNK_BYTES = 4 * MiB;
const STARTS_MAX = 5;
const SECRET = 'the secret that the nodes of this test share';

export interface StartSettings {
  /** Added to the volume in front of the counting origin. */
  readonly volume?: Settings;
  /** In place of that volume. */
  readonly volumes?: Readonly<Record<string, Settings>>;
  readonly node?: Settings;
  readonly cluster?: Settings;
  readonly environment?: Readonly<Record<string, string>>;
  /** Where its cache and configuration are; by default a directory named after the node. */
  readonly directory?: string;
}

export interface Fixture {
  readonly origin: OriginServer;
  readonly endpoint: string;
  readonly directory: string;
  readonly secretFile: string;
  /** What the file holds. */
  readonly secret: string;
  /** Work for the end of the test, after the nodes have ended and before the directory goes; last first. */
  readonly defer: (work: () => void | Promise<void>) => void;
  /** Starts a node; it is stopped when the test ends, and has to end in good order then. */
  readonly start: (name: string, settings?: StartSettings) => Promise<ClusterNode>;
  /** Starts nodes at once and waits until each sees all. */
  readonly startAll: (names: readonly string[], settings?: StartSettings) => Promise<ClusterNode[]>;
}

export async function fixture(
  t: TestContext,
  options: Omit<OriginOptions, 'bucket'> & { coordinator?: string } = {},
): Promise<Fixture> {
  const { coordinator, ...originOptions } = options;
  const directory = mkdtempSync(join(tmpdir(), 'forebay-cluster-'));
  const secretFile = join(directory, 'secret');
  writeFileSync(secretFile, `${SECRET}\n`, { mode: 0o600 });
  const origin = new OriginServer({ bucket: VOLUME, ...originOptions });
  const endpoint = await origin.listen();
  const stack = new AsyncDisposableStack();
  const nodes: ClusterNode[] = [];
  stack.defer(() => rmSync(directory, { recursive: true, force: true, maxRetries: 5 }));
  t.after(async () => {
    const codes = await Promise.all(nodes.map(async (node) => (node.hasEnded ? 0 : node.stop())));
    await origin.close();
    await stack.disposeAsync();
    const unclean = codes.some((code) => code !== 0);
    if (!t.passed || unclean)
      for (const node of nodes) t.diagnostic(`what ${node.name} said:\n${node.log.slice(-12_000)}`);
    assert.ok(!unclean, `the nodes ended in good order: ${codes.join(', ')}`);
    for (const node of nodes)
      assert.doesNotMatch(node.log, /a fault of Forebay|Warning: /, `${node.name} met no fault of its own`);
  });
  const volume = (settings: Settings | undefined): Settings => ({
    origin: `s3://${VOLUME}`,
    endpoint,
    region: 'us-east-1',
    chunkSize: `${CHUNK_BYTES / MiB}MiB`,
    ...settings,
  });
  const self: Fixture = {
    origin,
    endpoint,
    directory,
    secretFile,
    secret: SECRET,
    defer: (work) => stack.defer(work),
    async start(name, settings = {}) {
      const own = settings.directory ?? join(directory, name);
      mkdirSync(own, { recursive: true });
      const node = await startPatiently({
        name,
        directory: own,
        volumes: settings.volumes ?? { [VOLUME]: volume(settings.volume) },
        ...(settings.node && { node: settings.node }),
        ...(settings.environment && { environment: settings.environment }),
        cluster: {
          coordinator: coordinator ?? `embedded:${join(directory, 'coordinator.sqlite')}`,
          secretFile,
          ...settings.cluster,
        },
      });
      nodes.push(node);
      return node;
    },
    async startAll(names, settings) {
      const started = await Promise.all(names.map((name) => self.start(name, settings)));
      await expectMembers(started, names);
      return started;
    },
  };
  return self;
}

/** On a machine so busy that its disk takes seconds, a start is tried again. */
async function startPatiently(options: NodeOptions): Promise<ClusterNode> {
  for (let tries = 1; ; tries++) {
    try {
      return await ClusterNode.start(options);
    } catch (error) {
      if (tries === STARTS_MAX || !(error instanceof NodeRefused) || !/disk of .* does not answer/.test(error.message))
        throw error;
    }
  }
}

/** Waits until each of these nodes sees exactly these members. */
export async function expectMembers(nodes: readonly ClusterNode[], names: readonly string[]): Promise<void> {
  const wanted = [...names].sort().join(' ');
  await eventually(`${nodes.map(({ name }) => name).join(', ')} see ${wanted}`, async () => {
    const seen = await Promise.all(nodes.map((node) => node.members()));
    return seen.every((members) => members.join(' ') === wanted);
  });
}

/** Expects that the origin was read exactly once, byte for byte. */
export function expectReadOnce(origin: OriginServer, object: TestObject): void {
  const { twiceBytes, neverBytes } = coverage(origin.requests, object.key, object.sizeBytes);
  assert.deepEqual({ twiceBytes, neverBytes }, { twiceBytes: 0, neverBytes: 0 }, `${object.key} was read once`);
}

/** Bytes of the object's content that the origin sent. */
export function originBytes(origin: OriginServer, object: TestObject): number {
  return origin.requests
    .filter(({ method, key }) => method === 'GET' && key === object.key)
    .reduce((sum, { sentBytes }) => sum + sentBytes, 0);
}

/** The object's sum over nodes of a metric. */
export async function total(
  nodes: readonly ClusterNode[],
  metric: string,
  labels?: Readonly<Record<string, string>>,
): Promise<number> {
  const values = await Promise.all(nodes.map((node) => node.metric(metric, labels)));
  return values.reduce((sum, value) => sum + value, 0);
}
