/**
 * What nodes say and send to each other (DESIGN.md section 6), as an interface: the real transport is in `io/real/`, the
 * simulated one in `sim/`. Small control messages are calls; bytes move only by `pull`: a reader from a holder, a replica
 * from the writer, a gather from many.
 */
import type { Address } from '../core/address.ts';
import type { ContentId } from '../core/ids.ts';
import type { File } from './io.ts';

export type Json = string | number | boolean | null | readonly Json[] | { readonly [name: string]: Json | undefined };

/** A control message; `type` names the decider that it is for. */
export interface PeerMessage {
  readonly type: string;
  readonly [name: string]: Json | undefined;
}

/** How a peer is reached: its name, which a data request is signed for, and its advertised address. */
export interface PeerEndpoint {
  readonly node: string;
  readonly address: Address;
}

export interface BlockRequest {
  readonly content: ContentId;
  readonly sizeBytes: number;
  /** Blocks `[first, first + count)` of the content. */
  readonly first: number;
  readonly count: number;
}

/** Consecutive blocks that are here, with the CRC32 of each. Release it exactly once, whatever happened. */
export interface BlockRun {
  readonly first: number;
  readonly checksums: readonly number[];
  /** Where the blocks' bytes are: in `file` at the blocks' own place, or in memory. */
  readonly source:
    | { readonly kind: 'file'; readonly file: File }
    | { readonly kind: 'bytes'; readonly bytes: Uint8Array };
  release(damaged?: boolean): void;
}

/** What a node does for its peers. Errors are `ForebayError`s; the asker gets the same code. */
export interface PeerService {
  call(from: string, message: PeerMessage, signal: AbortSignal): Promise<Json>;
  /**
   * The blocks asked for, in ascending order without gaps, each as soon as it is here: blocks that are under way are
   * waited for. Throws `notHeld` when a block is neither here nor under way, `overloaded` when all upload slots are taken.
   */
  blocks(from: string, request: BlockRequest, signal: AbortSignal): AsyncIterable<BlockRun>;
}

export interface Pull extends BlockRequest {
  readonly from: PeerEndpoint;
  /** Blocks are written here at their own place before `onBlock`; without it their bytes are handed to `onBlock`. */
  readonly into: File | undefined;
  /** The pull fails with `peerTimeout` when no byte comes for this long. */
  readonly idleMs: number;
  readonly signal: AbortSignal;
  /** Nobody waits for these bytes: where the processor is short, others come first. */
  readonly isPatient?: boolean;
  /** A block came, whole and with the right checksum. In ascending order; the next is not reported before this settles. */
  onBlock(block: number, checksum: number, bytes: Uint8Array | undefined): void | Promise<void>;
}

export interface PeerOptions {
  /** This node's name. Requests signed for another node are refused. */
  readonly node: string;
  readonly cluster: string;
  readonly address: Address;
  /** The first signs; all are accepted, so that a secret can be replaced while the cluster runs. Read anew for each connection. */
  readonly secrets: () => readonly Uint8Array[];
  /** `tls`: data is encrypted too, and leaves by Node's streams. */
  readonly transport: 'plain' | 'tls';
  readonly service: PeerService;
  /** A peer or a stranger was turned away: `secret`, `unkeyed`, `replayed`, `plain`, `malformed`, `otherNode`, `otherCluster`. */
  onRefused(reason: string): void;
}

export interface PeerCallOptions {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
  /** It is asked whether the peer is there at all: it waits for no other calls to the peer but such. */
  readonly isProbe?: boolean | undefined;
}

export interface PeerTransport {
  /** The address it listens at; port 0 is resolved. */
  readonly address: Address;
  /** One message and its answer. Rejects with the peer's error, or `peerUnreachable`, `peerTimeout`, `peerRefused`. */
  call(to: PeerEndpoint, message: PeerMessage, options: PeerCallOptions): Promise<Json>;
  /**
   * Gets blocks from a holder. Rejects with the holder's error (`notHeld`, `overloaded`), `peerCorrupt` when a checksum is
   * wrong, `peerUnreachable`, `peerTimeout`, `peerRefused`, the disk's error, or the signal's reason; blocks reported by
   * then are good.
   */
  pull(pull: Pull): Promise<void>;
  /** Forgets pooled connections to a peer that has left. */
  forget(node: string): void;
  close(): Promise<void>;
}

/** Listens for peers and speaks to them. Rejects with the system's error where the address cannot be had. */
export type ListenPeers = (options: PeerOptions) => Promise<PeerTransport>;
