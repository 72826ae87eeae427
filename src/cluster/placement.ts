/**
 * Which node owns what (DESIGN.md section 5): chunk → slot → nodes by rendezvous weighted by capacity. Every node with
 * the same members computes the same answer, whatever memberships it saw before.
 */
import type { ChunkRef } from './chunk-ref.ts';
import type { Member, Members } from './member.ts';

/** 1 of 16,384 hash classes of chunks. */
export type Slot = number;
export const SLOTS = 16_384;

/** A slot that another node owns since the last `update`. `undefined`: nobody owned it, nobody does. */
export interface SlotMove {
  readonly slot: Slot;
  readonly from: string | undefined;
  readonly to: string | undefined;
}

export interface PlacementTable {
  /** The epoch of the members last given. */
  readonly epoch: number;
  /** Takes a new membership and tells which slots moved, in slot order. Costs what changed: a join 16,384 hashes. */
  update(members: Members): readonly SlotMove[];
  owner(slot: Slot): Member | undefined;
  /** The best `count` members for a slot, best first. `awayFrom`: those outside this zone come before those in it. */
  candidates(slot: Slot, count: number, options?: { awayFrom?: string }): readonly Member[];
}

/** The slot of a chunk: its owner keeps the directory of the chunk's holders. */
export type SlotOfChunk = (ref: ChunkRef) => Slot;
/** The slot of a key's parent directory: its owner is the owner of the object's metadata, and deals its broadcasts. */
export type SlotOfDirectory = (volume: string, key: string) => Slot;
