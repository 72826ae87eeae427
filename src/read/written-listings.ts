/**
 * Listings of volumes with `writes`: what was written here and is not in the origin is laid over the origin's pages, in UTF-8
 * order, and what was deleted here is hidden. Exact after every commit that came before the request.
 *
 * Records are read first, a window of keys at a time, and the origin is asked for that window after that: an object whose
 * record was settled by then is in the origin's answer. So stubs and drained tombstones add nothing.
 *
 * Bounds:  `recordsPerWindowMax` records and one page of the origin in memory.
 */
import { originContentId } from '../core/ids.ts';
import { compareKeys } from '../core/key-order.ts';
import { recordsPerWindowMax } from '../core/limits.ts';
import { contentDoorEtag } from '../core/object.ts';
import type { Store } from '../store/store.ts';
import type { CurrentVersions } from './current-versions.ts';
import type { Listings } from './listings.ts';
import type { ListedObject, Listing, ListRequest } from './reader.ts';
import { isWrittenHere, type RecordedKey } from './recorded.ts';
import type { VolumeSource } from './volume-source.ts';

type Item =
  | { readonly kind: 'object'; readonly name: string; readonly object: ListedObject }
  | { readonly kind: 'prefix'; readonly name: string };

/** After every key that begins with a prefix, but for those with this very character, which no name needs. */
const LAST = '\u{10FFFF}';

export class WrittenListings {
  readonly #listings: Listings;
  readonly #current: CurrentVersions;
  readonly #store: Store;

  constructor(parts: { listings: Listings; current: CurrentVersions; store: Store }) {
    this.#listings = parts.listings;
    this.#current = parts.current;
    this.#store = parts.store;
  }

  /** A page of a listing. Rejects as the origin and, with `onPartition = "refuse"`, as the coordinator. */
  async list(source: VolumeSource, request: ListRequest, signal?: AbortSignal): Promise<Listing> {
    if (!this.#current.isRecorded(source)) return this.#listings.list(source, request, signal);
    try {
      return await this.#list(source, request, signal);
    } catch (error) {
      if (signal?.aborted || !this.#current.mayGoOn(source, error)) throw error;
      const page = await this.#listings.list(source, request, signal);
      return { ...page, stale: true };
    }
  }

  async #list(source: VolumeSource, request: ListRequest, signal: AbortSignal | undefined): Promise<Listing> {
    const items: Item[] = [];
    let stale = false;
    let after = request.after;
    for (;;) {
      const window = await this.#window(source, { ...request, after }, signal);
      const merged = this.#merge(source, { ...request, after, limit: request.limit - items.length }, window, signal);
      for await (const page of merged) {
        items.push(...page.items);
        stale ||= page.stale;
        if (items.length >= request.limit) return listingOf(items, { stale, hasMore: page.hasMore });
      }
      if (window.end === undefined) return listingOf(items, { stale, hasMore: false });
      after = window.end;
    }
  }

  /** The next records, and up to where they are all. */
  async #window(
    { volume }: VolumeSource,
    { prefix, delimiter, after }: Omit<ListRequest, 'limit' | 'after'> & { after: string | undefined },
    signal: AbortSignal | undefined,
  ): Promise<Window> {
    const limit = recordsPerWindowMax;
    // Keys below a common prefix that was listed are not listed again.
    const listed = after === undefined ? undefined : rolledUp(after, { prefix, delimiter });
    const from = listed === undefined ? after : listed + LAST;
    const options = { prefix, limit, ...(from !== undefined && { after: from }), ...(signal && { signal }) };
    const found = await this.#current.asked((records) => records.list(volume.name, options), signal);
    const isAll = found.length < recordsPerWindowMax;
    const last = found.at(-1)?.key;
    const rolled = last === undefined || isAll ? undefined : rolledUp(last, { prefix, delimiter });
    // What is rolled up is one item, however many records it stands for.
    return new Window(found, { prefix, delimiter, after, end: isAll ? undefined : last, cut: rolled });
  }

