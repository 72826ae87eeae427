/**
 * Times the operations of one disk, and knows whether it answers. See `deadline-disk.ts`.
 *
 * Bounds:  one timer for all operations, one probe at a time; the disk itself bounds how many operations wait.
 */
import type { Emit } from '../observe/events.ts';
import { type Clock, type Disk, DiskError } from './io.ts';

export interface DiskWatchOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly deadlineMs: number;
  /**
   * Term of `sync` and `syncDirectory`, by default five deadlines: they wait for everything that was written before,
   * which on a healthy disk takes as long as that takes.
   */
  readonly syncDeadlineMs?: number;
  /** A directory of the disk: names it in events and is where the probe goes. */
  readonly path: string;
  /**
   * `write` (default): the probe creates, syncs and removes a small file in `path`, for reads succeed on a frozen file
   * system and from the page cache of a dead disk. `read`: for disks that are not ours to write to.
   */
  readonly probe?: 'write' | 'read';
  readonly emit: Emit;
}

const PROBE_EVERY_MS = 1000;
const PROBE_NAME = '.forebay-probe';
const SYNC_DEADLINES = 5;
/** A check that comes this late says that the process stood still, not the disk: answers may wait to be read. */
const LATE_MS = 100;
/** Errors of a disk that does not work, or of a request that never reached it; all others are answers. */
const NO_ANSWER = new Set(['EIO', 'ETIMEDOUT', 'EAGAIN', 'ECANCELED', 'ENODEV', 'ENXIO', 'EREMOTEIO', 'ESHUTDOWN']);

interface Timed {
  readonly what: string;
  readonly dueMs: number;
  expire(): void;
}

export class DiskWatch {
  readonly #options: DiskWatchOptions;
  readonly #syncDeadlineMs: number;
  readonly #closing = new AbortController();
  readonly #timed = new Set<Timed>();
  #watching = false;
  #probing = false;
  #ejected = false;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
    this.#syncDeadlineMs = options.syncDeadlineMs ?? SYNC_DEADLINES * options.deadlineMs;
  }

  get ejected(): boolean {
    return this.#ejected;
  }

  /** Makes an operation, or fails at once while ejected. `late` takes a result that comes after the deadline. */
  async run<T>(what: string, operate: () => Promise<T>, late?: (result: T) => void): Promise<T> {
    if (this.#ejected) throw this.#timeout(what);
    return await this.time(what, operate(), { late });
  }

  async runSync(what: string, operate: () => Promise<void>): Promise<void> {
    if (this.#ejected) throw this.#timeout(what);
    await this.time(what, operate(), { termMs: this.#syncDeadlineMs });
  }

  /** Times an operation that is made in any case. */
  time<T>(
    what: string,
    operation: Promise<T>,
    options: { termMs?: number; late?: ((result: T) => void) | undefined } = {},
  ): Promise<T> {
    const { termMs = this.#options.deadlineMs, late } = options;
    return new Promise((resolve, reject) => {
      let expired = false;
      const timed: Timed = {
        what,
        dueMs: this.#options.clock.boottimeMs() + termMs,
        expire: () => {
          expired = true;
          reject(this.#timeout(what));
        },
      };
      this.#timed.add(timed);
      this.#look();
      operation.then(
        (result) => {
          this.#timed.delete(timed);
          if (expired) {
            this.#readmit();
            late?.(result);
          } else resolve(result);
        },
        (error: unknown) => {
          this.#timed.delete(timed);
          if (expired && isAnswer(error)) this.#readmit();
          reject(error as Error);
        },
      );
    });
  }

  /** An operation made elsewhere hangs. */
  stuck(what: string, settled: Promise<unknown>): void {
    this.#eject(what);
    settled.then(
      () => this.#readmit(),
      (error: unknown) => {
        if (isAnswer(error)) this.#readmit();
      },
    );
  }

  close(): void {
    this.#closing.abort();
  }

  #timeout(what: string): DiskError {
    return new DiskError('ETIMEDOUT', `${what}: the disk of ${this.#options.path || 'the root'} does not answer`);
  }

  #look(): void {
    if (this.#watching) return;
    this.#watching = true;
    void this.#watch().finally(() => {
      this.#watching = false;
    });
  }

  /** Sleeps one deadline at most, so that whatever is added meanwhile is due afterwards. */
  async #watch(): Promise<void> {
    const { clock, deadlineMs } = this.#options;
    while (this.#timed.size > 0) {
      const nowMs = clock.boottimeMs();
      let wakeMs = nowMs + deadlineMs;
      for (const { dueMs } of this.#timed) wakeMs = Math.min(wakeMs, dueMs);
      await clock.sleep(Math.max(1, wakeMs - nowMs));
      if (clock.boottimeMs() > wakeMs + LATE_MS) await clock.sleep(LATE_MS);
      this.#expire(clock.boottimeMs());
    }
  }

  #expire(nowMs: number): void {
    const due = [...this.#timed].filter(({ dueMs }) => dueMs <= nowMs);
    const first = due[0];
    if (first) this.#eject(first.what);
    for (const timed of due) {
      this.#timed.delete(timed);
      timed.expire();
    }
  }

  #eject(what: string): void {
    if (this.#ejected) return;
    this.#ejected = true;
    this.#options.emit({ kind: 'disk.ejected', path: this.#options.path, message: this.#timeout(what).message });
    if (this.#probing) return;
    this.#probing = true;
    void this.#probe().finally(() => {
      this.#probing = false;
    });
  }

  #readmit(): void {
    if (!this.#ejected) return;
    this.#ejected = false;
    this.#options.emit({ kind: 'disk.readmitted', path: this.#options.path });
  }

  async #probe(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#closing;
    try {
      while (this.#ejected) {
        await clock.sleep(PROBE_EVERY_MS, signal);
        if (this.#ejected && (await this.#isAnswering())) this.#readmit();
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  async #isAnswering(): Promise<boolean> {
    const { disk, path, probe } = this.#options;
    try {
      if (probe === 'read') await disk.space(path);
      else await writeProbe(disk, path === '' ? PROBE_NAME : `${path}/${PROBE_NAME}`);
      return true;
    } catch (error) {
      return isAnswer(error);
    }
  }
}

async function writeProbe(disk: Disk, path: string): Promise<void> {
  const file = await disk.open(path, { write: true, create: true });
  try {
    await file.write(0, new Uint8Array(1));
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.unlink(path);
}

function isAnswer(error: unknown): boolean {
  return error instanceof DiskError && !NO_ANSWER.has(error.code);
}
