/**
 * So many at once; others wait in line, first come, first served.
 *
 * Who took a place releases it, exactly once: it goes to the first in line in the same turn, so that nobody slips in between.
 */
import { abortReason, ForebayError } from './errors.ts';

export interface Line {
  /** How many may wait. */
  readonly max: number;
  /** What those who come then are told, with `overloaded`. */
  readonly full: string;
}

export class Places {
  readonly #count: number;
  readonly #line: Line | undefined;
  readonly #waiting = new Set<() => void>();
  #taken = 0;

  /** Without a `line`, the callers bound how many wait. */
  constructor(count: number, line?: Line) {
    this.#count = count;
    this.#line = line;
  }

  get taken(): number {
    return this.#taken;
  }

  /** Resolves with a place. Rejects without one: with the signal's reason, or `overloaded` where the line is full. */
  async take(signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) throw abortReason(signal);
    if (this.#taken < this.#count) {
      this.#taken += 1;
      return;
    }
    if (this.#line !== undefined && this.#waiting.size >= this.#line.max)
      throw new ForebayError('overloaded', this.#line.full);
    await new Promise<void>((resolve, reject) => {
      const go = () => {
        signal?.removeEventListener('abort', leave);
        resolve();
      };
      const leave = () => {
        this.#waiting.delete(go);
        reject(abortReason(signal as AbortSignal));
      };
      this.#waiting.add(go);
      signal?.addEventListener('abort', leave, { once: true });
    });
  }

  release(): void {
    const [next] = this.#waiting;
    if (next === undefined) {
      this.#taken -= 1;
      return;
    }
    this.#waiting.delete(next);
    next();
  }
}
