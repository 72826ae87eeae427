/** Where benches keep what no disk shall bound. */
import { statfsSync } from 'node:fs';
import { tmpdir } from 'node:os';

const TMPFS_MAGIC = 0x01021994;

/** tmpfs where it has room for what is asked, else the temporary directory. */
export function directoryInMemory(neededBytes: number): string {
  try {
    const { type, bavail, bsize } = statfsSync('/dev/shm');
    if (type === TMPFS_MAGIC && bavail * bsize > neededBytes) return '/dev/shm';
  } catch {
    // no such place
  }
  return tmpdir();
}
