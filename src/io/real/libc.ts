/**
 * The C library through node:ffi: the calls that Node does not offer. Loaded on first use and once per thread; where
 * node:ffi or the platform is missing, `available` is false with the reason, and every user has a portable path.
 *
 * Calls return the result or `-errno`. None of them may be called on the control thread when it can block: there only
 * `boottimeMs`, `duplicate`, `closeDescriptor`, `shutdown`, `setCongestionControl`, `unacknowledged`, `eventCounter` and `signalEvent` are.
 */
import { arch, constants, platform } from 'node:os';

export type FfiChoice = 'auto' | 'off';

export interface LibcCalls {
  readonly available: true;
  boottimeMs(): number;
  /** A second descriptor of the same open file or socket, closed on exec. */
  duplicate(fd: number): number;
  closeDescriptor(fd: number): number;
  /** Ends both directions of a socket: whoever sends or waits on it, on any thread and any duplicate, gets EPIPE. */
  shutdown(fd: number): number;
  /** `name` as in `net.ipv4.tcp_available_congestion_control`; connections inherit it from the socket that listens. */
  setCongestionControl(fd: number, name: string): number;
  /** Lets other threads go first, as nice(1) does; of the calling thread alone. */
  lowerPriority(nice: number): number;
  /** Bytes that a socket's peer has not acknowledged yet. */
  unacknowledged(fd: number): number;
  /** A non-blocking counter that makes `pollWait` of another thread return. */
  eventCounter(): number;
  signalEvent(fd: number): number;
  clearEvent(fd: number): number;
  /** Sends up to `length` bytes of a file from `position`; -EAGAIN when the socket takes none. */
  sendfile(socketFd: number, fileFd: number, position: number, length: number): number;
  pollCreate(): number;
  /** Watches a descriptor for becoming writable (or readable), once per change; `token` comes back from `pollWait`. */
  pollAdd(pollFd: number, fd: number, watch: { token: number; for: 'read' | 'write' }): number;
  pollRemove(pollFd: number, fd: number): number;
  /** Waits up to `timeoutMs`; puts the tokens of ready descriptors into `tokens` and returns how many. */
  pollWait(pollFd: number, tokens: Int32Array, timeoutMs: number): number;
  /** Frees the space of a range and keeps the size. */
  punchHole(fd: number, position: number, length: number): number;
  /** Begins to write a range of a file to the disk, without waiting for it. */
  beginWriteback(fd: number, position: number, length: number): number;
  /** A non-blocking descriptor that says what happens in watched directories. */
  watchCreate(): number;
  /** Watches a directory for `mask`; returns the watch's number. */
  watchAdd(watchFd: number, path: string, mask: number): number;
  watchRemove(watchFd: number, watch: number): number;
  /** Opens a path below `directoryFd` that follows no link and never leaves it. */
  openBeneath(directoryFd: number, path: string, open: { flags: number; mode: number }): number;
}

export interface LibcMissing {
  readonly available: false;
  readonly reason: string;
}

export type Libc = LibcCalls | LibcMissing;

const { EEXIST } = constants.errno;
const CLOCK_BOOTTIME = 7;
const F_DUPFD_CLOEXEC = 1030;
const SHUT_RDWR = 2;
/** With 0 for the process: on Linux the calling thread. */
const PRIO_PROCESS = 0;
const IPPROTO_TCP = 6;
const TCP_CONGESTION = 13;
const SIOCOUTQ = 0x5411n;
const EFD_NONBLOCK_CLOEXEC = 0o2004000;
const EPOLL_CLOEXEC = 0o2000000;
const EPOLL_CTL_ADD = 1;
const EPOLL_CTL_DEL = 2;
const EPOLL_CTL_MOD = 3;
const EPOLLIN = 0x1;
const EPOLLOUT = 0x4;
const EPOLLET = 0x80000000;
const FALLOC_PUNCH_HOLE_KEEP_SIZE = 3;
const SYNC_FILE_RANGE_WRITE = 2;
/** openat2 has this number on every architecture. */
const SYS_OPENAT2 = 437n;
const RESOLVE_BENEATH_NO_SYMLINKS = 0x08n | 0x04n;
const O_CLOEXEC = 0o2000000;
/** PATH_MAX of Linux, the closing NUL counted. */
const PATH_MAX_BYTES = 4096;
const ENAMETOOLONG = 36;
/** Events fetched by one `pollWait`. */
const EVENTS_MAX = 256;

