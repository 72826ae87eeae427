/**
 * How a disk's names become paths for calls. A direct disk takes absolute paths as they are. A rooted disk takes names
 * from strangers: with FFI each is resolved by the kernel itself (openat2 with RESOLVE_BENEATH and
 * RESOLVE_NO_SYMLINKS) and the call then goes to `/proc/self/fd/<parent>/<name>`, so nobody can swap a directory for a
 * link in between; without FFI every component is looked at first, which a racing writer inside the root could defeat.
 */
import * as fs from 'node:fs';
import { errnoName, failure } from './errno.ts';
import type { Libc, LibcCalls } from './libc.ts';

export interface Paths {
  /** Opens a file; `flags` are those of open(2). */
  open(path: string, flags: number): number;
  /** Calls `use` with a path whose last component is not resolved yet: calls that would follow a link there must not be made. */
  at<T>(path: string, use: (path: string) => T): T;
  /** Calls `use` with the path of an existing directory. */
  directory<T>(path: string, use: (path: string) => T): T;
  readonly directoryMode: number;
}

/** The cache is its owner's alone. */
const PRIVATE_FILE_MODE = 0o600;
const PRIVATE_DIRECTORY_MODE = 0o700;
/** An origin directory is the user's: their umask decides. */
const SHARED_FILE_MODE = 0o666;
const SHARED_DIRECTORY_MODE = 0o777;
const O_PATH = 0o10000000;

export function directPaths(): Paths {
  return {
    open: (path, flags) => fs.openSync(path, flags, PRIVATE_FILE_MODE),
    at: (path, use) => use(path),
    directory: (path, use) => use(path),
    directoryMode: PRIVATE_DIRECTORY_MODE,
  };
}

export function rootedPaths(root: string, libc: Libc): Paths {
  return libc.available ? kernelRootedPaths(root, libc) : checkedRootedPaths(root);
}

/** The root is opened for each call: one that was replaced (remounted, restored) is found again. */
function kernelRootedPaths(root: string, libc: LibcCalls): Paths {
  const openBeneath = (path: string, flags: number): number => {
    const rootFd = fs.openSync(root, O_PATH | fs.constants.O_DIRECTORY);
    try {
      if (path === '') return libc.duplicate(rootFd);
      const mode = flags & fs.constants.O_CREAT ? SHARED_FILE_MODE : 0;
      const fd = libc.openBeneath(rootFd, path, { flags, mode });
      if (fd >= 0) return fd;
      throw failure(errnoName(-fd), 'openat2');
    } finally {
      fs.closeSync(rootFd);
    }
  };
  const within = <T>(path: string, flags: number, use: (fd: number) => T): T => {
    const fd = openBeneath(path, flags);
    try {
      return use(fd);
    } finally {
      fs.closeSync(fd);
    }
  };
  return {
    open: (path, flags) => regularOnly(openBeneath(path, flags | fs.constants.O_NONBLOCK)),
    at(path, use) {
      if (path === '') return within('', 0, (fd) => use(`/proc/self/fd/${fd}/.`));
      const slash = path.lastIndexOf('/');
      const parent = slash < 0 ? '' : path.slice(0, slash);
      const name = path.slice(slash + 1);
      return within(parent, O_PATH | fs.constants.O_DIRECTORY, (fd) => use(`/proc/self/fd/${fd}/${name}`));
    },
    directory: (path, use) =>
      within(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY, (fd) => use(`/proc/self/fd/${fd}/.`)),
    directoryMode: SHARED_DIRECTORY_MODE,
  };
}

function checkedRootedPaths(root: string): Paths {
  const checked = (path: string, last: 'resolved' | 'kept'): string => {
    const names = path === '' ? [] : path.split('/');
    const looked = last === 'kept' ? names.slice(0, -1) : names;
    let at = root;
    for (const name of looked) {
      at = `${at}/${name}`;
      const entry = fs.lstatSync(at, { throwIfNoEntry: false });
      if (entry === undefined) break;
      if (entry.isSymbolicLink()) throw failure('ELOOP', 'lstat');
    }
    return path === '' ? root : `${root}/${path}`;
  };
  return {
    open(path, flags) {
      const { O_NOFOLLOW, O_NONBLOCK } = fs.constants;
      return regularOnly(fs.openSync(checked(path, 'resolved'), flags | O_NOFOLLOW | O_NONBLOCK, SHARED_FILE_MODE));
    },
    at: (path, use) => use(checked(path, 'kept')),
    directory: (path, use) => use(checked(path, 'resolved')),
    directoryMode: SHARED_DIRECTORY_MODE,
  };
}

/** A stranger's name may lead to a pipe or a device, whose reads never end. */
function regularOnly(fd: number): number {
  const entry = fs.fstatSync(fd);
  if (entry.isFile()) return fd;
  fs.closeSync(fd);
  throw failure(entry.isDirectory() ? 'EISDIR' : 'EINVAL', 'open');
}
