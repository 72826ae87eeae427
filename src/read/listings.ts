/** Pages of listings, remembered as facts are (S-2): as old as `revalidate` allows, older only without the origin. */

import { abortable } from '../core/abortable.ts';
import { isForebayError } from '../core/errors.ts';
import { originContentId } from '../core/ids.ts';
import { listingNeverMs, listingsMax } from '../core/limits.ts';
import { contentDoorEtag } from '../core/object.ts';
import type { Clock } from '../io/io.ts';
import type { ListOptions, ListPage } from '../origin/origin.ts';
import type { Listing, ListRequest } from './reader.ts';
import { Recent } from './recent.ts';
import type { VolumeSource } from './volume-source.ts';

/** In a cluster: asks the origin, where this node cannot reach it by another. */
export interface ListingPeers {
  list(source: VolumeSource, options: ListOptions): Promise<ListPage>;
}

interface Page {
  readonly sentMs: number;
  readonly page: ListPage;
}

export class Listings {
  readonly #clock: Clock;
  readonly #pages = new Recent<string, Page>(listingsMax);
  readonly #asks = new Map<string, { readonly sentMs: number; readonly answer: Promise<Page> }>();

  readonly #peers: ListingPeers | undefined;

  constructor(options: { clock: Clock; peers?: ListingPeers | undefined }) {
    this.#clock = options.clock;
    this.#peers = options.peers;
  }

  async list(source: VolumeSource, request: ListRequest, signal?: AbortSignal): Promise<Listing> {
    const { revalidateMs, staleIfErrorMs } = source.volume;
    let countsMs = revalidateMs === Number.POSITIVE_INFINITY ? listingNeverMs : revalidateMs;
    // Another node may have written meanwhile: no page of before this question counts.
    if (this.#peers !== undefined && source.volume.write) countsMs = -1;
    const name = `${request.volume}\0${JSON.stringify([request.prefix, request.delimiter ?? null, request.after ?? null, request.limit])}`;
    const known = this.#pages.get(name);
    const nowMs = this.#clock.boottimeMs();
    if (known !== undefined && nowMs - known.sentMs <= countsMs) return listingOf(source, known.page, false);
    try {
      const { page } = await abortable(this.#ask(source, request, { name, countsMs, begunMs: nowMs }), signal);
      return listingOf(source, page, false);
    } catch (error) {
      const usable = known !== undefined && nowMs - known.sentMs <= staleIfErrorMs;
      if (usable && isForebayError(error, 'originUnavailable', 'originThrottled'))
        return listingOf(source, known.page, true);
      throw error;
    }
  }

  /** A write through this node took effect: no page of the volume is current, and none that is being asked for. */
  written(volume: string): void {
    const isOfVolume = (name: string) => name.startsWith(`${volume}\0`);
    this.#pages.deleteWhere(isOfVolume);
    for (const name of this.#asks.keys()) if (isOfVolume(name)) this.#asks.delete(name);
  }

  async #ask(
    source: VolumeSource,
    request: ListRequest,
    ask: { name: string; countsMs: number; begunMs: number },
  ): Promise<Page> {
    for (let running = this.#asks.get(ask.name); running !== undefined; running = this.#asks.get(ask.name)) {
      if (ask.begunMs - running.sentMs <= ask.countsMs) return running.answer;
      await running.answer.catch(() => undefined);
    }
    const sentMs = this.#clock.boottimeMs();
    const { prefix, delimiter, after, limit } = request;
    const options = {
      prefix,
      limit,
      ...(delimiter === undefined ? {} : { delimiter }),
      ...(after === undefined ? {} : { after }),
    };
    const asked = this.#peers === undefined ? source.origin.list(options) : this.#peers.list(source, options);
    const answer = asked.then((page) => ({ sentMs, page }));
    const running = { sentMs, answer };
    this.#asks.set(ask.name, running);
    const isCurrent = () => this.#asks.get(ask.name) === running;
    answer
      .then(
        (page) => {
          if (isCurrent()) this.#pages.set(ask.name, page);
        },
        () => undefined,
      )
      .finally(() => {
        if (isCurrent()) this.#asks.delete(ask.name);
      });
    return answer;
  }
}

function listingOf(source: VolumeSource, page: ListPage, stale: boolean): Listing {
  const volume = source.volume.name;
  const objects = page.objects.map(({ key, etag, sizeBytes, modifiedMs }) => {
    const doorEtag = source.origin.kind === 's3' ? etag : contentDoorEtag(originContentId({ volume, key, etag }));
    return { key, sizeBytes, modifiedMs, doorEtag };
  });
  return { objects, prefixes: page.prefixes, stale, ...(page.next === undefined ? {} : { next: page.next }) };
}
