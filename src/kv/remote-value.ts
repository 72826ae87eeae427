/** A value of another node, opened here. Its first blocks are on their way from the start; its bytes pass through memory. */
import type { Cluster } from '../cluster/cluster.ts';
import { BLOCK_SIZE_BYTES, blockCount } from '../core/chunk.ts';
import { isForebayError } from '../core/errors.ts';
import type { Range } from '../core/range.ts';
import type { Piece } from '../store/piece.ts';
import { BlockStream } from './block-stream.ts';
import type { RemoteFact } from './key-finder.ts';
import type { OpenValue, ValueFact } from './kv.ts';

export interface RemoteValueOptions {
  readonly cluster: Cluster;
  readonly remote: RemoteFact;
  readonly onClose?: () => void;
}

export class RemoteValue implements OpenValue {
  readonly fact: ValueFact;
  readonly hot: Uint8Array | undefined;
  readonly #options: RemoteValueOptions;
  #stream: BlockStream | undefined;
  #isClosed = false;

  constructor(options: RemoteValueOptions) {
    const { fact, bytes } = options.remote;
    this.#options = options;
    this.fact = fact;
    this.hot = bytes ?? (fact.sizeBytes === 0 ? new Uint8Array(0) : undefined);
    if (this.hot === undefined) this.#stream = this.#open(0, blockCount(fact.sizeBytes));
  }

  /** Resolves when its first bytes are here: false where the holder does not have them (any more), or does not answer. */
  async arrives(signal: AbortSignal): Promise<boolean> {
    try {
      await this.#stream?.ready(signal);
      return true;
    } catch (error) {
      signal.throwIfAborted();
      if (!isForebayError(error)) throw error;
      return false;
    }
  }

  async *pieces(range: Range, signal: AbortSignal): AsyncGenerator<Piece> {
    if (range.end <= range.start) return;
    if (this.hot !== undefined) {
      yield pieceOf(this.hot.subarray(range.start, range.end));
      return;
    }
    const first = Math.floor(range.start / BLOCK_SIZE_BYTES);
    const end = blockCount(range.end);
    const begun = first === 0 ? this.#stream : undefined;
    if (begun === undefined) this.#stream?.close();
    // a stream is read once: another range, or the same again, opens its own
    this.#stream = undefined;
    const stream = begun ?? this.#open(first, end);
    try {
      for (let block = first; block < end; block++) {
        const bytes = (await stream.next(signal)) as Uint8Array;
        const at = block * BLOCK_SIZE_BYTES;
        yield pieceOf(bytes.subarray(Math.max(0, range.start - at), Math.min(bytes.length, range.end - at)));
      }
    } finally {
      stream.close();
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#stream?.close();
    this.#options.onClose?.();
  }

  #open(first: number, end: number): BlockStream {
    const { cluster, remote } = this.#options;
    const { content, sizeBytes } = remote.fact;
    return new BlockStream({ cluster, node: remote.node, content, sizeBytes, first, end, promisedMs: remote.endMs });
  }
}

const pieceOf = (bytes: Uint8Array): Piece => ({ kind: 'bytes', bytes, release: () => undefined });
