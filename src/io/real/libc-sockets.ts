/**
 * Sockets and writes for pullers, through node:ffi: bytes go from a socket to a file without Node in between. Calls
 * return the result or `-errno`, and none of them waits but `writeAt`, which only writers' threads call.
 */
import { isIPv6 } from 'node:net';
import { crc32 } from 'node:zlib';
import { loadLibc } from './libc.ts';

/** Memory that does not move while C uses it: small typed arrays may live in the garbage-collected heap. */
export interface NativeBuffer {
  readonly bytes: Buffer<ArrayBuffer>;
  readonly pointer: bigint;
}

export interface SocketCalls {
  allocate(lengthBytes: number): NativeBuffer;
  /** A socket that is connecting: its first send or receive tells the outcome. */
  connect(to: { ip: string; port: number }): number;
  send(fd: number, from: NativeBuffer, at: number, length: number): number;
  /** 0 when the peer has closed its side; -EAGAIN when nothing is there. */
  receive(fd: number, into: NativeBuffer, at: number, length: number): number;
  /** As `receive`, and the bytes stay. */
  peek(fd: number, into: NativeBuffer, length: number): number;
  /** Whether nothing can come any more beyond what is there. */
  isEnded(fd: number): boolean;
  /** Becoming readable waits for this many bytes. */
  setLowWater(fd: number, bytes: number): number;
  /** All of `length` bytes of memory, at `position` of a file. */
  writeAt(fd: number, from: bigint, length: number, position: number): number;
  /** CRC32 of a part of a buffer, continued from `checksum`. */
  checksum(of: NativeBuffer, at: number, length: number, checksum: number): number;
  /** Who computes `checksum`. */
  readonly checksumBy: 'libdeflate' | 'zlib';
}

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM_NONBLOCK_CLOEXEC = 1 | 0o4000 | 0o2000000;
const IPPROTO_TCP = 6;
const TCP_NODELAY = 1;
const SOL_SOCKET = 1;
const SO_RCVLOWAT = 18;
const MSG_PEEK = 0x02;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const POLLRDHUP = 0x2000;
const EINTR = 4;
const EIO = 5;
const EINVAL = 22;
const EINPROGRESS = 115;
/** Longest text of an IPv6 address, with its NUL. */
const ADDRESS_MAX_BYTES = 64;

let loaded: SocketCalls | undefined;

/** The calls of this thread; `undefined` where node:ffi or the platform is missing. */
export function loadSockets(): SocketCalls | undefined {
  if (!loadLibc().available) return undefined;
  loaded ??= bind(process.getBuiltinModule('node:ffi'));
  return loaded;
}

type Ffi = typeof import('node:ffi');

function open(ffi: Ffi) {
  return ffi.dlopen(null, {
    __errno_location: { return: 'pointer', arguments: [] },
    socket: { return: 'i32', arguments: ['i32', 'i32', 'i32'] },
    connect: { return: 'i32', arguments: ['i32', 'pointer', 'u32'] },
    close: { return: 'i32', arguments: ['i32'] },
    inet_pton: { return: 'i32', arguments: ['i32', 'pointer', 'pointer'] },
    setsockopt: { return: 'i32', arguments: ['i32', 'i32', 'i32', 'pointer', 'u32'] },
    send: { return: 'i64', arguments: ['i32', 'pointer', 'u64', 'i32'] },
    recv: { return: 'i64', arguments: ['i32', 'pointer', 'u64', 'i32'] },
    poll: { return: 'i32', arguments: ['pointer', 'u64', 'i32'] },
    pwrite: { return: 'i64', arguments: ['i32', 'pointer', 'u64', 'i64'] },
  }).functions;
}

