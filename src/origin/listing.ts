/**
 * Pages of a listing, for origins that hold their keys themselves: what a key contributes to a page (itself, a common
 * prefix, nothing), and where the page ends.
 */
import { compareKeys } from '../core/key-order.ts';
import type { ListEntry, ListOptions, ListPage } from './origin.ts';

/** The common prefix that `key` rolls up to, with its delimiter; `undefined` when the key stands for itself. */
export function commonPrefix(key: string, options: { prefix: string; delimiter?: string }): string | undefined {
  if (options.delimiter === undefined || options.delimiter === '') return undefined;
  const at = key.indexOf(options.delimiter, options.prefix.length);
  return at < 0 ? undefined : key.slice(0, at + options.delimiter.length);
}

/** Whether an object or common prefix of this name is on a page that begins after `after`. */
export function isAfter(name: string, after: string | undefined): boolean {
  return after === undefined || compareKeys(name, after) > 0;
}

/** Collects one page from names offered in UTF-8 byte order. */
export class PageBuilder {
  readonly #options: ListOptions;
  readonly #objects: ListEntry[] = [];
  readonly #prefixes: string[] = [];
  #last: string | undefined;
  #more = false;

  constructor(options: ListOptions) {
    this.#options = options;
  }

  get isFull(): boolean {
    return this.#objects.length + this.#prefixes.length >= this.#options.limit;
  }

  /** Marks that a name lies beyond the page's limit. */
  overflow(): void {
    this.#more = true;
  }

  add(entry: ListEntry): void {
    this.#objects.push(entry);
    this.#last = entry.key;
  }

  addPrefix(prefix: string): void {
    this.#prefixes.push(prefix);
    this.#last = prefix;
  }

  finish(): ListPage {
    const page = { objects: this.#objects, prefixes: this.#prefixes };
    return this.#more && this.#last !== undefined ? { ...page, next: this.#last } : page;
  }
}
