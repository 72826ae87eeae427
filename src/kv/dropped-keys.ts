/**
 * Keys that clients deleted here lately: who was promised one and does not get it is told that it was taken, not lost.
 *
 * Bounds: `kvDroppedKeptMax`; what is forgotten too early counts as lost.
 */
import { kvDroppedKeptMax, kvLeaseMaxMs } from '../core/kv-limits.ts';

export class DroppedKeys {
  /** Key → until when it is remembered, oldest first. */
  readonly #keys = new Map<string, number>();

  add(nowMs: number, key: string): void {
    this.#keys.delete(key);
    this.#keys.set(key, nowMs + kvLeaseMaxMs);
    if (this.#keys.size <= kvDroppedKeptMax) return;
    // many at once: looking for the oldest of a Map walks over all that were deleted before it
    let left = kvDroppedKeptMax / 8;
    for (const oldest of this.#keys.keys()) {
      this.#keys.delete(oldest);
      if (--left === 0) return;
    }
  }

  has(nowMs: number, key: string): boolean {
    return (this.#keys.get(key) ?? 0) > nowMs;
  }
}
