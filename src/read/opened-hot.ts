/** A version whose bytes are in memory, opened: nothing has to be held for it, for its bytes are in hand. */
import type { ObjectFact } from '../core/object.ts';
import { type Range, rangeLength } from '../core/range.ts';
import type { Clock } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import type { OpenObject, Piece } from './reader.ts';

export class OpenedHot implements OpenObject {
  readonly fact: ObjectFact;
  readonly stale = false;
  readonly #hot: Uint8Array;
  #bytes = 0;
  readonly #parts: { readonly clock: Clock; readonly emit: Emit };
  readonly #openedMs: number;

  constructor(parts: { readonly clock: Clock; readonly emit: Emit }, fact: ObjectFact, bytes: Uint8Array) {
    this.#parts = parts;
    this.fact = fact;
    this.#hot = bytes;
    this.#openedMs = parts.clock.boottimeMs();
  }

  get hot(): Uint8Array {
    this.#bytes = this.#hot.length;
    return this.#hot;
  }

  async *pieces(range: Range, signal: AbortSignal): AsyncGenerator<Piece> {
    signal.throwIfAborted();
    if (rangeLength(range) === 0) return;
    yield { kind: 'bytes', bytes: this.hot.subarray(range.start, range.end), release: () => undefined };
  }

  close(): void {
    const { clock, emit } = this.#parts;
    const bytes = this.#bytes;
    emit({
      kind: 'read.done',
      volume: this.fact.volume,
      bytes,
      hitBytes: bytes,
      ms: clock.boottimeMs() - this.#openedMs,
    });
  }
}
