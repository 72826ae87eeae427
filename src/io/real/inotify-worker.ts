/** The thread of one watched directory: adds watches, waits in the kernel, and reports what it hears. */
import * as fs from 'node:fs';
import { constants } from 'node:os';
import { parentPort, workerData } from 'node:worker_threads';
import { errnoName } from './errno.ts';
import type { InotifyReport, InotifyWorkerData } from './inotify.ts';
import { InotifyEvents, WATCH_MASK } from './inotify-events.ts';
import { loadLibc } from './libc.ts';

/** Bounds how long the end of the process may wait for this thread. */
const POLL_MS = 250;
/** For the other half of a rename. */
const RENAME_MS = 20;
const BUFFER_BYTES = 64 << 10;

const { EAGAIN, EINTR } = constants.errno;

class Failed extends Error {
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

function report(told: InotifyReport): void {
  parentPort?.postMessage(told);
}

function run({ directory, stopping }: InotifyWorkerData): void {
  const libc = loadLibc();
  if (!libc.available) throw new Failed('ENOSYS', `a watch needs FFI: ${libc.reason}`);
  const checked = (result: number, what: string) => {
    if (result < 0) throw new Failed(errnoName(-result), what);
    return result;
  };
  const watchFd = checked(libc.watchCreate(), 'inotify_init');
  const addOne = (path: string) => {
    const watch = libc.watchAdd(watchFd, path === '' ? directory : `${directory}/${path}`, WATCH_MASK);
    if (watch >= 0) events.paths.set(watch, path);
    return watch;
  };
  const addAll = (path: string) => {
    // Watched before it is listed: what comes in between is heard of, or seen.
    const watch = addOne(path);
    if (watch === -constants.errno.ENOSPC)
      throw new Failed('ENOSPC', 'too many directories to watch (fs.inotify.max_user_watches)');
    if (watch < 0) return;
    for (const name of directoriesIn(path === '' ? directory : `${directory}/${path}`))
      addAll(path === '' ? name : `${path}/${name}`);
  };
  const events = new InotifyEvents({ add: addAll, remove: (watch) => void libc.watchRemove(watchFd, watch) });
  checked(addOne(''), `watch ${directory}`);
  addAll('');
  const pollFd = checked(libc.pollCreate(), 'epoll_create');
  checked(libc.pollAdd(pollFd, watchFd, { token: 1, for: 'read' }), 'epoll_ctl');
  report({ kind: 'watching' });
  const stop = new Int32Array(stopping);
  const tokens = new Int32Array(1);
  const buffer = Buffer.alloc(BUFFER_BYTES);
  while (Atomics.load(stop, 0) === 0) {
    const ready = libc.pollWait(pollFd, tokens, events.isWaiting ? RENAME_MS : POLL_MS);
    if (ready < 0 && ready !== -EINTR) throw new Failed(errnoName(-ready), 'epoll_wait');
    const hints = ready === 0 ? events.expire() : [];
    for (let length = readSome(watchFd, buffer); length > 0; length = readSome(watchFd, buffer))
      hints.push(...events.read(buffer.subarray(0, length)));
    if (hints.length > 0) report({ kind: 'hints', hints });
  }
  libc.closeDescriptor(pollFd);
  libc.closeDescriptor(watchFd);
}

function directoriesIn(path: string): string[] {
  try {
    const entries = fs.readdirSync(path, { withFileTypes: true });
    return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
  } catch {
    // It went again, or is not ours to see.
    return [];
  }
}

function readSome(fd: number, buffer: Buffer): number {
  try {
    return fs.readSync(fd, buffer, 0, buffer.length, null);
  } catch (error) {
    const { errno = 0 } = error as NodeJS.ErrnoException;
    if (errno === -EAGAIN || errno === -EINTR) return 0;
    throw error;
  }
}

// Where there is a compile cache, the next thread takes this one's code from it.
process.getBuiltinModule('node:module').flushCompileCache();
try {
  run(workerData as InotifyWorkerData);
} catch (error) {
  const { code = 'EIO', message } = error as NodeJS.ErrnoException;
  report({ kind: 'failed', code, message });
}
