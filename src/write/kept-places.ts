/** What a node keeps that the origin does not have, by content and by the key that it was written under: bookkeeping, no decisions. */
import type { ContentId } from '../core/ids.ts';
import type { NotedRecord } from './dirty-note.ts';

export interface KeptContent {
  readonly content: ContentId;
  readonly volume: string;
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
  /** It may have been renamed since it was written. */
  readonly key: string;
  /** What is known of its record; without a revision it is not known to be committed. */
  readonly noted: NotedRecord | undefined;
  /** Somebody of this node is committing it, or makes copies of it. */
  readonly isUsed: boolean;
  /** Another version, or a delete, or a person's decision, took its place: it waits for its readers only. */
  readonly isReplaced: boolean;
  /** What is noted is of records that the coordinator has lost: which version counts is not known (`forebay recover`). */
  readonly isForeign: boolean;
}

export interface Kept {
  readonly content: ContentId;
  readonly volume: string;
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
  readonly sinceMs: number;
  /** When it was last compared with the record of its key. */
  lookedMs: number;
  key: string;
  noted: NotedRecord | undefined;
  /** When it goes, for it was replaced. */
  doomedMs: number | undefined;
  /** Revision of the record of its key when that last did not name it, though nobody will commit it any more. */
  unnamedAt: number | undefined;
  /** When its writer asked last that it is kept, by the writer's clock. */
  promisedUs: number;
  /** No record names it, as far as the feed has told. */
  isUnheard: boolean;
  /** What is noted of it is of another life of the records (`record-lineage.ts`): its revision means nothing now. */
  isForeign: boolean;
  /** Somebody of this node is committing it, or makes copies of it. */
  uses: number;
}

const placeOf = (volume: string, key: string): string => `${volume}/${key}`;

export class KeptPlaces {
  readonly #kept = new Map<ContentId, Kept>();
  /** Volume and key → what is kept under it. */
  readonly #places = new Map<string, Set<Kept>>();

  get(content: ContentId): Kept | undefined {
    return this.#kept.get(content);
  }

  has(content: ContentId): boolean {
    return this.#kept.has(content);
  }

  /** As it is now, whatever is removed meanwhile. */
  all(): readonly Kept[] {
    return Array.from(this.#kept.values());
  }

  at(volume: string, key: string): readonly Kept[] {
    return Array.from(this.#places.get(placeOf(volume, key)) ?? []);
  }

  promise(content: ContentId, atUs: number): void {
    const kept = this.#kept.get(content);
    if (kept !== undefined) kept.promisedUs = Math.max(kept.promisedUs, atUs);
  }

  /** Returns what ends the use. */
  use(content: ContentId): () => void {
    const kept = this.#kept.get(content);
    if (kept === undefined) return () => undefined;
    kept.uses += 1;
    return () => {
      kept.uses -= 1;
    };
  }

  add(kept: Kept): void {
    this.#kept.set(kept.content, kept);
    this.#place(kept);
  }

  move(kept: Kept, key: string): void {
    if (kept.key === key) return;
    this.#unplace(kept);
    kept.key = key;
    this.#place(kept);
  }

  remove(kept: Kept): void {
    this.#kept.delete(kept.content);
    this.#unplace(kept);
  }

  #place(kept: Kept): void {
    const place = placeOf(kept.volume, kept.key);
    const there = this.#places.get(place);
    if (there === undefined) this.#places.set(place, new Set([kept]));
    else there.add(kept);
  }

  #unplace(kept: Kept): void {
    const place = placeOf(kept.volume, kept.key);
    const there = this.#places.get(place);
    there?.delete(kept);
    if (there?.size === 0) this.#places.delete(place);
  }
}
