/** Small contents in memory, least recently used first out, bounded in bytes. Their checksum was verified when they came in. */
import type { ContentId } from '../core/ids.ts';

/** What an entry costs beside its bytes: map slot, id, view. */
const ENTRY_BYTES = 200;

export class HotCache {
  readonly #bytesMax: number;
  readonly #entries = new Map<ContentId, Uint8Array>();
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get bytes(): number {
    return this.#bytes;
  }

  get(id: ContentId): Uint8Array | undefined {
    const bytes = this.#entries.get(id);
    if (bytes === undefined) return undefined;
    this.#entries.delete(id);
    this.#entries.set(id, bytes);
    return bytes;
  }

  put(id: ContentId, bytes: Uint8Array): void {
    this.delete(id);
    this.#entries.set(id, bytes);
    this.#bytes += bytes.length + ENTRY_BYTES;
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#bytesMax) break;
      this.delete(oldest);
    }
  }

  delete(id: ContentId): void {
    const bytes = this.#entries.get(id);
    if (bytes === undefined) return;
    this.#entries.delete(id);
    this.#bytes -= bytes.length + ENTRY_BYTES;
  }
}
