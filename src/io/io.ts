/**
 * The only way out of the process: time, randomness, disk, network, coordinator (`coordinator.ts`), peers (`peers.ts`).
 * Everything above takes these as arguments, so that the simulator runs the same code (DESIGN.md sections 1 and 13). Real adapters live in `io/real/`,
 * simulated ones in `sim/`.
 */
import type { Server, Socket } from 'node:net';
import type { Address } from '../core/address.ts';
import type { DigestName } from '../core/digest.ts';
import type { Range } from '../core/range.ts';
import type { WatchDirectory } from './watch.ts';

export interface Clock {
  /** CLOCK_BOOTTIME in milliseconds (fractions allowed): goes on during suspend, never set back. For durations and order. */
  boottimeMs(): number;
  /** Wall time in milliseconds since 1970. Display, TLS and signatures only. */
  wallMs(): number;
  /** Names this boot of the machine: unsynced bytes survive as long as it stays the same. */
  readonly bootId: string;
  /** Resolves after `ms`; rejects with the signal's reason when aborted, at once. Does not keep the process alive. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

export interface Random {
  bytes(length: number): Uint8Array;
  /** Uniform in `[0, bound)`. */
  integer(bound: number): number;
  /** Uniform in `[0, 1)`. */
  fraction(): number;
}

/** An operating error of a disk; `code` is the errno name, ETIMEDOUT when a deadline passed. */
export class DiskError extends Error {
  override name = 'DiskError';
  readonly code: string;

  constructor(code: string, message: string) {
    super(`${code}: ${message}`);
    this.code = code;
  }
}

export interface FileStat {
  readonly kind: 'file' | 'directory' | 'link' | 'other';
  readonly sizeBytes: number;
  /** Bytes allocated on the disk: fewer than `sizeBytes` where the file has holes. */
  readonly allocatedBytes: number;
  readonly device: bigint;
  readonly inode: bigint;
  readonly modifiedNs: bigint;
  readonly changedNs: bigint;
}

export interface OpenOptions {
  readonly write?: boolean;
  readonly create?: boolean;
  /** With `create`: fail with EEXIST when the name is taken. */
  readonly exclusive?: boolean;
}

/**
 * A disk, addressed by absolute paths. A disk made with a root takes paths relative to that root, never follows a
 * symbolic link and never leaves the root (for the `file:` origin, whose keys come from strangers). Nothing here runs on the control thread or in libuv's pool. Every method throws
 * `DiskError`; a missing name is ENOENT. A write, rename or unlink survives a killed process once its promise resolved;
 * it survives a power cut only after `sync` of the file and `syncDirectory` of the name's directory.
 */
export interface Disk {
  open(path: string, options?: OpenOptions): Promise<File>;
  stat(path: string): Promise<FileStat | undefined>;
  /** Names in a directory, unordered. */
  list(path: string): Promise<readonly { readonly name: string; readonly kind: FileStat['kind'] }[]>;
  makeDirectory(path: string, options?: { readonly mode?: number }): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  link(from: string, to: string): Promise<void>;
  /** A copy-on-write clone; false when the file system has none. */
  clone(from: string, to: string): Promise<boolean>;
  /** Sets the permission bits of a file. */
  setMode(path: string, mode: number): Promise<void>;
  unlink(path: string): Promise<void>;
  removeDirectory(path: string): Promise<void>;
  syncDirectory(path: string): Promise<void>;
  space(path: string): Promise<{ readonly totalBytes: number; readonly freeBytes: number }>;
  /** Holds `path` for this process alone until released or the process dies, also by kill -9; `undefined` when another process has it. */
  lock(path: string): Promise<{ release(): Promise<void> } | undefined>;
  /** A zeroed or dirty buffer of the kind that `File.write` takes without a copy. */
  allocate(lengthBytes: number): Uint8Array;
  /** CRC32 (zlib) of bytes in memory, at once, as fast as the machine can. */
  checksum(bytes: Uint8Array): number;
  /** True where `File.punch` frees space; else whole files are evicted. */
  readonly canPunch: boolean;
}

