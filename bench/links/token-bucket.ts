/** A rate that is kept over time: told of bytes, it says how long they have to wait. The caller gives the time. */
export class TokenBucket {
  readonly #burstMs: number;
  #bytesPerMs: number;
  #freeAtMs = Number.NEGATIVE_INFINITY;

  /** `burstMs`: how far an idle bucket may run ahead. */
  constructor(bytesPerS: number, options: { burstMs: number }) {
    this.#bytesPerMs = bytesPerS / 1000;
    this.#burstMs = options.burstMs;
  }

  setRate(bytesPerS: number): void {
    this.#bytesPerMs = bytesPerS / 1000;
  }

  /** Takes `bytes`; they may go on after this many milliseconds, 0 or more. */
  take(bytes: number, nowMs: number): number {
    this.#freeAtMs = Math.max(this.#freeAtMs, nowMs - this.#burstMs) + bytes / this.#bytesPerMs;
    return Math.max(0, this.#freeAtMs - nowMs);
  }
}
