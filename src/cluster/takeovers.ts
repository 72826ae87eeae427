/**
 * Slots that came from another owner, until every member has told what it holds of them, or has left, or `takeoverMs` have
 * passed: what nobody named by then is taken for absent.
 */
import type { Slot } from './slot.ts';

interface Takeover {
  readonly epoch: number;
  readonly slots: Set<Slot>;
  readonly from: Set<string>;
  readonly untilMs: number;
}

export class Takeovers {
  #open: Takeover[] = [];

  begin({
    epoch,
    slots,
    from,
    untilMs,
  }: {
    epoch: number;
    slots: readonly Slot[];
    from: readonly string[];
    untilMs: number;
  }): void {
    const taken = new Set(slots);
    this.drop(taken);
    this.#open.push({ epoch, slots: taken, from: new Set(from), untilMs });
    this.#close();
  }

  isSettling(slot: Slot): boolean {
    return this.#open.some(({ slots }) => slots.has(slot));
  }

  /** A member has told all that it holds, as of this epoch. True when that ended a takeover. */
  reported(node: string, epoch: number): boolean {
    for (const takeover of this.#open) if (takeover.epoch <= epoch) takeover.from.delete(node);
    return this.#close();
  }

  /** These are the members now: nothing comes from others. */
  members(nodes: readonly string[]): boolean {
    const alive = new Set(nodes);
    for (const { from } of this.#open) for (const node of from) if (!alive.has(node)) from.delete(node);
    return this.#close();
  }

  drop(gone: ReadonlySet<Slot>): void {
    for (const { slots } of this.#open) for (const slot of gone) slots.delete(slot);
    this.#close();
  }

  tick(nowMs: number): boolean {
    const before = this.#open.length;
    this.#open = this.#open.filter(({ untilMs }) => untilMs > nowMs);
    return this.#open.length < before;
  }

  nextMs(): number | undefined {
    return this.#open.length === 0 ? undefined : Math.min(...this.#open.map(({ untilMs }) => untilMs));
  }

  #close(): boolean {
    const before = this.#open.length;
    this.#open = this.#open.filter(({ slots, from }) => slots.size > 0 && from.size > 0);
    return this.#open.length < before;
  }
}
