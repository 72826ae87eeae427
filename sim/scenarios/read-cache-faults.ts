/** The faults of the read-cache scenario: what can go wrong, drawn one after another until they are told to stop. */

import type { SimClock, SimMachineClock } from '../sim-clock.ts';
import type { DiskFaults, SimDisk } from '../sim-disk.ts';
import type { OriginFaults, SimOrigin } from '../sim-origin.ts';
import type { SimRandom } from '../sim-random.ts';
import type { Trace } from '../trace.ts';
import type { ReadCacheOptions } from './read-cache-options.ts';

export const CALM_DISK: DiskFaults = {
  latencyMs: 0.1,
  bytesPerMs: 2 << 20,
  slowChance: 0,
  slowMs: 0,
  errorChance: 0,
};

export const CALM_ORIGIN: OriginFaults = {
  latencyMs: 20,
  bytesPerMs: 200 << 10,
  throttleChance: 0,
  failChance: 0,
  silentChance: 0,
  resetChance: 0,
  truncateChance: 0,
  stallChance: 0,
};

export function originFaults(chance: number): OriginFaults {
  return {
    ...CALM_ORIGIN,
    throttleChance: chance,
    failChance: chance,
    silentChance: chance / 4,
    resetChance: chance,
    truncateChance: chance,
    stallChance: chance / 4,
  };
}

type FaultKind = 'kill' | 'power' | 'rot' | 'full' | 'hang' | 'slow' | 'error' | 'away' | 'pause' | 'wall';

/** The parts of a run that faults reach. */
export interface FaultPlace {
  readonly clock: SimClock;
  readonly machine: SimMachineClock;
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly disk: SimDisk;
  readonly origin: SimOrigin;
  readonly options: ReadCacheOptions;
  /** The disk misbehaves from now until then, in virtual time. */
  diskTrouble(untilMs: number): void;
  /** Stops the process running now for `ms`, as a debugger or a swapped-out machine does. */
  pause(ms: number): void;
  /** Ends the process or the machine, and resolves when the next life serves. */
  crash(kind: 'process' | 'machine'): Promise<void>;
}

export class ReadCacheFaults {
  readonly #place: FaultPlace;
  readonly #kinds: readonly FaultKind[];
  #isOver = false;
  /** Windows of trouble under way; each puts back what it changed. */
  readonly #windows = new Set<() => void>();

  constructor(place: FaultPlace) {
    this.#place = place;
    const { options } = place;
    const weights: Record<FaultKind, number> = {
      kill: options.killWeight,
      power: options.powerWeight,
      rot: options.verify === 'always' ? options.rotWeight : 0,
      full: options.fullWeight,
      hang: options.hangWeight,
      slow: options.slowWeight,
      error: options.errorWeight,
      away: options.awayWeight,
      pause: options.pauseWeight,
      wall: options.wallWeight,
    };
    this.#kinds = Object.entries(weights).flatMap(([kind, weight]) => Array<FaultKind>(weight).fill(kind as FaultKind));
  }

  /** Draws faults until `stop`. */
  async run(): Promise<void> {
    const { clock, random, options } = this.#place;
    if (this.#kinds.length === 0 || !Number.isFinite(options.faultMs)) return;
    while (!this.#isOver) {
      await clock.sleep(random.exponential(options.faultMs));
      if (this.#isOver) return;
      await this.#strike(random.pick(this.#kinds));
    }
  }

  /** Ends every fault: disk and origin are well from now on. */
  stop(): void {
    const { disk, origin } = this.#place;
    this.#isOver = true;
    for (const end of this.#windows) end();
    disk.hungUntilMs = 0;
    Object.assign(disk.faults, CALM_DISK);
    disk.othersBytes = 0;
    origin.awayUntilMs = 0;
    Object.assign(origin.faults, CALM_ORIGIN);
  }

  async #strike(kind: FaultKind): Promise<void> {
    const { clock, machine, random, trace, disk, origin } = this.#place;
    trace.note(`fault ${kind}`);
    switch (kind) {
      case 'kill':
        return this.#place.crash('process');
      case 'power':
        return this.#place.crash('machine');
      case 'rot':
        this.#place.diskTrouble(clock.nowMs);
        disk.rot(isContent);
        return;
      case 'full':
        return this.#full();
      case 'hang': {
        const ms = random.exponential(random.pick([20, 1000, 8000]));
        this.#place.diskTrouble(clock.nowMs + ms);
        disk.hang(ms);
        return;
      }
      case 'slow':
        return this.#window(random.exponential(3000), disk.faults, {
          slowChance: 0.3,
          slowMs: random.pick([5, 100, 3000]),
        });
      case 'error':
        return this.#window(random.exponential(1000), disk.faults, { errorChance: random.pick([0.02, 0.2, 1]) });
      case 'away':
        origin.awayUntilMs = clock.nowMs + random.exponential(random.pick([100, 5000, 60_000]));
        return;
      case 'pause':
        this.#place.pause(random.exponential(random.pick([10, 1000, 30_000])));
        return;
      case 'wall':
        machine.jumpWall(random.between(-86_400_000, 86_400_000));
        return;
    }
  }

  /** Others take the disk's free space, and some of ours, for a while. */
  #full(): void {
    const { clock, random, disk } = this.#place;
    const ms = random.exponential(2000);
    const left = random.pick([0, 4096, 100_000, 1 << 20]);
    disk.othersBytes = Math.max(0, disk.capacityBytes - disk.usedBytes - left);
    this.#place.diskTrouble(clock.nowMs + ms);
    this.#later(ms, () => {
      disk.othersBytes = 0;
    });
  }

  #window(ms: number, faults: DiskFaults, change: Partial<DiskFaults>): void {
    Object.assign(faults, change);
    this.#place.diskTrouble(this.#place.clock.nowMs + ms);
    this.#later(ms, () => Object.assign(faults, CALM_DISK));
  }

  #later(ms: number, end: () => void): void {
    this.#windows.add(end);
    this.#place.clock.schedule(ms, () => {
      this.#windows.delete(end);
      if (!this.#isOver) end();
    });
  }
}

/** Files whose bytes the node must check by itself: contents and the journal, not the lock. */
export function isContent(path: string): boolean {
  return path.includes('/objects/') || path.includes('/small/') || path.includes('/journal/');
}
