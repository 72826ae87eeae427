/**
 * The disk's operations as synchronous calls, for the worker threads. Errors become `{failed}` with the errno name, so
 * that no stack traces cross threads.
 */
import * as fs from 'node:fs';
import type { FileStat, OpenOptions } from '../io.ts';
import { type Checksum, loadChecksum } from './checksum.ts';
import { type DiskReply, type DiskRequest, type DiskWorkerData, SMALL_READ_BYTES } from './disk-request.ts';
import { errnoName, failure } from './errno.ts';
import { loadLibc } from './libc.ts';
import { createLocks } from './locks.ts';
import { directPaths, type Paths, rootedPaths } from './paths.ts';

const CHECKSUM_BUFFER_BYTES = 1 << 20;

export function createDiskCalls(data: DiskWorkerData): (request: DiskRequest) => DiskReply {
  const libc = loadLibc(data.ffi);
  const paths = data.root === undefined ? directPaths() : rootedPaths(data.root, libc);
  const locks = createLocks();
  const scratch = new Uint8Array(data.scratch);
  const checksum = loadChecksum(data.ffi);
  let checksumBuffer: Buffer | undefined;

  const run = (request: DiskRequest): unknown => {
    switch (request.op) {
      case 'open':
        return paths.open(request.path, openFlags(request.options));
      case 'close':
        return fs.closeSync(request.fd);
      case 'read':
        return read(request.fd, request.at, request.length, scratch);
      case 'write':
        return write(request.fd, request.at, request.bytes ?? scratch.subarray(0, request.length));
      case 'writeSummed': {
        const bytes = request.bytes ?? scratch.subarray(0, request.length);
        const sum = checksum(bytes);
        write(request.fd, request.at, bytes);
        return sum;
      }
      case 'checksums':
        checksumBuffer ??= Buffer.allocUnsafeSlow(CHECKSUM_BUFFER_BYTES);
        return checksums(request, checksumBuffer, checksum);
      case 'sync':
        return fs.fdatasyncSync(request.fd);
      case 'fstat':
        return statOf(fs.fstatSync(request.fd, { bigint: true }));
      case 'punch': {
        if (!libc.available) throw failure('ENOTSUP', `punching needs FFI: ${libc.reason}`);
        const done = libc.punchHole(request.fd, request.at, request.length);
        if (done < 0) throw failure(errnoName(-done), 'fallocate');
        return undefined;
      }
      case 'writeback':
        // A hint: what it cannot begin, the final sync does.
        if (libc.available) libc.beginWriteback(request.fd, request.at, request.length);
        return undefined;
      case 'truncate':
        return fs.ftruncateSync(request.fd, request.size);
      case 'lock':
        return paths.at(request.path, (path) => locks.take(path));
      case 'release':
        return locks.release(request.lock);
      default:
        return runOnNames(request, paths);
    }
  };

  return (request) => {
    try {
      return { value: run(request) };
    } catch (error) {
      const { code, message, syscall } = error as NodeJS.ErrnoException;
      // Node's own refusals (a path with NUL) have codes of their own: they are a wrong argument.
      const errno = code === undefined || code.startsWith('ERR_') ? 'EINVAL' : code;
      return { failed: { code: errno, message: syscall ?? message } };
    }
  };
}

type OnNames = Extract<DiskRequest, { path: string } | { from: string }>;

function runOnNames(request: Exclude<OnNames, { op: 'open' | 'lock' }>, paths: Paths): unknown {
  switch (request.op) {
    case 'stat':
      return stat(request.path, paths);
    case 'list':
      return paths.directory(request.path, listOf);
    case 'makeDirectory':
      return paths.at(request.path, (path) => fs.mkdirSync(path, request.mode ?? paths.directoryMode));
    case 'rename':
      return paths.at(request.from, (from) => paths.at(request.to, (to) => fs.renameSync(from, to)));
    case 'link':
      return paths.at(request.from, (from) => paths.at(request.to, (to) => fs.linkSync(from, to)));
    case 'clone':
      return clone(request.from, request.to, paths);
    case 'setMode':
      return paths.at(request.path, (path) => {
        if (fs.lstatSync(path).isSymbolicLink())
          throw Object.assign(new Error('a link has no mode'), { code: 'ELOOP' });
        fs.chmodSync(path, request.mode);
      });
    case 'unlink':
      return paths.at(request.path, (path) => fs.unlinkSync(path));
    case 'removeDirectory':
      return paths.at(request.path, (path) => fs.rmdirSync(path));
    case 'syncDirectory':
      return paths.directory(request.path, (path) => {
        const fd = fs.openSync(path, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY);
        try {
          fs.fsyncSync(fd);
        } finally {
          fs.closeSync(fd);
        }
      });
    case 'space':
      return paths.directory(request.path, (path) => {
        const { bsize, blocks, bavail } = fs.statfsSync(path);
        return { totalBytes: blocks * bsize, freeBytes: bavail * bsize };
      });
  }
}

