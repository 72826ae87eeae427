/** A simulated disk as one process sees it: `Disk` and `File` of src/io/io.ts. */
import { crc32 } from 'node:zlib';
import type { Range } from '../src/core/range.ts';
import { type Disk, DiskError, type File, type FileStat, type OpenOptions } from '../src/io/io.ts';
import type { Life } from './sim-clock.ts';
import type { Operation, SimDisk } from './sim-disk.ts';
import { ALLOCATION_BYTES, SimInode } from './sim-inode.ts';
import type { SimNode } from './sim-namespace.ts';

const DEVICE = 0x51n;

function statOf(node: SimNode): FileStat {
  const nanoseconds = (ms: number) => BigInt(Math.round(ms * 1000)) * 1000n;
  const isFile = node instanceof SimInode;
  return {
    kind: node.kind,
    sizeBytes: isFile ? node.sizeBytes : 4096,
    allocatedBytes: isFile ? node.allocatedBytes : 4096,
    device: DEVICE,
    inode: node.number,
    modifiedNs: nanoseconds(node.modifiedMs),
    changedNs: nanoseconds(isFile ? node.changedMs : node.modifiedMs),
  };
}

export class SimFile implements File {
  readonly path: string;
  readonly inode: SimInode;
  readonly #disk: SimDisk;
  readonly #life: Life;
  readonly #mayWrite: boolean;
  #isOpen = true;

  constructor(disk: SimDisk, life: Life, file: { path: string; inode: SimInode; mayWrite: boolean }) {
    this.path = file.path;
    this.inode = file.inode;
    this.#disk = disk;
    this.#life = life;
    this.#mayWrite = file.mayWrite;
  }

  /** An operation on an open handle; the handle is looked at when it is called, as with a descriptor. */
  #operate<T>(operation: Omit<Operation<T>, 'path'>, writes = false): Promise<T> {
    if (!this.#isOpen || (writes && !this.#mayWrite)) {
      return Promise.reject(new DiskError('EBADF', `${operation.name} ${this.path}`));
    }
    return this.#disk.operate(this.#life, { ...operation, path: this.path });
  }

  read(at: number, lengthBytes: number): Promise<Uint8Array> {
    return this.#operate({ name: 'read', at, bytes: lengthBytes, apply: () => this.inode.read(at, lengthBytes) });
  }

  write(at: number, bytes: Uint8Array): Promise<void> {
    const disk = this.#disk;
    let given = bytes;
    const put = (lengthBytes: number) => {
      if (disk.dropsWrite?.(this.path, at, bytes.length)) return;
      const fits = this.#fitting(at, lengthBytes);
      if (fits > 0) disk.change(this.inode, () => this.inode.write(at, given.subarray(0, fits)));
      if (fits < lengthBytes) throw new DiskError('ENOSPC', `write ${this.path}`);
    };
    return this.#operate(
      {
        name: 'write',
        at,
        bytes: bytes.length,
        apply: () => put(bytes.length),
        partly: () => put(disk.random.integer(bytes.length + 1)),
        // answered late: the caller may use its buffer again, and the write may still happen
        detach: () => {
          given = new Uint8Array(given);
        },
      },
      true,
    );
  }

  async writeSummed(at: number, bytes: Uint8Array): Promise<number> {
    const checksum = crc32(bytes);
    await this.write(at, bytes);
    return checksum;
  }

  /** How much of a write the free space takes. */
  #fitting(at: number, lengthBytes: number): number {
    const free = this.#disk.freeBytes;
    if (this.inode.growthBytes(at, lengthBytes) <= free) return lengthBytes;
    let fits = 0;
    for (let next = 0; next < lengthBytes; ) {
      const end = Math.min(lengthBytes, (Math.floor((at + next) / ALLOCATION_BYTES) + 1) * ALLOCATION_BYTES - at);
      if (this.inode.growthBytes(at, end) > free) break;
      fits = end;
      next = end;
    }
    return fits;
  }

  checksums(range: Range, sliceBytes: number): Promise<readonly number[]> {
    return this.#operate({
      name: 'checksums',
      at: range.start,
      bytes: range.end - range.start,
      apply: () => {
        const sums: number[] = [];
        for (let at = range.start; at < range.end; at += sliceBytes) {
          const end = Math.min(at + sliceBytes, range.end);
          if (end > this.inode.sizeBytes) break;
          sums.push(this.inode.checksum(at, end));
        }
        return sums;
      },
    });
  }

  sync(): Promise<void> {
    return this.#operate({ name: 'sync', apply: () => this.inode.sync() });
  }

  writeback(): Promise<void> {
    return Promise.resolve();
  }

  punch(range: Range): Promise<void> {
    const { inode } = this;
    return this.#operate(
      {
        name: 'punch',
        at: range.start,
        apply: () => {
          if (!this.#disk.canPunch) throw new DiskError('ENOTSUP', `punch ${this.path}`);
          this.#disk.change(inode, () => inode.punch(range.start, range.end));
        },
      },
      true,
    );
  }

  truncate(sizeBytes: number): Promise<void> {
    const apply = () => this.#disk.change(this.inode, () => this.inode.truncate(sizeBytes));
    return this.#operate({ name: 'truncate', at: sizeBytes, apply }, true);
  }

  stat(): Promise<FileStat> {
    return this.#operate({ name: 'fstat', apply: () => statOf(this.inode) });
  }

  close(): Promise<void> {
    if (!this.#isOpen) return Promise.resolve();
    const closing = this.#operate({ name: 'close', apply: () => this.#disk.closed(this), isCertain: true });
    this.#isOpen = false;
    return closing;
  }
}

