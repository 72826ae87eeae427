/**
 * When a version was committed, for the order of S-7. The revision of its record says so only until the record is
 * rewritten (a level reached, an upload begun, a trouble found): whoever rewrites or replaces one takes its values from here.
 */
import type { DirtyRecord, ObjectRecord, Tombstone } from './object-record.ts';

type Pending = DirtyRecord | Tombstone;

/** The version that the origin does not have yet; `undefined` where it has everything. */
export function pendingOf(record: ObjectRecord | undefined): Pending | undefined {
  const current = record?.current;
  if (current?.kind === 'dirty') return current;
  return current?.kind === 'tombstone' && !current.drained ? current : undefined;
}

/** The revision that committed the version; `revision` is the record's. */
export function committedRevision(version: Pending, revision: number): number {
  return version.committedRevision ?? revision;
}

/** The revision since which the origin lacks something of the key. */
export function dirtySince(version: Pending, revision: number): number {
  return version.dirtySince ?? committedRevision(version, revision);
}

/** The same version with other facts about it. */
export function restated<V extends Pending>(version: V, revision: number, changes: Partial<V>): V {
  return { ...version, committedRevision: committedRevision(version, revision), ...changes };
}

/** What a new version says of the one that it replaces: `{ ...version, ...succeeding(before, revision) }`. */
export function succeeding(before: ObjectRecord | undefined, revision: number): { dirtySince?: number } {
  const replaced = pendingOf(before);
  return replaced === undefined ? {} : { dirtySince: dirtySince(replaced, revision) };
}
