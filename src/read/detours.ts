/**
 * The way round to an origin that this node cannot reach (S-13): another member is asked to bring a chunk to itself, from
 * where this node then pulls it, or to ask the origin for a version or a page of a listing.
 *
 * For a while after its own way failed a node goes round at once, and brings nothing for others: when the origin is away for
 * everybody, each node finds out for itself about once in `detourMemoryMs`.
 *
 * Bounds:  `detourPeersMax` members asked for one thing, one after another; `detoursServedMax` things brought for others.
 */

import type { Cluster } from '../cluster/cluster.ts';
import { SETTLED } from '../core/abortable.ts';
import { type ErrorCode, ForebayError, isForebayError } from '../core/errors.ts';
import { detourAfterMs, detourAskMs, detourMemoryMs, detourPeersMax, detoursServedMax } from '../core/limits.ts';
import type { Random } from '../io/io.ts';
import type { Json, PeerMessage } from '../io/peers.ts';

export type DetourKind = 'chunk' | 'head' | 'list';

/** How others are asked to ask the origin, and what their answer means. */
interface Round<T> {
  readonly kind: DetourKind;
  readonly message: PeerMessage;
  readonly read: (answer: Json) => T;
}

export class Detours {
  readonly #cluster: Cluster;
  readonly #random: Random;
  /** Volumes whose origin this node could not reach → until when it does not try. */
  readonly #away = new Map<string, number>();
  /** Volumes → the member that reached the origin last. */
  readonly #known = new Map<string, string>();
  #served = 0;

  constructor(options: { cluster: Cluster; random: Random }) {
    this.#cluster = options.cluster;
    this.#random = options.random;
  }

  /** This node's own way failed a moment ago. */
  isAway(volume: string): boolean {
    return (this.#away.get(volume) ?? Number.NEGATIVE_INFINITY) > this.#cluster.clock.boottimeMs();
  }

  /** This node asked the origin itself, and it did or did not answer. */
  tried(volume: string, reached: boolean): void {
    if (reached) this.#away.delete(volume);
    else this.#away.set(volume, this.#cluster.clock.boottimeMs() + detourMemoryMs);
  }

  /**
   * Asks the origin, or, where this node cannot, another member for it: also when the origin has been silent for
   * `detourAfterMs`, then whoever answers first. Rejects with this node's own error.
   */
  async origin<T>(volume: string, own: () => Promise<T>, round: Round<T>): Promise<T> {
    if (!this.isAway(volume)) return this.#ownOrRound(volume, own(), round);
    const answer = await this.ask(volume, round, { deadlineMs: detourAskMs });
    return answer === undefined ? this.#watched(volume, own()) : round.read(answer);
  }

  /** What a member answered that could; `undefined` when none did. Rejects with the signal's reason. */
  async ask(
    volume: string,
    { kind, message }: { kind: DetourKind; message: PeerMessage },
    how: { deadlineMs: number; signal?: AbortSignal },
  ): Promise<Json | undefined> {
    const { clock, emit } = this.#cluster;
    const untilMs = clock.boottimeMs() + how.deadlineMs;
    for (const peer of this.#peers(volume)) {
      const begunMs = clock.boottimeMs();
      if (begunMs >= untilMs) return undefined;
      const told = (code: ErrorCode | 'ok') =>
        emit({ kind: 'origin.detour', volume, what: kind, peer, code, ms: clock.boottimeMs() - begunMs });
      try {
        const answer = await this.#cluster.call(peer, message, { ...how, deadlineMs: untilMs - begunMs });
        this.#known.set(volume, peer);
        told('ok');
        return answer;
      } catch (error) {
        how.signal?.throwIfAborted();
        if (!isForebayError(error)) throw error;
        if (this.#known.get(volume) === peer) this.#known.delete(volume);
        told(error.code);
      }
    }
    return undefined;
  }

  /** Does for a peer what this node can: throws originUnavailable when it has no way itself, overloaded beyond the bound. */
  async serve<T>(volume: string, work: () => Promise<T>): Promise<T> {
    if (this.isAway(volume))
      throw new ForebayError('originUnavailable', `${this.#cluster.self} cannot reach it either`);
    if (this.#served >= detoursServedMax)
      throw new ForebayError('overloaded', `${detoursServedMax} things are being brought for other nodes`);
    this.#served += 1;
    try {
      return await work();
    } finally {
      this.#served -= 1;
    }
  }

  async #ownOrRound<T>(volume: string, asked: Promise<T>, round: Round<T>): Promise<T> {
    const { clock } = this.#cluster;
    const own = this.#watched(volume, asked);
    const settled = new AbortController();
    own.then(
      () => settled.abort(SETTLED),
      () => settled.abort(SETTLED),
    );
    const isSilent = await clock.sleep(detourAfterMs, settled.signal).then(
      () => true,
      () => false,
    );
    if (!isSilent) {
      try {
        return await own;
      } catch (error) {
        if (!isForebayError(error, 'originUnavailable')) throw error;
      }
    } else this.tried(volume, false);
    const answer = this.ask(volume, round, { deadlineMs: detourAskMs });
    const others = answer.then((got) => (got === undefined ? own : round.read(got)));
    return isSilent ? Promise.any([own, others]).catch(() => own) : others;
  }

  /** Remembers whether the origin answered. */
  async #watched<T>(volume: string, own: Promise<T>): Promise<T> {
    try {
      const result = await own;
      this.tried(volume, true);
      return result;
    } catch (error) {
      if (isForebayError(error, 'originUnavailable')) this.tried(volume, false);
      throw error;
    }
  }

  /** Who is asked: the one that could last time, then others at random. */
  #peers(volume: string): string[] {
    const { members, self } = this.#cluster;
    const others = members.members.map(({ node }) => node).filter((node) => node !== self);
    const chosen: string[] = [];
    const known = others.indexOf(this.#known.get(volume) ?? '');
    if (known >= 0) chosen.push(...others.splice(known, 1));
    while (others.length > 0 && chosen.length < detourPeersMax)
      chosen.push(...others.splice(Math.floor(this.#random.fraction() * others.length), 1));
    return chosen;
  }
}
