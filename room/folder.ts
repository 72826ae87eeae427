/**
 * The files of a room. Nothing outside of the folder is read: directories that are links are not entered, files that are links
 * only where they end inside. Hidden files, `node_modules` and the room's own output are left out.
 */
import { type Dirent, lstatSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { extname, join, relative, sep } from 'node:path';

export interface RoomFile {
  /** Below the folder, with `/`. */
  readonly path: string;
  /** Where its bytes are. */
  readonly absolute: string;
  readonly sizeBytes: number;
}

/** Something that a person should look at, and where. */
export interface Problem {
  readonly path: string;
  readonly text: string;
}

export interface Folder {
  readonly notes: readonly RoomFile[];
  readonly others: readonly RoomFile[];
  readonly problems: readonly Problem[];
}

const IGNORED = new Set(['node_modules', '__pycache__']);

export const isBelow = (path: string, folder: string): boolean => {
  const rest = relative(folder, path);
  return rest === '' || (rest !== '..' && !rest.startsWith(`..${sep}`));
};

const inOrder = (a: { path: string }, b: { path: string }) => (a.path < b.path ? -1 : a.path > b.path ? 1 : 0);

/** `leaveOut`: folders, as real paths, that are not looked at. Throws what reading `directory` itself throws. */
export function readFolder(directory: string, leaveOut: readonly string[] = []): Folder {
  const root = realpathSync(directory);
  const notes: RoomFile[] = [];
  const others: RoomFile[] = [];
  const problems: Problem[] = [];

  const take = (path: string, absolute: string): void => {
    const kept = { path, absolute, sizeBytes: statSync(absolute).size };
    (/^\.(md|markdown)$/i.test(extname(path)) ? notes : others).push(kept);
  };

  const follow = (path: string, absolute: string): void => {
    const end = realpathSync(absolute);
    const isHidden = relative(root, end)
      .split(sep)
      .some((part) => part.startsWith('.'));
    if (!isBelow(end, root) || isHidden || leaveOut.some((folder) => isBelow(end, folder)))
      problems.push({ path, text: 'is a link out of the folder and was not followed' });
    else if (lstatSync(end).isFile()) take(path, end);
    else problems.push({ path, text: 'is a link to a directory and was not followed: name the directory itself' });
  };

  const look = (entry: Dirent, path: string, absolute: string): void => {
    if (entry.name.includes('\ufffd') && !lstatExists(absolute))
      problems.push({ path, text: 'has a name that is not UTF-8: rename it' });
    else if (entry.isSymbolicLink()) follow(path, absolute);
    else if (entry.isDirectory()) walk(absolute, path);
    else if (entry.isFile()) take(path, absolute);
    else problems.push({ path, text: 'is neither a file nor a directory and was left out' });
  };

  const walk = (at: string, below: string): void => {
    if (leaveOut.includes(at)) return;
    for (const entry of readdirSync(at, { withFileTypes: true })) {
      if (entry.name.startsWith('.') || IGNORED.has(entry.name)) continue;
      const path = below === '' ? entry.name : `${below}/${entry.name}`;
      try {
        look(entry, path, join(at, entry.name));
      } catch (error) {
        problems.push({ path, text: `cannot be read: ${(error as NodeJS.ErrnoException).code ?? String(error)}` });
      }
    }
  };

  walk(root, '');
  return { notes: notes.sort(inOrder), others: others.sort(inOrder), problems };
}

function lstatExists(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
