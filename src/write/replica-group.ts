/** Which nodes get copies of a version: decided by placement, other zones first, each zone in turn. */
import type { Member } from '../cluster/member.ts';
import type { Placement } from '../cluster/placement.ts';
import { slotOfChunk } from '../cluster/slot.ts';
import type { ContentId } from '../core/ids.ts';
import { replicasMax } from '../core/limits.ts';

/**
 * The others of a version's replica group, the first to be asked first. Of equally good ones those come first whose zone has
 * the fewest copies by then, the writer's counted, so that no zone's loss takes more copies than it must.
 */
export function replicaGroup(placement: Placement, self: { node: string; zone: string }, content: ContentId): Member[] {
  const slot = slotOfChunk({ content, chunk: 0 });
  const left = placement
    .candidates(slot, Number.POSITIVE_INFINITY, { awayFrom: self.zone })
    .filter(({ node }) => node !== self.node);
  const copies = new Map<string, number>([[self.zone, 1]]);
  const group: Member[] = [];
  while (left.length > 0 && group.length < replicasMax - 1) {
    let best = 0;
    for (let index = 1; index < left.length; index += 1)
      if ((copies.get(left[index]!.zone) ?? 0) < (copies.get(left[best]!.zone) ?? 0)) best = index;
    const [member] = left.splice(best, 1) as [Member];
    copies.set(member.zone, (copies.get(member.zone) ?? 0) + 1);
    group.push(member);
  }
  return group;
}
