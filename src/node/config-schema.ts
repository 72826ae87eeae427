/** The tables and keys of the configuration, with their defaults (DESIGN.md section 11). */
import { resolve } from 'node:path';
import { z } from 'zod';
import { type Address, formatAddress, isLoopback } from '../core/address.ts';
import { GiB, MiB } from '../core/limits.ts';
import { VOLUME_NAME } from '../core/volume.ts';
import type { Right } from '../front/credentials.ts';
import type { Config } from './config.ts';
import { advertised, boolean, choice, door, field, later, list, size, text } from './config-field.ts';
import { isKv } from './config-kv.ts';
import { refineVolumes, volumeConfigs, volumeTable } from './config-volume.ts';

/** What defaults depend on. */
export interface Surroundings {
  readonly hostName: string;
  readonly homeDirectory: string;
  readonly workingDirectory: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

const RIGHTS = ['read', 'write', 'admin'] as const satisfies readonly Right[];
const KEY_ID = /^[A-Za-z0-9_-]{3,128}$/;
const SECRET_MIN = 16;
const SECRET = new RegExp(`^[\\x21-\\x7e]{${SECRET_MIN},256}$`);

const COORDINATOR = /^(embedded(:\/[^\0]{1,4000})?|etcds?:\/\/[^\s/@]{1,4000})$/;

const nodeTable = z.strictObject({
  name: text(
    'name',
    'gpu-017',
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,252}$/,
    'a name of letters, digits, ".", "_" and "-"',
  ).optional(),
  zone: text('zone', 'rack-4').optional(),
  cacheDir: text('cacheDir', '/nvme0/forebay', /^[^\0]{1,4000}$/, 'a directory').optional(),
  capacity: size('capacity', '7TiB', {
    min: 64 * MiB,
    max: Number.MAX_SAFE_INTEGER,
    says: 'of at least 64 MiB',
  }).optional(),
  memory: size('memory', '1GiB', {
    min: 64 * MiB,
    max: Number.MAX_SAFE_INTEGER,
    says: 'of at least 64 MiB',
  }).optional(),
  ffi: choice('ffi', ['auto', 'off']).optional(),
  advertise: advertised('advertise', '10.1.2.3:7074').optional(),
});

const doorsTable = z.strictObject({
  s3: door('s3', '127.0.0.1:7070').optional(),
  resp: door('resp', '127.0.0.1:7072').optional(),
  azblob: later('the Azure Blob door', [false]).optional(),
  admin: door('admin', '127.0.0.1:7073').optional(),
  peer: door('peer', '0.0.0.0:7074').optional(),
  anonymous: boolean('anonymous').optional(),
  domain: text('domain', 's3.example.com', /^[a-z0-9-]+(\.[a-z0-9-]+)*$/i, 'a domain name').optional(),
  hosts: list('hosts', '["forebay.example.com"]', {
    pattern: /^[A-Za-z0-9._-]{1,253}$/,
    says: 'host names',
  }).optional(),
});

const clusterTable = z.strictObject({
  name: text(
    'name',
    'apollo',
    /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/,
    'a name of letters, digits, ".", "_" and "-"',
  ).optional(),
  coordinator: text(
    'coordinator',
    'etcds://10.0.0.1:2379,10.0.0.2:2379',
    COORDINATOR,
    '"embedded", embedded:/path, or etcd(s)://HOST:PORT[,HOST:PORT…]',
  ).optional(),
  coordinatorUser: text('coordinatorUser', 'forebay').optional(),
  coordinatorPasswordFile: text('coordinatorPasswordFile', '/etc/forebay/etcd-password').optional(),
  coordinatorCaFile: text('coordinatorCaFile', '/etc/forebay/etcd-ca.pem').optional(),
  coordinatorCertificateFile: text('coordinatorCertificateFile', '/etc/forebay/etcd.pem').optional(),
  coordinatorKeyFile: text('coordinatorKeyFile', '/etc/forebay/etcd-key.pem').optional(),
  secretFile: text('secretFile', '/etc/forebay/secret').optional(),
  transport: choice('transport', ['plain', 'tls']).optional(),
});

const bandwidth = (key: string) =>
  size(key, '1GiB', { min: MiB, max: Number.MAX_SAFE_INTEGER, says: 'of at least 1 MiB, per second' });

const bandwidthTable = z.strictObject({
  peer: bandwidth('peer').optional(),
  origin: bandwidth('origin').optional(),
  repair: bandwidth('repair').optional(),
});

const logTable = z.strictObject({
  level: choice('level', ['info', 'debug', 'warn', 'error']).optional(),
  format: choice('format', ['auto', 'json', 'text']).optional(),
});

