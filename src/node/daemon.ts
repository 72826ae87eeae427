/**
 * The daemon: a node on real io with its doors open. `stop` ends it in order: no new connections, requests under way
 * finish within their bound, then fills end, the store and the origins close, and the log is flushed.
 */
import { flushCompileCache } from 'node:module';
import { formatAddress } from '../core/address.ts';
import { ForebayError } from '../core/errors.ts';
import { shutdownMaxMs } from '../core/limits.ts';
import { VERSION } from '../core/version.ts';
import type { AccessKey } from '../front/credentials.ts';
import type { Io } from '../io/io.ts';
import { createRealIo } from '../io/real/real-io.ts';
import type { Emit } from '../observe/events.ts';
import type { OpenedCluster } from './cluster-opener.ts';
import type { Config } from './config.ts';
import { credentialsOf, ensureCredentialsFile } from './credentials-file.ts';
import { type Doors, openDoors } from './doors.ts';
import { createNode, ensureDirectory, type Node } from './node.ts';
import { gaugesOf } from './node-report.ts';
import { originOpener } from './origin-opener.ts';
import { createSinks } from './sinks.ts';

export interface DaemonOptions {
  readonly config: Config;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** Where the node's own key is, or will be written. */
  readonly credentialsPath: string;
  readonly logFormat: 'json' | 'text';
}

export interface Daemon {
  /** Door → `HOST:PORT` as it listens. */
  readonly doors: Readonly<Record<string, string>>;
  /** The key was made by this start. */
  readonly keyCreated: boolean;
  /** Puts into the log what the process has to say before it ends at once. */
  lastWords(message: string): void;
  /** Ends within `shutdownMaxMs`, whatever hangs. Later calls wait for the first. */
  stop(reason: string): Promise<void>;
}

/** Throws config, locked, formatTooNew, doorTaken, or the disk's errors; whatever was open by then is closed. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const config = withOwnCluster(options.config);
  const { keys, created } = await keysOf(options);
  const sinks = createSinks(config, { format: options.logFormat });
  const { emit, log, health } = sinks;
  const io = createRealIo({ cacheDirectory: config.node.cacheDir, emit, ffi: config.node.ffi });
  const { clock } = io;
  const fromMs = clock.boottimeMs();
  let cluster: OpenedCluster | undefined;
  let node: Node | undefined;
  let doors: Doors;
  try {
    const openOrigin = originOpener({ io, emit, environment: options.environment, ffi: config.node.ffi });
    if (config !== options.config) await ensureDirectory(io.disk, config.node.cacheDir);
    cluster = await clusterOf(config, { io, emit });
    node = await createNode({ config, io, emit, openOrigin, ...(cluster && { cluster }) });
    sinks.metrics.addGauges(gaugesOf(node, health, VERSION));
    const credentials = credentialsOf(keys, { anonymous: config.doors.anonymous });
    doors = await openDoors({ config, io, node, credentials, sinks });
  } catch (error) {
    await node?.close();
    await cluster?.close();
    await io.close();
    log.flush();
    throw error;
  }
  const peer = node.cluster && { peer: formatAddress(node.cluster.address) };
  const addresses = { ...doors.addresses, ...peer };
  const stopping = new AbortController();
  void health.probe(node.volumes.values(), { clock, signal: stopping.signal });
  const text = Object.entries(addresses).map(([name, address]) => `${name}=${address}`);
  // A daemon that is killed never saves what it compiled; its next start would be slow and twice as large.
  flushCompileCache();
  emit({
    kind: 'node.ready',
    name: config.node.name,
    version: VERSION,
    doors: text.join(' '),
    ms: clock.boottimeMs() - fromMs,
  });

  const stop = async (reason: string): Promise<void> => {
    const stopFromMs = clock.boottimeMs();
    emit({ kind: 'node.stopping', reason });
    stopping.abort();
    await doors.close();
    await node.close();
    await cluster?.close();
    await io.close();
    emit({ kind: 'node.stopped', ms: clock.boottimeMs() - stopFromMs });
  };
  let stopped: Promise<void> | undefined;
  return {
    doors: addresses,
    keyCreated: created,
    lastWords(message) {
      emit({ kind: 'node.warning', message });
      log.flush();
    },
    stop: (reason) => (stopped ??= within(shutdownMaxMs, stop(reason)).finally(() => log.flush())),
  };
}

/**
 * A node alone whose writes are held here before the origin has them keeps their records in a coordinator of its own, and is a
 * cluster of one: its peer door is of loopback, and its secret is nobody else's.
 */
function withOwnCluster(config: Config): Config {
  if (config.cluster.coordinator !== undefined || !config.volumes.some(({ volume }) => volume.writes)) return config;
  const coordinator = `embedded:${config.node.cacheDir}/coordinator.sqlite`;
  return {
    ...config,
    cluster: { ...config.cluster, coordinator },
    doors: { ...config.doors, peer: { host: '127.0.0.1', port: 0 } },
  };
}

/** A node alone does not load what a cluster takes. */
async function clusterOf(config: Config, parts: { io: Io; emit: Emit }): Promise<OpenedCluster | undefined> {
  if (config.cluster.coordinator === undefined) return undefined;
  const { openCluster } = await import('./cluster-opener.ts');
  return openCluster(config, parts);
}

/** The configuration's keys and the node's own, which the first start makes. Doors that ask for no key need none. */
async function keysOf({
  config,
  credentialsPath,
}: DaemonOptions): Promise<{ keys: readonly AccessKey[]; created: boolean }> {
  if (config.doors.anonymous) return { keys: config.keys, created: false };
  const { key, created } = await ensureCredentialsFile(credentialsPath);
  if (config.keys.some(({ id }) => id === key.id))
    throw new ForebayError(
      'config',
      `keys.${key.id}: is the id of the node's own key in ${credentialsPath}; use another`,
    );
  return { keys: [key, ...config.keys], created };
}

/** Resolves after `ms` at the latest, and keeps the process alive until then. */
async function within(ms: number, work: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([work, promise]).finally(() => clearTimeout(timer));
}
