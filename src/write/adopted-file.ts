/** Small files that are adopted: their bytes are read, for they travel inside a message. */
import { ForebayError } from '../core/errors.ts';
import type { Disk, FileStat } from '../io/io.ts';

/** The bytes of a file that is still as `found`. Throws versionChanged, invalidArgument, DiskError. */
export async function readWhole(disk: Disk, path: string, found: FileStat): Promise<Uint8Array> {
  if (found.kind !== 'file') throw new ForebayError('invalidArgument', `${path} is not a file`);
  const file = await disk.open(path);
  try {
    const before = await file.stat();
    const bytes = await file.read(0, found.sizeBytes);
    const after = await file.stat();
    for (const stat of [before, after])
      if (
        stat.inode !== found.inode ||
        stat.sizeBytes !== found.sizeBytes ||
        stat.modifiedNs !== found.modifiedNs ||
        bytes.length !== found.sizeBytes
      )
        throw new ForebayError('versionChanged', `${path} was changed while it was taken over`);
    return bytes;
  } finally {
    await file.close();
  }
}

export async function* piecesOf(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  if (bytes.length > 0) yield bytes;
}