const keyTable = z.strictObject({
  secret: field<string>({
    expected: `at least ${SECRET_MIN} printable characters without spaces`,
    example: 'secret = "<made by: openssl rand -base64 30>"',
    secret: true,
    read: (value) => (typeof value === 'string' && SECRET.test(value) ? value : undefined),
  }),
  volumes: list('volumes', '["models"]', {
    pattern: /^(\*|[a-z0-9][a-z0-9.-]{0,61}[a-z0-9])$/,
    says: 'volume names, or "*"',
  }),
  rights: list('rights', '["read"]', {
    pattern: new RegExp(`^(${RIGHTS.join('|')})$`),
    says: `rights (${RIGHTS.join(', ')})`,
  }),
});

/** Tables and their keys, for complaints about names; `*` stands for a name of the user's own. */
export const KNOWN_KEYS: Readonly<Record<string, readonly string[]>> = {
  '': ['node', 'doors', 'cluster', 'bandwidth', 'log', 'keys', 'volumes'],
  node: Object.keys(nodeTable.shape),
  doors: Object.keys(doorsTable.shape),
  cluster: Object.keys(clusterTable.shape),
  bandwidth: Object.keys(bandwidthTable.shape),
  log: Object.keys(logTable.shape),
  'keys.*': Object.keys(keyTable.shape),
  'volumes.*': Object.keys(volumeTable.shape),
};

function namedTables<T extends z.ZodType>(table: T, name: { pattern: RegExp; says: string }) {
  return z.record(z.string(), table).superRefine((tables, context) => {
    for (const key of Object.keys(tables)) {
      if (name.pattern.test(key)) continue;
      context.addIssue({ code: 'custom', path: [key], message: `expected ${name.says}, got ${JSON.stringify(key)}` });
    }
  });
}

const VOLUME_NAME_SAYS = 'a volume name of 2 to 63 of a–z, 0–9, "-" and ".", with a letter or digit at both ends';

/** The whole schema; its output is a `Config` without `file`. */
export function schemaFor(surroundings: Surroundings) {
  return z
    .strictObject({
      node: nodeTable.prefault({}),
      doors: doorsTable.prefault({}),
      cluster: clusterTable.prefault({}),
      bandwidth: bandwidthTable.prefault({}),
      log: logTable.prefault({}),
      keys: namedTables(keyTable, {
        pattern: KEY_ID,
        says: 'a key id of 3 to 128 letters, digits, "_" and "-"',
      }).prefault({}),
      volumes: namedTables(volumeTable, { pattern: VOLUME_NAME, says: VOLUME_NAME_SAYS }).prefault({}),
    })
    .superRefine((tables, context) => {
      const complain = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
      refineDoors(tables.doors, hasKv(tables.volumes), complain);
      refineCluster(tables, complain);
      refineVolumes(tables.volumes, { cacheDir: cacheDirOf(tables.node.cacheDir, surroundings) }, complain);
      for (const [id, key] of Object.entries(tables.keys))
        for (const volume of key.volumes)
          if (volume !== '*' && !Object.hasOwn(tables.volumes, volume))
            complain(
              ['keys', id, 'volumes'],
              `there is no volume ${JSON.stringify(volume)}; write [volumes.${volume}] or "*"`,
            );
    })
    .transform(
      (tables): Omit<Config, 'file'> => ({
        node: {
          name: tables.node.name ?? surroundings.hostName,
          zone: tables.node.zone,
          cacheDir: cacheDirOf(tables.node.cacheDir, surroundings),
          capacityBytes: tables.node.capacity,
          memoryBytes: tables.node.memory ?? GiB,
          ffi: tables.node.ffi ?? 'auto',
          advertise: tables.node.advertise,
        },
        doors: {
          s3: tables.doors.s3 ?? S3_DEFAULT,
          resp: hasKv(tables.volumes) ? (tables.doors.resp ?? RESP_DEFAULT) : false,
          admin: tables.doors.admin ?? ADMIN_DEFAULT,
          anonymous: tables.doors.anonymous ?? false,
          peer: isClustered(tables.cluster.coordinator) ? (tables.doors.peer ?? PEER_DEFAULT) : false,
          domain: tables.doors.domain,
          hosts: tables.doors.hosts ?? [],
        },
        cluster: clusterOf(tables.cluster),
        bandwidth: {
          peerBytesPerS: tables.bandwidth.peer ?? Infinity,
          originBytesPerS: tables.bandwidth.origin ?? Infinity,
          repairBytesPerS: tables.bandwidth.repair ?? Infinity,
        },
        log: { level: tables.log.level ?? 'info', format: tables.log.format ?? 'auto' },
        keys: Object.entries(tables.keys).map(([id, key]) => ({ id, ...key, rights: key.rights as readonly Right[] })),
        volumes: volumeConfigs(tables.volumes),
      }),
    );
}

