/**
 * The words of a broadcast (DESIGN.md section 7): one content goes to many nodes at the same time over dealt links. The
 * owner of the object's metadata runs the dealer (`broadcast-dealer.ts`), each node that wants it a member
 * (`broadcast-member.ts`). Both are pure: events in, actions out; the caller sends the messages and moves the bytes.
 *
 * Chunks are their indexes in the one content. All types here travel as JSON; lists of chunks travel as ranges.
 */
import type { ChunkRange } from './chunk-set.ts';

/** Sources and readers of a node. */
export const LINKS_PER_NODE = 4;

/** Member → dealer. */
export type MemberReport =
  /** First message. `have`: chunks that are here already. `bytesPerS`: the node's speed where it is known. */
  | { readonly kind: 'join'; readonly have: readonly ChunkRange[]; readonly bytesPerS?: number }
  | { readonly kind: 'leave' }
  /** Everything is here. The member stays as a seed until it is dismissed. */
  | { readonly kind: 'finished' }
  /** What came over its link lately. `atLeast`: it may be faster, its sources had no more to give. */
  | { readonly kind: 'speed'; readonly bytesPerS: number; readonly atLeast: boolean }
  | { readonly kind: 'filled'; readonly chunk: number }
  /** A chunk that this node filled has been copied by another one. */
  | { readonly kind: 'copied'; readonly chunk: number; readonly by: string }
  /** `changed`: the origin has another version now; the broadcast ends. */
  | { readonly kind: 'fillFailed'; readonly chunk: number; readonly reason: FillFailure }
  /** A source does not answer, or sent wrong bytes. */
  | { readonly kind: 'badSource'; readonly source: string; readonly reason: LinkFailure }
  /** No source has had anything for a while. */
  | { readonly kind: 'starved'; readonly lacks: readonly ChunkRange[] };

/** Dealer → member. */
export type DealerOrder =
  /** All its links, instead of those before. A lower `version` than the last is out of date. */
  | {
      readonly kind: 'links';
      readonly version: number;
      readonly sources: readonly string[];
      readonly readers: readonly string[];
    }
  /** Read this one from the origin. */
  | { readonly kind: 'fill'; readonly chunk: number }
  /** Do not read this one any longer: somebody else does. */
  | { readonly kind: 'stopFill'; readonly chunk: number }
  /** Nobody lacks anything, or the broadcast was given up: leave. What is missing comes by the directory. */
  | { readonly kind: 'dismissed' };

export type LinkFailure = 'unreachable' | 'timeout' | 'corrupt' | 'notHeld';
export type FillFailure = 'origin' | 'changed';

/** What the dealer wants sent. */
export interface DealerAction {
  readonly to: string;
  readonly order: DealerOrder;
}

/** What a member wants done. */
export type MemberAction =
  /** Pull this chunk from this source. A source serves one chunk per reader at a time, and queues one. */
  | { readonly kind: 'request'; readonly source: string; readonly chunk: number }
  /** Give up a request. */
  | { readonly kind: 'cancel'; readonly source: string; readonly chunk: number }
  /** Read it from the origin. */
  | { readonly kind: 'fill'; readonly chunk: number }
  | { readonly kind: 'stopFill'; readonly chunk: number }
  /**
   * Tell a reader what is here or being filled here: it may ask for that at once, and gets the blocks as they come. `all`: instead of
   * what it was told before.
   */
  | { readonly kind: 'announce'; readonly to: string; readonly have: readonly ChunkRange[]; readonly all: boolean }
  /** Tell the dealer. */
  | { readonly kind: 'tell'; readonly report: MemberReport };
