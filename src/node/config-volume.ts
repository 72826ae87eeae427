/** `[volumes.NAME]`: its keys, what may not go together, and the volume that comes of it. */
import { z } from 'zod';
import { BLOCK_SIZE_BYTES, CHUNK_SIZE_DEFAULT_BYTES } from '../core/chunk.ts';
import { LEVELS, type Volume, type WritePolicy } from '../core/volume.ts';
import type { VolumeConfig } from './config.ts';
import { boolean, choice, duration, field, size, text } from './config-field.ts';
import { isKv, kvKeys, kvPolicy, refineKind, refineKvVolumes, respNumbers } from './config-kv.ts';
import { endpointField, filePath, ORIGIN_EXAMPLE, ORIGIN_EXPECTED, originField } from './origin-url.ts';

/** A chunk's map of blocks is one 32-bit word in the store's index. */
const CHUNK_SIZE_MAX_BYTES = 32 * BLOCK_SIZE_BYTES;

/** One `[volumes.NAME]`. */
export const volumeTable = z.strictObject({
  origin: originField.optional(),
  kind: choice('kind', ['objects', 'kv']).optional(),
  endpoint: endpointField.optional(),
  region: text('region', 'eu-west-1', /^[a-z0-9-]{1,63}$/, 'a region name').optional(),
  write: boolean('write').optional(),
  ack: choice('ack', LEVELS).optional(),
  replicas: replicasField().optional(),
  revalidate: duration('revalidate', '60s', { never: Infinity, always: 0 }).optional(),
  staleIfError: duration('staleIfError', '24h', { unlimited: Infinity, never: 0 }).optional(),
  onFull: choice('onFull', ['block', 'write-through', 'fail']).optional(),
  onPartition: choice('onPartition', ['stale', 'refuse']).optional(),
  onDegraded: choice('onDegraded', ['wait', 'origin', 'local']).optional(),
  onConflict: choice('onConflict', ['hold', 'skip']).optional(),
  conflicts: choice('conflicts', ['unchecked']).optional(),
  drainOrder: choice('drainOrder', ['directory', 'none']).optional(),
  verify: choice('verify', ['arrival', 'always']).optional(),
  chunkSize: size('chunkSize', '16MiB', {
    min: BLOCK_SIZE_BYTES,
    max: CHUNK_SIZE_MAX_BYTES,
    multipleOf: BLOCK_SIZE_BYTES,
    says: 'in whole MiB from 1 MiB to 32 MiB',
  }).optional(),
  ...kvKeys,
});

type VolumeTable = z.output<typeof volumeTable>;
type Complain = (path: string[], message: string) => void;

function replicasField() {
  return field<number>({
    expected: 'a whole number from 1 to 5',
    example: 'replicas = 1',
    read(value) {
      const count = typeof value === 'string' && /^\d$/.test(value) ? Number(value) : value;
      return typeof count === 'number' && Number.isInteger(count) && count >= 1 && count <= 5 ? count : undefined;
    },
  });
}

/** What may not be in one `[volumes.NAME]`, nor in all of them together. */
export function refineVolumes(
  tables: Readonly<Record<string, VolumeTable>>,
  { cacheDir }: { readonly cacheDir: string },
  complain: Complain,
): void {
  for (const [name, table] of Object.entries(tables)) {
    refineKind(name, table, complain);
    if (isKv(table)) continue;
    if (table.origin === undefined)
      complain(
        ['volumes', name, 'origin'],
        `expected ${ORIGIN_EXPECTED}, but it is missing; write it like ${ORIGIN_EXAMPLE}`,
      );
    else refineObjects(name, table, { origin: table.origin, cacheDir, complain });
  }
  refineKvVolumes(tables, complain);
}

function refineObjects(
  name: string,
  volume: VolumeTable,
  { origin, cacheDir, complain }: { origin: string; cacheDir: string; complain: Complain },
): void {
  const scheme = origin.split(':')[0] as string;
  if (volume.endpoint !== undefined && scheme !== 'az' && scheme !== 's3')
    complain(
      ['volumes', name, 'endpoint'],
      `an endpoint is for az:// and s3:// origins, not for ${scheme}:; remove it`,
    );
  if (volume.region !== undefined && scheme !== 's3')
    complain(['volumes', name, 'region'], `a region is for s3:// origins, not for ${scheme}:; remove it`);
  refineWrites(name, volume, complain);
  if (overlaps(origin, cacheDir))
    complain(
      ['volumes', name, 'origin'],
      `the cache directory ${cacheDir} and the origin ${origin} lie in one another; keep them apart (node.cacheDir)`,
    );
}

