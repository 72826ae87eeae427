/** What `kind = "kv"` takes: how values without an origin are kept (DESIGN.md section 9). */
import { z } from 'zod';
import type { KvPolicy } from '../core/volume.ts';
import { duration, field, list } from './config-field.ts';

/** What no kv volume may leave of a cache to objects: a tenth. */
const SHARES_MAX = 0.9;
const SHARE_DEFAULT = 0.3;
const SHARE_MIN = 0.001;
const RESP_DB_MAX = 1023;
/** LMCache's: what describes a value, and the value. */
const SUFFIXES_DEFAULT: readonly string[] = ['metadata', 'kv_bytes'];

/** Keys of `[volumes.NAME]` for kv volumes. */
export const kvKeys = {
  ttl: duration('ttl', '24h', { never: Infinity }).optional(),
  share: shareField().optional(),
  respDb: respDbField().optional(),
  suffixes: list('suffixes', '["metadata", "kv_bytes"]', {
    pattern: /^[\x21-\x7e]{1,64}$/,
    says: 'endings of keys, of printable characters without spaces',
  }).optional(),
};

const kvTable = z.object(kvKeys);
export type KvTable = z.output<typeof kvTable>;

/** Keys of both kinds of volumes. */
const SHARED_KEYS: ReadonlySet<string> = new Set(['origin', 'kind', 'write']);
const KV_KEYS: ReadonlySet<string> = new Set(Object.keys(kvKeys));

interface AnyTable extends KvTable {
  readonly kind?: 'objects' | 'kv' | undefined;
  readonly origin?: string | undefined;
}

/** `origin = "none"` says it as well as `kind = "kv"`, so that `--volume NAME=none` makes one. */
export function isKv({ kind, origin }: AnyTable): boolean {
  return kind === 'kv' || (kind === undefined && origin === 'none');
}

type Complain = (path: string[], message: string) => void;

/** Keys of the other kind are refused by name: they would change nothing. */
export function refineKind(name: string, table: AnyTable, complain: Complain): void {
  const kv = isKv(table);
  if (!kv && table.origin === 'none')
    complain(
      ['volumes', name, 'origin'],
      'origin = "none" is for kv volumes, which keep values without an origin; set kind = "kv", or name an origin',
    );
  if (kv && table.origin !== undefined && table.origin !== 'none')
    complain(
      ['volumes', name, 'origin'],
      `a kv volume has no origin, got ${JSON.stringify(table.origin)}; remove origin, or kind = "kv"`,
    );
  for (const [key, value] of Object.entries(table)) {
    if (value === undefined || SHARED_KEYS.has(key) || KV_KEYS.has(key) === kv) continue;
    complain(
      ['volumes', name, key],
      kv
        ? `${key} is for volumes with an origin, and volumes.${name} is a kv volume (${[...KV_KEYS].join(', ')}); remove it`
        : `${key} is for kv volumes; set kind = "kv", or remove it`,
    );
  }
  if (kv) refineKv(name, table, complain);
}

function refineKv(name: string, { ttl, suffixes }: AnyTable, complain: Complain): void {
  if (ttl === 0)
    complain(['volumes', name, 'ttl'], 'a ttl of 0 would forget every value at once; write it like ttl = "24h"');
  if (suffixes === undefined || suffixes.length === 0) return;
  const [small = '', large = ''] = suffixes;
  if (suffixes.length !== 2 || small.endsWith(large) || large.endsWith(small))
    complain(
      ['volumes', name, 'suffixes'],
      'expected no suffix, or two of which neither ends with the other: that of the part which describes a value, then that of the value; write it like suffixes = ["metadata", "kv_bytes"]',
    );
}

/** What kv volumes may not have together. */
export function refineKvVolumes(tables: Readonly<Record<string, AnyTable>>, complain: Complain): void {
  const volumes = Object.entries(tables).filter(([, table]) => isKv(table));
  const shares = volumes.reduce((sum, [, { share = SHARE_DEFAULT }]) => sum + share, 0);
  const last = volumes.at(-1)?.[0] as string;
  if (shares > SHARES_MAX + 1e-9)
    complain(
      ['volumes', last, 'share'],
      `the shares of the kv volumes (${volumes.map(([name, { share = SHARE_DEFAULT }]) => `${name} ${share}`).join(', ')}) are ${Number(shares.toFixed(3))} of the cache, and ${SHARES_MAX} is the most; set smaller ones`,
    );
  const taken = new Map<number, string>();
  for (const [name, { respDb }] of volumes) {
    if (respDb === undefined) continue;
    const other = taken.get(respDb);
    if (other !== undefined)
      complain(
        ['volumes', name, 'respDb'],
        `${respDb} is the number of volumes.${other} already; give each kv volume its own`,
      );
    taken.set(respDb, name);
  }
}

/** The volumes' numbers for SELECT: as configured, and the others the lowest that are free, in their order. */
export function respNumbers(tables: Readonly<Record<string, AnyTable>>): ReadonlyMap<string, number> {
  const volumes = Object.entries(tables).filter(([, table]) => isKv(table));
  const taken = new Set(volumes.map(([, { respDb }]) => respDb));
  let next = 0;
  const free = (): number => {
    while (taken.has(next)) next += 1;
    taken.add(next);
    return next;
  };
  return new Map(volumes.map(([name, { respDb }]) => [name, respDb ?? free()]));
}

export function kvPolicy({ ttl, share, suffixes }: AnyTable, respDb: number): KvPolicy {
  return {
    ttlMs: ttl ?? Infinity,
    share: share ?? SHARE_DEFAULT,
    suffixes: suffixes ?? SUFFIXES_DEFAULT,
    respDb,
  };
}

function numberOf(value: unknown): number | undefined {
  if (typeof value === 'number') return value;
  return typeof value === 'string' && /^\d+(\.\d+)?$/.test(value) ? Number(value) : undefined;
}

function shareField() {
  return field<number>({
    expected: `a part of the cache from ${SHARE_MIN} to ${SHARES_MAX}`,
    example: `share = ${SHARE_DEFAULT}`,
    read(value) {
      const share = numberOf(value);
      return share !== undefined && share >= SHARE_MIN && share <= SHARES_MAX ? share : undefined;
    },
  });
}

function respDbField() {
  return field<number>({
    expected: `a whole number from 0 to ${RESP_DB_MAX}`,
    example: 'respDb = 1',
    read(value) {
      const number = numberOf(value);
      return number !== undefined && Number.isInteger(number) && number >= 0 && number <= RESP_DB_MAX
        ? number
        : undefined;
    },
  });
}
