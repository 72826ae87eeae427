/**
 * The real disk: files of the operating system, reached by threads of its own. The control thread never makes a call
 * that can wait for a disk, and libuv's pool is never used: a disk that hangs holds its own threads and nothing else.
 *
 * A rooted disk takes names relative to its root, `''` being the root itself, and refuses (EINVAL) absolute names,
 * empty segments, `.`, `..` and NUL; a symbolic link on the way is ELOOP or EXDEV.
 */
import { assert } from '../../core/assert.ts';
import { diskWorkersMax } from '../../core/limits.ts';
import { type Disk, DiskError, type File, type FileStat, type OpenOptions } from '../io.ts';
import { type Checksum, loadChecksum } from './checksum.ts';
import type { DiskReplies, DiskRequest } from './disk-request.ts';
import { DiskWorkers } from './disk-workers.ts';
import { type FfiChoice, loadLibc } from './libc.ts';
import { RealFile } from './real-file.ts';

export interface RealDiskOptions {
  /** Makes a rooted disk: an absolute path of an existing directory. */
  readonly root?: string;
  /** Threads at most; they start as they are needed. */
  readonly workers?: number;
  /** `off` forces the paths that need no FFI: no punching, roots checked name by name. */
  readonly ffi?: FfiChoice;
}

export interface RealDisk extends Disk {
  /** Ends the threads and releases the locks. Open files stay open until the process ends: close them before. */
  close(): Promise<void>;
}

export function createRealDisk(options: RealDiskOptions = {}): RealDisk {
  return new ThreadedDisk(options);
}

class ThreadedDisk implements RealDisk {
  readonly #threads: DiskWorkers;
  readonly #rooted: boolean;
  readonly #checksum: Checksum;
  #canPunch: boolean;

  constructor({ root, workers = diskWorkersMax, ffi = 'auto' }: RealDiskOptions) {
    assert(root === undefined || root.startsWith('/'), 'the root of a disk is an absolute path');
    this.#rooted = root !== undefined;
    this.#canPunch = loadLibc(ffi).available;
    this.#checksum = loadChecksum(ffi);
    this.#threads = new DiskWorkers({ workers, root, ffi });
  }

  /** Becomes false when the file system turns out to have no holes. */
  get canPunch(): boolean {
    return this.#canPunch;
  }

  async #ask(request: DiskRequest & ({ path: string } | { from: string; to: string })): Promise<unknown> {
    const names = 'path' in request ? [request.path] : [request.from, request.to];
    for (const name of names) this.#check(request.op, name);
    return (await this.#threads.call(request, { path: names.join(' → ') })).value;
  }

  #check(op: string, path: string): void {
    if (path.includes('\0')) throw new DiskError('EINVAL', `${op}: a name contains NUL`);
    if (!this.#rooted) {
      if (!path.startsWith('/')) throw new DiskError('EINVAL', `${op} ${path}: not an absolute path`);
    } else if (path !== '' && path.split('/').some((name) => name === '' || name === '.' || name === '..')) {
      throw new DiskError('EINVAL', `${op} ${path}: names have no empty segment, "." or ".."`);
    }
  }

  async open(path: string, options: OpenOptions = {}): Promise<File> {
    const fd = (await this.#ask({ op: 'open', path, options })) as number;
    return new RealFile(path, fd, this.#threads, () => {
      this.#canPunch = false;
    });
  }

  async stat(path: string): Promise<FileStat | undefined> {
    return (await this.#ask({ op: 'stat', path })) as DiskReplies['stat'];
  }

  async list(path: string): Promise<DiskReplies['list']> {
    return (await this.#ask({ op: 'list', path })) as DiskReplies['list'];
  }

  /** The parent must exist and the name must be free (EEXIST). Without a mode: 0700, below a root 0777 less the umask. */
  async makeDirectory(path: string, options: { mode?: number } = {}): Promise<void> {
    await this.#ask({ op: 'makeDirectory', path, mode: options.mode });
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#ask({ op: 'rename', from, to });
  }

  async link(from: string, to: string): Promise<void> {
    await this.#ask({ op: 'link', from, to });
  }

  async clone(from: string, to: string): Promise<boolean> {
    return (await this.#ask({ op: 'clone', from, to })) as boolean;
  }

  async setMode(path: string, mode: number): Promise<void> {
    await this.#ask({ op: 'setMode', path, mode });
  }

  async unlink(path: string): Promise<void> {
    await this.#ask({ op: 'unlink', path });
  }

  async removeDirectory(path: string): Promise<void> {
    await this.#ask({ op: 'removeDirectory', path });
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#ask({ op: 'syncDirectory', path });
  }

  async space(path: string): Promise<DiskReplies['space']> {
    return (await this.#ask({ op: 'space', path })) as DiskReplies['space'];
  }

  async lock(path: string): Promise<{ release(): Promise<void> } | undefined> {
    this.#check('lock', path);
    const { value, thread } = await this.#threads.call({ op: 'lock', path }, { path });
    if (value === undefined) return undefined;
    return {
      release: async () => {
        await this.#threads.call({ op: 'release', lock: value as number }, { path, thread });
      },
    };
  }

  /** Shared memory: `File.write` hands it to a thread as it is. */
  allocate(lengthBytes: number): Uint8Array {
    return new Uint8Array(new SharedArrayBuffer(lengthBytes));
  }

  checksum(bytes: Uint8Array): number {
    return this.#checksum(bytes);
  }

  close(): Promise<void> {
    return this.#threads.close();
  }
}