/** Keys that say how writes are taken before the origin has them. */
const WRITE_KEYS = ['onFull', 'onDegraded', 'onConflict', 'conflicts', 'drainOrder', 'onPartition'] as const;

/** Nothing is staged in such a volume, so what would be done with it is said of nothing: only the value that changes nothing passes. */
const IDLE_VALUES: Readonly<Record<(typeof WRITE_KEYS)[number], readonly string[]>> = {
  onFull: ['block', 'write-through'],
  onDegraded: ['wait'],
  onConflict: ['hold'],
  conflicts: [],
  drainOrder: ['directory'],
  onPartition: ['stale'],
};

function refineWrites(name: string, volume: VolumeTable, complain: Complain): void {
  const { write = false, ack, replicas } = volume;
  if (!write && ((ack !== undefined && ack !== 'origin') || (replicas ?? 1) > 1)) {
    const [key, value] = ack !== undefined && ack !== 'origin' ? ['ack', `"${ack}"`] : ['replicas', replicas];
    complain(
      ['volumes', name, key as string],
      `${key} = ${value} is for volumes that are written to, but volumes.${name} is read-only; set write = true, or remove it`,
    );
    return;
  }
  if (ack === 'replicated' && replicas === 1)
    complain(
      ['volumes', name, 'replicas'],
      'ack = "replicated" with one copy, the writer\'s own, is ack = "local"; set replicas to 2 or more, or ack = "local"',
    );
  if (isStaged(volume)) return;
  for (const key of WRITE_KEYS)
    if (volume[key] !== undefined && !IDLE_VALUES[key].includes(volume[key]))
      complain(
        ['volumes', name, key],
        `${key} = "${volume[key]}" is for volumes whose writes are held by nodes first; set write = true and ack = "local" or "replicated", or remove it`,
      );
}

/** Writes are held by nodes before the origin has them. */
function isStaged({ write = false, ack = 'origin', replicas = 1 }: VolumeTable): boolean {
  return write && (ack !== 'origin' || replicas > 1);
}

const REPLICAS_DEFAULT = 2;

function writePolicy(table: VolumeTable): WritePolicy {
  return {
    ack: table.ack ?? 'origin',
    replicas: table.replicas ?? REPLICAS_DEFAULT,
    onDegraded: table.onDegraded ?? 'wait',
    onFull: table.onFull ?? 'block',
    onConflict: table.onConflict ?? 'hold',
    ...(table.conflicts && { conflicts: table.conflicts }),
    drainOrder: table.drainOrder ?? 'directory',
  };
}

/** The volumes of checked tables, in their order. */
export function volumeConfigs(tables: Readonly<Record<string, VolumeTable>>): VolumeConfig[] {
  const numbers = respNumbers(tables);
  return Object.entries(tables).map(([name, table]) => ({
    endpoint: table.endpoint,
    region: table.region,
    volume: isKv(table) ? kvVolume(name, table, numbers.get(name) as number) : objectVolume(name, table),
  }));
}

function objectVolume(name: string, table: VolumeTable): Volume {
  const revalidateMs = table.revalidate ?? 60_000;
  return {
    name,
    origin: table.origin as string,
    write: table.write ?? false,
    revalidateMs,
    staleIfErrorMs: table.staleIfError ?? (revalidateMs === 0 ? 0 : Infinity),
    chunkSizeBytes: table.chunkSize ?? CHUNK_SIZE_DEFAULT_BYTES,
    verify: table.verify ?? 'arrival',
    ...(table.onPartition === 'refuse' && { onPartition: 'refuse' }),
    ...(isStaged(table) && { writes: writePolicy(table) }),
  };
}

/** Nothing of it is ever older than anything: there is no origin to ask. */
function kvVolume(name: string, table: VolumeTable, respDb: number): Volume {
  return {
    name,
    origin: 'none',
    write: table.write ?? true,
    revalidateMs: Infinity,
    staleIfErrorMs: Infinity,
    chunkSizeBytes: CHUNK_SIZE_DEFAULT_BYTES,
    verify: 'arrival',
    kv: kvPolicy(table, respDb),
  };
}

/** A cache within its own origin would cache itself. */
function overlaps(origin: string, cacheDir: string): boolean {
  if (!origin.startsWith('file://')) return false;
  const root = filePath(origin).replace(/\/*$/, '/');
  const cache = `${cacheDir}/`;
  return cache.startsWith(root) || root.startsWith(cache);
}
