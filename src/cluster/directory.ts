/**
 * What the owner of a slot knows of its chunks, and where it sends those who ask (DESIGN.md section 5). Soft state: it is
 * rebuilt from members' reports after a takeover, and forgetting costs a refill at most, never bytes.
 *
 * Flow: a reader sends `locate(chunks)` in batches. For each chunk it is told to pull from a node, to fill from the
 * origin, or to wait. Who waits is parked: a `Grant` follows as soon as there is a source, without being asked again; the
 * `ms` of a wait is only for when that message was lost. Whoever pulls or fills serves others from then on, block by
 * block. At the end it reports `done` or `failed`; together: locate, answer, at most one grant, one report.
 */
import type { ChunkRef } from './chunk-ref.ts';
import type { Slot } from './slot.ts';

/** Why a chunk that the origin was read for before is read again (S-11; counted as `originRefills`). */
export type RefillReason = 'fillFailed' | 'fillTimedOut' | 'fillerLeft' | 'holdersLeft' | 'holdersFailed' | 'dropped';

export type Located =
  /** Pull it from this node; it has the chunk or is getting it, and serves blocks as they arrive. */
  | { readonly kind: 'pull'; readonly from: string }
  /** Read it from the origin: you are the only one. `refill`: it was read before; count it with this reason. */
  | { readonly kind: 'fill'; readonly refill?: RefillReason }
  /** A grant will come. Ask again when none has come for `ms`. */
  | { readonly kind: 'wait'; readonly ms: number };

/** An answer to somebody who was told to wait; goes to `node` as a message. */
export interface Grant {
  readonly node: string;
  readonly ref: ChunkRef;
  readonly answer: Located;
}

export interface Asker {
  readonly node: string;
  readonly zone: string;
}

/**
 * `unreachable`, `timeout`, `corrupt`, `notHeld`, `overloaded` blame the source that was pulled from; `origin`: the fill
 * failed; `cancelled`: the asker wants it no longer.
 */
export type FailureReason = 'unreachable' | 'timeout' | 'corrupt' | 'notHeld' | 'overloaded' | 'origin' | 'cancelled';

export type Outcome =
  | { readonly ref: ChunkRef; readonly kind: 'done' }
  | { readonly ref: ChunkRef; readonly kind: 'failed'; readonly reason: FailureReason; readonly source?: string };

/** The deciding part of an owner. Methods that free something return grants, which the caller sends. */
export interface DirectoryDecider {
  /** The members changed: those who left are forgotten, as holders, fillers and waiters. */
  members(nowMs: number, nodes: readonly Asker[]): readonly Grant[];
  /** One answer per chunk, in order. Asking again for what one is already pulling or filling means that it failed. */
  locate(nowMs: number, asker: Asker, refs: readonly ChunkRef[]): readonly Located[];
  /** The ends of pulls and fills. */
  report(nowMs: number, node: string, outcomes: readonly Outcome[]): readonly Grant[];
  /** What a member holds whole: sent to a new owner. `last`: this was all that it holds of the slots asked for at `epoch`. */
  held(nowMs: number, node: string, refs: readonly ChunkRef[], last?: { epoch: number }): readonly Grant[];
  /** A member evicted or dropped these. */
  dropped(nowMs: number, node: string, refs: readonly ChunkRef[]): readonly Grant[];
  /** These slots are ours since `epoch`; `from` are the members that will report what they hold of them. */
  takeOver(nowMs: number, epoch: number, slots: readonly Slot[], from: readonly string[]): void;
  /** These slots are no longer ours. */
  handOver(slots: readonly Slot[]): void;
  /** Ends leases that have timed out. Call it at `nextMs()`, or every second. */
  tick(nowMs: number): readonly Grant[];
  /** When `tick` has something to do; `undefined`: never, as things are. */
  nextMs(): number | undefined;
  /** Who has a chunk, for `explain`. */
  holders(ref: ChunkRef): readonly { node: string; state: 'whole' | 'pulling' | 'filling'; from?: string }[];
}