export interface File {
  readonly path: string;
  /** Up to `lengthBytes` from `at`; shorter only at the end of the file. */
  read(at: number, lengthBytes: number): Promise<Uint8Array>;
  /** Writes all of `bytes` at `at`. The caller leaves `bytes` unchanged until the promise settles. */
  write(at: number, bytes: Uint8Array): Promise<void>;
  /** As `write`, and the bytes' CRC32 (zlib), computed where they are written. */
  writeSummed(at: number, bytes: Uint8Array): Promise<number>;
  /** CRC32 (zlib) of each consecutive slice of `sliceBytes` of `range`, computed where the bytes are read. A slice cut short by the end of the file has no value. */
  checksums(range: Range, sliceBytes: number): Promise<readonly number[]>;
  sync(): Promise<void>;
  /** Has the system begin to write a range to the disk, without waiting for it. Promises nothing, and does nothing where that cannot be asked. */
  writeback(range: Range): Promise<void>;
  /** Frees the space of `range`; it reads as zeros afterwards. */
  punch(range: Range): Promise<void>;
  truncate(sizeBytes: number): Promise<void>;
  stat(): Promise<FileStat>;
  close(): Promise<void>;
}

/** A client's connection, as doors hold it. */
export type Connection = Socket;

/** Bytes of a file that were received and written: up to the next multiple of `sliceBytes` in the file, or to the end. */
export interface ReceivedSlice {
  readonly position: number;
  readonly lengthBytes: number;
  /** CRC32 (zlib). */
  readonly checksum: number;
}

/** The next `lengthBytes` that a client sends, on their way into a file. */
export interface ReceiveInto {
  /** Paused, and without listeners for `data`: for the time of the call its bytes are the network's. */
  readonly connection: Connection;
  /** What the caller has read of these bytes already: the first of them. */
  readonly first?: Uint8Array;
  /** Of all, `first` counted. At least 1. */
  readonly lengthBytes: number;
  readonly file: File;
  readonly position: number;
  readonly sliceBytes: number;
  /** Computed over all bytes, beside the slices' checksums. */
  readonly digests?: readonly DigestName[];
  /** A slice is in the file; in order, each after the one before has settled. Bounded slices are received ahead. A failure ends it. */
  onSlice(slice: ReceivedSlice): void | Promise<void>;
  readonly signal?: AbortSignal;
}

export interface Network {
  /** Resolves with the port once `server` takes connections at `address` (port 0: a free one). Rejects with the system's error. */
  listen(server: Server, address: Address): Promise<number>;
  /**
   * Sends `range` of `file` down `connection`, after everything already written to it. (With node:http that is not so
   * before the response has its socket: where `response.socket` is null, the answer before it is still being sent, and
   * the head waits for the response's `socket` event.) Resolves when the kernel has
   * taken all bytes; rejects when the peer is gone, does not read for `clientIdleMs`, the file is shorter than the range
   * (DiskError EIO), the disk does not answer (DiskError ETIMEDOUT), or `signal` aborts. After a rejection the connection
   * is unusable and has been destroyed.
   */
  sendFile(send: { connection: Connection; file: File; range: Range; signal?: AbortSignal }): Promise<void>;
  /**
   * Receives bytes of a client into a file: where it can, in a thread of its own, without Node in between. Resolves with the
   * digests that were asked for, in their order, once every byte is written (not synced) and reported. The connection is
   * paused then, and the next byte that it gives is the one after these. Rejects with incompleteBody when the client closes its side
   * before, ConnectionError when the connection is lost or nothing comes for `clientIdleMs`, DiskError (ETIMEDOUT where the disk does not
   * answer), shuttingDown, `onSlice`'s error or the signal's reason. After a rejection an unknown part of the bytes has been taken off
   * the connection, which may still be answered on, and is closed then; the file has some of the bytes, and nobody writes to it any more
   * unless its disk hangs.
   */
  receiveInto(receive: ReceiveInto): Promise<readonly Uint8Array[]>;
  /** How local hits leave: `sendfile` in pump threads, or Node streams. */
  readonly path: 'sendfile' | 'portable';
}

/** The io of one node. */
export interface Io {
  readonly clock: Clock;
  readonly random: Random;
  /** The cache disk. */
  readonly disk: Disk;
  readonly network: Network;
  /** Absent where files can only be looked at now and then. */
  readonly watchDirectory?: WatchDirectory;
}
