/**
 * Copies that a version still lacks after its writer was answered: pursued until the record says `replicated`, again and again
 * after failures, versions with the fewest copies first. What the loss of a node takes is the keeper's to repair; this is for
 * what never had its copies.
 */
import type { Cluster } from '../cluster/cluster.ts';
import { blockCount } from '../core/chunk.ts';
import { isForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { replicaRetriesInFlightMax, replicaRetryMs } from '../core/limits.ts';
import type { WritePolicy } from '../core/volume.ts';
import type { DirtyKeeping, KeptContent } from './dirty-keeping.ts';
import { encodeNote } from './dirty-note.ts';
import type { DirtyRecord } from './object-record.ts';
import type { PeerSlots } from './peer-slots.ts';
import { replicaGroup } from './replica-group.ts';
import { Replication } from './replication.ts';

export class ReplicaPursuit {
  readonly #cluster: Cluster;
  readonly #keeping: DirtyKeeping;
  readonly #slots: PeerSlots;
  readonly #policyOf: (volume: string) => WritePolicy | undefined;
  readonly #underWay = new Map<ContentId, Replication>();
  readonly #stop = new AbortController();

  constructor(options: {
    cluster: Cluster;
    keeping: DirtyKeeping;
    slots: PeerSlots;
    policyOf: (volume: string) => WritePolicy | undefined;
  }) {
    this.#cluster = options.cluster;
    this.#keeping = options.keeping;
    this.#slots = options.slots;
    this.#policyOf = options.policyOf;
    options.cluster.onMembers(() => {
      for (const replication of this.#underWay.values()) replication.look();
    });
  }

  async run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      for (const { kept, dirty } of this.#lacking().slice(0, replicaRetriesInFlightMax - this.#underWay.size))
        void this.#pursue(kept, dirty);
      await this.#cluster.clock.sleep(replicaRetryMs, signal).catch(() => undefined);
    }
  }

  close(): void {
    this.#stop.abort();
    for (const replication of this.#underWay.values()) replication.stop(false);
  }

  /** This node's own versions that too few nodes have, those that the fewest have first. */
  #lacking(): { kept: KeptContent; dirty: DirtyRecord }[] {
    const lacking: { kept: KeptContent; dirty: DirtyRecord }[] = [];
    for (const kept of this.#keeping.contents()) {
      const dirty = kept.noted?.record.current;
      if (kept.noted?.revision === undefined || dirty?.kind !== 'dirty' || dirty.content !== kept.content) continue;
      if (dirty.replicas[0] !== this.#cluster.self || this.#underWay.has(kept.content)) continue;
      if (kept.isUsed || dirty.replicas.length >= this.#wanted(kept.volume)) continue;
      if (this.#groupOf(kept.content, dirty).length > 0) lacking.push({ kept, dirty });
    }
    return lacking.sort((a, b) => a.dirty.replicas.length - b.dirty.replicas.length);
  }

  #wanted(volume: string): number {
    return this.#policyOf(volume)?.replicas ?? 1;
  }

  #groupOf(content: ContentId, { replicas }: DirtyRecord): string[] {
    const { placement, self, zone } = this.#cluster;
    return replicaGroup(placement, { node: self, zone }, content)
      .map(({ node }) => node)
      .filter((node) => !replicas.includes(node));
  }

  async #pursue(kept: KeptContent, dirty: DirtyRecord): Promise<void> {
    const { content, chunkSizeBytes, sizeBytes, volume, key, noted } = kept;
    if (noted === undefined) return;
    const unuse = this.#keeping.use(content);
    const replication = new Replication({
      cluster: this.#cluster,
      slots: this.#slots,
      what: { content, chunkSizeBytes, lengthBytes: sizeBytes },
      group: this.#groupOf(content, dirty),
      wanted: this.#wanted(volume) - dirty.replicas.length,
    });
    this.#underWay.set(content, replication);
    try {
      for (let block = 0; block < blockCount(sizeBytes); block += 1) replication.whole(block);
      const { session } = this.#cluster;
      const note = encodeNote(volume, key, { record: noted.record, session });
      replication.seal({ sizeBytes, table: dirty.table, note, bytes: undefined });
      await replication.settled;
      const added = replication.sealed.map(({ node, fence }) => ({ node, fence: [fence] }));
      const isWanted = added.length === 0 || (await this.#keeping.addReplicas(kept, added));
      replication.stop(!isWanted);
    } catch (error) {
      replication.stop(false);
      // the coordinator is away, or a node lives another life: what was sealed there answers the next time at once
      if (!isForebayError(error)) throw error;
    } finally {
      this.#underWay.delete(content);
      unuse();
    }
  }
}
