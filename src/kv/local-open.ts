/** A value of this node, opened: bytes in memory, or a hold on its content. */
import { assert } from '../core/assert.ts';
import { ForebayError } from '../core/errors.ts';
import type { Range } from '../core/range.ts';
import type { ContentRow } from '../store/content-table.ts';
import type { Piece } from '../store/piece.ts';
import type { VolumeValues } from '../store/volume-values.ts';
import type { OpenValue, ValueFact } from './kv.ts';

export class LocalOpen implements OpenValue {
  readonly fact: ValueFact;
  readonly hot: Uint8Array | undefined;
  readonly #values: VolumeValues;
  readonly #verify: boolean;
  /** Held; absent where all bytes are in memory. */
  #content: ContentRow | undefined;
  /** Pieces that are out. */
  #out = 0;
  #closed = false;

  constructor(
    values: VolumeValues,
    opened: { fact: ValueFact; hot: Uint8Array | undefined; content: ContentRow | undefined; verify: boolean },
  ) {
    this.#values = values;
    this.fact = opened.fact;
    this.hot = opened.hot;
    this.#content = opened.content;
    this.#verify = opened.verify;
  }

  async *pieces(range: Range, signal: AbortSignal): AsyncGenerator<Piece> {
    const { hot } = this;
    if (hot !== undefined) {
      if (range.end > range.start)
        yield { kind: 'bytes', bytes: hot.subarray(range.start, range.end), release: () => undefined };
      return;
    }
    for (let at = range.start; at < range.end; ) {
      signal.throwIfAborted();
      assert(this.#content !== undefined && !this.#closed, 'a value is read while it is open');
      const piece = await this.#values.acquire(this.#content, { start: at, end: range.end }, { verify: this.#verify });
      if (piece === undefined)
        throw new ForebayError('corrupt', `bytes of ${this.fact.content} were found wrong from ${at} on`);
      at += piece.kind === 'file' ? piece.range.end - piece.range.start : piece.bytes.length;
      this.#out += 1;
      yield {
        ...piece,
        release: (damaged) => {
          piece.release(damaged);
          this.#out -= 1;
          this.#letGo();
        },
      };
    }
  }

  close(): void {
    assert(!this.#closed, 'a value is closed once');
    this.#closed = true;
    this.#letGo();
  }

  #letGo(): void {
    if (!this.#closed || this.#out > 0 || this.#content === undefined) return;
    this.#values.release(this.#content);
    this.#content = undefined;
  }
}
