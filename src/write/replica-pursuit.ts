/**
 * Copies that a version still lacks after its writer was answered: pursued until the record says `replicated`, again and again
 * after failures; and copies that were lost with a node, made anew by the first of those that are left. Versions with the
 * fewest copies come first. While the coordinator is away nothing is repaired (S-15).
 *
 * Bounds:  replicaRetriesInFlightMax; `bandwidth.repair` for what was lost.
 */
import type { Cluster } from '../cluster/cluster.ts';
import { blockCount } from '../core/chunk.ts';
import { isForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { replicaRetriesInFlightMax, replicaRetryMs } from '../core/limits.ts';
import type { WritePolicy } from '../core/volume.ts';
import type { Budget } from '../mover/budget.ts';
import { type CopiesNeeded, copiesNeeded } from './copies-needed.ts';
import type { CopyTraffic } from './copy-traffic.ts';
import type { DirtyKeeping } from './dirty-keeping.ts';
import { encodeNote } from './dirty-note.ts';
import type { KeptContent } from './kept-places.ts';
import type { DirtyRecord } from './object-record.ts';
import type { PeerSlots } from './peer-slots.ts';
import { Replication } from './replication.ts';

export class ReplicaPursuit {
  readonly #cluster: Cluster;
  readonly #keeping: DirtyKeeping;
  readonly #slots: PeerSlots;
  readonly #traffic: CopyTraffic;
  readonly #groupFor: (sizeBytes: number) => readonly string[];
  readonly #policyOf: (volume: string) => WritePolicy | undefined;
  readonly #repairBudget: Budget;
  readonly #underWay = new Map<ContentId, Replication>();
  /** When nodes were first missed. */
  readonly #goneMs = new Map<string, number>();
  readonly #stop = new AbortController();

  constructor(options: {
    cluster: Cluster;
    keeping: DirtyKeeping;
    slots: PeerSlots;
    traffic: CopyTraffic;
    groupFor: (sizeBytes: number) => readonly string[];
    policyOf: (volume: string) => WritePolicy | undefined;
    repairBudget: Budget;
  }) {
    this.#repairBudget = options.repairBudget;
    this.#cluster = options.cluster;
    this.#keeping = options.keeping;
    this.#slots = options.slots;
    this.#traffic = options.traffic;
    this.#groupFor = options.groupFor;
    this.#policyOf = options.policyOf;
    options.cluster.onMembers(({ members }) => {
      for (const { node } of members) this.#goneMs.delete(node);
      for (const replication of this.#underWay.values()) replication.look();
    });
  }

  async run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const slots = replicaRetriesInFlightMax - this.#underWay.size;
      for (const { kept, dirty, needed } of this.#lacking().slice(0, slots)) void this.#pursue(kept, dirty, needed);
      await this.#cluster.clock.sleep(replicaRetryMs, signal).catch(() => undefined);
    }
  }

  close(): void {
    this.#stop.abort();
    for (const replication of this.#underWay.values()) replication.stop(false);
  }

  /** How many copies of a version that is not drained live, and this node has to make; for who wants to know whether all is safe. */
  needed(kept: KeptContent): { readonly dirty: DirtyRecord; readonly needed: CopiesNeeded } | undefined {
    const dirty = kept.noted?.record.current;
    if (kept.isReplaced || kept.isForeign) return undefined;
    if (kept.noted?.revision === undefined || dirty?.kind !== 'dirty' || dirty.content !== kept.content)
      return undefined;
    const view = {
      self: this.#cluster.self,
      isMember: (node: string) => this.#cluster.member(node) !== undefined,
      goneMs: (node: string) => this.#goneFor(node),
      wanted: this.#wanted(kept.volume),
    };
    return { dirty, needed: copiesNeeded(dirty.replicas, view) };
  }

  /** Versions of which this node has to make copies, those that the fewest have first. */
  #lacking(): { kept: KeptContent; dirty: DirtyRecord; needed: CopiesNeeded }[] {
    if (!this.#cluster.mayAct() || this.#cluster.isFrozen) return [];
    const lacking: { kept: KeptContent; dirty: DirtyRecord; needed: CopiesNeeded }[] = [];
    for (const kept of this.#keeping.contents()) {
      if (kept.isUsed || this.#underWay.has(kept.content)) continue;
      const found = this.needed(kept);
      if (found === undefined || found.needed.count === 0) continue;
      if (this.#groupOf(found.dirty).length > 0) lacking.push({ kept, ...found });
    }
    return lacking.sort((a, b) => a.needed.left - b.needed.left);
  }

  #goneFor(node: string): number {
    const nowMs = this.#cluster.clock.boottimeMs();
    const sinceMs = this.#goneMs.get(node);
    if (sinceMs === undefined) this.#goneMs.set(node, nowMs);
    return nowMs - (sinceMs ?? nowMs);
  }

  #wanted(volume: string): number {
    return this.#policyOf(volume)?.replicas ?? 1;
  }

  #groupOf({ replicas, sizeBytes }: DirtyRecord): string[] {
    return this.#groupFor(sizeBytes).filter((node) => !replicas.includes(node));
  }

  async #pursue(kept: KeptContent, dirty: DirtyRecord, needed: CopiesNeeded): Promise<void> {
    const { content, chunkSizeBytes, sizeBytes, volume, key, noted } = kept;
    if (noted === undefined) return;
    const unuse = this.#keeping.use(content);
    const replication = new Replication({
      cluster: this.#cluster,
      slots: this.#slots,
      traffic: this.#traffic,
      what: { content, chunkSizeBytes, lengthBytes: sizeBytes },
      group: this.#groupOf(dirty),
      wanted: needed.count,
    });
    this.#underWay.set(content, replication);
    try {
      if (needed.isRepair) await this.#repairBudget.take(sizeBytes, this.#stop.signal);
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
      if (!isForebayError(error) && !this.#stop.signal.aborted) throw error;
    } finally {
      this.#underWay.delete(content);
      unuse();
    }
  }
}
