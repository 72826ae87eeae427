/**
 * A bandwidth budget: whoever moves bytes takes them from it first and waits its turn. Bytes are promised in the order of
 * asking; a second's worth may be taken at once after a pause, so that small things do not wait.
 */
import type { Clock } from '../io/io.ts';

export class Budget {
  readonly #clock: Pick<Clock, 'boottimeMs' | 'sleep'>;
  readonly #bytesPerMs: number;
  /** When all that was taken so far will have been used up. */
  #usedUpMs = Number.NEGATIVE_INFINITY;

  /** `bytesPerS` of Infinity bounds nothing. */
  constructor(clock: Pick<Clock, 'boottimeMs' | 'sleep'>, bytesPerS: number) {
    this.#clock = clock;
    this.#bytesPerMs = bytesPerS / 1000;
  }

  /** Resolves when the bytes may move. Rejects with the signal's reason; what was taken is not given back. */
  async take(bytes: number, signal: AbortSignal): Promise<void> {
    if (this.#bytesPerMs === Number.POSITIVE_INFINITY) return;
    const nowMs = this.#clock.boottimeMs();
    const fromMs = Math.max(this.#usedUpMs, nowMs - BURST_MS);
    this.#usedUpMs = fromMs + bytes / this.#bytesPerMs;
    if (fromMs > nowMs) await this.#clock.sleep(fromMs - nowMs, signal);
  }
}

const BURST_MS = 1000;
