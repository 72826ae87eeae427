/**
 * A disk that must answer in time. An operation that takes longer than `deadlineMs` rejects with ETIMEDOUT and the disk
 * counts as ejected: what is asked of it afterwards fails at once, so that readers go to another source instead of
 * queueing behind a disk that hangs. It is readmitted as soon as an operation that hung completes, or a probe does.
 *
 * The operation itself cannot be recalled: it goes on, and buffers handed to it stay untouched until it has settled. A
 * file or lock that it still yields is closed. `close` and `release` are passed on even while ejected.
 */
import type { Range } from '../core/range.ts';
import { DiskWatch, type DiskWatchOptions } from './disk-watch.ts';
import type { Disk, File, FileStat, OpenOptions } from './io.ts';
import { EJECTED, INNER, STUCK, type WrappedFile } from './wrapped-file.ts';

export type DeadlineDiskOptions = Omit<DiskWatchOptions, 'disk'>;

export interface DeadlineDisk extends Disk {
  /** The disk does not answer: everything but `close` and `release` fails at once with ETIMEDOUT. */
  readonly ejected: boolean;
  /** Ends the probing; operations under way go on, and the disk itself stays open. */
  close(): void;
}

export function withDeadline(disk: Disk, options: DeadlineDiskOptions): DeadlineDisk {
  return new TimedDisk(disk, new DiskWatch({ ...options, disk }));
}

/** Checksums of more than this are asked for in pieces: a long sum is not a disk that hangs. */
const CHECKSUM_PIECE_BYTES = 16 << 20;

class TimedDisk implements DeadlineDisk {
  readonly #disk: Disk;
  readonly #watch: DiskWatch;

  constructor(disk: Disk, watch: DiskWatch) {
    this.#disk = disk;
    this.#watch = watch;
  }

  get ejected(): boolean {
    return this.#watch.ejected;
  }

  get canPunch(): boolean {
    return this.#disk.canPunch;
  }

  async open(path: string, options?: OpenOptions): Promise<File> {
    const open = () => this.#disk.open(path, options);
    const file = await this.#watch.run(`open ${path}`, open, (late) => ignored(late.close()));
    return new TimedFile(file, this.#watch);
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.#watch.run(`stat ${path}`, () => this.#disk.stat(path));
  }

  list(path: string): ReturnType<Disk['list']> {
    return this.#watch.run(`list ${path}`, () => this.#disk.list(path));
  }

  makeDirectory(path: string, options?: { readonly mode?: number }): Promise<void> {
    return this.#watch.run(`makeDirectory ${path}`, () => this.#disk.makeDirectory(path, options));
  }

  rename(from: string, to: string): Promise<void> {
    return this.#watch.run(`rename ${from}`, () => this.#disk.rename(from, to));
  }

  link(from: string, to: string): Promise<void> {
    return this.#watch.run(`link ${from}`, () => this.#disk.link(from, to));
  }

  clone(from: string, to: string): Promise<boolean> {
    return this.#watch.run(`clone ${from}`, () => this.#disk.clone(from, to));
  }

  setMode(path: string, mode: number): Promise<void> {
    return this.#watch.run(`setMode ${path}`, () => this.#disk.setMode(path, mode));
  }

  unlink(path: string): Promise<void> {
    return this.#watch.run(`unlink ${path}`, () => this.#disk.unlink(path));
  }

  removeDirectory(path: string): Promise<void> {
    return this.#watch.run(`removeDirectory ${path}`, () => this.#disk.removeDirectory(path));
  }

  syncDirectory(path: string): Promise<void> {
    return this.#watch.runSync(`syncDirectory ${path}`, () => this.#disk.syncDirectory(path));
  }

  space(path: string): ReturnType<Disk['space']> {
    return this.#watch.run(`space ${path}`, () => this.#disk.space(path));
  }

  lock(path: string): ReturnType<Disk['lock']> {
    const lock = () => this.#disk.lock(path);
    return this.#watch.run(`lock ${path}`, lock, (late) => late && ignored(late.release()));
  }

  allocate(lengthBytes: number): Uint8Array {
    return this.#disk.allocate(lengthBytes);
  }

  checksum(bytes: Uint8Array): number {
    return this.#disk.checksum(bytes);
  }

  close(): void {
    this.#watch.close();
  }
}

/** What came too late is given back; whether that succeeds concerns nobody any more. */
function ignored(operation: Promise<void>): void {
  operation.catch(() => {});
}

class TimedFile implements WrappedFile {
  readonly [INNER]: File;
  readonly #watch: DiskWatch;

  constructor(file: File, watch: DiskWatch) {
    this[INNER] = file;
    this.#watch = watch;
  }

  get path(): string {
    return this[INNER].path;
  }

  get [EJECTED](): boolean {
    return this.#watch.ejected;
  }

  [STUCK](operation: string, settled: Promise<unknown>): void {
    this.#watch.stuck(operation, settled);
  }

  #run<T>(operation: string, operate: (file: File) => Promise<T>): Promise<T> {
    return this.#watch.run(`${operation} ${this.path}`, () => operate(this[INNER]));
  }

  read(at: number, lengthBytes: number): Promise<Uint8Array> {
    return this.#run('read', (file) => file.read(at, lengthBytes));
  }

  write(at: number, bytes: Uint8Array): Promise<void> {
    return this.#run('write', (file) => file.write(at, bytes));
  }

  writeSummed(at: number, bytes: Uint8Array): Promise<number> {
    return this.#run('write', (file) => file.writeSummed(at, bytes));
  }

  async checksums(range: Range, sliceBytes: number): Promise<readonly number[]> {
    const stepBytes = Math.max(1, Math.floor(CHECKSUM_PIECE_BYTES / sliceBytes)) * sliceBytes;
    const sums: number[] = [];
    for (let start = range.start; start < range.end; start += stepBytes) {
      const end = Math.min(start + stepBytes, range.end);
      const found = await this.#run('checksums', (file) => file.checksums({ start, end }, sliceBytes));
      sums.push(...found);
      if (found.length < Math.ceil((end - start) / sliceBytes)) break;
    }
    return sums;
  }

  sync(): Promise<void> {
    return this.#watch.runSync(`sync ${this.path}`, () => this[INNER].sync());
  }

  writeback(range: Range): Promise<void> {
    return this.#watch.runSync(`writeback ${this.path}`, () => this[INNER].writeback(range));
  }

  punch(range: Range): Promise<void> {
    return this.#run('punch', (file) => file.punch(range));
  }

  truncate(sizeBytes: number): Promise<void> {
    return this.#run('truncate', (file) => file.truncate(sizeBytes));
  }

  stat(): Promise<FileStat> {
    return this.#run('stat', (file) => file.stat());
  }

  close(): Promise<void> {
    return this.#watch.time(`close ${this.path}`, this[INNER].close());
  }
}
