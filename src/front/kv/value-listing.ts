/** Pages of a kv volume's keys as listings of objects: in byte order, rolled up at a delimiter. */
import { listKeysMax } from '../../core/limits.ts';
import type { KvVolume, ValueFact } from '../../kv/kv.ts';
import type { ListedObject, Listing, ListRequest } from '../../read/reader.ts';
import { bytesOfText, textOfBytes } from '../http/percent.ts';
import { afterAll, RESERVED } from './value-key.ts';
import { valueEtag } from './value-object.ts';

/** Keys that are no UTF-8 can be listed by other doors only, and are left out. */
export async function listValues(kv: KvVolume, request: ListRequest, signal: AbortSignal): Promise<Listing> {
  const page = new Page(request);
  const { prefix } = page;
  let after = page.after;
  for (;;) {
    const found = await kv.list({ prefix, limit: listKeysMax, ...(after !== undefined && { after }) }, signal);
    for (const { key, fact } of found.keys) {
      if (!page.add(key, fact)) return page.listing(true);
    }
    if (found.next === undefined) return page.listing(false);
    after = page.skipped ?? found.keys.at(-1)?.key ?? found.next;
  }
}

class Page {
  readonly prefix: string;
  readonly after: string | undefined;
  /** Behind what was rolled up last, where nothing else came since. */
  skipped: string | undefined;
  readonly #delimiter: string;
  readonly #limit: number;
  readonly #objects: ListedObject[] = [];
  readonly #prefixes: string[] = [];
  #last: string | undefined;
  #rolled: string | undefined;

  constructor({ prefix, delimiter = '', after, limit }: ListRequest) {
    this.prefix = bytesOfText(prefix);
    this.#delimiter = bytesOfText(delimiter);
    this.#limit = limit;
    if (after !== undefined) this.after = bytesOfText(after);
  }

  /** False where the page is full and the key is not on it. */
  add(key: string, fact: ValueFact): boolean {
    if (this.#rolled !== undefined && key.startsWith(this.#rolled)) return true;
    const end = this.#delimiter === '' ? -1 : key.indexOf(this.#delimiter, this.prefix.length);
    const rolled = key.startsWith(RESERVED)
      ? RESERVED
      : end < 0
        ? undefined
        : key.slice(0, end + this.#delimiter.length);
    this.#rolled = rolled;
    this.skipped = rolled === undefined ? undefined : afterAll(rolled);
    const name = rolled ?? key;
    const text = name === RESERVED ? undefined : textOfBytes(name);
    if (text === undefined || (this.after !== undefined && name <= this.after)) return true;
    if (this.#objects.length + this.#prefixes.length === this.#limit) return false;
    this.#last = text;
    if (rolled !== undefined) this.#prefixes.push(text);
    else
      this.#objects.push({
        key: text,
        sizeBytes: fact.sizeBytes,
        doorEtag: valueEtag(fact),
        modifiedMs: fact.modifiedMs,
      });
    return true;
  }

  listing(hasMore: boolean): Listing {
    const found = { objects: this.#objects, prefixes: this.#prefixes, stale: false };
    return hasMore && this.#last !== undefined ? { ...found, next: this.#last } : found;
  }
}
