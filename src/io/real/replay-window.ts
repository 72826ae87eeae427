/**
 * Which counters of a connection key were used: each once. Requests on several connections overtake each other, so the
 * last `peerReplayWindow` counters are remembered one by one and all older ones count as used (RFC 4303, section 3.4.3).
 */
import { peerReplayWindow } from '../../core/limits.ts';

export class ReplayWindow {
  readonly #used = new Uint32Array(peerReplayWindow / 32);
  /** The highest counter seen; −1 before the first. */
  #highest = -1;

  /** True the first time for a counter inside the window, false ever after. `counter` is a non-negative safe integer. */
  use(counter: number): boolean {
    if (counter > this.#highest) {
      this.#advance(counter);
    } else if (counter <= this.#highest - peerReplayWindow || this.#isUsed(counter)) {
      return false;
    }
    const bit = counter % peerReplayWindow;
    this.#used[bit >>> 5] = (this.#used[bit >>> 5] as number) | (1 << (bit & 31));
    return true;
  }

  #isUsed(counter: number): boolean {
    const bit = counter % peerReplayWindow;
    return ((this.#used[bit >>> 5] as number) & (1 << (bit & 31))) !== 0;
  }

  #advance(counter: number): void {
    if (counter - this.#highest >= peerReplayWindow) {
      this.#used.fill(0);
    } else {
      for (let passed = this.#highest + 1; passed <= counter; passed++) {
        const bit = passed % peerReplayWindow;
        this.#used[bit >>> 5] = (this.#used[bit >>> 5] as number) & ~(1 << (bit & 31));
      }
    }
    this.#highest = counter;
  }
}
