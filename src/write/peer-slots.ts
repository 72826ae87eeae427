/** How many long messages a node sends to each of its peers at once: more would hold up the short ones. First come, first served. */
import { abortReason } from '../core/errors.ts';

export interface PeerSlot {
  release(): void;
}

export class PeerSlots {
  readonly #max: number;
  readonly #peers = new Map<string, { taken: number; readonly waiting: (() => void)[] }>();

  constructor(max: number) {
    this.#max = max;
  }

  async take(peer: string, signal: AbortSignal): Promise<PeerSlot> {
    signal.throwIfAborted();
    const slots = this.#of(peer);
    if (slots.taken >= this.#max)
      await new Promise<void>((resolve, reject) => {
        const go = () => {
          signal.removeEventListener('abort', leave);
          resolve();
        };
        const leave = () => {
          slots.waiting.splice(slots.waiting.indexOf(go), 1);
          reject(abortReason(signal));
        };
        slots.waiting.push(go);
        signal.addEventListener('abort', leave, { once: true });
      });
    else slots.taken += 1;
    return { release: () => this.#release(peer, slots) };
  }

  #of(peer: string) {
    const known = this.#peers.get(peer);
    if (known !== undefined) return known;
    const slots = { taken: 0, waiting: [] };
    this.#peers.set(peer, slots);
    return slots;
  }

  /** A slot goes to who waits, else back. */
  #release(peer: string, slots: { taken: number; readonly waiting: (() => void)[] }): void {
    const next = slots.waiting.shift();
    if (next !== undefined) {
      next();
      return;
    }
    slots.taken -= 1;
    if (slots.taken === 0) this.#peers.delete(peer);
  }
}
