/** Looks now and then at what threads do, for as long as they have something to do: whether they hang, or those whom they wait for. */
import type { Clock } from '../io.ts';

const LOOK_MAX_MS = 1000;

export interface LookoutOptions {
  readonly clock: Clock;
  /** The shortest time after which somebody is to blame. */
  readonly termMs: number;
  readonly isNeeded: () => boolean;
  /** `late`: this look comes very late (a suspend, a stopped process) and blames nobody: it only starts the terms anew. */
  readonly look: (nowMs: number, late: boolean) => void;
}

export class Lookout {
  readonly #options: LookoutOptions;
  #isLooking = false;

  constructor(options: LookoutOptions) {
    this.#options = options;
  }

  /** There is something to look at. */
  wake(): void {
    if (this.#isLooking) return;
    this.#isLooking = true;
    void this.#lookOn();
  }

  async #lookOn(): Promise<void> {
    const { clock, termMs, isNeeded, look } = this.#options;
    const everyMs = Math.max(10, Math.min(LOOK_MAX_MS, termMs / 4));
    let lookedMs = clock.boottimeMs();
    try {
      while (isNeeded()) {
        await clock.sleep(everyMs);
        const nowMs = clock.boottimeMs();
        const late = nowMs - lookedMs > everyMs + termMs / 2;
        lookedMs = nowMs;
        look(nowMs, late);
      }
    } finally {
      this.#isLooking = false;
    }
  }
}
