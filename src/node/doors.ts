/** Opens a node's doors where the configuration puts them. */
import type { Server } from 'node:net';
import { type Address, formatAddress } from '../core/address.ts';
import { ForebayError } from '../core/errors.ts';
import { VERSION } from '../core/version.ts';
import type { Drain } from '../drain/drain.ts';
import { createAdminDoor } from '../front/admin/admin-door.ts';
import type { DrainAdmin } from '../front/admin/drain-operations.ts';
import type { Credentials } from '../front/credentials.ts';
import { createRespDoor } from '../front/resp/resp-door.ts';
import { createS3Door } from '../front/s3/s3-door.ts';
import type { Io, Network } from '../io/io.ts';
import type { Kv } from '../kv/kv.ts';
import { listWrites } from '../write/writes-listing.ts';
import type { Config } from './config.ts';
import type { Node } from './node.ts';
import { readinessOf, statusOf } from './node-report.ts';
import { type ObjectPaths, objectPaths } from './object-paths.ts';
import type { Sinks } from './sinks.ts';

interface Door {
  readonly server: Server;
  close(): Promise<void>;
}

export interface DoorOptions {
  readonly config: Config;
  readonly io: Io;
  readonly node: Node;
  readonly credentials: Credentials;
  readonly sinks: Sinks;
}

export interface Doors {
  /** Door → `HOST:PORT` as it listens. */
  readonly addresses: Readonly<Record<string, string>>;
  /** No new connections; requests under way finish within the doors' bound. */
  close(): Promise<void>;
}

/** Throws doorTaken; doors that were open by then are closed. */
export async function openDoors(options: DoorOptions): Promise<Doors> {
  const { config, io, node } = options;
  const paths = objectPaths(options);
  const addresses: Record<string, string> = {};
  const opened: Door[] = [];
  const close = async (): Promise<void> => {
    await Promise.all(opened.map((door) => door.close()));
  };
  const open = async (name: string, address: Address | false, make: () => Door): Promise<void> => {
    if (!address) return;
    const door = make();
    opened.push(door);
    addresses[name] = await listen(io.network, door.server, name, address);
  };
  try {
    await open('s3', config.doors.s3, () => s3Door(options, paths));
    const { kv } = node;
    if (kv) await open('resp', config.doors.resp, () => respDoor(options, kv));
    await open('admin', config.doors.admin, () => adminDoor(options, paths, addresses));
  } catch (error) {
    await close();
    throw error;
  }
  return { addresses, close };
}

function s3Door({ config, io, credentials, sinks }: DoorOptions, paths: ObjectPaths): Door {
  const { clock, random, network } = io;
  const { domain } = config.doors;
  return createS3Door({
    ...paths,
    credentials,
    network,
    clock,
    random,
    emit: sinks.emit,
    ...(domain !== undefined && { domain }),
  });
}

function respDoor({ config, io, credentials, sinks }: DoorOptions, kv: Kv): Door {
  const { clock, network } = io;
  const writable = new Map(config.volumes.map(({ volume }) => [volume.name, volume.write]));
  return createRespDoor({
    kv,
    isWritable: (volume) => writable.get(volume) === true,
    credentials,
    network,
    clock,
    version: VERSION,
    emit: sinks.emit,
  });
}

function adminDoor(
  { config, io, node, credentials, sinks }: DoorOptions,
  paths: ObjectPaths,
  addresses: Readonly<Record<string, string>>,
): Door {
  const { clock, network } = io;
  const { records, checkpoints, writer, adoptions } = node;
  const { emit, feed, health, metrics } = sinks;
  const fromMs = clock.boottimeMs();
  const bound = config.doors.admin ? [config.doors.admin.host] : [];
  return createAdminDoor({
    reader: paths.reader,
    credentials,
    clock,
    emit,
    feed,
    hosts: [config.node.name, ...bound, ...config.doors.hosts],
    readiness: () => readinessOf(node, health),
    metrics: () => metrics.text(),
    ...(checkpoints && { checkpoints: { checkpoints, writer } }),
    ...(node.kv && { kv: { kv: node.kv, volumes: paths.volumes, network } }),
    ...(node.drain && { drain: leaving(node.drain) }),
    ...(adoptions && { adopt: (request, signal) => adoptions.adopt(request, signal) }),
    ...(records && { writes: (request, signal) => listWrites(records, request, signal) }),
    status: () =>
      statusOf({
        config,
        node,
        health,
        version: VERSION,
        doors: addresses,
        network: network.path,
        uptimeMs: clock.boottimeMs() - fromMs,
      }),
  });
}

/** Whoever leaves ends, as when it is told to by a signal. */
function leaving(drain: Drain): DrainAdmin {
  return {
    volumes: drain.volumes,
    progress: (volume, options) => drain.progress(volume, options),
    conflicts: (volume) => drain.conflicts(volume),
    resolve: (resolution) => drain.resolve(resolution),
    recover: (volume, options) => drain.recover(volume, options),
    async *leave(options) {
      yield* drain.leave(options);
      process.kill(process.pid, 'SIGTERM');
    },
  };
}

async function listen(network: Network, server: Server, name: string, address: Address): Promise<string> {
  try {
    return formatAddress({ host: address.host, port: await network.listen(server, address) });
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    const why = code === 'EADDRINUSE' ? 'something listens there already' : code;
    throw new ForebayError('doorTaken', `the ${name} door cannot listen on ${formatAddress(address)}: ${why}`, {
      cause: error,
    });
  }
}
