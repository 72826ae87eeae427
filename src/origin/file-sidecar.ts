/**
 * Headers and metadata of files that were put through a `file:` origin, one small JSON file each under
 * `.forebay/meta/`. A sidecar's name is made of the key and the inode and its text repeats size and mtime, so it is
 * written before its file becomes visible, and a file that others changed, replaced or moved has none.
 *
 * Crash: a sidecar whose file never appeared stays behind; it is never used, for its inode's mtime differs.
 */
import { hash } from 'node:crypto';
import { OBJECT_HEADER_NAMES, type ObjectHeaders } from '../core/object.ts';
import type { Disk, FileStat, Random } from '../io/io.ts';
import { contentTypeOf } from './content-type.ts';
import { readSmall, temporaryPath, unlinkIfThere, writeSmall } from './file-disk.ts';
import { RESERVED } from './file-path.ts';

export interface Attributes {
  readonly headers: ObjectHeaders;
  readonly metadata: Readonly<Record<string, string>>;
}

interface Sidecar extends Attributes {
  readonly key: string;
  readonly sizeBytes: number;
  readonly modifiedNs: string;
}

/** S3 allows 2 KiB of metadata; HTTP headers of 32 KiB bound the rest, and JSON may double them. */
const SIDECAR_MAX_BYTES = 128 * 1024;

function sidecarPath(key: string, stat: FileStat): string {
  const name = hash('sha256', key, 'hex').slice(0, 40);
  return `${RESERVED}/meta/${name.slice(0, 2)}/${name.slice(2)}.${stat.inode.toString(36)}`;
}

/** The headers that a file without sidecar is shown with. */
function guessed(key: string): Attributes {
  return { headers: { 'content-type': contentTypeOf(key) }, metadata: {} };
}

function needsSidecar(key: string, attributes: Attributes): boolean {
  const names = OBJECT_HEADER_NAMES.filter((name) => attributes.headers[name] !== undefined);
  if (Object.keys(attributes.metadata).length > 0 || names.some((name) => name !== 'content-type')) return true;
  return attributes.headers['content-type'] !== undefined && attributes.headers['content-type'] !== contentTypeOf(key);
}

export async function readSidecar(disk: Disk, key: string, stat: FileStat): Promise<Attributes> {
  const bytes = await readSmall(disk, sidecarPath(key, stat), SIDECAR_MAX_BYTES);
  if (bytes === undefined) return guessed(key);
  const sidecar = parseSidecar(bytes);
  const isOf = (s: Sidecar) =>
    s.key === key && s.sizeBytes === stat.sizeBytes && s.modifiedNs === stat.modifiedNs.toString();
  if (sidecar === undefined || !isOf(sidecar)) return guessed(key);
  const headers = { 'content-type': contentTypeOf(key), ...sidecar.headers };
  return { headers, metadata: sidecar.metadata };
}

/** Text that was torn or changed by others counts as none. */
function parseSidecar(bytes: Uint8Array): Sidecar | undefined {
  const attributes = parseAttributes(bytes);
  const { key, sizeBytes, modifiedNs } = (attributes?.rest ?? {}) as Record<string, unknown>;
  if (typeof key !== 'string' || typeof sizeBytes !== 'number' || typeof modifiedNs !== 'string') return undefined;
  return { key, sizeBytes, modifiedNs, headers: attributes?.headers ?? {}, metadata: attributes?.metadata ?? {} };
}

/** Headers and metadata from JSON as written here; `undefined` when it is not JSON of an object. */
export function parseAttributes(bytes: Uint8Array): (Attributes & { readonly rest: object }) | undefined {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(bytes).toString('utf8'));
  } catch {
    return undefined;
  }
  if (typeof value !== 'object' || value === null) return undefined;
  const { headers, metadata, ...rest } = value as Record<string, unknown>;
  return { headers: strings(headers), metadata: strings(metadata), rest };
}

function strings(value: unknown): Record<string, string> {
  if (typeof value !== 'object' || value === null) return {};
  return Object.fromEntries(
    Object.entries(value).filter((pair): pair is [string, string] => typeof pair[1] === 'string'),
  );
}

/** Keeps the attributes of the file `stat` that is about to become `key`. */
export async function writeSidecar(
  io: { disk: Disk; random: Random },
  key: string,
  stat: FileStat,
  attributes: Attributes,
): Promise<void> {
  if (!needsSidecar(key, attributes)) return;
  const sidecar: Sidecar = {
    key,
    sizeBytes: stat.sizeBytes,
    modifiedNs: stat.modifiedNs.toString(),
    headers: attributes.headers,
    metadata: attributes.metadata,
  };
  await writeSmall(io.disk, {
    temporary: temporaryPath(`${Buffer.from(io.random.bytes(12)).toString('hex')}.meta`),
    path: sidecarPath(key, stat),
    bytes: Buffer.from(JSON.stringify(sidecar)),
  });
}

/** Removes what was kept for a file that is gone. */
export async function removeSidecar(disk: Disk, key: string, stat: FileStat): Promise<void> {
  await unlinkIfThere(disk, sidecarPath(key, stat));
}