const S3_DEFAULT: Address = { host: '127.0.0.1', port: 7070 };
const RESP_DEFAULT: Address = { host: '127.0.0.1', port: 7072 };
const PEER_DEFAULT: Address = { host: '127.0.0.1', port: 7074 };
const ADMIN_DEFAULT: Address = { host: '127.0.0.1', port: 7073 };

type Complain = (path: string[], message: string) => void;

function refineDoors(doors: z.output<typeof doorsTable>, resp: boolean, complain: Complain): void {
  const addresses: readonly (readonly ['s3' | 'resp' | 'admin', Address | false])[] = [
    ['s3', doors.s3 ?? S3_DEFAULT],
    ['resp', resp ? (doors.resp ?? RESP_DEFAULT) : false],
    ['admin', doors.admin ?? ADMIN_DEFAULT],
  ];
  if (doors.anonymous) {
    for (const [name, address] of addresses)
      if (address && !isLoopback(address.host))
        complain(
          ['doors', 'anonymous'],
          `anonymous = true is for loopback only, but doors.${name} listens on ${formatAddress(address)}; use 127.0.0.1, or remove anonymous and use keys`,
        );
  }
  for (const [index, [name, address]] of addresses.entries())
    for (const [other, taken] of addresses.slice(0, index)) {
      if (!address || !taken || address.port === 0 || formatAddress(address) !== formatAddress(taken)) continue;
      complain(
        ['doors', doors[name] === undefined ? other : name],
        `doors.${other} and doors.${name} both want ${formatAddress(address)}; give each its own port`,
      );
    }
}

/** The RESP door serves kv volumes, and is there where there is one. */
function hasKv(volumes: Readonly<Record<string, Parameters<typeof isKv>[0]>>): boolean {
  return Object.values(volumes).some(isKv);
}

/** A node alone needs no coordinator. */
function isClustered(coordinator: string | undefined): boolean {
  return coordinator !== undefined && coordinator !== 'embedded';
}

function clusterOf(table: z.output<typeof clusterTable>): Config['cluster'] {
  return {
    name: table.name ?? 'forebay',
    coordinator: isClustered(table.coordinator) ? table.coordinator : undefined,
    coordinatorUser: table.coordinatorUser,
    coordinatorPasswordFile: table.coordinatorPasswordFile,
    coordinatorCaFile: table.coordinatorCaFile,
    coordinatorCertificateFile: table.coordinatorCertificateFile,
    coordinatorKeyFile: table.coordinatorKeyFile,
    secretFile: table.secretFile,
    transport: table.transport ?? 'plain',
  };
}

const WILDCARDS = new Set(['0.0.0.0', '::']);

function refineCluster(
  tables: {
    cluster: z.output<typeof clusterTable>;
    doors: z.output<typeof doorsTable>;
    node: z.output<typeof nodeTable>;
  },
  complain: Complain,
): void {
  const { cluster, doors, node } = tables;
  if (!isClustered(cluster.coordinator)) {
    const without: readonly [string[], unknown][] = [
      [['cluster', 'secretFile'], cluster.secretFile],
      [['doors', 'peer'], doors.peer || undefined],
      [['node', 'advertise'], node.advertise],
    ];
    for (const [path, value] of without)
      if (value !== undefined)
        complain(
          path,
          `${path.join('.')} is for several nodes, but cluster.coordinator is "embedded", which is for one; set cluster.coordinator to embedded:/path or etcd(s)://…, or remove ${path[1]}`,
        );
    return;
  }
  if (cluster.secretFile === undefined)
    complain(
      ['cluster', 'coordinator'],
      'a cluster needs a secret that its nodes share; make one with "openssl rand -base64 32 > /etc/forebay/secret", give each node the file, and set cluster.secretFile',
    );
  const peer = doors.peer ?? PEER_DEFAULT;
  if (peer === false)
    complain(
      ['doors', 'peer'],
      'a node of a cluster serves its peers; give doors.peer an address, or remove cluster.coordinator',
    );
  else if (WILDCARDS.has(peer.host) && node.advertise === undefined)
    complain(
      ['doors', 'peer'],
      `${formatAddress(peer)} listens everywhere, which tells peers no address to come to; set node.advertise to this node's own address`,
    );
}

function cacheDirOf(given: string | undefined, { workingDirectory, homeDirectory, environment }: Surroundings): string {
  const path = given ?? `${environment['XDG_CACHE_HOME'] || '~/.cache'}/forebay/data`;
  const expanded = path === '~' || path.startsWith('~/') ? homeDirectory + path.slice(1) : path;
  return resolve(workingDirectory, expanded);
}
