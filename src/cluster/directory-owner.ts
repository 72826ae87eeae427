/**
 * This node as the owner of slots: answers where chunks are, sends grants to those who wait, and takes slots over when the
 * membership changes, and before that, as a deputy, when their owner does not answer. What it decides is in `directory.ts`.
 */
import { directoryTickMs } from '../core/limits.ts';
import type { Json, PeerMessage } from '../io/peers.ts';
import { type ChunkRef, chunkName } from './chunk-ref.ts';
import {
  answerToWire,
  countOf,
  fieldsOf,
  itemsOf,
  listOf,
  outcomeFromWire,
  refFromWire,
  type WireAnswer,
} from './chunk-wire.ts';
import type { Cluster } from './cluster.ts';
import { Deputyships } from './deputyships.ts';
import type { Asker, DirectoryDecider, Grant } from './directory.ts';
import type { Members } from './member.ts';
import type { SlotMove } from './placement.ts';
import { type Slot, slotOfChunk } from './slot.ts';

export class DirectoryOwner {
  readonly #cluster: Cluster;
  readonly #decider: DirectoryDecider;
  readonly #deputyships = new Deputyships();

  constructor(cluster: Cluster, decider: DirectoryDecider) {
    this.#cluster = cluster;
    this.#decider = decider;
    cluster.handle('directory.locate', (from, message) => this.#locate(from, message));
    cluster.handle('directory.report', (from, message) => this.#report(from, message));
    cluster.handle('directory.holders', (_from, message) => this.#holders(message));
    cluster.handle('directory.held', (from, message) => this.#held(from, message));
    cluster.onMembers((members, moves) => this.#changed(members, moves));
  }

  /** Ends leases that have timed out, until the cluster closes. */
  async run(): Promise<void> {
    const { clock, closing } = this.#cluster;
    for (;;) {
      await clock.sleep(directoryTickMs, closing);
      const nowMs = clock.boottimeMs();
      this.#decider.handOver(this.#deputyships.tick(nowMs, (owner) => !this.#cluster.hellos.isSilent(owner)));
      this.#send(this.#decider.tick(nowMs));
    }
  }

  /** Who has each of these chunks; nothing for those that are not ours. */
  #holders(message: PeerMessage): Json {
    const refs = listOf(message['refs']).map(refFromWire);
    return refs.map((ref) => (this.#isOurs(ref) ? this.#decider.holders(ref).map(({ node }) => node) : []));
  }

  #isOurs(ref: ChunkRef): boolean {
    const slot = slotOfChunk(ref);
    return this.#cluster.placement.owner(slot)?.node === this.#cluster.self || this.#deputyships.covers(slot);
  }

  /** `owner`: the asker gets no answer from that one. */
  async #locate(from: string, message: PeerMessage): Promise<Json> {
    const refs = listOf(message['refs']).map(refFromWire);
    const { owner } = message;
    if (typeof owner === 'string' && this.#cluster.mayAct()) await this.#standIn(owner);
    if (!this.#cluster.mayAct()) return refs.map(() => ({ kind: 'notOwner' }));
    const ours = refs.filter((ref) => this.#isOurs(ref));
    const asker: Asker = { node: from, zone: this.#cluster.member(from)?.zone ?? '' };
    const located = this.#decider.locate(this.#cluster.clock.boottimeMs(), asker, ours);
    const answers = new Map<string, WireAnswer>(
      ours.map((ref, index) => [chunkName(ref), located[index] ?? { kind: 'notOwner' }]),
    );
    return refs.map((ref) => answerToWire(answers.get(chunkName(ref)) ?? { kind: 'notOwner' }));
  }

  #report(from: string, message: PeerMessage): Json {
    const outcomes = itemsOf(message)
      .map(outcomeFromWire)
      .filter(({ ref }) => this.#isOurs(ref));
    this.#send(this.#decider.report(this.#cluster.clock.boottimeMs(), from, outcomes));
    return null;
  }

  #held(from: string, message: PeerMessage): Json {
    for (const item of itemsOf(message)) {
      const { refs, filling, last } = fieldsOf(item);
      const oursOf = (list: Json) =>
        listOf(list)
          .map(refFromWire)
          .filter((ref) => this.#isOurs(ref));
      const ours = oursOf(refs ?? []);
      const nowMs = this.#cluster.clock.boottimeMs();
      if (filling !== undefined) this.#send(this.#decider.filling(nowMs, from, oursOf(filling)));
      const grants =
        last === undefined
          ? this.#decider.held(nowMs, from, ours)
          : this.#decider.held(nowMs, from, ours, { epoch: countOf(last) });
      this.#send(grants);
    }
    return null;
  }

  /** Stands in for a member, unless it says hello to this node. */
  async #standIn(owner: string): Promise<void> {
    const { hellos, placement, members, self, clock } = this.#cluster;
    if (owner === self || this.#deputyships.isFor(owner) || this.#cluster.member(owner) === undefined) return;
    if (await hellos.isThere(owner)) return;
    // the membership may have changed, and another asker have come first
    if (this.#cluster.members.epoch !== members.epoch || this.#deputyships.isFor(owner)) return;
    const slots = placement.slotsOf(owner, self);
    if (slots.length === 0) return;
    const nowMs = clock.boottimeMs();
    this.#deputyships.begin(nowMs, owner, slots);
    // who does not speak with this node tells it nothing, and is not waited for
    const others = members.members
      .map(({ node }) => node)
      .filter((node) => node !== owner && !hellos.isSilent(node) && this.#cluster.troubleWith(node) === undefined);
    this.#decider.takeOver(nowMs, members.epoch, slots, others);
    for (const node of others) this.#cluster.tell(node, 'directory.deputy', { owner });
    this.#cluster.emit({ kind: 'directory.deputy', owner, slots: slots.length });
  }

  #changed({ epoch, members }: Members, moves: readonly SlotMove[]): void {
    const { self, clock } = this.#cluster;
    const nowMs = clock.boottimeMs();
    const { placement } = this.#cluster;
    const gone: Slot[] = this.#deputyships.endAll().filter((slot) => placement.owner(slot)?.node !== self);
    const come: Slot[] = [];
    for (const { slot, from, to } of moves) {
      if (from === self) gone.push(slot);
      if (to === self) come.push(slot);
    }
    if (gone.length > 0) this.#decider.handOver(gone);
    const askers = members.map(({ node, zone }) => ({ node, zone }));
    const grants = this.#decider.members(nowMs, askers);
    if (come.length > 0)
      this.#decider.takeOver(
        nowMs,
        epoch,
        come,
        members.map(({ node }) => node),
      );
    this.#send(grants);
  }

  #send(grants: readonly Grant[]): void {
    for (const { node, ref, answer } of grants)
      this.#cluster.tell(node, 'directory.grant', { ref: chunkName(ref), answer: answerToWire(answer) });
  }
}
