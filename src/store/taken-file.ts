/**
 * A finished file that somebody else wrote becomes the bytes of a content: cloned or linked where it lies on the cache's file
 * system, else copied. A linked file counts as lent: it is never written here, and checked whenever its ctime moved.
 */
import { BLOCK_SIZE_BYTES } from '../core/chunk.ts';
import { ForebayError } from '../core/errors.ts';
import { type Disk, DiskError, type FileStat } from '../io/io.ts';
import type { StagedContent } from './staged-content.ts';
import type { Staging, StagingOptions } from './staging.ts';
import type { StoreParts } from './store-parts.ts';

/** With `lengthBytes`, a file of another length counts as changed. */
export interface FileStagingOptions extends StagingOptions {
  /** Absolute path on the cache disk's machine. */
  readonly from: string;
}

export interface TakenFile {
  readonly staging: Staging;
  readonly sizeBytes: number;
  /** When the file was last written. */
  readonly modifiedMs: number;
}

interface Around {
  readonly parts: StoreParts;
  readonly disk: Disk;
}

interface Taking<S> {
  readonly from: string;
  readonly found: FileStat;
  readonly staging: S;
}

/** Throws noSuchKey for what is not there, invalidArgument for what is not a file. */
export async function statFile(parts: StoreParts, disk: Disk, path: string): Promise<FileStat> {
  const stat = await parts.health.run(() => disk.stat(path));
  if (stat === undefined) throw new ForebayError('noSuchKey', `there is no file ${path}`);
  if (stat.kind !== 'file') throw new ForebayError('invalidArgument', `${path} is not a file`);
  return stat;
}

/** True when the file's bytes are those of the content now, false when they can only be copied. Throws versionChanged. */
export async function linkFile({ parts, disk }: Around, taking: Taking<StagedContent>): Promise<boolean> {
  const { from, found, staging } = taking;
  const to = parts.dataPath(staging.id);
  const { device } = (await disk.stat(parts.layout.objects)) ?? {};
  if (device !== found.device) return false;
  const isShared = !(await disk.clone(from, to));
  if (isShared && !(await tryLink(disk, from, to))) return false;
  const placed = await statFile(parts, disk, to);
  await staging.takeFile(found.sizeBytes, () => Promise.resolve(isShared ? 'shared' : 'own'));
  if (!isShared) checkSame(from, found, await statFile(parts, disk, from));
  const summed = await statFile(parts, disk, to);
  if (isShared && placed.inode !== found.inode) throw changed(from);
  checkSame(from, isShared ? found : placed, summed);
  if (isShared) parts.verification.lentSeen(staging.id, summed.changedNs);
  return true;
}

async function tryLink(disk: Disk, from: string, to: string): Promise<boolean> {
  try {
    await disk.link(from, to);
    return true;
  } catch (error) {
    if (error instanceof DiskError && ['EXDEV', 'EPERM', 'EACCES', 'EMLINK', 'ENOTSUP'].includes(error.code))
      return false;
    throw error;
  }
}

/** Throws versionChanged when the file changes meanwhile. */
export async function copyFile({ parts, disk }: Around, taking: Taking<Staging>): Promise<void> {
  const { from, found, staging } = taking;
  const file = await parts.health.run(() => disk.open(from));
  try {
    checkSame(from, found, await file.stat());
    for (let at = 0; at < found.sizeBytes; at += BLOCK_SIZE_BYTES) {
      const length = Math.min(BLOCK_SIZE_BYTES, found.sizeBytes - at);
      const bytes = await parts.health.run(() => file.read(at, length));
      if (bytes.length < length) throw changed(from);
      await staging.write(at, bytes);
    }
    checkSame(from, found, await file.stat());
  } finally {
    await file.close();
  }
}

function checkSame(path: string, before: FileStat, after: FileStat): void {
  const isSame =
    before.inode === after.inode && before.sizeBytes === after.sizeBytes && before.modifiedNs === after.modifiedNs;
  if (!isSame) throw changed(path);
}

export function changed(path: string): ForebayError {
  return new ForebayError('versionChanged', `${path} was changed while it was taken over`);
}
