/**
 * The daemon: a node on real io with its doors open. `stop` ends it in order: no new connections, requests under way
 * finish within their bound, then fills end, the store and the origins close, and the log is flushed.
 */
import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { type Address, formatAddress } from '../core/address.ts';
import { ForebayError } from '../core/errors.ts';
import { shutdownMaxMs } from '../core/limits.ts';
import { VERSION } from '../core/version.ts';
import { createAdminDoor } from '../front/admin/admin-door.ts';
import type { Credentials } from '../front/credentials.ts';
import { createS3Door } from '../front/s3/s3-door.ts';
import { createRealIo, type RealIo } from '../io/real/real-io.ts';
import { EventFeed } from '../observe/event-feed.ts';
import type { Emit, Event } from '../observe/events.ts';
import { Log } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import type { Config } from './config.ts';
import { credentialsOf, ensureCredentialsFile } from './credentials-file.ts';
import { createNode, type Node } from './node.ts';
import { gaugesOf, readinessOf, statusOf } from './node-report.ts';
import { originOpener } from './origin-opener.ts';
import { VolumeHealth } from './volume-health.ts';

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
  /** Writes to the log what the process has to say before it ends. */
  warn(message: string): void;
  flushLog(): void;
  stop(reason: string): Promise<void>;
}

interface Door {
  readonly server: Server;
  close(): Promise<void>;
}

/** Throws config, locked, formatTooNew, doorTaken, or the disk's errors; whatever was open by then is closed. */
export async function startDaemon(options: DaemonOptions): Promise<Daemon> {
  const { config } = options;
  const metrics = new Metrics();
  const feed = new EventFeed();
  const health = new VolumeHealth();
  const emit: Emit = (event: Event) => {
    log.write(event);
    metrics.count(event);
    feed.emit(event);
    health.note(event);
  };
  const io = createRealIo({ cacheDirectory: config.node.cacheDir, emit, ffi: config.node.ffi });
  const { clock } = io;
  const fromMs = clock.boottimeMs();
  const log = new Log({
    level: config.log.level,
    format: options.logFormat,
    descriptor: 2,
    nowMs: () => clock.boottimeMs(),
  });
  const own = await ensureCredentialsFile(options.credentialsPath);
  if (config.keys.some((key) => key.id === own.key.id))
    throw new ForebayError(
      'config',
      `keys.${own.key.id}: is the id of the node's own key in ${options.credentialsPath}; use another`,
    );
  const credentials = credentialsOf([own.key, ...config.keys], { anonymous: config.doors.anonymous });
  const doors: Record<string, string> = {};
  const opened: Door[] = [];
  const stopping = new AbortController();
  let node: Node | undefined;
  try {
    node = await createNode({
      config,
      io,
      emit,
      openOrigin: originOpener({ io, emit, environment: options.environment, ffi: config.node.ffi }),
    });
    metrics.addGauges(gaugesOf(node, health, VERSION));
    await openDoors({ config, io, node, credentials, emit, feed, health, metrics, doors, opened, fromMs });
  } catch (error) {
    await Promise.all(opened.map((door) => door.close()));
    await node?.close();
    await io.close();
    throw error;
  }
  const running = node;
  void health.probe(running.volumes.values(), { clock, signal: stopping.signal });
  const text = Object.entries(doors).map(([name, address]) => `${name}=${address}`);
  emit({
    kind: 'node.ready',
    name: config.node.name,
    version: VERSION,
    doors: text.join(' '),
    ms: clock.boottimeMs() - fromMs,
  });

  let stopped: Promise<void> | undefined;
  const stop = async (reason: string): Promise<void> => {
    const stopFromMs = clock.boottimeMs();
    emit({ kind: 'node.stopping', reason });
    stopping.abort();
    await Promise.all(opened.map((door) => door.close()));
    await running.close();
    await io.close();
    emit({ kind: 'node.stopped', ms: clock.boottimeMs() - stopFromMs });
    log.flush();
  };
  return {
    doors,
    keyCreated: own.created,
    warn: (message) => emit({ kind: 'node.warning', message }),
    flushLog: () => log.flush(),
    stop: (reason) => (stopped ??= within(shutdownMaxMs, stop(reason))),
  };
}

interface DoorParts {
  readonly config: Config;
  readonly io: RealIo;
  readonly node: Node;
  readonly credentials: Credentials;
  readonly emit: Emit;
  readonly feed: EventFeed;
  readonly health: VolumeHealth;
  readonly metrics: Metrics;
  /** Filled in as the doors open. */
  readonly doors: Record<string, string>;
  readonly opened: Door[];
  readonly fromMs: number;
}

async function openDoors(parts: DoorParts): Promise<void> {
  const { config, io, node, credentials, emit, health } = parts;
  const { clock, random, network } = io;
  const { reader, writer, volumes } = node;
  if (config.doors.s3) {
    const domain = config.doors.domain;
    const common = { reader, writer, volumes, credentials, network, clock, random, emit };
    await open(parts, 's3', createS3Door({ ...common, ...(domain !== undefined && { domain }) }), config.doors.s3);
  }
  if (config.doors.admin) {
    const admin = createAdminDoor({
      reader,
      credentials,
      clock,
      emit,
      feed: parts.feed,
      hosts: [config.node.name, config.doors.admin.host, ...config.doors.hosts],
      readiness: () => readinessOf(node, health),
      metrics: () => parts.metrics.text(),
      status: () =>
        statusOf({
          config,
          node,
          health,
          version: VERSION,
          doors: parts.doors,
          network: network.path,
          uptimeMs: clock.boottimeMs() - parts.fromMs,
        }),
    });
    await open(parts, 'admin', admin, config.doors.admin);
  }
}

async function open({ opened, doors }: DoorParts, name: string, door: Door, address: Address): Promise<void> {
  opened.push(door);
  try {
    door.server.listen(address.port, address.host);
    await once(door.server, 'listening');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const why = code === 'EADDRINUSE' ? 'something listens there already' : code;
    throw new ForebayError('doorTaken', `the ${name} door cannot listen on ${formatAddress(address)}: ${why}`, {
      cause: error,
    });
  }
  doors[name] = formatAddress({ host: address.host, port: (door.server.address() as AddressInfo).port });
}

/** Resolves after `ms` at the latest, and keeps the process alive until then. */
async function within(ms: number, work: Promise<void>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, ms);
  await Promise.race([work, promise]).finally(() => clearTimeout(timer));
}