  /** The items of a window in order, in pieces, until `limit` of them. */
  async *#merge(
    source: VolumeSource,
    request: Omit<ListRequest, 'after'> & { after: string | undefined },
    window: Window,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<{ items: Item[]; stale: boolean; hasMore: boolean }> {
    const { after: from, ...rest } = request;
    const written = window.items();
    let next = 0;
    let left = request.limit;
    let after = from;
    for (;;) {
      const page = await this.#listings.list(source, { ...rest, ...(after !== undefined && { after }) }, signal);
      const items: Item[] = [];
      const takeWritten = async (before: string | undefined): Promise<void> => {
        for (; next < written.length && left > 0; next += 1) {
          const item = written[next] as Item;
          if (before !== undefined && compareKeys(item.name, before) >= 0) return;
          if (item.kind === 'prefix' && !(await this.#isThere(source, item.name, window, signal))) continue;
          items.push(item);
          left -= 1;
        }
      };
      let isPast = page.next === undefined;
      let isRest = false;
      for (const item of itemsOf(page)) {
        if (window.isBeyond(item.name)) {
          isPast = true;
          isRest = true;
          break;
        }
        if (from !== undefined && compareKeys(item.name, from) <= 0) continue;
        await takeWritten(item.name);
        if (left === 0) {
          isRest = true;
          break;
        }
        if (window.isReplaced(item.name)) continue;
        items.push(item.kind === 'object' ? this.#named(source, item, window) : item);
        left -= 1;
      }
      if (left > 0) await takeWritten(isPast ? undefined : page.next);
      const hasMore = isRest || next < written.length || page.next !== undefined || window.end !== undefined;
      yield { items, stale: page.stale, hasMore };
      if (left === 0 || isPast) return;
      after = page.next;
    }
  }

  /** Whether anything is below a prefix under which keys were deleted. */
  async #isThere(source: VolumeSource, prefix: string, window: Window, signal: AbortSignal | undefined) {
    if (!window.isDoubtful(prefix)) return true;
    const { objects } = await this.#list(source, { volume: source.volume.name, prefix, limit: 1 }, signal);
    return objects.length > 0;
  }

  /** Under the name that the object has had since it was written here. */
  #named(source: VolumeSource, item: Item & { kind: 'object' }, window: Window): Item {
    const { volume, origin } = source;
    const { key } = item.object;
    const listedAs = (etag: string): string =>
      origin.kind === 's3' ? etag : contentDoorEtag(originContentId({ volume: volume.name, key, etag }));
    const recorded = window.recorded(key);
    const fact = this.#store.fact(volume.name, key);
    const content =
      recorded?.kind === 'stub' && listedAs(recorded.etag) === item.object.doorEtag
        ? recorded.version.content
        : fact && isWrittenHere(fact.content) && listedAs(fact.etag) === item.object.doorEtag
          ? fact.content
          : undefined;
    if (content === undefined) return item;
    return { ...item, object: { ...item.object, doorEtag: contentDoorEtag(content) } };
  }
}

/** Records of consecutive keys. */
class Window {
  /** The last key or common prefix that it speaks for; absent: all that come. */
  readonly end: string | undefined;
  readonly #cut: string | undefined;
  readonly #recorded = new Map<string, RecordedKey['recorded']>();
  readonly #written = new Map<string, Item>();
  /** Common prefixes under which something was written, and those under which something was deleted and nothing written. */
  readonly #sure = new Set<string>();
  readonly #doubtful = new Set<string>();

  constructor(
    found: readonly RecordedKey[],
    options: {
      prefix: string;
      delimiter: string | undefined;
      after: string | undefined;
      end: string | undefined;
      /** The window ends among the keys that this common prefix stands for. */
      cut: string | undefined;
    },
  ) {
    const { after, cut } = options;
    this.#cut = cut;
    this.end = cut === undefined ? options.end : cut + LAST;
    for (const { key, recorded } of found) {
      this.#recorded.set(key, recorded);
      const rolled = rolledUp(key, options);
      if (after !== undefined && compareKeys(rolled ?? key, after) <= 0) continue;
      if (rolled !== undefined) this.#roll(rolled, recorded);
      else if (recorded?.kind === 'dirty') this.#written.set(key, itemOf(key, recorded));
    }
    if (cut !== undefined && !this.#written.has(cut) && (after === undefined || compareKeys(cut, after) > 0)) {
      this.#doubtful.add(cut);
      this.#written.set(cut, { kind: 'prefix', name: cut });
    }
    for (const name of this.#sure) this.#doubtful.delete(name);
  }

  #roll(prefix: string, recorded: RecordedKey['recorded']): void {
    if (recorded?.kind === 'dirty') this.#sure.add(prefix);
    else if (recorded?.kind === 'deleted') this.#doubtful.add(prefix);
    else return;
    this.#written.set(prefix, { kind: 'prefix', name: prefix });
  }

  /** Written objects and the prefixes that records speak of, in order. */
  items(): Item[] {
    return Array.from(this.#written.values()).sort((a, b) => compareKeys(a.name, b.name));
  }

  isBeyond(name: string): boolean {
    if (this.end === undefined || (this.#cut !== undefined && name.startsWith(this.#cut))) return false;
    return compareKeys(name, this.end) > 0;
  }

  /** Whether the origin's item of this name is not to be shown: it was deleted, or the window's own stands for it. */
  isReplaced(name: string): boolean {
    return this.#written.has(name) || this.#recorded.get(name)?.kind === 'deleted';
  }

  isDoubtful(prefix: string): boolean {
    return this.#doubtful.has(prefix);
  }

  recorded(key: string): RecordedKey['recorded'] {
    return this.#recorded.get(key);
  }
}

/** The common prefix that stands for a key, if one does. */
function rolledUp(key: string, { prefix, delimiter }: { prefix: string; delimiter: string | undefined }) {
  if (delimiter === undefined || delimiter === '') return undefined;
  const at = key.indexOf(delimiter, prefix.length);
  return at < 0 ? undefined : key.slice(0, at + delimiter.length);
}

function itemOf(key: string, { version }: NonNullable<RecordedKey['recorded']> & { kind: 'dirty' }): Item {
  const { content, sizeBytes, modifiedMs } = version;
  return {
    kind: 'object',
    name: key,
    object: { key, sizeBytes, modifiedMs, doorEtag: contentDoorEtag(content) },
  };
}

/** A page's objects and common prefixes in one order. */
function itemsOf({ objects, prefixes }: Listing): Item[] {
  const items: Item[] = objects.map((object) => ({ kind: 'object', name: object.key, object }));
  for (const name of prefixes) items.push({ kind: 'prefix', name });
  return prefixes.length === 0 ? items : items.sort((a, b) => compareKeys(a.name, b.name));
}

function listingOf(items: readonly Item[], { stale, hasMore }: { stale: boolean; hasMore: boolean }): Listing {
  const objects = items.flatMap((item) => (item.kind === 'object' ? [item.object] : []));
  const prefixes = items.flatMap((item) => (item.kind === 'prefix' ? [item.name] : []));
  const next = hasMore ? items.at(-1)?.name : undefined;
  return { objects, prefixes, stale, ...(next !== undefined && { next }) };
}
