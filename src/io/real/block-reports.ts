/**
 * Reports the blocks of one pull in order, each after the report before has settled, while the receiver runs ahead by a
 * bounded number. The first report that fails ends it.
 */
export interface BlockReport {
  readonly block: number;
  readonly checksum: number;
  readonly bytes: Uint8Array | undefined;
}

export class BlockReports {
  readonly #report: (report: BlockReport) => void | Promise<void>;
  readonly #onSettled: (settled: number) => void;
  #waiting: BlockReport[] = [];
  #head = 0;
  #settled = 0;
  #running = false;
  #failed: { readonly error: unknown } | undefined;
  #ended: (() => void) | undefined;

  /** `onSettled` hears how many reports have settled so far, and of the failure of one. */
  constructor(report: (report: BlockReport) => void | Promise<void>, onSettled: (settled: number) => void) {
    this.#report = report;
    this.#onSettled = onSettled;
  }

  get failed(): { readonly error: unknown } | undefined {
    return this.#failed;
  }

  /** Reports that have not settled. */
  get pending(): number {
    return this.#waiting.length - this.#head + (this.#running ? 1 : 0);
  }

  add(report: BlockReport): void {
    if (this.#failed) return;
    this.#waiting.push(report);
    if (!this.#running) void this.#run();
  }

  /** What is not reported by now never is. */
  drop(error: unknown): void {
    this.#failed ??= { error };
    this.#waiting = [];
    this.#head = 0;
  }

  async #run(): Promise<void> {
    this.#running = true;
    for (let next = this.#waiting[this.#head]; next; next = this.#waiting[this.#head]) {
      this.#head++;
      if (this.#head === this.#waiting.length) {
        this.#waiting = [];
        this.#head = 0;
      }
      try {
        const pending = this.#report(next);
        if (pending) await pending;
      } catch (error) {
        this.drop(error);
      }
      this.#settled++;
      this.#onSettled(this.#settled);
    }
    this.#running = false;
    this.#ended?.();
  }

  /** Resolves when all reports have settled; rejects with the error of one that failed. */
  async settled(): Promise<void> {
    if (this.#running)
      await new Promise<void>((resolve) => {
        this.#ended = resolve;
      });
    if (this.#failed) throw this.#failed.error;
  }
}
