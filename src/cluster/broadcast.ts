/**
 * The words of a broadcast (DESIGN.md section 7): one content goes to many nodes at the same time over dealt links. The
 * owner of the object's metadata runs the dealer (`broadcast-dealer.ts`), each node that wants it a member
 * (`broadcast-member.ts`). Both are pure: events in, actions out; the caller sends the messages and moves the bytes.
 *
 * Chunks are their indexes in the one content. All types here travel as JSON.
 */

/** Member → dealer. */
export type MemberReport =
  /** First message. `have`: chunks that are here already, as ranges `[start, end)`. `bytesPerS`: the node's speed where known. */
  | { readonly kind: 'join'; readonly have: readonly (readonly [number, number])[]; readonly bytesPerS?: number }
  | { readonly kind: 'leave' }
  /** Everything is here. The member stays as a seed until it is dismissed. */
  | { readonly kind: 'finished' }
  | { readonly kind: 'speed'; readonly bytesPerS: number }
  | { readonly kind: 'filled'; readonly chunk: number }
  | { readonly kind: 'fillFailed'; readonly chunk: number; readonly reason: string }
  /** A source does not answer, or sent wrong bytes. */
  | { readonly kind: 'badSource'; readonly source: string; readonly reason: LinkFailure };

/** Dealer → member. */
export type DealerOrder =
  /** All its links, instead of those before. A higher `version` wins over a lower one. */
  | {
      readonly kind: 'links';
      readonly version: number;
      readonly sources: readonly string[];
      readonly readers: readonly string[];
    }
  /** Read these from the origin. */
  | { readonly kind: 'fill'; readonly chunks: readonly number[] }
  /** Do not read this one any longer: somebody else does. */
  | { readonly kind: 'stopFill'; readonly chunk: number }
  /** Nobody lacks anything, or the broadcast was given up: leave. What is missing comes by the directory. */
  | { readonly kind: 'dismissed' };

export type LinkFailure = 'unreachable' | 'timeout' | 'corrupt' | 'notHeld';

/** What the dealer wants sent. */
export interface DealerAction {
  readonly to: string;
  readonly order: DealerOrder;
}

export type MemberAction =
  /** Pull this chunk from this source. A source serves one chunk per reader at a time, and queues one. */
  | { readonly kind: 'request'; readonly source: string; readonly chunk: number }
  /** Give up a request. */
  | { readonly kind: 'cancel'; readonly source: string; readonly chunk: number }
  /** Read it from the origin. */
  | { readonly kind: 'fill'; readonly chunk: number }
  | { readonly kind: 'stopFill'; readonly chunk: number }
  /** Tell a reader what is here; `all`: instead of what it was told before. Ranges `[start, end)`. */
  | {
      readonly kind: 'announce';
      readonly to: string;
      readonly have: readonly (readonly [number, number])[];
      readonly all: boolean;
    }
  | { readonly kind: 'tell'; readonly report: MemberReport };

/** What the owner of the metadata does for one content. */
export interface BroadcastDealer {
  report(nowMs: number, member: string, report: MemberReport): readonly DealerAction[];
  /** A node is dead or has left the cluster. */
  lost(nowMs: number, member: string): readonly DealerAction[];
  /** Deals anew where there was a change, takes back tokens of fills that hang. */
  tick(nowMs: number): readonly DealerAction[];
  nextMs(): number | undefined;
  /** Nobody takes part any longer. */
  readonly ended: boolean;
  /** For `warm`'s progress. */
  status(): { members: number; finished: number; filled: number; chunks: number };
}

/** What a node that wants the content does. */
export interface BroadcastMember {
  join(nowMs: number): readonly MemberAction[];
  order(nowMs: number, order: DealerOrder): readonly MemberAction[];
  /** A source told what it has. */
  announced(
    nowMs: number,
    source: string,
    have: readonly (readonly [number, number])[],
    all: boolean,
  ): readonly MemberAction[];
  /** Bytes came from a source or the origin: for the node's speed. Call it per block. */
  received(nowMs: number, bytes: number): readonly MemberAction[];
  /** A chunk is here whole, from wherever. */
  arrived(nowMs: number, chunk: number): readonly MemberAction[];
  /** A chunk that was here is no longer (evicted, found damaged). */
  dropped(nowMs: number, chunk: number): readonly MemberAction[];
  failed(nowMs: number, source: string, chunk: number, reason: LinkFailure): readonly MemberAction[];
  fillFailed(nowMs: number, chunk: number, reason: string): readonly MemberAction[];
  /** A reader asked for a chunk; its bytes have all left, or it gave up. For telling readers no more than they need. */
  asked(nowMs: number, reader: string, chunk: number): readonly MemberAction[];
  served(nowMs: number, reader: string, chunk: number): readonly MemberAction[];
  /** What streaming readers here need next, first first; taken before anything else. */
  window(nowMs: number, chunks: readonly number[]): readonly MemberAction[];
  leave(nowMs: number): readonly MemberAction[];
  readonly finished: boolean;
}
