/**
 * For whom this node stands in. While the owner of a slot does not answer, and until the membership knows that it is gone,
 * the slot's second candidate by rendezvous answers for it: the same node that owns the slot when the owner has left, so
 * what it learns until then stays of use.
 *
 * What a directory knows is soft: an owner that is only out of this node's reach, and a deputy, both answering, cost a chunk
 * one more read of the origin at most. A deputyship ends when the owner says hello, when the membership changes, and after
 * `deputyMs`; whoever asks then lets it begin anew.
 */
import { deputyMs } from '../core/limits.ts';
import type { Slot } from './slot.ts';

interface Post {
  readonly slots: readonly Slot[];
  readonly untilMs: number;
}

export class Deputyships {
  readonly #posts = new Map<string, Post>();
  readonly #slots = new Set<Slot>();

  get owners(): readonly string[] {
    return [...this.#posts.keys()];
  }

  isFor(owner: string): boolean {
    return this.#posts.has(owner);
  }

  covers(slot: Slot): boolean {
    return this.#slots.has(slot);
  }

  begin(nowMs: number, owner: string, slots: readonly Slot[]): void {
    this.end(owner);
    this.#posts.set(owner, { slots, untilMs: nowMs + deputyMs });
    for (const slot of slots) this.#slots.add(slot);
  }

  /** The slots that are answered for no longer. */
  end(owner: string): readonly Slot[] {
    const slots = this.#posts.get(owner)?.slots ?? [];
    this.#posts.delete(owner);
    for (const slot of slots) this.#slots.delete(slot);
    return slots;
  }

  endAll(): readonly Slot[] {
    return this.owners.flatMap((owner) => this.end(owner));
  }

  /** Ends those whose time is over, and those whose owner `isBack`. */
  tick(nowMs: number, isBack: (owner: string) => boolean): readonly Slot[] {
    const over = [...this.#posts].filter(([owner, { untilMs }]) => nowMs >= untilMs || isBack(owner));
    return over.flatMap(([owner]) => this.end(owner));
  }
}
