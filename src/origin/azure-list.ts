/**
 * Listings of an Azure container from any name on. Azure goes on only from its own opaque markers, so the marker behind
 * each page that was given out is remembered (`listMarkersMax` of them): whoever pages gets each page in one request. From a
 * name that no page ended with, the listing begins at the prefix and skips 5,000 names a request.
 */
import type { ContainerClient } from '@azure/storage-blob';
import { compareKeys } from '../core/key-order.ts';
import { listMarkersMax } from '../core/limits.ts';
import { dateMs, quoted } from './http-store.ts';
import type { IdleWatch } from './idle-watch.ts';
import { isAfter } from './listing.ts';
import type { ListEntry, ListOptions, ListPage } from './origin.ts';

type Name = { readonly name: string; readonly object?: ListEntry };

interface Page {
  readonly names: readonly Name[];
  readonly marker: string | undefined;
}

const SKIP_NAMES = 5000;

export class AzureListing {
  readonly #markers = new Map<string, string>();

  /** `options` name blobs in full: the origin's own prefix is in them. */
  async list(container: ContainerClient, options: ListOptions, watch: IdleWatch): Promise<ListPage> {
    let marker = options.after === undefined ? undefined : this.#markers.get(markerKey(options, options.after));
    const isBehindMarker = marker !== undefined;
    let isSkipping = options.after !== undefined && !isBehindMarker;
    const found: Name[] = [];
    for (;;) {
      const limit = isSkipping ? SKIP_NAMES : options.limit - found.length;
      const page = await fetchPage(container, options, { marker, limit, signal: watch.signal });
      watch.touch();
      // behind a marker everything is new, in whatever order the service keeps its names
      const names = isBehindMarker ? page.names : page.names.filter(({ name }) => isAfter(name, options.after));
      if (names.length > 0) isSkipping = false;
      const room = options.limit - found.length;
      found.push(...names.slice(0, room));
      marker = page.marker;
      const next = found.at(-1)?.name;
      if (names.length > room) return pageOf(found, next);
      if (marker === undefined) return pageOf(found, undefined);
      if (found.length >= options.limit && next !== undefined) {
        this.#remember(markerKey(options, next), marker);
        return pageOf(found, next);
      }
    }
  }

  #remember(key: string, marker: string): void {
    this.#markers.delete(key);
    this.#markers.set(key, marker);
    for (const oldest of this.#markers.keys()) {
      if (this.#markers.size <= listMarkersMax) break;
      this.#markers.delete(oldest);
    }
  }
}

function markerKey(options: ListOptions, after: string): string {
  return JSON.stringify([options.prefix, options.delimiter ?? '', after]);
}

function pageOf(found: readonly Name[], next: string | undefined): ListPage {
  const objects = found.flatMap(({ object }) => (object === undefined ? [] : [object]));
  const prefixes = found.flatMap(({ name, object }) => (object === undefined ? [name] : []));
  return next === undefined ? { objects, prefixes } : { objects, prefixes, next };
}

async function fetchPage(
  container: ContainerClient,
  options: ListOptions,
  from: { marker: string | undefined; limit: number; signal: AbortSignal },
): Promise<Page> {
  const settings = {
    maxPageSize: from.limit,
    ...(from.marker === undefined ? {} : { continuationToken: from.marker }),
  };
  const selection = { prefix: options.prefix, abortSignal: from.signal };
  const pages =
    options.delimiter === undefined || options.delimiter === ''
      ? container.listBlobsFlat(selection).byPage(settings)
      : container.listBlobsByHierarchy(options.delimiter, selection).byPage(settings);
  const { value } = await pages.next();
  if (value === undefined) return { names: [], marker: undefined };
  const names: Name[] = value.segment.blobItems.map((blob: BlobItem) => ({ name: blob.name, object: entryOf(blob) }));
  if ('blobPrefixes' in value.segment) for (const { name } of value.segment.blobPrefixes ?? []) names.push({ name });
  names.sort((a, b) => compareKeys(a.name, b.name));
  return { names, marker: value.continuationToken || undefined };
}

interface BlobItem {
  readonly name: string;
  readonly properties: { readonly etag: string; readonly contentLength?: number; readonly lastModified: Date };
}

function entryOf({ name, properties }: BlobItem): ListEntry {
  return {
    key: name,
    sizeBytes: properties.contentLength ?? 0,
    etag: quoted(properties.etag),
    modifiedMs: dateMs(properties.lastModified),
  };
}
