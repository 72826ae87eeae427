/** What operations say of the cache disk: in order, ejected (it does not answer) or full. */
import { ForebayError } from '../core/errors.ts';
import { MiB } from '../core/limits.ts';
import { type Clock, type Disk, DiskError } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import type { Space } from './space.ts';

/** Free space that is left to others on the cache's file system after it was found full, at most; a 64th of the capacity where that is less. */
const marginMaxBytes = 16 * MiB;
const askIntervalMs = 5000;

export class DiskHealth {
  readonly #disk: Disk;
  readonly #clock: Clock;
  readonly #space: Space;
  readonly #directory: string;
  readonly #emit: Emit;
  #state: 'ok' | 'ejected' | 'full' = 'ok';
  #askedMs = Number.NEGATIVE_INFINITY;

  constructor(options: { disk: Disk; clock: Clock; space: Space; directory: string; emit: Emit }) {
    this.#disk = options.disk;
    this.#clock = options.clock;
    this.#space = options.space;
    this.#directory = options.directory;
    this.#emit = options.emit;
  }

  get state(): 'ok' | 'ejected' | 'full' {
    return this.#state;
  }

  /** Runs a disk operation. A full disk becomes diskFull, one that does not answer diskUnavailable; other errors pass as they are. */
  async run<T>(operation: () => Promise<T>): Promise<T> {
    try {
      const result = await operation();
      if (this.#state === 'ejected') this.#state = 'ok';
      return result;
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
      if (error.code === 'ETIMEDOUT') {
        this.#state = 'ejected';
        throw new ForebayError('diskUnavailable', `the cache disk does not answer: ${error.message}`, { cause: error });
      }
      if (error.code !== 'ENOSPC' && error.code !== 'EDQUOT') throw error;
      if (this.#state !== 'full') this.#emit({ kind: 'disk.full', path: this.#directory, message: error.message });
      this.#state = 'full';
      this.#askedMs = Number.NEGATIVE_INFINITY;
      await this.askSpace();
      throw new ForebayError('diskFull', `the cache disk is full: ${error.message}`, { cause: error });
    }
  }

  /** While the disk was found full, asks it now and then how much room it really has. */
  async askSpace(): Promise<void> {
    if (this.#state !== 'full') return;
    const now = this.#clock.boottimeMs();
    if (now - this.#askedMs < askIntervalMs) return;
    this.#askedMs = now;
    try {
      const { freeBytes } = await this.#disk.space(this.#directory);
      this.#space.limit(freeBytes, Math.min(marginMaxBytes, this.#space.configuredBytes / 64));
      if (!this.#space.shrunk) this.#state = 'ok';
    } catch (error) {
      if (!(error instanceof DiskError)) throw error;
    }
  }
}
