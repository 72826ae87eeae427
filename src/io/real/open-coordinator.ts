/**
 * Opens the coordinator that a configuration names: `embedded:/path` (one SQLite file for the daemons of one machine),
 * `embedded` (that file in the cache directory), `etcd://host:port,…` (plain, on loopback only) or `etcds://host:port,…`.
 */
import { join } from 'node:path';
import { formatAddress, isLoopback, parseAddress } from '../../core/address.ts';
import { ForebayError } from '../../core/errors.ts';
import type { Coordinator } from '../coordinator.ts';
import type { Clock, Random } from '../io.ts';
import { openEmbeddedCoordinator } from './embedded-coordinator.ts';
import { openEtcdCoordinator } from './etcd-coordinator.ts';
import type { FfiChoice } from './libc.ts';

const FILE_NAME = 'coordinator.sqlite';
const PORT_DEFAULT = 2379;

export interface OpenCoordinatorOptions {
  readonly cluster: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly ffi?: FfiChoice | undefined;
  /** Where `embedded` keeps its file. */
  readonly cacheDirectory?: string | undefined;
  /** For etcd, if its URL has none. */
  readonly user?: string | undefined;
  readonly password?: string | undefined;
  /** PEM. */
  readonly ca?: string | undefined;
  readonly certificate?: string | undefined;
  readonly key?: string | undefined;
}

export type CoordinatorPlace =
  /** `undefined`: in the cache directory. */
  | { readonly kind: 'embedded'; readonly path: string | undefined }
  | {
      readonly kind: 'etcd';
      /** `http://host:port` or `https://host:port`. */
      readonly endpoints: readonly string[];
      readonly user: string | undefined;
      readonly password: string | undefined;
    };

/** Rejects with `config` for what names no coordinator, and as the coordinator that is opened. */
export async function openCoordinator(url: string, options: OpenCoordinatorOptions): Promise<Coordinator> {
  const place = parseCoordinator(url);
  const { clock, random, cluster, ffi, cacheDirectory } = options;
  if (place.kind === 'embedded') {
    const path = place.path ?? (cacheDirectory === undefined ? undefined : join(cacheDirectory, FILE_NAME));
    if (path === undefined) refuse('"embedded" keeps its file in a cache directory, and there is none');
    return await openEmbeddedCoordinator({ path, clock, ...(ffi && { ffi }) });
  }
  const { user = place.user, password = place.password, ca, certificate, key } = options;
  const { endpoints } = place;
  return await openEtcdCoordinator({ endpoints, cluster, clock, random, ffi, user, password, ca, certificate, key });
}

function refuse(message: string): never {
  throw new ForebayError('config', message);
}

/** Throws `config` with what is wrong; never repeats a password. */
export function parseCoordinator(url: string): CoordinatorPlace {
  if (url === 'embedded') return { kind: 'embedded', path: undefined };
  if (url.startsWith('embedded:')) {
    const path = url.slice('embedded:'.length);
    if (!path.startsWith('/'))
      refuse('an embedded coordinator has an absolute path: embedded:/var/lib/forebay/cluster.sqlite');
    if (path.includes('\0') || path.endsWith('/')) refuse('the path of an embedded coordinator names a file');
    return { kind: 'embedded', path };
  }
  const match = /^(etcds?):\/\/(?:([^@]*)@)?([^@]*)$/s.exec(url);
  if (!match) refuse('a coordinator is written embedded:/path, etcd://127.0.0.1:2379 or etcds://host:2379,host:2379');
  const [, scheme = '', userInfo, hosts = ''] = match;
  const isTls = scheme === 'etcds';
  const endpoints = hosts
    .replace(/\/$/, '')
    .split(',')
    .map((host) => endpointOf(host.trim(), isTls));
  return { kind: 'etcd', endpoints, ...userOf(userInfo) };
}

function endpointOf(host: string, isTls: boolean): string {
  const address = parseAddress(host) ?? parseAddress(`${host}:${PORT_DEFAULT}`);
  if (!address || address.port === 0) refuse(`${JSON.stringify(host)} is no endpoint of etcd: write host:port`);
  if (!isTls && !isLoopback(address.host))
    refuse(`etcd at ${host} would be spoken to in plain text, which is for loopback only: write etcds://`);
  return `${isTls ? 'https' : 'http'}://${formatAddress(address)}`;
}

function userOf(userInfo: string | undefined): { user: string | undefined; password: string | undefined } {
  if (userInfo === undefined) return { user: undefined, password: undefined };
  const colon = userInfo.indexOf(':');
  const user = decoded(colon < 0 ? userInfo : userInfo.slice(0, colon));
  if (user === '') refuse('before the @ of etcd’s URL stands user:password');
  return { user, password: colon < 0 ? undefined : decoded(userInfo.slice(colon + 1)) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return refuse('user and password in etcd’s URL are percent-encoded');
  }
}
