/** Small contents in memory, least recently used first out, bounded in bytes. Their checksum was verified when they came in. */
/** What an entry costs beside its bytes: map slot, id, view. */
const ENTRY_BYTES = 260;

interface Entry {
  readonly bytes: Uint8Array;
  round: number;
}

export class HotCache<Key> {
  readonly #bytesMax: number;
  /** Told of a hit once a round: what else keeps an order of use learns of it there. */
  readonly #onUse: (id: Key) => void;
  readonly #entries = new Map<Key, Entry>();
  #bytes = 0;
  #round = 0;

  constructor(bytesMax: number, onUse: (id: Key) => void) {
    this.#bytesMax = bytesMax;
    this.#onUse = onUse;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Begins a round: something was or will be pushed out. Between two rounds the order of hits makes no difference, so they cost a look-up. */
  nextRound(): void {
    this.#round += 1;
  }

  get(id: Key): Uint8Array | undefined {
    const entry = this.#entries.get(id);
    if (entry === undefined) return undefined;
    if (entry.round !== this.#round) {
      entry.round = this.#round;
      this.#entries.delete(id);
      this.#entries.set(id, entry);
      this.#onUse(id);
    }
    return entry.bytes;
  }

  put(id: Key, bytes: Uint8Array): void {
    this.delete(id);
    this.nextRound();
    this.#entries.set(id, { bytes, round: this.#round - 1 });
    this.#bytes += bytes.length + ENTRY_BYTES;
    if (this.#bytes <= this.#bytesMax) return;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#bytesMax) break;
      this.delete(oldest);
    }
  }

  delete(id: Key): void {
    const entry = this.#entries.get(id);
    if (entry === undefined) return;
    this.#entries.delete(id);
    this.#bytes -= entry.bytes.length + ENTRY_BYTES;
  }
}
