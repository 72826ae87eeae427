/**
 * Syncs of large files: each holds a thread of the disk and holds up everybody else's, so a few are let in at once, in the order in which
 * they come. Copies of what other nodes write wait while this node's own writes sync, for those have a client who waits; but not for
 * longer than `copySyncWaitMs`.
 */
import { SETTLED } from '../core/abortable.ts';
import { copySyncWaitMs } from '../core/limits.ts';
import type { Clock } from '../io/io.ts';

interface Turn {
  isCopy: boolean;
  readonly begin: () => void;
}

export class SyncTurns {
  readonly #atOnce: number;
  readonly #clock: Clock;
  #waiting: Turn[] = [];
  readonly #running = new Set<Turn>();

  constructor(atOnce: number, clock: Clock) {
    this.#atOnce = atOnce;
    this.#clock = clock;
  }

  async run<T>(work: () => Promise<T>, { isCopy }: { isCopy: boolean }): Promise<T> {
    const begun = Promise.withResolvers<void>();
    const turn: Turn = { isCopy, begin: begun.resolve };
    this.#waiting.push(turn);
    this.#next();
    if (isCopy && !this.#running.has(turn)) await this.#patient(turn, begun.promise);
    else await begun.promise;
    try {
      return await work();
    } finally {
      this.#running.delete(turn);
      this.#next();
    }
  }

  async #patient(turn: Turn, begun: Promise<void>): Promise<void> {
    const waited = new AbortController();
    const late = () => {
      turn.isCopy = false;
      this.#next();
    };
    this.#clock.sleep(copySyncWaitMs, waited.signal).then(late, () => undefined);
    await begun;
    waited.abort(SETTLED);
  }

  #next(): void {
    while (this.#running.size < this.#atOnce) {
      const own = this.#waiting.find(({ isCopy }) => !isCopy);
      const ownRuns = Array.from(this.#running).some(({ isCopy }) => !isCopy);
      const turn = own ?? (ownRuns ? undefined : this.#waiting[0]);
      if (turn === undefined) return;
      this.#waiting = this.#waiting.filter((each) => each !== turn);
      this.#running.add(turn);
      turn.begin();
    }
  }
}
