/** What each node of `forebay dev --nodes N` is told, on top of what the user said. */
import { pathToFileURL } from 'node:url';
import { type Address, formatAddress } from '../core/address.ts';
import type { Config } from '../node/config.ts';
import { wrongUse } from './failure.ts';

/** Nodes are spread over this many zones in turn, so that zones matter and have several nodes each in larger clusters. */
const ZONES = 3;

export interface PlannedNode {
  readonly name: string;
  readonly zone: string;
  /** What `forebay up` gets. */
  readonly args: readonly string[];
}

export interface DevPlanOptions {
  readonly count: number;
  /** Absolute; each node's cache and the cluster's own files go below it. */
  readonly directory: string;
  readonly capacityBytes: number;
  /** What the user's file and options say as a whole. */
  readonly config: Config;
  /** The user's own, passed on. */
  readonly file: string | undefined;
  readonly set: readonly string[];
  readonly volume: readonly string[];
  readonly logFormat: 'json' | 'text';
}

export const secretPath = (directory: string): string => `${directory}/secret`;
export const originPath = (directory: string): string => `${directory}/origin`;

/** Keys that are each node's own, so that one value for all makes no sense. */
const OWN_KEYS = ['node.name', 'node.cacheDir', 'node.advertise', 'doors.peer'] as const;

/** Throws wrong use where what the user says cannot be for several nodes on one machine. */
export function planNodes(options: DevPlanOptions): readonly PlannedNode[] {
  refuseSharedKeys(options);
  const shared = sharedArgs(options);
  return Array.from({ length: options.count }, (_, index) => {
    const name = `node-${index + 1}`;
    const zone = `zone-${(index % ZONES) + 1}`;
    const own = [
      `node.name=${name}`,
      `node.cacheDir=${options.directory}/${name}`,
      'doors.peer=127.0.0.1:0',
      ...(index === 0 ? [] : ownDoors(options.config)),
    ];
    // Zones may be the user's to choose, hence before what the user said.
    return {
      name,
      zone: options.config.node.zone ?? zone,
      args: [...set([`node.zone=${zone}`]), ...shared, ...set(own)],
    };
  });
}

function refuseSharedKeys({ set: given, config }: DevPlanOptions): void {
  for (const key of OWN_KEYS)
    if (given.some((text) => text.split('=')[0]?.trim() === key))
      throw wrongUse(
        `--set ${key}: each node of dev has its own`,
        '--dir says where their caches go; --nodes 1 runs one node that takes any setting.',
      );
  for (const { volume } of config.volumes)
    if (volume.origin === 'memory:')
      throw wrongUse(
        `volume ${volume.name}: memory: is of one process, so the nodes of a cluster would not see the same objects`,
        'Give it an origin that all nodes share, such as file:///dir; or run --nodes 1.',
      );
}

const set = (texts: readonly string[]): string[] => texts.flatMap((text) => ['--set', text]);

function sharedArgs({
  config,
  directory,
  capacityBytes,
  file,
  set: given,
  volume,
  logFormat,
}: DevPlanOptions): string[] {
  const { cluster, node } = config;
  const ours = [
    'doors.anonymous=true',
    ...(node.capacityBytes === undefined ? [`node.capacity=${capacityBytes}B`] : []),
    ...(cluster.coordinator === undefined
      ? [`cluster.coordinator=embedded:${directory}/coordinator.sqlite`, `cluster.secretFile=${secretPath(directory)}`]
      : []),
    ...(config.log.format === 'auto' ? [`log.format=${logFormat}`] : []),
  ];
  const own = config.volumes.length > 0 ? [] : ['--volume', `dev=${pathToFileURL(originPath(directory)).href}`];
  // Without them a PUT through one node would be seen through another a minute later.
  const ownSet = config.volumes.length > 0 ? [] : ['volumes.dev.write=true', 'volumes.dev.revalidate=always'];
  return [
    ...(file === undefined ? [] : ['--config', file]),
    ...set(ours),
    ...own,
    ...set(ownSet),
    ...set(given),
    ...volume.flatMap((text) => ['--volume', text]),
  ];
}

/** The first node has the doors that the user or the defaults name, so that clients find it; the others have free ports beside it. */
function ownDoors({ doors }: Config): string[] {
  const beside = (name: string, door: Address | false) =>
    `doors.${name}=${door === false ? 'false' : formatAddress({ ...door, port: 0 })}`;
  return [beside('s3', doors.s3), beside('resp', doors.resp), beside('admin', doors.admin)];
}
