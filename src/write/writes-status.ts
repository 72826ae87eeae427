/** What a node says of its part in fan-out writes, per volume. */
import type { Cluster } from '../cluster/cluster.ts';
import type { Volume, WritePolicy } from '../core/volume.ts';
import type { DirtyKeeping } from './dirty-keeping.ts';
import type { KeptContent } from './kept-places.ts';

export interface Amount {
  readonly objects: number;
  readonly bytes: number;
}

export interface WritesStatus extends WritePolicy {
  /** Held here, committed, and not in the origin. */
  readonly dirty: Amount;
  /** Of these, what this node wrote and no other has: the loss of this node's disk loses it. */
  readonly exposed: Amount;
  /** Held here for its readers only: another version, a delete or a decision took its place. */
  readonly replaced: Amount;
  /** Held here and not known to be committed: about to be, or left over. */
  readonly uncommitted: Amount;
  /** Fewer nodes are there than the volume wants copies. */
  readonly isDegraded: boolean;
  /** What an acknowledged write survives. */
  readonly safeAgainst: string;
}

interface Counted {
  dirty: { objects: number; bytes: number };
  exposed: { objects: number; bytes: number };
  replaced: { objects: number; bytes: number };
  uncommitted: { objects: number; bytes: number };
}

/** Of volumes that are staged. */
export function writesStatus(
  volumes: Iterable<Volume>,
  { keeping, cluster }: { keeping: DirtyKeeping; cluster: Cluster },
): ReadonlyMap<string, WritesStatus> {
  const counted = new Map<string, Counted>();
  for (const { name, writes } of volumes)
    if (writes !== undefined)
      counted.set(name, { dirty: none(), exposed: none(), replaced: none(), uncommitted: none() });
  for (const kept of keeping.contents()) {
    const counts = counted.get(kept.volume);
    if (counts === undefined) continue;
    if (kept.isReplaced) {
      count(counts.replaced, kept);
      continue;
    }
    count(kept.noted?.revision === undefined ? counts.uncommitted : counts.dirty, kept);
    if (isExposed(kept, cluster.self)) count(counts.exposed, kept);
  }
  const { members } = cluster.members;
  const status = new Map<string, WritesStatus>();
  for (const { name, writes } of volumes)
    if (writes !== undefined) {
      const isDegraded = members.length < writes.replicas;
      const safeAgainst = survives(writes, members.length);
      status.set(name, { ...writes, ...(counted.get(name) as Counted), isDegraded, safeAgainst });
    }
  return status;
}

const none = () => ({ objects: 0, bytes: 0 });

function count(amount: { objects: number; bytes: number }, { sizeBytes }: KeptContent): void {
  amount.objects += 1;
  amount.bytes += sizeBytes;
}

function isExposed({ noted, content }: KeptContent, self: string): boolean {
  const current = noted?.record.current;
  if (noted?.revision === undefined || current?.kind !== 'dirty' || current.content !== content) return false;
  return current.replicas.length === 1 && current.replicas[0] === self;
}

/** In words, as `forebay status` shows it. */
function survives({ ack, replicas }: WritePolicy, members: number): string {
  const copies = Math.min(replicas, Math.max(members, 1));
  const losses = copies - 1;
  const nodes = `${losses === 1 ? 'the loss of any node' : `the loss of any ${losses} nodes`} or disk${losses === 1 ? '' : 's'}`;
  const later = copies === 1 ? 'the loss of the node only once drained' : `${nodes} once replicated`;
  if (ack === 'origin') return 'the loss of the cluster';
  if (ack === 'local') return `a killed daemon at once, ${later}`;
  if (copies < replicas)
    return `${copies === 1 ? 'a killed daemon' : nodes} (degraded: ${members} of ${replicas} nodes are there)`;
  return nodes;
}
