/**
 * Which node owns what (DESIGN.md section 5): slot → nodes by rendezvous weighted by capacity. Every node with the same
 * members computes the same table, whatever memberships it saw before.
 *
 * A node's distance from a slot is −ln(u) / capacity with u a hash of both; the nearest owns it (weighted rendezvous,
 * Schindelhauer and Schomaker 2005). A membership change touches only what changes: a join measures its own 16,384
 * distances, a leave looks for new owners of the leaver's slots. Since −ln(u) ≥ 1 − u, most distances are known to be
 * too great without a logarithm: 1,000 nodes from nothing take tens of milliseconds.
 */
import type { Member, Members } from './member.ts';
import { hashText, mix32, SLOTS, type Slot } from './slot.ts';

/** A slot that has another owner since the last `update`. `undefined`: nobody owned it, or nobody does now. */
export interface SlotMove {
  readonly slot: Slot;
  readonly from: string | undefined;
  readonly to: string | undefined;
}

interface Placed {
  readonly member: Member;
  readonly weight: number;
  readonly hash: number;
  readonly hash2: number;
}

const SLOT_HASHES = Uint32Array.from({ length: SLOTS }, (_, slot) => mix32(slot + 0x5bd1e995));

/** Uniform in (0, 1): `u` of a node and a slot. */
function draw(node: Placed, slot: number): number {
  let h = Math.imul((SLOT_HASHES[slot] as number) ^ node.hash, 0x85ebca6b);
  h = Math.imul((h ^ (h >>> 15)) + node.hash2, 0xc2b2ae35);
  h = Math.imul(h ^ (h >>> 13), 0x27d4eb2f);
  return (((h ^ (h >>> 16)) >>> 0) + 0.5) / 0x1_0000_0000;
}

const distance = (node: Placed, slot: number): number => -Math.log(draw(node, slot)) / node.weight;

export class Placement {
  #epoch = 0;
  readonly #nodes = new Map<string, Placed>();
  readonly #owners: (Placed | undefined)[] = Array.from({ length: SLOTS }, () => undefined);
  readonly #distances = new Float64Array(SLOTS).fill(Number.POSITIVE_INFINITY);

  /** The epoch of the members last given. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Takes a new membership and tells which slots have another owner, in slot order. Names are unique in it. */
  update({ epoch, members }: Members): readonly SlotMove[] {
    this.#epoch = epoch;
    const before = this.#owners.map((owner) => owner?.member.node);
    const staying = this.#takeOut(members);
    const joined: Placed[] = [];
    for (const member of members) {
      const known = this.#nodes.get(member.node);
      const placed = place(member);
      this.#nodes.set(member.node, placed);
      if (known === undefined) joined.push(placed);
    }
    this.#renew();
    for (let slot = 0; slot < SLOTS; slot++)
      if (this.#owners[slot] === undefined) for (const node of staying) this.#offer(slot, node);
    for (const node of joined) for (let slot = 0; slot < SLOTS; slot++) this.#offer(slot, node);
    const moves: SlotMove[] = [];
    for (let slot = 0; slot < SLOTS; slot++) {
      const to = this.#owners[slot]?.member.node;
      if (to !== before[slot]) moves.push({ slot: slot as Slot, from: before[slot], to });
    }
    return moves;
  }

  owner(slot: Slot): Member | undefined {
    return this.#owners[slot]?.member;
  }

  /** Who owns the slot when its owner has left, and stands in for one that does not answer. */
  deputy(slot: Slot): Member | undefined {
    const owner = this.#owners[slot];
    let best: { node: Placed; far: number } | undefined;
    for (const node of this.#nodes.values()) {
      if (node.member.node === owner?.member.node) continue;
      const u = draw(node, slot);
      if (best !== undefined && 1 - u > best.far * node.weight) continue;
      const far = -Math.log(u) / node.weight;
      if (best === undefined || far < best.far || (far === best.far && byName(node, best.node) < 0))
        best = { node, far };
    }
    return best?.node.member;
  }

  /** The slots of an owner for which `deputy` would stand in. */
  slotsOf(owner: string, deputy: string): readonly Slot[] {
    const slots: Slot[] = [];
    for (let slot = 0; slot < SLOTS; slot++)
      if (this.#owners[slot]?.member.node === owner && this.deputy(slot as Slot)?.node === deputy)
        slots.push(slot as Slot);
    return slots;
  }

  /**
   * The best `count` members for a slot, best first; the first is the owner unless zones say otherwise. `awayFrom`: members
   * outside of this zone come before those in it.
   */
  candidates(slot: Slot, count: number, options: { awayFrom?: string } = {}): readonly Member[] {
    const isNear = ({ member }: Placed) => options.awayFrom !== undefined && member.zone === options.awayFrom;
    return [...this.#nodes.values()]
      .map((node) => ({ node, near: isNear(node) ? 1 : 0, far: distance(node, slot) }))
      .sort((a, b) => a.near - b.near || a.far - b.far || byName(a.node, b.node))
      .slice(0, count)
      .map(({ node }) => node.member);
  }

  /** Forgets who left or has another capacity now, and frees their slots; returns who stays as it is. */
  #takeOut(members: readonly Member[]): Placed[] {
    const now = new Map(members.map((member) => [member.node, member]));
    for (const [name, { weight }] of this.#nodes) {
      const member = now.get(name);
      if (member === undefined || weightOf(member) !== weight) this.#nodes.delete(name);
    }
    for (let slot = 0; slot < SLOTS; slot++) {
      const owner = this.#owners[slot];
      if (owner === undefined || this.#nodes.has(owner.member.node)) continue;
      this.#owners[slot] = undefined;
      this.#distances[slot] = Number.POSITIVE_INFINITY;
    }
    return [...this.#nodes.values()];
  }

  /** Owners that stayed may have a new session or address. */
  #renew(): void {
    for (let slot = 0; slot < SLOTS; slot++) {
      const owner = this.#owners[slot];
      if (owner !== undefined) this.#owners[slot] = this.#nodes.get(owner.member.node);
    }
  }

  #offer(slot: number, node: Placed): void {
    const best = this.#distances[slot] as number;
    const u = draw(node, slot);
    if (1 - u > best * node.weight) return;
    const far = -Math.log(u) / node.weight;
    const owner = this.#owners[slot];
    if (far > best || (far === best && owner !== undefined && byName(owner, node) < 0)) return;
    this.#owners[slot] = node;
    this.#distances[slot] = far;
  }
}

const weightOf = (member: Member): number => Math.max(member.capacityBytes, 1);

function place(member: Member): Placed {
  return { member, weight: weightOf(member), hash: hashText(member.node), hash2: hashText(member.node, 0x9747b28c) };
}

const byName = (a: Placed, b: Placed): number => (a.member.node < b.member.node ? -1 : 1);
