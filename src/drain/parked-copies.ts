/**
 * Copies of versions in conflict, under `.forebay/parked/` at the origin: each goes once its version is at the origin, was replaced or was
 * given up, as its record says. An absent record takes none away. What a keeper leaves that dies at that moment stays there, named by
 * nothing: garbage that a person may delete.
 */
import type { ContentId } from '../core/ids.ts';
import type { Origin } from '../origin/origin.ts';
import type { DirtyRecord, ObjectRecord, Tombstone, Trouble } from '../write/object-record.ts';

type Parked = NonNullable<Trouble['parked']>;

export interface ParkedCopiesOptions {
  readonly origin: Pick<Origin, 'delete'>;
  readonly mayAct: () => boolean;
  /** Told of a copy that could not be deleted. */
  readonly failed: (key: string, error: unknown) => void;
}

export class ParkedCopies {
  readonly #options: ParkedCopiesOptions;
  /** Of versions that somebody decided to keep, until the origin has them. */
  readonly #kept = new Map<ContentId, Parked>();

  constructor(options: ParkedCopiesOptions) {
    this.#options = options;
  }

  /** The record of a key changed, of which `before` waited for the origin. */
  changed(before: DirtyRecord | Tombstone | undefined, record: ObjectRecord | undefined): void {
    if (before?.kind !== 'dirty') return;
    const { content } = before;
    const parked = before.trouble?.parked ?? this.#kept.get(content);
    const current = record?.current;
    if (parked === undefined || current === undefined) return;
    this.#kept.delete(content);
    if (current.kind !== 'dirty' || current.content !== content) this.#delete(parked);
    else if (current.trouble?.parked === undefined) this.#kept.set(content, parked);
  }

  #delete({ key, etag }: Parked): void {
    const { origin, mayAct, failed } = this.#options;
    if (!mayAct()) return;
    void origin.delete(key, { ifMatch: etag }).catch((error: unknown) => failed(key, error));
  }
}