let loaded: Libc | undefined;

/** The C library of this thread, or why there is none. `off` forces the portable paths. */
export function loadLibc(choice: FfiChoice = 'auto'): Libc {
  if (choice === 'off') return { available: false, reason: 'switched off by configuration (ffi = "off")' };
  loaded ??= tryLoad();
  return loaded;
}

function tryLoad(): Libc {
  if (platform() !== 'linux') return { available: false, reason: `not made for ${platform()}` };
  if (arch() !== 'x64' && arch() !== 'arm64') return { available: false, reason: `not made for ${arch()} processors` };
  try {
    const ffi = process.getBuiltinModule('node:ffi');
    if (!ffi) return { available: false, reason: 'this Node has no node:ffi' };
    return bind(ffi);
  } catch (error) {
    return { available: false, reason: `node:ffi does not load: ${(error as Error).message}` };
  }
}

type Ffi = typeof import('node:ffi');

/** Symbols come from the process itself, which has its C library (glibc or musl) loaded. */
function open(ffi: Ffi) {
  return ffi.dlopen(null, {
    __errno_location: { return: 'pointer', arguments: [] },
    clock_gettime: { return: 'i32', arguments: ['i32', 'pointer'] },
    fcntl: { return: 'i32', arguments: ['i32', 'i32', 'i32'] },
    close: { return: 'i32', arguments: ['i32'] },
    shutdown: { return: 'i32', arguments: ['i32', 'i32'] },
    setpriority: { return: 'i32', arguments: ['i32', 'u32', 'i32'] },
    setsockopt: { return: 'i32', arguments: ['i32', 'i32', 'i32', 'pointer', 'u32'] },
    ioctl: { return: 'i32', arguments: ['i32', 'u64', 'pointer'] },
    eventfd: { return: 'i32', arguments: ['u32', 'i32'] },
    read: { return: 'i64', arguments: ['i32', 'pointer', 'u64'] },
    write: { return: 'i64', arguments: ['i32', 'pointer', 'u64'] },
    sendfile: { return: 'i64', arguments: ['i32', 'i32', 'pointer', 'u64'] },
    epoll_create1: { return: 'i32', arguments: ['i32'] },
    epoll_ctl: { return: 'i32', arguments: ['i32', 'i32', 'i32', 'pointer'] },
    epoll_wait: { return: 'i32', arguments: ['i32', 'pointer', 'i32', 'i32'] },
    fallocate: { return: 'i32', arguments: ['i32', 'i32', 'i64', 'i64'] },
    inotify_init1: { return: 'i32', arguments: ['i32'] },
    inotify_add_watch: { return: 'i32', arguments: ['i32', 'pointer', 'u32'] },
    inotify_rm_watch: { return: 'i32', arguments: ['i32', 'i32'] },
    sync_file_range: { return: 'i32', arguments: ['i32', 'i64', 'i64', 'u32'] },
    syscall: { return: 'i64', arguments: ['i64', 'i64', 'pointer', 'pointer', 'u64'] },
  }).functions;
}

