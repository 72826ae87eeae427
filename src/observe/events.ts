/**
 * What happens, as data. One call of `emit` per business event feeds both the log and the metrics (`observe/sinks.ts`),
 * and the trace of the simulator. Sizes are bytes, durations milliseconds.
 */
import type { ErrorCode } from '../core/errors.ts';

/** Why bytes that a holder had, or could have had, were read from the origin again. */
export type RefillReason =
  | 'evicted'
  | 'corrupt'
  | 'disk-full'
  | 'disk-unavailable'
  | 'owner-away'
  | 'fill-failed'
  | 'fill-timed-out'
  | 'filler-left'
  | 'holders-left'
  | 'holders-failed'
  | 'dropped';
export type DropReason = 'stale' | 'corrupt' | 'evict' | 'caller';

export type Event =
  | {
      readonly kind: 'node.ready';
      readonly name: string;
      readonly version: string;
      /** `s3=127.0.0.1:7070 admin=127.0.0.1:7073`. */
      readonly doors: string;
      readonly ms: number;
    }
  | { readonly kind: 'node.warning'; readonly message: string }
  | {
      readonly kind: 'cluster.changed';
      /** The membership epoch that began. */
      readonly epoch: number;
      readonly members: number;
      /** Names, separated by spaces. */
      readonly joined: string;
      readonly left: string;
    }
  /** This node answers for slots of a member that does not. */
  | { readonly kind: 'directory.deputy'; readonly owner: string; readonly slots: number }
  | { readonly kind: 'cluster.frozen'; readonly message: string }
  | { readonly kind: 'cluster.thawed' }
  | { readonly kind: 'session.lost'; readonly message: string }
  | { readonly kind: 'session.begun'; readonly session: string }
  | { readonly kind: 'node.stopping'; readonly reason: string }
  | { readonly kind: 'node.stopped'; readonly ms: number }
  | {
      readonly kind: 'object.opened';
      readonly volume: string;
      readonly key: string;
      readonly source: 'fact' | 'origin' | 'record' | 'stale';
    }
  | { readonly kind: 'object.changed'; readonly volume: string; readonly key: string; readonly content: string }
  | {
      readonly kind: 'read.done';
      readonly volume: string;
      readonly bytes: number;
      readonly hitBytes: number;
      readonly ms: number;
    }
  | {
      readonly kind: 'fill.begun';
      readonly volume: string;
      readonly key: string;
      readonly start: number;
      readonly end: number;
    }
  | {
      readonly kind: 'fill.done';
      readonly volume: string;
      readonly key: string;
      readonly bytes: number;
      readonly ms: number;
    }
  | {
      readonly kind: 'fill.failed';
      readonly volume: string;
      readonly key: string;
      readonly code: ErrorCode;
      readonly message: string;
    }
  | {
      readonly kind: 'pull.done';
      readonly peer: string;
      readonly content: string;
      readonly bytes: number;
      readonly ms: number;
    }
  | {
      readonly kind: 'pull.failed';
      readonly peer: string;
      readonly content: string;
      readonly code: ErrorCode;
      readonly message: string;
    }
  | { readonly kind: 'peer.refused'; readonly reason: string }
  /** A value that its holder had promised was not there, though no client deleted it and the holder answers: never to happen (S-10). */
  | { readonly kind: 'kv.missed'; readonly volume: string; readonly key: string; readonly holder: string }
  /** A member does not take this node for one of its cluster: nothing is asked of it until it does (`peer.reconciled`). */
  | { readonly kind: 'peer.estranged'; readonly peer: string; readonly message: string }
  | { readonly kind: 'peer.reconciled'; readonly peer: string }
  | { readonly kind: 'origin.refill'; readonly volume: string; readonly reason: RefillReason; readonly bytes: number }
  | {
      readonly kind: 'origin.request';
      readonly origin: string;
      readonly operation: string;
      readonly ms: number;
      readonly bytes: number;
      readonly code: ErrorCode | 'ok' | 'aborted';
    }
  | {
      readonly kind: 'origin.retry';
      readonly origin: string;
      readonly operation: string;
      readonly attempt: number;
      readonly code: ErrorCode;
    }
  | {
      /** A member was asked to reach an origin for this node, which cannot (S-13). */
      readonly kind: 'origin.detour';
      readonly volume: string;
      readonly what: 'chunk' | 'head' | 'list';
      readonly peer: string;
      readonly code: ErrorCode | 'ok';
      readonly ms: number;
    }
  | { readonly kind: 'origin.away'; readonly volume: string; readonly message: string }
  | { readonly kind: 'origin.back'; readonly volume: string }
  | {
      readonly kind: 'store.opened';
      readonly contents: number;
      readonly bytes: number;
      readonly ms: number;
      readonly unclean: boolean;
    }
  | { readonly kind: 'store.dropped'; readonly content: string; readonly bytes: number; readonly reason: DropReason }
  | {
      readonly kind: 'store.corrupt';
      readonly content: string;
      readonly block: number;
      readonly found: 'read' | 'first-use' | 'scrub' | 'check';
    }
  | { readonly kind: 'store.orphan'; readonly path: string }
  | { readonly kind: 'journal.damaged'; readonly path: string; readonly offset: number; readonly lost: number }
  | { readonly kind: 'disk.ejected'; readonly path: string; readonly message: string }
  | { readonly kind: 'disk.readmitted'; readonly path: string }
  | { readonly kind: 'disk.full'; readonly path: string; readonly message: string }
  | {
      readonly kind: 'write.done';
      readonly volume: string;
      readonly key: string;
      readonly bytes: number;
      readonly ms: number;
    }
  | {
      /** As many nodes have it as the volume wants; `ms` after it was committed. */
      readonly kind: 'write.replicated';
      readonly volume: string;
      readonly key: string;
      readonly bytes: number;
      readonly ms: number;
    }
  | {
      /** Too few nodes could be found for an acknowledgement at `replicated`: what the volume does instead. */
      readonly kind: 'write.degraded';
      readonly volume: string;
      readonly key: string;
      readonly replicas: number;
      readonly wanted: number;
      readonly instead: 'origin' | 'local';
    }
  | { readonly kind: 'write.deleted'; readonly volume: string; readonly key: string }
  /** This node looks after a volume: it finalises, drains and repairs (`drain/keeper.ts`). */
  | { readonly kind: 'keeper.begun'; readonly volume: string; readonly token: number }
  | { readonly kind: 'keeper.ended'; readonly volume: string }
  | {
      readonly kind: 'drain.done';
      readonly volume: string;
      readonly key: string;
      readonly what: 'object' | 'tombstone';
      readonly bytes: number;
      /** Since this keeper heard of the version. */
      readonly ms: number;
    }
  /** It is tried again by itself. */
  | {
      readonly kind: 'drain.failed';
      readonly volume: string;
      readonly key: string;
      readonly code: ErrorCode;
      readonly message: string;
    }
  /** It stays here, and somebody has to decide: `forebay conflicts`. */
  | {
      readonly kind: 'drain.trouble';
      readonly volume: string;
      readonly key: string;
      readonly trouble: 'refused' | 'conflict' | 'lost';
      readonly message: string;
    }
  | {
      readonly kind: 'door.request';
      readonly door: string;
      readonly operation: string;
      readonly status: number;
      readonly bytes: number;
      readonly ms: number;
    }
  /** An answer broke off midway, not by its client's doing. */
  | { readonly kind: 'door.broken'; readonly door: string; readonly message: string }
  | { readonly kind: 'door.refused'; readonly door: string; readonly reason: string };

export type Emit = (event: Event) => void;
