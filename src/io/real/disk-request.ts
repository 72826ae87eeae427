/** What the control thread asks of a disk worker, and what comes back. Paths are absolute, or relative to the root. */
import type { FileStat, OpenOptions } from '../io.ts';
import type { FfiChoice } from './libc.ts';

export type DiskRequest =
  | { readonly op: 'open'; readonly path: string; readonly options: OpenOptions }
  | { readonly op: 'close' | 'sync' | 'fstat'; readonly fd: number }
  | { readonly op: 'read'; readonly fd: number; readonly at: number; readonly length: number }
  /** Bytes without `bytes` lie at the start of the worker's scratch memory. */
  | {
      /** The reply to a summed one is the bytes' CRC32. */
      readonly op: 'write' | 'writeSummed';
      readonly fd: number;
      readonly at: number;
      readonly length: number;
      readonly bytes?: Uint8Array;
    }
  | {
      readonly op: 'checksums';
      readonly fd: number;
      readonly start: number;
      readonly end: number;
      readonly slice: number;
    }
  | { readonly op: 'punch' | 'writeback'; readonly fd: number; readonly at: number; readonly length: number }
  | { readonly op: 'truncate'; readonly fd: number; readonly size: number }
  | { readonly op: 'makeDirectory'; readonly path: string; readonly mode: number | undefined }
  | { readonly op: 'setMode'; readonly path: string; readonly mode: number }
  | { readonly op: 'rename' | 'link' | 'clone'; readonly from: string; readonly to: string }
  | {
      readonly op: 'stat' | 'list' | 'unlink' | 'removeDirectory' | 'syncDirectory' | 'space' | 'lock';
      readonly path: string;
    }
  | { readonly op: 'release'; readonly lock: number };

/** A short read comes back as a count of bytes in the scratch memory, a long one as transferred bytes. */
export interface DiskReplies {
  readonly read: number | Uint8Array<ArrayBuffer>;
  readonly stat: FileStat | undefined;
  readonly checksums: number[];
  readonly list: { name: string; kind: FileStat['kind'] }[];
  readonly space: { totalBytes: number; freeBytes: number };
  readonly lock: number | undefined;
}

export type DiskReply =
  | { readonly value: unknown }
  | { readonly failed: { readonly code: string; readonly message: string } };

export interface DiskWorkerData {
  /** Element 0 counts requests; the worker sleeps on it. */
  readonly bell: SharedArrayBuffer;
  readonly scratch: SharedArrayBuffer;
  readonly root: string | undefined;
  readonly ffi: FfiChoice;
}

/** Memory shared with each worker; only what was used of it takes space. Longer writes go in pieces of it. */
export const SCRATCH_BYTES = 1 << 20;
/** Reads up to this are copied out of the scratch memory, which costs less than handing over a buffer. */
export const SMALL_READ_BYTES = 64 << 10;