export class AttachedDisk implements Disk {
  readonly #disk: SimDisk;
  readonly #life: Life;
  readonly canPunch: boolean;

  constructor(disk: SimDisk, life: Life) {
    this.#disk = disk;
    this.#life = life;
    this.canPunch = disk.canPunch;
  }

  #operate<T>(name: string, path: string, apply: (isLate: boolean) => T): Promise<T> {
    let isLate = false;
    const detach = () => {
      isLate = true;
    };
    return this.#disk.operate(this.#life, { name, path, apply: () => apply(isLate), detach });
  }

  /** The time of a directory's last change. */
  #touch(path: string): void {
    this.#disk.names.place(path).directory.modifiedMs = this.#disk.wallMs;
  }

  open(path: string, options: OpenOptions = {}): Promise<File> {
    const { write = false, create = false, exclusive = false } = options;
    return this.#operate('open', path, (isLate) => {
      const { names } = this.#disk;
      let node = names.find(path);
      if (node && create && exclusive) throw new DiskError('EEXIST', path);
      if (!node && !create) throw new DiskError('ENOENT', path);
      if (!node) {
        node = names.create(path, 'file');
        this.#touch(path);
      }
      if (!(node instanceof SimInode)) throw new DiskError('EISDIR', path);
      const file = new SimFile(this.#disk, this.#life, { path, inode: node, mayWrite: write });
      // nobody waits for a late one: it is closed again
      if (!isLate) this.#disk.opened(file, this.#life);
      return file;
    });
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.#operate('stat', path, () => {
      const node = this.#disk.names.find(path, { belowFile: 'absent' });
      return node && statOf(node);
    });
  }

  list(path: string): Promise<readonly { readonly name: string; readonly kind: FileStat['kind'] }[]> {
    return this.#operate('list', path, () => {
      const entries = [...this.#disk.names.directory(path).entries];
      // real directories come in no order; a drawn one shows who relies on it
      for (let at = entries.length - 1; at > 0; at--) {
        const other = this.#disk.random.integer(at + 1);
        const entry = entries[at] as (typeof entries)[number];
        entries[at] = entries[other] as (typeof entries)[number];
        entries[other] = entry;
      }
      return entries.map(([name, node]) => ({ name, kind: node.kind }));
    });
  }

  makeDirectory(path: string): Promise<void> {
    return this.#operate('mkdir', path, () => {
      this.#disk.names.create(path, 'directory');
      this.#touch(path);
    });
  }

  rename(from: string, to: string): Promise<void> {
    return this.#operate('rename', `${from} ${to}`, () => {
      const replaced = this.#disk.names.rename(from, to);
      if (replaced) this.#disk.freed(replaced);
      this.#touch(from);
      this.#touch(to);
    });
  }

  link(from: string, to: string): Promise<void> {
    return this.#operate('link', `${from} ${to}`, () => {
      this.#disk.names.link(from, to);
      this.#touch(to);
    });
  }

  clone(from: string, to: string): Promise<boolean> {
    return this.#operate('clone', `${from} ${to}`, () => {
      if (!this.#disk.canClone) return false;
      const source = this.#disk.names.find(from);
      if (!source) throw new DiskError('ENOENT', from);
      if (!(source instanceof SimInode)) throw new DiskError('EISDIR', from);
      if (source.allocatedBytes > this.#disk.freeBytes) throw new DiskError('ENOSPC', to);
      const target = this.#disk.names.create(to, 'file') as SimInode;
      this.#disk.change(target, () => {
        source.eachAllocated((at, bytes) => target.write(at, bytes));
        target.truncate(source.sizeBytes);
      });
      return true;
    });
  }

  setMode(path: string, _mode: number): Promise<void> {
    return this.#operate('chmod', path, () => {
      if (!this.#disk.names.find(path)) throw new DiskError('ENOENT', path);
    });
  }

  unlink(path: string): Promise<void> {
    return this.#operate('unlink', path, () => {
      const inode = this.#disk.names.unlink(path);
      this.#disk.freed(inode);
      this.#touch(path);
    });
  }

  removeDirectory(path: string): Promise<void> {
    return this.#operate('rmdir', path, () => {
      this.#disk.names.removeDirectory(path);
      this.#touch(path);
    });
  }

  syncDirectory(path: string): Promise<void> {
    return this.#operate('syncdir', path, () => this.#disk.names.sync(this.#disk.names.directory(path)));
  }

  space(path: string): Promise<{ readonly totalBytes: number; readonly freeBytes: number }> {
    return this.#operate('space', path, () => ({
      totalBytes: this.#disk.capacityBytes,
      freeBytes: this.#disk.freeBytes,
    }));
  }

  lock(path: string): Promise<{ release(): Promise<void> } | undefined> {
    return this.#operate('lock', path, (isLate) => {
      if (isLate || !this.#disk.lock(path, this.#life)) return undefined;
      return {
        release: () => this.#operate('unlock', path, () => this.#disk.unlock(path, this.#life)),
      };
    });
  }

  allocate(lengthBytes: number): Uint8Array {
    return new Uint8Array(lengthBytes);
  }

  checksum(bytes: Uint8Array): number {
    return crc32(bytes);
  }
}
