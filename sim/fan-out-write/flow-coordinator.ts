/**
 * A coordinator that takes transactions one after the other: each costs its share of the log's sync and a little for every record. The two
 * numbers are etcd's, measured over its gateway on two cores: 1,350 transactions/s of one record, 11,500 records/s in
 * transactions of 64.
 */
import type { FlowLoop } from './flow-loop.ts';

const TRANSACTION_MS = 0.66;
const RECORD_MS = 0.077;
/** Commits of a node that come within this share a transaction, so many at most (DESIGN.md section 5). */
const BATCH_MS = 2;
const BATCH_MAX = 64;
const WINDOW_MS = 1000;

export class FlowCoordinator {
  readonly #loop: FlowLoop;
  readonly #latencyMs: number;
  readonly #batches = new Map<number, (() => void)[]>();
  #freeAtMs = 0;
  #revision = 0;
  /** Records committed in each second. */
  readonly #perWindow = new Map<number, number>();
  records = 0;
  transactions = 0;

  constructor(loop: FlowLoop, latencyMs: number) {
    this.#loop = loop;
    this.#latencyMs = latencyMs;
  }

  get revision(): number {
    return this.#revision;
  }

  /** The most records that were committed in one second. */
  get peakPerS(): number {
    return Math.max(0, ...this.#perWindow.values());
  }

  commit(node: number, onCommitted: (revision: number) => void): void {
    const open = this.#batches.get(node);
    if (open !== undefined) {
      open.push(() => onCommitted(this.#revision));
      if (open.length >= BATCH_MAX) this.#send(node, open);
      return;
    }
    const batch = [() => onCommitted(this.#revision)];
    this.#batches.set(node, batch);
    this.#loop.after(BATCH_MS, () => {
      if (this.#batches.get(node) === batch) this.#send(node, batch);
    });
  }

  #send(node: number, batch: readonly (() => void)[]): void {
    this.#batches.delete(node);
    const { nowMs } = this.#loop;
    const from = Math.max(nowMs + this.#latencyMs, this.#freeAtMs);
    this.#freeAtMs = from + TRANSACTION_MS + batch.length * RECORD_MS;
    this.#loop.after(this.#freeAtMs + this.#latencyMs - nowMs, () => {
      this.#revision += 1;
      this.transactions += 1;
      this.records += batch.length;
      const window = Math.floor(this.#loop.nowMs / WINDOW_MS);
      this.#perWindow.set(window, (this.#perWindow.get(window) ?? 0) + batch.length);
      for (const done of batch) done();
    });
  }
}
