/**
 * Bytes of small values in memory: those that wait to be written, and what was used lately, within its bound, the longest unused first out.
 *
 * Arrays by content row and a list through them: a Map that is deleted from at its front looks at all that was deleted, at every look for its oldest.
 */
import type { ContentRow } from './content-table.ts';
import { RowOrder } from './row-order.ts';

/** What an entry costs beside its bytes: the view and its buffer. */
const ENTRY_BYTES = 200;
const ROWS_FIRST = 1024;

export class ValueBytes {
  readonly #unwritten = new Map<ContentRow, Uint8Array>();
  readonly #bytesMax: number;
  #hot: (Uint8Array | undefined)[] = [];
  readonly #order = new RowOrder<ContentRow>(ROWS_FIRST);
  #bytes = 0;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  /** Memory in bytes, without what waits to be written (`ValueBacklog.bytes`). */
  get bytes(): number {
    return this.#bytes + this.#order.bytes;
  }

  get(content: ContentRow): Uint8Array | undefined {
    const bytes = this.#hot[content];
    if (bytes === undefined) return this.#unwritten.get(content);
    this.#order.touch(content);
    return bytes;
  }

  /** Bytes whose checksum was verified; nobody changes them any more. */
  put(content: ContentRow, bytes: Uint8Array): void {
    this.#forget(content);
    if (bytes.length + ENTRY_BYTES > this.#bytesMax) return;
    if (content >= this.#order.room) this.#grow(content);
    this.#hot[content] = bytes;
    this.#order.add(content);
    this.#bytes += bytes.length + ENTRY_BYTES;
    while (this.#bytes > this.#bytesMax) this.#forget(this.#order.oldest as ContentRow);
  }

  /** As `put`; they stay until `written`. */
  wait(content: ContentRow, bytes: Uint8Array): void {
    this.#unwritten.set(content, bytes);
    this.put(content, bytes);
  }

  /** True where these very bytes still waited: their content was not removed meanwhile. */
  written(content: ContentRow, bytes: Uint8Array): boolean {
    return this.#unwritten.get(content) === bytes && this.#unwritten.delete(content);
  }

  isWaiting(content: ContentRow, bytes: Uint8Array): boolean {
    return this.#unwritten.get(content) === bytes;
  }

  delete(content: ContentRow): void {
    this.#unwritten.delete(content);
    this.#forget(content);
  }

  #forget(content: ContentRow): void {
    const bytes = this.#hot[content];
    if (bytes === undefined) return;
    this.#hot[content] = undefined;
    this.#order.remove(content);
    this.#bytes -= bytes.length + ENTRY_BYTES;
  }

  #grow(content: ContentRow): void {
    const rows = Math.max(this.#order.room * 2, content + 1);
    this.#order.grow(rows);
    const longer = Array.from<Uint8Array | undefined>({ length: rows });
    for (let row = 0; row < this.#hot.length; row += 1) longer[row] = this.#hot[row];
    this.#hot = longer;
  }
}
