/** What the write path asks of the store (`store/store.ts` has it all). */
import type { ContentId } from '../core/ids.ts';
import type { Disk } from '../io/io.ts';
import type { DirtyContent, DirtyNote, Staging, StagingOptions } from '../store/staging.ts';

export interface StagingStore {
  /** Throws diskFull or overloaded where there is no room, `conflict` for a content that is staged or dirty here. */
  stage(options: StagingOptions & { readonly waitMs?: number }): Promise<Staging & { sized(sizeBytes: number): void }>;
  dirty(id: ContentId): DirtyContent | undefined;
  dirtyContents(): Iterable<DirtyContent>;
  /** Journals another note, without waiting. */
  renote(id: ContentId, note: DirtyNote): void;
  /** The origin has it: it becomes ordinary cache. */
  markClean(id: ContentId): void;
  /** Frees it, once its readers are gone. */
  dropDirty(id: ContentId): void;
  readonly disk: Disk;
}
