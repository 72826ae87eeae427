/**
 * One watch over the records of each volume that is staged here, shared by all who want to know what becomes of
 * what this node holds. A watch that breaks is begun anew, and says everything again (`kind: 'all'`).
 */
import { isForebayError } from '../core/errors.ts';
import { recordWatchRetryMs } from '../core/limits.ts';
import type { Clock } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import type { RecordChange, Records } from './records.ts';

/** Called in the order of revisions; must not throw, and must not take long. */
export type RecordListener = (volume: string, change: RecordChange) => void;

export class RecordFeed {
  readonly #records: Records;
  readonly #clock: Clock;
  readonly #emit: Emit;
  readonly #listeners = new Set<RecordListener>();
  readonly #stop = new AbortController();

  constructor(options: { records: Records; clock: Clock; emit: Emit }) {
    this.#records = options.records;
    this.#clock = options.clock;
    this.#emit = options.emit;
  }

  /** Returns what ends it. */
  listen(listener: RecordListener): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Once the node is in its cluster. */
  start(volumes: Iterable<string>): void {
    for (const volume of volumes) void this.#follow(volume);
  }

  close(): void {
    this.#stop.abort(new Error('the node is stopping'));
  }

  async #follow(volume: string): Promise<void> {
    const { signal } = this.#stop;
    let warned = '';
    while (!signal.aborted) {
      try {
        for await (const change of this.#records.watch(volume, signal)) {
          warned = '';
          for (const listener of Array.from(this.#listeners)) listener(volume, change);
        }
      } catch (error) {
        if (signal.aborted) return;
        if (!isForebayError(error)) throw error;
        const message = `the records of ${volume} cannot be watched: ${error.message}`;
        if (message !== warned) this.#emit({ kind: 'node.warning', message });
        warned = message;
      }
      await this.#clock.sleep(recordWatchRetryMs, signal).catch(() => undefined);
    }
  }
}
