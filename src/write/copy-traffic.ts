/**
 * What this node sends to replicas, and for whom it makes way. Bytes that only one node has go first: while any of them leave
 * from here, what merely drains waits (`turn`), for the two share this node's link and both would be late.
 *
 * Bounds:  `drainYieldMs` for one stretch of copying, so that a job that never stops writing, or a replica that hangs, does not hold
 *          the drain for ever; none at all once the disk is short of room, which only the drain makes.
 */
import { abortable, SETTLED } from '../core/abortable.ts';
import { copyLingerMs, copyMemoryMs, drainYieldLookMs, drainYieldMs } from '../core/limits.ts';
import type { Clock } from '../io/io.ts';

/** What one node was given lately. */
interface Load {
  /** Of copies that it does not have whole yet. */
  owedBytes: number;
  /** Of all that it was asked to take, fading. */
  recentBytes: number;
  atMs: number;
}

export class CopyTraffic {
  readonly #clock: Pick<Clock, 'boottimeMs' | 'sleep'>;
  readonly #isShortOfRoom: () => boolean;
  readonly #loads = new Map<string, Load>();
  #underWay = 0;
  /** The stretch of copying that goes on, or was the last: since when, and when its last message ended. */
  #sinceMs = Number.NEGATIVE_INFINITY;
  #endedMs = Number.NEGATIVE_INFINITY;
  #idle = Promise.withResolvers<void>();

  constructor(options: { clock: Pick<Clock, 'boottimeMs' | 'sleep'>; isShortOfRoom: () => boolean }) {
    this.#clock = options.clock;
    this.#isShortOfRoom = options.isShortOfRoom;
  }

  /** Counts as bytes that leave from here until `message` settles. */
  async during<T>(message: Promise<T>): Promise<T> {
    this.#begin();
    try {
      return await message;
    } finally {
      this.#end();
    }
  }

  /** Resolves when bytes that are safe already may leave from here. Rejects with the signal's reason. */
  async turn(signal: AbortSignal): Promise<void> {
    for (let waitMs = this.#holdsForMs(); waitMs > 0; waitMs = this.#holdsForMs()) {
      const over = new AbortController();
      const late = this.#clock.sleep(waitMs, over.signal).catch(() => undefined);
      const idle = this.#underWay === 0 ? [] : [this.#idle.promise];
      await abortable(Promise.race([...idle, late]), signal).finally(() => over.abort(SETTLED));
    }
  }

  /** A node was chosen for a copy; returns what to call once it has it, or never will. */
  owed(node: string, bytes: number): () => void {
    const load = this.#faded(node);
    load.owedBytes += bytes;
    load.recentBytes += bytes;
    let isOwed = true;
    return () => {
      if (isOwed) load.owedBytes -= bytes;
      isOwed = false;
    };
  }

  /** Bytes that a node was given by this one: those that it does not have yet count twice. */
  loadOf(node: string): number {
    if (!this.#loads.has(node)) return 0;
    const { owedBytes, recentBytes } = this.#faded(node);
    return owedBytes + recentBytes;
  }

  /** Nodes that are no more are forgotten. */
  keepOnly(isMember: (node: string) => boolean): void {
    for (const node of Array.from(this.#loads.keys())) if (!isMember(node)) this.#loads.delete(node);
  }

  #faded(node: string): Load {
    const nowMs = this.#clock.boottimeMs();
    const known = this.#loads.get(node);
    if (known === undefined) {
      const load = { owedBytes: 0, recentBytes: 0, atMs: nowMs };
      this.#loads.set(node, load);
      return load;
    }
    known.recentBytes *= 0.5 ** ((nowMs - known.atMs) / copyMemoryMs);
    known.atMs = nowMs;
    return known;
  }

  #begin(): void {
    const nowMs = this.#clock.boottimeMs();
    if (this.#underWay === 0 && nowMs > this.#endedMs + copyLingerMs) this.#sinceMs = nowMs;
    this.#underWay += 1;
  }

  #end(): void {
    this.#underWay -= 1;
    if (this.#underWay > 0) return;
    this.#endedMs = this.#clock.boottimeMs();
    this.#idle.resolve();
    this.#idle = Promise.withResolvers();
  }

  /** For how long it is not worth looking again; 0: nothing is held. A new message soon after the last is of the same stretch. */
  #holdsForMs(): number {
    const nowMs = this.#clock.boottimeMs();
    const leftMs = this.#sinceMs + drainYieldMs - nowMs;
    if (leftMs <= 0 || this.#isShortOfRoom()) return 0;
    if (this.#underWay > 0) return Math.min(leftMs, drainYieldLookMs);
    return Math.max(0, Math.min(leftMs, this.#endedMs + copyLingerMs - nowMs));
  }
}