function bind(ffi: Ffi): LibcCalls {
  const c = open(ffi);
  // Explicit ArrayBuffers: small typed arrays may live in the garbage-collected heap and move.
  const scratch = new ArrayBuffer(64);
  const numbers = new BigInt64Array(scratch);
  const view = new DataView(scratch);
  const scratchPointer = ffi.getRawPointer(scratch);
  const names = Buffer.from(new ArrayBuffer(PATH_MAX_BYTES));
  const namesPointer = ffi.getRawPointer(names.buffer);
  const events = new DataView(new ArrayBuffer(EVENTS_MAX * 16));
  const eventsPointer = ffi.getRawPointer(events.buffer as ArrayBuffer);
  // struct epoll_event is packed on x86-64 only.
  const eventSize = arch() === 'x64' ? 12 : 16;
  const errnoPointer = c.__errno_location();
  const result = (value: number) => (value === -1 ? -ffi.getInt32(errnoPointer) : value);
  const result64 = (value: bigint) => (value === -1n ? -ffi.getInt32(errnoPointer) : Number(value));

  const pollAdd: LibcCalls['pollAdd'] = (pollFd, fd, watch) => {
    view.setUint32(0, (watch.for === 'read' ? EPOLLIN : EPOLLOUT) | EPOLLET, true);
    view.setInt32(eventSize - 8, watch.token, true);
    view.setInt32(eventSize - 4, 0, true);
    const added = result(c.epoll_ctl(pollFd, EPOLL_CTL_ADD, fd, scratchPointer));
    return added === -EEXIST ? result(c.epoll_ctl(pollFd, EPOLL_CTL_MOD, fd, scratchPointer)) : added;
  };
  const pollWait: LibcCalls['pollWait'] = (pollFd, tokens, timeoutMs) => {
    const max = Math.min(tokens.length, EVENTS_MAX);
    const count = result(c.epoll_wait(pollFd, eventsPointer, max, timeoutMs));
    for (let index = 0; index < count; index++)
      tokens[index] = events.getInt32(index * eventSize + eventSize - 8, true);
    return count;
  };
  return {
    available: true,
    boottimeMs: () => {
      c.clock_gettime(CLOCK_BOOTTIME, scratchPointer);
      return Number(numbers[0]) * 1000 + Number(numbers[1]) / 1e6;
    },
    duplicate: (fd) => result(c.fcntl(fd, F_DUPFD_CLOEXEC, 0)),
    closeDescriptor: (fd) => result(c.close(fd)),
    lowerPriority: (nice) => result(c.setpriority(PRIO_PROCESS, 0, nice)),
    shutdown: (fd) => result(c.shutdown(fd, SHUT_RDWR)),
    setCongestionControl: (fd, name) =>
      result(c.setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, namesPointer, names.write(name))),
    unacknowledged: (fd) => {
      const failed = result(c.ioctl(fd, SIOCOUTQ, scratchPointer));
      return failed < 0 ? failed : view.getInt32(0, true);
    },
    eventCounter: () => result(c.eventfd(0, EFD_NONBLOCK_CLOEXEC)),
    signalEvent: (fd) => {
      numbers[0] = 1n;
      return result64(c.write(fd, scratchPointer, 8n));
    },
    clearEvent: (fd) => result64(c.read(fd, scratchPointer, 8n)),
    sendfile: (socketFd, fileFd, position, length) => {
      numbers[0] = BigInt(position);
      return result64(c.sendfile(socketFd, fileFd, scratchPointer, BigInt(length)));
    },
    pollCreate: () => result(c.epoll_create1(EPOLL_CLOEXEC)),
    pollAdd,
    pollRemove: (pollFd, fd) => result(c.epoll_ctl(pollFd, EPOLL_CTL_DEL, fd, scratchPointer)),
    pollWait,
    punchHole: (fd, position, length) =>
      result(c.fallocate(fd, FALLOC_PUNCH_HOLE_KEEP_SIZE, BigInt(position), BigInt(length))),
    watchCreate: () => result(c.inotify_init1(EFD_NONBLOCK_CLOEXEC)),
    watchAdd: (watchFd, path, mask) => {
      if (Buffer.byteLength(path) >= PATH_MAX_BYTES) return -ENAMETOOLONG;
      names[names.write(path)] = 0;
      return result(c.inotify_add_watch(watchFd, namesPointer, mask));
    },
    watchRemove: (watchFd, watch) => result(c.inotify_rm_watch(watchFd, watch)),
    beginWriteback: (fd, position, length) =>
      result(c.sync_file_range(fd, BigInt(position), BigInt(length), SYNC_FILE_RANGE_WRITE)),
    openBeneath: (directoryFd, path, how) => {
      // a small Buffer of its own would be moved or freed by the garbage collector between here and the call
      if (Buffer.byteLength(path) >= PATH_MAX_BYTES) return -ENAMETOOLONG;
      names[names.write(path)] = 0;
      numbers[0] = BigInt(how.flags | O_CLOEXEC);
      numbers[1] = BigInt(how.mode);
      numbers[2] = RESOLVE_BENEATH_NO_SYMLINKS;
      return result64(c.syscall(SYS_OPENAT2, BigInt(directoryFd), namesPointer, scratchPointer, 24n));
    },
  };
}
