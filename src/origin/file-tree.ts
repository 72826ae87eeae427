/**
 * The keys of a directory tree in UTF-8 byte order, without reading what a page does not need: it begins in the deepest
 * directory that the prefix names, skips directories that lie before `after` or are rolled up, and stops when the page is
 * full. Links and special files are not keys.
 */
import { compareKeys } from '../core/key-order.ts';
import type { Disk, FileStat } from '../io/io.ts';
import { etagOf, listOf, modifiedMs, statOf } from './file-disk.ts';
import { findMarker } from './file-marker.ts';
import { isMarker, keyProblem, pathOf, RESERVED, ROOT } from './file-path.ts';
import { commonPrefix, isAfter, PageBuilder } from './listing.ts';
import type { ListEntry, ListOptions, ListPage } from './origin.ts';

type Found = { readonly entry: ListEntry } | { readonly rolledUp: string };

const STATS_AT_ONCE = 32;

/** One page of the tree. */
export async function listTree(disk: Disk, options: ListOptions): Promise<ListPage> {
  const page = new PageBuilder(options);
  let rolledUp: string | undefined;
  for await (const found of walkFrom(disk, options)) {
    options.signal?.throwIfAborted();
    const key = 'entry' in found ? found.entry.key : found.rolledUp;
    const common = 'entry' in found ? commonPrefix(key, options) : key;
    if (common !== undefined && (common === rolledUp || !isAfter(common, options.after))) continue;
    if (page.isFull) {
      page.overflow();
      break;
    }
    rolledUp = common;
    if (common !== undefined) page.addPrefix(common);
    else if ('entry' in found) page.add(found.entry);
  }
  return page.finish();
}

async function* walkFrom(disk: Disk, options: ListOptions): AsyncGenerator<Found, void, undefined> {
  const base = options.prefix.slice(0, options.prefix.lastIndexOf('/') + 1);
  if (base !== '') {
    if (keyProblem(base) !== undefined) return;
    const directory = await statOf(disk, pathOf(base));
    if (directory?.kind !== 'directory') return;
  }
  yield* walk(disk, base, options);
}

/** What lies in the directory `base` (empty, or ending in `/`), itself included where it is a marker. */
async function* walk(disk: Disk, base: string, options: ListOptions): AsyncGenerator<Found, void, undefined> {
  if (base !== '' && base.startsWith(options.prefix) && isAfter(base, options.after)) {
    const marker = await entryOf(disk, base);
    if (marker !== undefined) yield { entry: marker };
  }
  const keys = await keysIn(disk, base, options);
  const atOnce = Math.min(STATS_AT_ONCE, options.limit + 1);
  for (let from = 0; from < keys.length; from += atOnce) {
    const some = keys.slice(from, from + atOnce);
    const entries = await Promise.all(some.map(async (key) => (isMarker(key) ? undefined : await entryOf(disk, key))));
    for (const [i, key] of some.entries()) {
      const entry = entries[i];
      if (entry !== undefined) yield { entry };
      else if (isMarker(key)) yield* enter(disk, key, options);
    }
  }
}

/** A directory met on the way: rolled up where the delimiter says so, else walked. */
async function* enter(disk: Disk, key: string, options: ListOptions): AsyncGenerator<Found, void, undefined> {
  const isRolledUp = options.delimiter === '/' && key.length > options.prefix.length;
  if (!isRolledUp) yield* walk(disk, key, options);
  else if (isAfter(key, options.after) && (await holdsAny(disk, key))) yield { rolledUp: key };
}

/** The names in a directory as keys, directories with a `/` at the end, in order; those that no page could need left out. */
async function keysIn(disk: Disk, base: string, options: ListOptions): Promise<string[]> {
  const { prefix, after } = options;
  const keys: string[] = [];
  for (const { name, kind } of await listOf(disk, base === '' ? ROOT : pathOf(base))) {
    if (base === '' && name === RESERVED) continue;
    if (kind === 'file') {
      const key = base + name;
      if (key.startsWith(prefix) && isAfter(key, after)) keys.push(key);
    } else if (kind === 'directory') {
      const key = `${base}${name}/`;
      if (!key.startsWith(prefix) && !prefix.startsWith(key)) continue;
      if (isAfter(key, after) || after?.startsWith(key)) keys.push(key);
    }
  }
  return keys.sort(compareKeys);
}

async function entryOf(disk: Disk, key: string): Promise<ListEntry | undefined> {
  let stat: FileStat | undefined;
  if (isMarker(key)) stat = (await findMarker(disk, key))?.stat;
  else stat = await statOf(disk, key);
  if (stat?.kind !== 'file') return undefined;
  return { key, sizeBytes: isMarker(key) ? 0 : stat.sizeBytes, etag: etagOf(stat), modifiedMs: modifiedMs(stat) };
}

/** Whether any key begins with `directory`: an empty directory that nobody put is no prefix. */
async function holdsAny(disk: Disk, directory: string): Promise<boolean> {
  const names = await listOf(disk, pathOf(directory));
  if (names.some(({ kind }) => kind === 'file')) return true;
  if ((await findMarker(disk, directory)) !== undefined) return true;
  for (const { name, kind } of names)
    if (kind === 'directory' && (await holdsAny(disk, `${directory}${name}/`))) return true;
  return false;
}
