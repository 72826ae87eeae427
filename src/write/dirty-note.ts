/**
 * What is kept beside a content that the origin does not have (`DirtyNote.record`), so that a restart, and `forebay
 * recover`, know whose it is and whether it may still be committed.
 */
import { isForebayError } from '../core/errors.ts';
import type { DirtyNote } from '../store/staging.ts';
import type { ObjectRecord } from './object-record.ts';

export interface NotedRecord {
  /** As it was committed, or as it was to be. */
  readonly record: ObjectRecord;
  /** The life of the writer's daemon: only while it lasts can the content still be committed. */
  readonly session: string;
  /** The coordinator's revision of the commit; absent: none is known of. */
  readonly revision?: number;
  /** Of which life of the records the revision is (`record-lineage.ts`); absent: it was not known, or an older daemon noted it. */
  readonly lineage?: string;
}

export function encodeNote(volume: string, key: string, noted: NotedRecord): DirtyNote {
  return { volume, key, record: Buffer.from(JSON.stringify(noted)) };
}

/** `undefined` for what no version of ours has written. */
export function decodeNote(note: DirtyNote): NotedRecord | undefined {
  try {
    const value = JSON.parse(Buffer.from(note.record).toString('utf8')) as Partial<NotedRecord> | null;
    if (typeof value?.session !== 'string' || typeof value.record !== 'object') return undefined;
    return value as NotedRecord;
  } catch (error) {
    if (error instanceof SyntaxError || isForebayError(error)) return undefined;
    throw error;
  }
}
