/** Pages of listings in a cluster: from the origin, or, where this node cannot reach it, through another member (S-13). */
import { countOf, type Fields, fieldsOf, listOf, malformed, textOf } from '../cluster/chunk-wire.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { listKeysMax } from '../core/limits.ts';
import type { Json } from '../io/peers.ts';
import type { ListOptions, ListPage } from '../origin/origin.ts';
import type { Detours } from './detours.ts';
import type { ListingPeers } from './listings.ts';
import type { VolumeSource } from './volume-source.ts';

export class ListingRound implements ListingPeers {
  readonly #detours: Detours;

  constructor(cluster: Cluster, { detours, source }: { detours: Detours; source: (volume: string) => VolumeSource }) {
    this.#detours = detours;
    cluster.handle('list.origin', (_from, message) => {
      const { volume, origin } = source(textOf(message['volume']));
      return detours.serve(volume.name, async () => pageToWire(await origin.list(optionsFromWire(message))));
    });
  }

  async list({ volume, origin }: VolumeSource, options: ListOptions): Promise<ListPage> {
    const { prefix, delimiter, after, limit } = options;
    return this.#detours.origin(volume.name, () => origin.list(options), {
      kind: 'list',
      message: { type: 'list.origin', volume: volume.name, prefix, delimiter, after, limit },
      read: pageFromWire,
    });
  }
}

function optionsFromWire(fields: Fields): ListOptions {
  const { prefix, delimiter, after, limit } = fields;
  const count = countOf(limit);
  if (count < 1 || count > listKeysMax) throw malformed('a listing has a limit');
  return {
    prefix: textOf(prefix),
    limit: count,
    ...(delimiter !== undefined && { delimiter: textOf(delimiter) }),
    ...(after !== undefined && { after: textOf(after) }),
  };
}

function pageToWire({ objects, prefixes, next }: ListPage): Json {
  return { objects: objects.map((entry) => ({ ...entry })), prefixes, next };
}

function pageFromWire(answer: Json): ListPage {
  const { objects, prefixes, next } = fieldsOf(answer);
  return {
    objects: listOf(objects)
      .map(fieldsOf)
      .map(({ key, sizeBytes, etag, modifiedMs }) => ({
        key: textOf(key),
        sizeBytes: countOf(sizeBytes),
        etag: textOf(etag),
        modifiedMs: numberOf(modifiedMs),
      })),
    prefixes: listOf(prefixes).map(textOf),
    ...(next !== undefined && { next: textOf(next) }),
  };
}

/** Times of files have fractions. */
function numberOf(value: Json | undefined): number {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw malformed('a number is missing');
  return value;
}
