/**
 * How fast a node's link is, told by the bytes that came. What came in a window of time says what the link can do at least;
 * it says what the link can do at most only when all its sources were sending meanwhile. So the best of some recent
 * windows counts, and it counts as `saturated` when throughout the last of them all sources were busy.
 */
const windowsKept = 4;
/** Windows in a row with all sources busy, until the link is what is slow. */
const saturatedWindows = 2;

export class PeakSpeed {
  readonly #windowBytes: number;
  readonly #windows: number[] = [];
  #since: number | undefined;
  #bytes = 0;
  #busy = false;
  #wasBusy = true;
  #busyWindows = 0;

  /** A window ends when this many bytes have come. */
  constructor(windowBytes: number) {
    this.#windowBytes = windowBytes;
  }

  /** Undefined until a window has ended. */
  get bytesPerS(): number | undefined {
    return this.#windows.length === 0 ? undefined : Math.max(...this.#windows);
  }

  get saturated(): boolean {
    return this.#busyWindows >= saturatedWindows;
  }

  /** Whether all sources are sending from now on; `undefined`: nothing is on its way, and time does not count. */
  set(nowMs: number, busy: boolean | undefined): void {
    if (busy === undefined) {
      this.#since = undefined;
      this.#bytes = 0;
      this.#busy = this.#wasBusy = false;
      return;
    }
    if (this.#since === undefined) {
      this.#since = nowMs;
      this.#wasBusy = busy;
    }
    this.#busy = busy;
    if (!busy) this.#wasBusy = false;
  }

  /** Bytes came; true when that ended a window. */
  received(nowMs: number, bytes: number): boolean {
    this.#since ??= nowMs;
    this.#bytes += bytes;
    const elapsed = nowMs - this.#since;
    if (this.#bytes < this.#windowBytes || elapsed <= 0) return false;
    this.#windows.push((1000 * this.#bytes) / elapsed);
    if (this.#windows.length > windowsKept) this.#windows.shift();
    this.#busyWindows = this.#wasBusy ? this.#busyWindows + 1 : 0;
    this.#since = nowMs;
    this.#bytes = 0;
    this.#wasBusy = this.#busy;
    return true;
  }
}
