/**
 * A content that is being written here, or pulled here as a replica of one that is. Its bytes go to the content's own
 * file at once, so that peers can pull them while the rest still comes; nobody else sees it before it is sealed.
 */
import type { ContentId } from '../core/ids.ts';
import type { Range } from '../core/range.ts';
import type { File, ReceivedSlice } from '../io/io.ts';
import type { Receiving } from './block-transfer.ts';
import type { Reservation } from './space.ts';

export interface StagingOptions {
  readonly id: ContentId;
  readonly chunkSizeBytes: number;
  /** The exact length, where it is known: reserved at once. Without it space is reserved as it is needed, `stagedReserveBytes` at a time at most. */
  readonly lengthBytes?: number;
  /** Without room on the disk: wait for `stagedWaitMs` (default), or fail at once with diskFull. */
  readonly onFull?: 'block' | 'fail';
  /** It is a copy of what another node writes: what this node's own clients wait for comes first. */
  readonly isCopy?: boolean;
  /** Called for every block that is whole, in the order in which they become so. */
  readonly onBlock?: (block: number) => void;
  readonly signal?: AbortSignal;
}

/** What is kept with a sealed content, so that a restart, and `forebay recover`, know whose it is. */
export interface DirtyNote {
  readonly volume: string;
  readonly key: string;
  /** The record (`write/object-record.ts`) as JSON, opaque to the store. */
  readonly record: Uint8Array;
}

export interface DirtyContent extends DirtyNote {
  readonly id: ContentId;
  readonly sizeBytes: number;
  readonly chunkSizeBytes: number;
}

export interface Sealed {
  readonly sizeBytes: number;
  /** SHA-256, in hex, of the CRC32s of the blocks, little-endian, in order. */
  readonly table: string;
}

/**
 * Writes bytes into a content's file. `stored`: a slice was written at its place, up to a multiple of BLOCK_SIZE_BYTES or the
 * range's end; in order. What is not stored when it settles never is.
 */
export type ReceiveRange = (file: File, stored: (slice: ReceivedSlice) => void) => Promise<void>;

/**
 * Ends with `seal` or `abandon`, exactly one. Errors: diskFull, diskUnavailable, DiskError, and `overloaded` where no room was had
 * in time.
 */
export interface Staging {
  readonly id: ContentId;
  readonly reservation: Reservation;
  /** Bytes at a place; calls may overlap in time, not in place (a later one for the same place wins). The buffer is free again when the promise resolves. */
  write(position: number, bytes: Uint8Array): Promise<void>;
  /** For blocks that a puller writes: as `Store.receive`. */
  receive(block: number): Promise<Receiving>;
  /** For bytes of a client, which somebody else writes: a range that nobody writes meanwhile, as with `write`. */
  receiveRange(range: Range, receive: ReceiveRange): Promise<void>;
  /** Blocks that are whole, ascending. */
  wholeBlocks(): Iterable<number>;
  hasBlock(block: number): boolean;
  /** The length is known from now on, so that the last block, a short one, can be received and given to peers. `sum` does it too. */
  sized(sizeBytes: number): void;
  /** All bytes are here: sums up what is left, and cuts off what lies beyond. Still not durable. Throws incompleteBody where bytes lack. */
  sum(sizeBytes: number): Promise<Sealed>;
  /** After `sum`: syncs the bytes, then journals content and note and syncs that. From then on it is dirty: never evicted, there after a restart (S-3, S-4). */
  seal(note: DirtyNote): Promise<void>;
  /** Frees it at once. */
  abandon(): void;
}
