/**
 * An open file of a real disk: a descriptor of the process, used by all of its threads. It is closed only when nobody
 * uses it any more, for a descriptor number that is closed too early may name another file a moment later.
 */
import { crc32 } from 'node:zlib';
import { type Range, rangeLength } from '../../core/range.ts';
import { DiskError, type File, type FileStat } from '../io.ts';
import { unwrapFile } from '../wrapped-file.ts';
import { type DiskReplies, type DiskRequest, SCRATCH_BYTES } from './disk-request.ts';
import type { DiskWorkers } from './disk-workers.ts';

/** One request checksums at most about this much, so that it does not look like a hung disk. */
const CHECKSUM_PIECE_BYTES = 16 << 20;

export interface HeldDescriptor {
  readonly fd: number;
  /** The same object for files of the same disk. */
  readonly disk: object;
  /** Call it once the descriptor is not used any more; further calls do nothing. */
  readonly release: () => void;
}

export class RealFile implements File {
  readonly path: string;
  readonly #fd: number;
  readonly #threads: DiskWorkers;
  readonly #onNoHoles: () => void;
  #uses = 0;
  #closed: PromiseWithResolvers<void> | undefined;

  constructor(path: string, fd: number, threads: DiskWorkers, onNoHoles: () => void) {
    this.path = path;
    this.#fd = fd;
    this.#threads = threads;
    this.#onNoHoles = onNoHoles;
  }

  /** The descriptor, which stays open until `release`. */
  hold(): HeldDescriptor {
    if (this.#closed) throw new DiskError('EBADF', `${this.path} is closed`);
    this.#uses++;
    let held = true;
    return {
      fd: this.#fd,
      disk: this.#threads,
      release: () => {
        if (held) this.#used();
        held = false;
      },
    };
  }

  #used(): void {
    this.#uses--;
    if (this.#uses === 0 && this.#closed) this.#end(this.#closed);
  }

  #end(closed: PromiseWithResolvers<void>): void {
    this.#threads.call({ op: 'close', fd: this.#fd }, { path: this.path }).then(() => closed.resolve(), closed.reject);
  }

  async #ask(request: (fd: number) => DiskRequest, copied?: Uint8Array): Promise<unknown> {
    const { fd, release } = this.hold();
    try {
      const call = copied ? { path: this.path, copied } : { path: this.path };
      return (await this.#threads.call(request(fd), call)).value;
    } finally {
      release();
    }
  }

  async read(at: number, lengthBytes: number): Promise<Uint8Array> {
    return (await this.#ask((fd) => ({ op: 'read', fd, at, length: lengthBytes }))) as Uint8Array;
  }

  async write(at: number, bytes: Uint8Array): Promise<void> {
    if (bytes.buffer instanceof SharedArrayBuffer) {
      await this.#ask((fd) => ({ op: 'write', fd, at, length: bytes.length, bytes }));
      return;
    }
    for (let done = 0; done < bytes.length; done += SCRATCH_BYTES) {
      const piece = bytes.subarray(done, done + SCRATCH_BYTES);
      await this.#ask((fd) => ({ op: 'write', fd, at: at + done, length: piece.length }), piece);
    }
  }

  async writeSummed(at: number, bytes: Uint8Array): Promise<number> {
    const { length } = bytes;
    if (bytes.buffer instanceof SharedArrayBuffer)
      return (await this.#ask((fd) => ({ op: 'writeSummed', fd, at, length, bytes }))) as number;
    if (length <= SCRATCH_BYTES)
      return (await this.#ask((fd) => ({ op: 'writeSummed', fd, at, length }), bytes)) as number;
    const checksum = crc32(bytes);
    await this.write(at, bytes);
    return checksum;
  }

  async checksums(range: Range, sliceBytes: number): Promise<readonly number[]> {
    const stepBytes = Math.max(1, Math.floor(CHECKSUM_PIECE_BYTES / sliceBytes)) * sliceBytes;
    const sums: number[] = [];
    for (let start = range.start; start < range.end; start += stepBytes) {
      const end = Math.min(start + stepBytes, range.end);
      const wanted = Math.ceil((end - start) / sliceBytes);
      const found = (await this.#ask((fd) => ({
        op: 'checksums',
        fd,
        start,
        end,
        slice: sliceBytes,
      }))) as DiskReplies['checksums'];
      sums.push(...found);
      if (found.length < wanted) break;
    }
    return sums;
  }

  async sync(): Promise<void> {
    await this.#ask((fd) => ({ op: 'sync', fd }));
  }

  async writeback(range: Range): Promise<void> {
    await this.#ask((fd) => ({ op: 'writeback', fd, at: range.start, length: rangeLength(range) }));
  }

  async punch(range: Range): Promise<void> {
    try {
      await this.#ask((fd) => ({ op: 'punch', fd, at: range.start, length: rangeLength(range) }));
    } catch (error) {
      if (error instanceof DiskError && (error.code === 'ENOTSUP' || error.code === 'ENOSYS')) this.#onNoHoles();
      throw error;
    }
  }

  async truncate(sizeBytes: number): Promise<void> {
    await this.#ask((fd) => ({ op: 'truncate', fd, size: sizeBytes }));
  }

  async stat(): Promise<FileStat> {
    return (await this.#ask((fd) => ({ op: 'fstat', fd }))) as FileStat;
  }

  close(): Promise<void> {
    if (!this.#closed) {
      this.#closed = Promise.withResolvers<void>();
      if (this.#uses === 0) this.#end(this.#closed);
    }
    return this.#closed.promise;
  }
}

/** The descriptor behind a file, through any wrappers, held open until released; `undefined` when it is not a real file. */
export function fdOf(file: File): HeldDescriptor | undefined {
  const inner = unwrapFile(file);
  return inner instanceof RealFile ? inner.hold() : undefined;
}
