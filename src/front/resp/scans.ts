/**
 * Where scans have stopped: clients take a cursor for a number, and pages go on behind a key. Shared by all connections, for pools ask for each
 * page on another one. The longest unused goes first.
 */
import { respScansMax } from '../../core/kv-limits.ts';

export class Scans {
  readonly #places = new Map<number, { readonly volume: string; readonly after: string }>();
  #last = 0;

  /** A cursor for going on behind `after`. */
  add(volume: string, after: string): number {
    const cursor = ++this.#last;
    this.#places.set(cursor, { volume, after });
    if (this.#places.size > respScansMax) this.#places.delete(this.#places.keys().next().value as number);
    return cursor;
  }

  /** Also a second time: a client whose answer was lost asks again. */
  find(volume: string, cursor: number): string | undefined {
    const place = this.#places.get(cursor);
    if (place?.volume !== volume) return undefined;
    this.#places.delete(cursor);
    this.#places.set(cursor, place);
    return place.after;
  }
}
