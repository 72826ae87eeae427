/**
 * How much of its disk a node may take where the configuration does not say: nine tenths of what was free at the first
 * start, decided once and remembered beside the store, so that a restart neither grows nor shrinks the cache.
 */
import { ForebayError } from '../core/errors.ts';
import { MiB } from '../core/limits.ts';
import type { Disk } from '../io/io.ts';

const SHARE_OF_FREE = 0.9;
const CAPACITY_MIN_BYTES = 64 * MiB;

/** Bytes. `directory` exists. */
export async function decideCapacity(disk: Disk, directory: string): Promise<number> {
  const path = `${directory}/CAPACITY`;
  const remembered = await readCapacity(disk, path);
  if (remembered !== undefined) return remembered;
  const { freeBytes } = await disk.space(directory);
  const capacityBytes = Math.floor((freeBytes * SHARE_OF_FREE) / MiB) * MiB;
  if (capacityBytes < CAPACITY_MIN_BYTES)
    throw new ForebayError(
      'config',
      `${directory}: only ${Math.floor(freeBytes / MiB)} MiB are free; free some space, or set node.cacheDir to another disk`,
    );
  await writeCapacity(disk, directory, capacityBytes);
  return capacityBytes;
}

async function readCapacity(disk: Disk, path: string): Promise<number | undefined> {
  if (!(await disk.stat(path))) return undefined;
  const file = await disk.open(path);
  try {
    const text = Buffer.from(await file.read(0, 64)).toString('latin1');
    const bytes = /^(\d{1,16})\n$/.exec(text)?.[1];
    return bytes === undefined || Number(bytes) < CAPACITY_MIN_BYTES ? undefined : Number(bytes);
  } finally {
    await file.close();
  }
}

async function writeCapacity(disk: Disk, directory: string, capacityBytes: number): Promise<void> {
  const text = Buffer.from(`${capacityBytes}\n`, 'latin1');
  const bytes = disk.allocate(text.length).subarray(0, text.length);
  bytes.set(text);
  const file = await disk.open(`${directory}/CAPACITY`, { write: true, create: true });
  try {
    await file.truncate(0);
    await file.write(0, bytes);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.syncDirectory(directory);
}
