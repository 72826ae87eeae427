/**
 * `warm --to DIR`: a whole content as a plain read-only file below a directory, by a clone where the file system has them,
 * else by a hard link (the content is then lent for good: evicted only whole, by unlinking our name), else by a copy.
 */
import { BLOCK_SIZE_BYTES } from '../core/chunk.ts';
import { ForebayError } from '../core/errors.ts';
import { type Disk, DiskError, type Random } from '../io/io.ts';
import type { Store } from '../store/store.ts';
import type { Opened } from './opened.ts';

const READ_ONLY = 0o444;

/** Throws invalidArgument for keys that are no relative path, diskFull, DiskError, or the read's own errors. Replaces what stands there whole. */
export async function layOut(
  store: Store,
  opened: Opened,
  options: { to: string; random: Random; signal: AbortSignal },
): Promise<void> {
  const { key } = opened.fact;
  const path = pathOf(options.to, key);
  const { disk } = store;
  await makeParents(disk, options.to, path);
  // Of this attempt alone: another node may lay out the same object in the same directory at the same time.
  const temporary = `${path}.forebay-${Buffer.from(options.random.bytes(6)).toString('hex')}`;
  try {
    if (!(await shareFile(store, opened, temporary))) await copyBytes(disk, opened, temporary, options.signal);
    await disk.setMode(temporary, READ_ONLY);
    await disk.rename(temporary, path);
  } finally {
    // After an error; and a rename over another link of the same file does nothing.
    await disk.unlink(temporary).catch(() => undefined);
  }
}

function pathOf(to: string, key: string): string {
  const segments = key.split('/');
  const isPlain = segments.every(
    (segment) => segment !== '' && segment !== '.' && segment !== '..' && !segment.includes('\0'),
  );
  if (!isPlain)
    throw new ForebayError('invalidArgument', `the key ${JSON.stringify(key)} does not name a file below a directory`);
  return `${to}/${key}`;
}

async function makeParents(disk: Disk, to: string, path: string): Promise<void> {
  await disk.makeDirectory(to).catch(ignore('EEXIST'));
  const segments = path.slice(to.length + 1).split('/');
  for (let depth = 1; depth < segments.length; depth += 1) {
    await disk.makeDirectory(`${to}/${segments.slice(0, depth).join('/')}`).catch(ignore('EEXIST'));
  }
}

async function shareFile(store: Store, opened: Opened, path: string): Promise<boolean> {
  const { content, sizeBytes } = opened.fact;
  if (store.hot(content) !== undefined || store.presentBytes({ id: content, sizeBytes }) < sizeBytes) return false;
  const from = store.dataPath(content);
  try {
    if (await store.disk.clone(from, path)) return true;
    if (!(await store.lend(content))) return false;
    await store.disk.link(from, path);
    return true;
  } catch (error) {
    if (
      error instanceof DiskError &&
      ['EXDEV', 'EPERM', 'EMLINK', 'ENOENT', 'EOPNOTSUPP', 'EINVAL'].includes(error.code)
    ) {
      await store.disk.unlink(path).catch(ignore('ENOENT'));
      return false;
    }
    throw error;
  }
}

async function copyBytes(disk: Disk, opened: Opened, path: string, signal: AbortSignal): Promise<void> {
  const file = await disk.open(path, { write: true, create: true, exclusive: true });
  try {
    let at = 0;
    for await (const piece of opened.pieces({ start: 0, end: opened.fact.sizeBytes }, signal)) {
      try {
        if (piece.kind === 'bytes') {
          await file.write(at, piece.bytes);
          at += piece.bytes.length;
          continue;
        }
        for (let from = piece.range.start; from < piece.range.end; from += BLOCK_SIZE_BYTES) {
          const bytes = await piece.file.read(from, Math.min(BLOCK_SIZE_BYTES, piece.range.end - from));
          await file.write(at, bytes);
          at += bytes.length;
        }
      } finally {
        piece.release();
      }
    }
    if (at !== opened.fact.sizeBytes) throw new ForebayError('corrupt', `${opened.fact.key} could not be copied whole`);
  } finally {
    await file.close();
  }
}

function ignore(code: string): (error: unknown) => void {
  return (error) => {
    if (!(error instanceof DiskError) || error.code !== code) throw error;
  };
}
