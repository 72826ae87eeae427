/**
 * A disk in memory with the semantics of a real one (src/io/io.ts): open handles keep their inode, holes, punched space,
 * locks that die with their process. What was not synced may be lost or torn when the machine crashes.
 *
 * An operation takes effect at one instant between call and answer, drawn from the seed. When a process dies, each of
 * its operations under way has happened, has not, or (writes) has in part. Afterwards nothing of that life is answered.
 */
import { type Disk, DiskError } from '../src/io/io.ts';
import type { Life, SimClock, SimMachineClock } from './sim-clock.ts';
import { AttachedDisk, type SimFile } from './sim-disk-attached.ts';
import type { SimInode } from './sim-inode.ts';
import { SimNamespace } from './sim-namespace.ts';
import type { SimRandom } from './sim-random.ts';
import type { Trace } from './trace.ts';

/** How the disk misbehaves; may change at any time. */
export interface DiskFaults {
  /** Mean time of an operation, and what a byte adds. */
  latencyMs: number;
  bytesPerMs: number;
  /** Chance that an operation takes `slowMs` more. */
  slowChance: number;
  slowMs: number;
  /** Chance that an operation fails with EIO. */
  errorChance: number;
}

export interface SimDiskOptions {
  readonly clock: SimClock;
  readonly machine: SimMachineClock;
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly capacityBytes: number;
  readonly canPunch: boolean;
  readonly canClone: boolean;
  /** An operation not answered after this is answered with ETIMEDOUT; it may still happen later. Infinity for never. */
  readonly deadlineMs: number;
  readonly faults: DiskFaults;
}

export interface Operation<T> {
  readonly name: string;
  readonly path: string;
  readonly at?: number;
  readonly bytes?: number;
  /** The effect, whole. */
  readonly apply: () => T;
  /** A part of the effect, for operations that can be cut short. */
  readonly partly?: () => void;
  /** Called when the caller is answered before the effect. */
  readonly detach?: () => void;
  /** Has its effect also where it fails, as closing a descriptor does. */
  readonly isCertain?: boolean;
}

interface InFlight {
  readonly life: Life;
  readonly operation: Operation<unknown>;
  readonly reject: (error: Error) => void;
  isAnswered: boolean;
}

/** Bytes of files without a name that are kept as they were, in case a power cut brings the name back. */
const UNLINKED_KEPT_BYTES = 32 << 20;

export class SimDisk {
  readonly faults: DiskFaults;
  readonly names = new SimNamespace();
  readonly random: SimRandom;
  readonly canPunch: boolean;
  readonly canClone: boolean;
  capacityBytes: number;
  /** Space taken by others on the same disk. */
  othersBytes = 0;
  /** While virtual time is below this, nothing is answered. */
  hungUntilMs = 0;
  /** For the canary: writes for which it returns true are acknowledged and never happen. */
  dropsWrite: ((path: string, at: number, lengthBytes: number) => boolean) | undefined;
  usedBytes = 0;
  usedMaxBytes = 0;
  readonly #clock: SimClock;
  readonly #machine: SimMachineClock;
  readonly #trace: Trace;
  readonly #deadlineMs: number;
  readonly #inFlight = new Set<InFlight>();
  readonly #handles = new Map<SimFile, Life>();
  readonly #locks = new Map<string, Life>();
  #unlinked: SimInode[] = [];

  constructor(options: SimDiskOptions) {
    this.#clock = options.clock;
    this.#machine = options.machine;
    this.#trace = options.trace;
    this.#deadlineMs = options.deadlineMs;
    this.random = options.random;
    this.canPunch = options.canPunch;
    this.canClone = options.canClone;
    this.capacityBytes = options.capacityBytes;
    this.faults = { ...options.faults };
  }

  get wallMs(): number {
    return this.#machine.wallMs;
  }

  get freeBytes(): number {
    return Math.max(0, this.capacityBytes - this.othersBytes - this.usedBytes);
  }

  /** The disk as a process of this life sees it. */
  attach(life: Life): Disk {
    return new AttachedDisk(this, life);
  }

