/** The objects that a command means: one key, or what lies below a prefix. */
import { isForebayError } from '../core/errors.ts';
import { listKeysMax } from '../core/limits.ts';
import type { ObjectFact } from '../core/object.ts';
import type { Store } from '../store/store.ts';
import type { Selection } from './reader.ts';
import type { VolumeSource } from './volume-source.ts';
import type { WrittenListings } from './written-listings.ts';

/** Keys as the origin lists them; those remembered here where the origin cannot be asked. */
export async function* selectedKeys(
  parts: { listings: Pick<WrittenListings, 'list'>; store: Store },
  source: VolumeSource,
  selection: Selection,
): AsyncGenerator<{ readonly key: string; readonly sizeBytes: number | undefined }> {
  if (selection.key !== undefined) {
    yield { key: selection.key, sizeBytes: undefined };
    return;
  }
  let after: string | undefined;
  do {
    const request = {
      volume: selection.volume,
      prefix: selection.prefix ?? '',
      limit: listKeysMax,
      ...(after === undefined ? {} : { after }),
    };
    try {
      const page = await parts.listings.list(source, request);
      for (const { key, sizeBytes } of page.objects) yield { key, sizeBytes };
      after = page.next;
    } catch (error) {
      if (after !== undefined || !isForebayError(error, 'originUnavailable', 'originThrottled')) throw error;
      for (const fact of selectedFacts(parts.store, selection)) yield { key: fact.key, sizeBytes: fact.sizeBytes };
    }
  } while (after !== undefined);
}

/** What is remembered of the selected keys. */
export function selectedFacts(store: Store, selection: Selection): ObjectFact[] {
  if (selection.key !== undefined) {
    const fact = store.fact(selection.volume, selection.key);
    return fact === undefined ? [] : [fact];
  }
  const prefix = selection.prefix ?? '';
  return [...store.facts()].filter((fact) => fact.volume === selection.volume && fact.key.startsWith(prefix));
}
