/**
 * Has the kernel begin to write to the disk what came lately: the final sync then has little left to wait for. One request at a
 * time, for `writebackBytes` or more.
 */
import { writebackBytes } from '../core/limits.ts';
import type { Range } from '../core/range.ts';

export class EarlyWriteback {
  readonly #begin: (range: Range) => Promise<void>;
  #start = 0;
  #end = 0;
  #bytes = 0;
  #isBusy = false;

  /** `begin` asks the disk; that it fails is nobody's business, for nothing depends on it. */
  constructor(begin: (range: Range) => Promise<void>) {
    this.#begin = begin;
  }

  /** So many bytes were written at `start`. */
  note(start: number, lengthBytes: number): void {
    this.#start = this.#bytes === 0 ? start : Math.min(this.#start, start);
    this.#end = Math.max(this.#bytes === 0 ? 0 : this.#end, start + lengthBytes);
    this.#bytes += lengthBytes;
    if (this.#bytes < writebackBytes || this.#isBusy) return;
    this.#isBusy = true;
    this.#bytes = 0;
    void this.#begin({ start: this.#start, end: this.#end })
      .catch(() => undefined)
      .finally(() => {
        this.#isBusy = false;
      });
  }
}
