/** Bytes of small values in memory: those that wait to be written, and what was used lately, within its bound. */
import type { ContentRow } from './content-table.ts';
import { HotCache } from './hot-cache.ts';

export class ValueBytes {
  readonly #unwritten = new Map<ContentRow, Uint8Array>();
  readonly #hot: HotCache<ContentRow>;

  constructor(hotBytesMax: number) {
    this.#hot = new HotCache(hotBytesMax, () => undefined);
  }

  /** Memory in bytes, without what waits to be written (`ValueBacklog.bytes`). */
  get bytes(): number {
    return this.#hot.bytes;
  }

  get(content: ContentRow): Uint8Array | undefined {
    return this.#hot.get(content) ?? this.#unwritten.get(content);
  }

  /** Bytes whose checksum was verified; nobody changes them any more. */
  put(content: ContentRow, bytes: Uint8Array): void {
    this.#hot.put(content, bytes);
  }

  /** As `put`; they stay until `written`. */
  wait(content: ContentRow, bytes: Uint8Array): void {
    this.#unwritten.set(content, bytes);
    this.#hot.put(content, bytes);
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
    this.#hot.delete(content);
  }
}
