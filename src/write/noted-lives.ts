/** What a node has noted of records, compared at its start with the life of the records that there are (`record-lineage.ts`). */
import type { Emit } from '../observe/events.ts';
import type { Kept } from './kept-places.ts';
import type { RecordLineage } from './record-lineage.ts';

/**
 * Marks what is noted of another life, and returns the name of this one; a new one where the coordinator is behind what was noted of it.
 * Rejects as `Coordinator`.
 */
export async function judgeNotes(
  all: () => readonly Kept[],
  { lineage, emit }: { readonly lineage: RecordLineage; readonly emit: Emit },
): Promise<string> {
  const { id: found, revision } = await lineage.read();
  let id = found;
  const newest = Math.max(0, ...all().map(({ noted }) => (noted?.lineage === id && noted.revision) || 0));
  if (newest > revision) {
    const message = `the coordinator is at revision ${revision}, and this node has noted ${newest}: it was set back to an older state`;
    emit({ kind: 'node.warning', message });
    ({ id } = await lineage.renew(id));
  }
  let foreign = 0;
  for (const kept of all()) {
    const { noted } = kept;
    if (noted?.revision === undefined) continue;
    // what a record names, as the feed has told in this life, is known
    kept.isForeign = kept.isUnheard && (noted.lineage === undefined ? noted.revision > revision : noted.lineage !== id);
    if (kept.isForeign) foreign += 1;
  }
  if (foreign > 0) {
    const message = `the coordinator lost what it knew of ${foreign} objects that are kept here: those that it does not name stay; run forebay recover`;
    emit({ kind: 'node.warning', message });
  }
  return id;
}