function openFlags(options: OpenOptions): number {
  const { O_RDONLY, O_RDWR, O_CREAT, O_EXCL } = fs.constants;
  return (
    (options.write ? O_RDWR : O_RDONLY) |
    (options.create ? O_CREAT : 0) |
    (options.create && options.exclusive ? O_EXCL : 0)
  );
}

function read(fd: number, at: number, length: number, scratch: Uint8Array): number | Uint8Array<ArrayBuffer> {
  const small = length <= SMALL_READ_BYTES;
  const target = small ? scratch : Buffer.allocUnsafeSlow(length);
  const done = readInto(fd, at, target, length);
  if (small) return done;
  return new Uint8Array(target.buffer as ArrayBuffer, 0, done);
}

function readInto(fd: number, at: number, target: Uint8Array, length: number): number {
  let done = 0;
  while (done < length) {
    const count = fs.readSync(fd, target, done, length - done, at + done);
    if (count === 0) break;
    done += count;
  }
  return done;
}

function write(fd: number, at: number, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.length) done += fs.writeSync(fd, bytes, done, bytes.length - done, at + done);
}

function checksums(
  range: { fd: number; start: number; end: number; slice: number },
  buffer: Buffer,
  checksum: Checksum,
): number[] {
  const sums: number[] = [];
  for (let start = range.start; start < range.end; start += range.slice) {
    const end = Math.min(start + range.slice, range.end);
    let sum = 0;
    for (let at = start; at < end; ) {
      const wanted = Math.min(buffer.length, end - at);
      if (readInto(range.fd, at, buffer, wanted) < wanted) return sums;
      sum = checksum(wanted === buffer.length ? buffer : buffer.subarray(0, wanted), sum);
      at += wanted;
    }
    sums.push(sum);
  }
  return sums;
}

function kindOf(entry: fs.BigIntStats | fs.Dirent): FileStat['kind'] {
  if (entry.isFile()) return 'file';
  if (entry.isDirectory()) return 'directory';
  return entry.isSymbolicLink() ? 'link' : 'other';
}

function statOf(stat: fs.BigIntStats): FileStat {
  return {
    kind: kindOf(stat),
    sizeBytes: Number(stat.size),
    allocatedBytes: Number(stat.blocks) * 512,
    device: stat.dev,
    inode: stat.ino,
    modifiedNs: stat.mtimeNs,
    changedNs: stat.ctimeNs,
  };
}

function stat(path: string, paths: Paths): FileStat | undefined {
  try {
    return paths.at(path, (found) => statOf(fs.lstatSync(found, { bigint: true })));
  } catch (error) {
    // Below a file there are no names either.
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
    throw error;
  }
}

function listOf(path: string): { name: string; kind: FileStat['kind'] }[] {
  return fs.readdirSync(path, { withFileTypes: true }).map((entry) => ({ name: entry.name, kind: kindOf(entry) }));
}

function clone(from: string, to: string, paths: Paths): boolean {
  const source = paths.open(from, fs.constants.O_RDONLY);
  const mode = fs.constants.COPYFILE_EXCL | fs.constants.COPYFILE_FICLONE_FORCE;
  try {
    paths.at(to, (path) => fs.copyFileSync(`/proc/self/fd/${source}`, path, mode));
    return true;
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException;
    if (['ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'ENOTTY', 'EXDEV', 'EINVAL'].includes(code)) return false;
    throw error;
  } finally {
    fs.closeSync(source);
  }
}
