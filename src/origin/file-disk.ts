/** What the `file:` origin does with its rooted disk, with the disk's errors as the origin's. */
import { ForebayError } from '../core/errors.ts';
import type { Disk, File, FileStat } from '../io/io.ts';
import { DiskError } from '../io/io.ts';
import { join, parentOf, RESERVED, ROOT } from './file-path.ts';

/** Names that lead nowhere: a missing one, a file or a link where a directory would be, one too long to exist. */
const ABSENT = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'EXDEV', 'ENAMETOOLONG']);

export function isDiskError(error: unknown, ...codes: readonly string[]): error is DiskError {
  return error instanceof DiskError && codes.includes(error.code);
}

/** A disk's failure in the words of an origin. */
export function originError(error: unknown, what: string): unknown {
  if (!(error instanceof DiskError)) return error;
  const text = `${what}: ${error.message}`;
  const denied = error.code === 'EACCES' || error.code === 'EPERM' || error.code === 'EROFS';
  return new ForebayError(denied ? 'originDenied' : 'originUnavailable', text, { cause: error });
}

/** Device, inode, size, mtime and ctime: no two states of files of one root share it, as far as the file system's clock can tell them apart. */
export function etagOf(stat: FileStat): string {
  const parts = [stat.device, stat.inode, BigInt(stat.sizeBytes), stat.modifiedNs, stat.changedNs];
  return `"${parts.map((part) => part.toString(36)).join('.')}"`;
}

export function modifiedMs(stat: FileStat): number {
  return Number(stat.modifiedNs / 1_000_000n);
}

/** What is at `path`, itself and not what it links to; `undefined` for nothing. */
export async function statOf(disk: Disk, path: string): Promise<FileStat | undefined> {
  try {
    return await disk.stat(path);
  } catch (error) {
    if (error instanceof DiskError && ABSENT.has(error.code)) return undefined;
    throw error;
  }
}

/** The names in a directory; none for one that is not there. */
export async function listOf(disk: Disk, path: string): Promise<Awaited<ReturnType<Disk['list']>>> {
  try {
    return await disk.list(path);
  } catch (error) {
    if (error instanceof DiskError && ABSENT.has(error.code)) return [];
    throw error;
  }
}

/** Makes `path` and what is missing above it, each synced in its parent. ENOTDIR when a file is in the way. */
export async function ensureDirectory(disk: Disk, path: string): Promise<void> {
  if (path === ROOT) return;
  const found = await statOf(disk, path);
  if (found?.kind === 'directory') return;
  if (found !== undefined) throw new DiskError('ENOTDIR', path);
  await ensureDirectory(disk, parentOf(path));
  try {
    await disk.makeDirectory(path, path.startsWith(RESERVED) ? { mode: 0o700 } : {});
  } catch (error) {
    if (!isDiskError(error, 'EEXIST')) throw error;
  }
  await disk.syncDirectory(parentOf(path));
}

export async function unlinkIfThere(disk: Disk, path: string): Promise<void> {
  try {
    await disk.unlink(path);
  } catch (error) {
    if (!(error instanceof DiskError && ABSENT.has(error.code))) throw error;
  }
}

const WRITE_BYTES = 1 << 20;

/** Writes what `pieces` yields from the start of `file`, in writes of about 1 MiB; returns how many bytes. */
export async function writeAll(
  file: File,
  pieces: AsyncIterable<Uint8Array>,
  signal: AbortSignal | undefined,
): Promise<number> {
  // Plain memory: shared memory that a disk's thread has seen lives until that thread collects its garbage.
  const buffer = new Uint8Array(WRITE_BYTES);
  let filled = 0;
  let at = 0;
  for await (const piece of pieces) {
    signal?.throwIfAborted();
    for (let from = 0; from < piece.length; ) {
      const taken = Math.min(piece.length - from, WRITE_BYTES - filled);
      buffer.set(piece.subarray(from, from + taken), filled);
      from += taken;
      filled += taken;
      if (filled < WRITE_BYTES) continue;
      await file.write(at, buffer);
      at += filled;
      filled = 0;
    }
  }
  if (filled > 0) await file.write(at, buffer.subarray(0, filled));
  return at + filled;
}

/** Reads a small file whole; `undefined` when it is not there. */
export async function readSmall(disk: Disk, path: string, maxBytes: number): Promise<Uint8Array | undefined> {
  let file: File;
  try {
    file = await disk.open(path);
  } catch (error) {
    if (error instanceof DiskError && ABSENT.has(error.code)) return undefined;
    throw error;
  }
  try {
    return await file.read(0, maxBytes);
  } finally {
    await file.close();
  }
}

/** Writes a small file whole or not at all, by way of `temporary`. */
export async function writeSmall(
  disk: Disk,
  write: { temporary: string; path: string; bytes: Uint8Array },
): Promise<void> {
  await ensureDirectory(disk, parentOf(write.temporary));
  await ensureDirectory(disk, parentOf(write.path));
  const file = await disk.open(write.temporary, { write: true, create: true, exclusive: true });
  try {
    await file.write(0, write.bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(write.temporary, write.path);
  await disk.syncDirectory(parentOf(write.path));
}

/** A fresh name in `.forebay/tmp/`. */
export function temporaryPath(name: string): string {
  return join(join(RESERVED, 'tmp'), name);
}