  /** Paths of the files that a life has open, one per handle. */
  openPaths(life: Life): string[] {
    return [...this.#handles].filter(([, owner]) => owner === life).map(([file]) => file.path);
  }

  inFlight(life: Life): number {
    return [...this.#inFlight].filter((each) => each.life === life).length;
  }

  /** Does an operation after the time it takes; what a dead life asks for is never answered. */
  operate<T>(life: Life, operation: Operation<T>): Promise<T> {
    if (!life.alive) return new Promise<T>(() => {});
    const { name, path, at = 0, bytes = 0 } = operation;
    this.#trace.note(`disk ${name} ${path}`, at, bytes);
    const { random, faults } = this;
    const slowMs = random.chance(faults.slowChance) ? random.exponential(faults.slowMs) : 0;
    const ms = random.exponential(faults.latencyMs) + bytes / faults.bytesPerMs + slowMs;
    const fails = random.chance(faults.errorChance);
    return new Promise<T>((resolve, reject) => {
      const entry: InFlight = { life, operation, reject, isAnswered: false };
      this.#inFlight.add(entry);
      const finish = () => {
        const hungMs = this.hungUntilMs - this.#clock.nowMs;
        if (hungMs > 0) {
          this.#clock.schedule(hungMs + random.exponential(faults.latencyMs), finish, life);
          return;
        }
        this.#inFlight.delete(entry);
        try {
          if (fails) {
            if (operation.isCertain) operation.apply();
            else if (random.chance(0.5)) operation.partly?.();
            throw new DiskError('EIO', `${name} ${path}`);
          }
          const result = operation.apply();
          this.#trace.note(`disk ${name} ok`, at);
          resolve(result);
        } catch (error) {
          if (error instanceof DiskError) this.#trace.note(`disk ${name} ${error.code}`, at);
          reject(error);
        }
      };
      this.#clock.schedule(ms, finish, life);
      const lateMs = Math.max(ms, this.hungUntilMs - this.#clock.nowMs);
      if (lateMs > this.#deadlineMs) this.#timeOut(entry);
    });
  }

  #timeOut(entry: InFlight): void {
    const { name, path, detach } = entry.operation;
    const late = () => {
      if (entry.isAnswered || !this.#inFlight.has(entry)) return;
      entry.isAnswered = true;
      detach?.();
      this.#trace.note(`disk ${name} late`);
      entry.reject(new DiskError('ETIMEDOUT', `${name} ${path}: no answer after ${this.#deadlineMs} ms`));
    };
    this.#clock.schedule(this.#deadlineMs, late, entry.life);
  }

  /** The disk answers nothing for a while, also not what is under way. */
  hang(ms: number): void {
    this.hungUntilMs = this.#clock.nowMs + ms;
    for (const entry of this.#inFlight) {
      if (ms > this.#deadlineMs) this.#timeOut(entry);
    }
  }

  opened(file: SimFile, life: Life): void {
    this.#handles.set(file, life);
    file.inode.opens++;
  }

  closed(file: SimFile): void {
    if (!this.#handles.delete(file)) return;
    file.inode.opens--;
    this.freed(file.inode);
  }

  /** Changes a file and keeps the count of used space. */
  change<T>(inode: SimInode, change: () => T): T {
    const before = inode.allocatedBytes;
    try {
      return change();
    } finally {
      this.usedBytes += inode.allocatedBytes - before;
      this.usedMaxBytes = Math.max(this.usedMaxBytes, this.usedBytes);
      inode.modifiedMs = this.wallMs;
      inode.changedMs = this.wallMs;
    }
  }

  /** To be called when a file may have lost its last name or handle. */
  freed(inode: SimInode): void {
    if (inode.links > 0 || inode.opens > 0) return;
    this.usedBytes -= inode.allocatedBytes;
    this.#unlinked.push(inode);
    let kept = this.#unlinked.reduce((sum, each) => sum + each.allocatedBytes, 0);
    while (kept > UNLINKED_KEPT_BYTES) {
      const oldest = this.#unlinked.shift() as SimInode;
      kept -= oldest.allocatedBytes;
      oldest.forgetUnsynced();
    }
  }

  lock(path: string, life: Life): boolean {
    const owner = this.#locks.get(path);
    if (owner?.alive) return false;
    this.#locks.set(path, life);
    return true;
  }

  unlock(path: string, life: Life): void {
    if (this.#locks.get(path) === life) this.#locks.delete(path);
  }

  /**
   * Ends a life. Its operations under way happen, in part or not at all; what was answered stays. With the machine goes
   * what was not synced: each sector and each tail of a directory's changes by chance.
   */
  crash(life: Life, kind: 'process' | 'machine'): void {
    const { random } = this;
    life.alive = false;
    for (const entry of this.#inFlight) {
      if (entry.life !== life) continue;
      this.#inFlight.delete(entry);
      this.#interrupt(entry.operation);
    }
    for (const [file, owner] of this.#handles) if (owner === life) this.closed(file);
    for (const [path, owner] of this.#locks) if (owner === life) this.#locks.delete(path);
    if (kind === 'machine') this.#cutPower(random.pick([0, 0.5, 0.9, 1]));
    this.#trace.note(`disk crash ${kind}`, this.usedBytes);
  }

  #interrupt(operation: Operation<unknown>): void {
    const fate = this.random.integer(3);
    if (fate === 0) return;
    try {
      if (fate === 1) operation.apply();
      else operation.partly?.();
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
    }
  }

  #cutPower(keep: number): void {
    this.names.crash(this.random, keep);
    this.usedBytes = 0;
    const files = new Set(this.names.files());
    for (const inode of this.#unlinked) if (!files.has(inode)) inode.dispose();
    this.#unlinked = [];
    for (const inode of files) {
      // the kernel writes files back at its own pace: some are whole on the disk where others are not
      inode.crash(this.random, this.random.chance(0.5) ? keep : this.random.pick([0, 0.5, 0.9, 1]));
      this.usedBytes += inode.allocatedBytes;
    }
  }

  /** Gives all memory back; the disk is not used again. */
  dispose(): void {
    for (const inode of new Set([...this.names.files(), ...this.#unlinked])) inode.dispose();
    this.#unlinked = [];
  }

  /** Flips one bit of a file drawn among those that `filter` takes; says where. */
  rot(filter: (path: string) => boolean): { path: string; at: number } | undefined {
    const files = [...this.names.paths()].filter(([path, inode]) => inode.allocatedBytes > 0 && filter(path));
    if (files.length === 0) return undefined;
    const [path, inode] = this.random.pick(files);
    const at = this.random.integer(inode.sizeBytes);
    if (!inode.flip(at, this.random.integer(8))) return undefined;
    this.#trace.note(`disk rot ${path}`, at);
    return { path, at };
  }
}
