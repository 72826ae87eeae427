/**
 * What clients did to the keys of a kv volume: every version that was ever put, and when each key was touched. The bytes of a version
 * follow from its number (`sim-content.ts`), so what a get returns is known without keeping it.
 */
import type { ContentId } from '../../src/core/ids.ts';
import { firstWrong } from '../sim-content.ts';

export interface KvVersion {
  readonly key: string;
  readonly number: number;
  readonly sizeBytes: number;
  /** Known once its put was answered. */
  content: ContentId | undefined;
  /** When its put was answered; Infinity: not (yet). */
  storedMs: number;
}

/** A client puts, deletes, or gives another time to live; `toMs` is Infinity while it is under way. */
export interface Touch {
  readonly what: 'put' | 'delete' | 'expire';
  readonly fromMs: number;
  toMs: number;
}

/** The word of a put or a delete may arrive at the owner this much after its client was answered. */
export const LATE_MS = 5000;

export class KvLedger {
  readonly #versions = new Map<string, KvVersion[]>();
  readonly #touches = new Map<string, Touch[]>();
  #number = 0;

  put(key: string, sizeBytes: number): KvVersion {
    const version: KvVersion = {
      key,
      number: ++this.#number,
      sizeBytes,
      content: undefined,
      storedMs: Number.POSITIVE_INFINITY,
    };
    const versions = this.#versions.get(key);
    if (versions === undefined) this.#versions.set(key, [version]);
    else versions.push(version);
    return version;
  }

  touch(key: string, what: Touch['what'], fromMs: number): Touch {
    const touch = { what, fromMs, toMs: Number.POSITIVE_INFINITY };
    const touches = this.#touches.get(key);
    if (touches === undefined) this.#touches.set(key, [touch]);
    else touches.push(touch);
    return touch;
  }

  /** Whether anybody changed the key in this time, or may have with what was late. */
  isTouched(key: string, fromMs: number, toMs: number): boolean {
    return (this.#touches.get(key) ?? []).some((touch) => touch.fromMs <= toMs && touch.toMs + LATE_MS >= fromMs);
  }

  /** The last touch of a key, where none is under way. */
  lastTouch(key: string): Touch | undefined {
    const touches = this.#touches.get(key) ?? [];
    if (touches.some(({ toMs }) => !Number.isFinite(toMs))) return undefined;
    return touches.reduce<Touch | undefined>(
      (last, each) => (last === undefined || each.toMs > last.toMs ? each : last),
      undefined,
    );
  }

  keys(): Iterable<string> {
    return this.#versions.keys();
  }

  versions(key: string): readonly KvVersion[] {
    return this.#versions.get(key) ?? [];
  }

  /** The versions of a key that these could be the whole bytes of: of tiny ones there may be several. */
  versionsOf(key: string, bytes: Uint8Array): readonly KvVersion[] {
    return this.versions(key).filter(
      ({ number, sizeBytes }) => sizeBytes === bytes.length && firstWrong(number, 0, bytes) < 0,
    );
  }
}
