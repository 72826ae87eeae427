/** How many long messages a node sends to each of its peers at once: more would hold up the short ones. First come, first served. */
import { Places } from '../core/places.ts';

export interface PeerSlot {
  release(): void;
}

export class PeerSlots {
  readonly #max: number;
  readonly #peers = new Map<string, Places>();

  constructor(max: number) {
    this.#max = max;
  }

  async take(peer: string, signal: AbortSignal): Promise<PeerSlot> {
    signal.throwIfAborted();
    const places = this.#of(peer);
    await places.take(signal);
    return { release: () => this.#release(peer, places) };
  }

  #of(peer: string): Places {
    const known = this.#peers.get(peer);
    if (known !== undefined) return known;
    const places = new Places(this.#max);
    this.#peers.set(peer, places);
    return places;
  }

  #release(peer: string, places: Places): void {
    places.release();
    if (places.taken === 0) this.#peers.delete(peer);
  }
}
