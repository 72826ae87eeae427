/** Terms of connections: what is to happen when a peer does not do what it should in time. One sleeper for all. */
import type { Clock } from '../io.ts';

/** Terms are looked at this often, so one ends up to this much late. */
const LOOK_MS = 250;

export class PeerTerms {
  readonly #clock: Clock;
  readonly #terms = new Map<object, { readonly dueMs: number; readonly expire: () => void }>();
  #looking = false;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Sets the one term of `key`, in place of the one before. */
  set(key: object, termMs: number, expire: () => void): void {
    this.#terms.set(key, { dueMs: this.#clock.boottimeMs() + termMs, expire });
    if (this.#looking) return;
    this.#looking = true;
    void this.#look().finally(() => {
      this.#looking = false;
    });
  }

  clear(key: object): void {
    this.#terms.delete(key);
  }

  async #look(): Promise<void> {
    while (this.#terms.size > 0) {
      await this.#clock.sleep(LOOK_MS);
      const nowMs = this.#clock.boottimeMs();
      for (const [key, { dueMs, expire }] of this.#terms) {
        if (dueMs > nowMs) continue;
        this.#terms.delete(key);
        expire();
      }
    }
  }
}
