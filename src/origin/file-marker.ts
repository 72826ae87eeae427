/**
 * Keys that end in `/`, which S3 tools put as empty objects to stand for directories. In a directory tree such an object
 * is the directory plus a small file under `.forebay/markers/` that says someone put it, with its headers and metadata.
 * The marker is bound to the directory's inode: a directory that others removed and made anew has none.
 */
import { hash } from 'node:crypto';
import type { ObjectVersion } from '../core/object.ts';
import type { Disk, FileStat, Random } from '../io/io.ts';
import { ensureDirectory, etagOf, modifiedMs, readSmall, statOf, temporaryPath, writeSmall } from './file-disk.ts';
import { pathOf, RESERVED } from './file-path.ts';
import { type Attributes, parseAttributes } from './file-sidecar.ts';

const MARKER_MAX_BYTES = 128 * 1024;

function markerPath(key: string, directory: FileStat): string {
  const name = hash('sha256', key, 'hex').slice(0, 40);
  return `${RESERVED}/markers/${name.slice(0, 2)}/${name.slice(2)}.${directory.inode.toString(36)}`;
}

/** Where the marker of `key` is and what it is as a file; `undefined` when nobody put one. */
export async function findMarker(
  disk: Disk,
  key: string,
): Promise<{ readonly path: string; readonly stat: FileStat } | undefined> {
  const directory = await statOf(disk, pathOf(key));
  if (directory?.kind !== 'directory') return undefined;
  const path = markerPath(key, directory);
  const stat = await statOf(disk, path);
  return stat === undefined ? undefined : { path, stat };
}

export async function headMarker(disk: Disk, key: string): Promise<ObjectVersion | undefined> {
  const found = await findMarker(disk, key);
  if (found === undefined) return undefined;
  const bytes = await readSmall(disk, found.path, MARKER_MAX_BYTES);
  if (bytes === undefined) return undefined;
  const { headers = {}, metadata = {} } = parseAttributes(bytes) ?? {};
  return { key, sizeBytes: 0, etag: etagOf(found.stat), modifiedMs: modifiedMs(found.stat), headers, metadata };
}

/** Makes the directory and its marker; ENOTDIR where a file is in the way. */
export async function putMarker(
  io: { disk: Disk; random: Random },
  key: string,
  attributes: Attributes,
): Promise<{ etag: string }> {
  await ensureDirectory(io.disk, pathOf(key));
  const directory = await io.disk.stat(pathOf(key));
  if (directory === undefined) return await putMarker(io, key, attributes);
  const path = markerPath(key, directory);
  await writeSmall(io.disk, {
    temporary: temporaryPath(`${Buffer.from(io.random.bytes(12)).toString('hex')}.marker`),
    path,
    bytes: Buffer.from(JSON.stringify({ key, headers: attributes.headers, metadata: attributes.metadata })),
  });
  const stat = await io.disk.stat(path);
  return stat === undefined ? await putMarker(io, key, attributes) : { etag: etagOf(stat) };
}