function bind(ffi: Ffi): SocketCalls {
  const c = open(ffi);
  const allocate = (lengthBytes: number): NativeBuffer => {
    const memory = new ArrayBuffer(lengthBytes);
    return { bytes: Buffer.from(memory), pointer: ffi.getRawPointer(memory) };
  };
  const scratch = allocate(128);
  const { bytes: view, pointer } = scratch;
  const text = allocate(ADDRESS_MAX_BYTES);
  const errnoPointer = c.__errno_location();
  const result = (value: number) => (value === -1 ? -ffi.getInt32(errnoPointer) : value);
  const result64 = (value: bigint) => (value === -1n ? -ffi.getInt32(errnoPointer) : Number(value));
  const setOption = (fd: number, level: number, option: number, value: number) => {
    view.writeInt32LE(value, 0);
    return result(c.setsockopt(fd, level, option, pointer, 4));
  };

  /** Puts a socket address at the start of the scratch memory; its length, or 0. */
  const putAddress = (ip: string, port: number): number => {
    const six = isIPv6(ip);
    if (Buffer.byteLength(ip) >= ADDRESS_MAX_BYTES) return 0;
    text.bytes[text.bytes.write(ip)] = 0;
    view.fill(0, 0, 28);
    view.writeUInt16LE(six ? AF_INET6 : AF_INET, 0);
    view.writeUInt16BE(port, 2);
    const put = c.inet_pton(six ? AF_INET6 : AF_INET, text.pointer, pointer + (six ? 8n : 4n));
    if (put !== 1) return 0;
    return six ? 28 : 16;
  };

  return {
    allocate,
    connect: ({ ip, port }) => {
      const length = putAddress(ip, port);
      if (length === 0) return -EINVAL;
      const fd = result(c.socket(length === 28 ? AF_INET6 : AF_INET, SOCK_STREAM_NONBLOCK_CLOEXEC, 0));
      if (fd < 0) return fd;
      const connected = result(c.connect(fd, pointer, length));
      if (connected < 0 && connected !== -EINPROGRESS) {
        c.close(fd);
        return connected;
      }
      setOption(fd, IPPROTO_TCP, TCP_NODELAY, 1);
      return fd;
    },
    send: (fd, from, at, length) =>
      result64(c.send(fd, from.pointer + BigInt(at), BigInt(length), MSG_DONTWAIT | MSG_NOSIGNAL)),
    receive: (fd, into, at, length) => result64(c.recv(fd, into.pointer + BigInt(at), BigInt(length), MSG_DONTWAIT)),
    peek: (fd, into, length) => result64(c.recv(fd, into.pointer, BigInt(length), MSG_DONTWAIT | MSG_PEEK)),
    isEnded: (fd) => {
      view.writeInt32LE(fd, 0);
      view.writeInt16LE(POLLRDHUP, 4);
      view.writeInt16LE(0, 6);
      return c.poll(pointer, 1n, 0) !== 0;
    },
    setLowWater: (fd, bytes) => setOption(fd, SOL_SOCKET, SO_RCVLOWAT, bytes),
    writeAt: (fd, from, length, position) => {
      for (let done = 0; done < length; ) {
        const at = BigInt(done);
        const wrote = result64(c.pwrite(fd, from + at, BigInt(length - done), BigInt(position + done)));
        if (wrote === 0) return -EIO;
        if (wrote > 0) done += wrote;
        else if (wrote !== -EINTR) return wrote;
      }
      return length;
    },
    ...checksumOf(ffi),
  };
}

/**
 * Where the machine has libdeflate, its CRC32 is several times as fast as the one of this Node's zlib (22 GB/s against 4
 * on one Xeon), which is a third of the cost of a pull.
 */
function checksumOf(ffi: Ffi): Pick<SocketCalls, 'checksum' | 'checksumBy'> {
  try {
    const { libdeflate_crc32 } = ffi.dlopen('libdeflate.so.0', {
      libdeflate_crc32: { return: 'u32', arguments: ['u32', 'pointer', 'u64'] },
    }).functions;
    return {
      checksumBy: 'libdeflate',
      checksum: (of, at, length, checksum) => libdeflate_crc32(checksum, of.pointer + BigInt(at), BigInt(length)),
    };
  } catch {
    return {
      checksumBy: 'zlib',
      checksum: (of, at, length, checksum) => crc32(of.bytes.subarray(at, at + length), checksum),
    };
  }
}
