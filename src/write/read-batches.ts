/** Linearizable reads of single keys, several in one transaction. */
import { ForebayError } from '../core/errors.ts';
import { recordReadLanesMax, recordReadsMax, recordReadsWaitingMax } from '../core/limits.ts';
import type { Coordinator, KeyValue } from '../io/coordinator.ts';

export interface FoundKey {
  readonly found: KeyValue | undefined;
  /** The revision as of which this was so. */
  readonly asOf: number;
}

export class ReadBatches {
  readonly #coordinator: Coordinator;
  /** Keys of the batch to be sent next, with those who wait for them. */
  readonly #waiting = new Map<string, PromiseWithResolvers<FoundKey>>();
  #underWay = 0;

  constructor(coordinator: Coordinator) {
    this.#coordinator = coordinator;
  }

  /** Rejects as `Coordinator.transaction`, and with `overloaded` when too many wait. */
  read(key: string): Promise<FoundKey> {
    const known = this.#waiting.get(key);
    if (known !== undefined) return known.promise;
    if (this.#waiting.size >= recordReadsWaitingMax)
      return Promise.reject(new ForebayError('overloaded', `${recordReadsWaitingMax} reads wait for the coordinator`));
    const asked = Promise.withResolvers<FoundKey>();
    this.#waiting.set(key, asked);
    // Those asked for in the same turn go together.
    queueMicrotask(() => this.#send());
    return asked.promise;
  }

  #send(): void {
    while (this.#waiting.size > 0 && this.#underWay < recordReadLanesMax) {
      const batch = new Map<string, PromiseWithResolvers<FoundKey>>();
      for (const [key, asked] of this.#waiting) {
        if (batch.size >= recordReadsMax) break;
        batch.set(key, asked);
        this.#waiting.delete(key);
      }
      void this.#ask(batch);
    }
  }

  async #ask(batch: ReadonlyMap<string, PromiseWithResolvers<FoundKey>>): Promise<void> {
    this.#underWay += 1;
    try {
      const apply = Array.from(batch.keys(), (read) => ({ read }));
      const { revision, reads } = await this.#coordinator.transaction({ compares: [], apply });
      const found = new Map(reads.map((entry) => [entry.key, entry]));
      for (const [key, { resolve }] of batch) resolve({ found: found.get(key), asOf: revision });
    } catch (error) {
      for (const { reject } of batch.values()) reject(error);
    } finally {
      this.#underWay -= 1;
      this.#send();
    }
  }
}
