/**
 * This node as a holder: gives peers the blocks that are here, and those that are on their way as they arrive.
 */
import { abortable } from '../core/abortable.ts';
import { BLOCK_SIZE_BYTES, blockCount } from '../core/chunk.ts';
import { ForebayError } from '../core/errors.ts';
import { type ContentId, parseContentId } from '../core/ids.ts';
import type { BlockRequest, BlockRun } from '../io/peers.ts';
import type { Store } from '../store/store.ts';
import { itemsOf, textOf } from './chunk-wire.ts';
import type { Cluster } from './cluster.ts';

export interface HolderOptions {
  readonly cluster: Cluster;
  readonly store: Store;
  /** A block that is on its way here: settles when it was stored, or will not come. `undefined`: it is not. */
  readonly arriving: (id: ContentId, block: number) => Promise<void> | undefined;
  /** A peer begins to get blocks of this chunk from here. Returns what is called at the end, with whether all went out. */
  readonly onServe: (id: ContentId, reader: string, chunk: number) => (isWhole: boolean) => void;
}

export class Holder {
  readonly #store: Store;
  readonly #arriving: HolderOptions['arriving'];
  readonly #onServe: HolderOptions['onServe'];
  readonly #checking = new Set<ContentId>();

  constructor({ cluster, store, arriving, onServe }: HolderOptions) {
    this.#store = store;
    this.#arriving = arriving;
    this.#onServe = onServe;
    cluster.serveBlocks((from, request, signal) => this.#blocks(from, request, signal));
    cluster.handle('blocks.suspect', async (_from, message) => {
      for (const item of itemsOf(message)) await this.#check(textOf(item));
      return null;
    });
  }

  async *#blocks(from: string, request: BlockRequest, signal: AbortSignal): AsyncGenerator<BlockRun> {
    const { content, sizeBytes } = request;
    const end = request.first + request.count;
    const hold = this.#store.holdKnown(content, sizeBytes);
    if (hold === undefined || end > blockCount(sizeBytes))
      throw new ForebayError('notHeld', `nothing of ${content} is here`);
    const chunk = Math.floor((request.first * BLOCK_SIZE_BYTES) / hold.chunkSizeBytes);
    let at = request.first;
    const served = this.#onServe(content, from, chunk);
    try {
      let waited = -1;
      while (at < end) {
        signal.throwIfAborted();
        const run = await this.#store.acquireBlocks(content, { first: at, count: end - at }, sizeBytes);
        if (run !== undefined) {
          at += run.checksums.length;
          yield run;
          continue;
        }
        const arriving = waited === at ? undefined : this.#arriving(content, at);
        if (arriving === undefined) throw new ForebayError('notHeld', `block ${at} of ${content} is not here`);
        waited = at;
        await abortable(arriving, signal).catch((error: unknown) => {
          signal.throwIfAborted();
          throw new ForebayError('notHeld', `block ${at} of ${content} does not come`, { cause: error });
        });
      }
    } finally {
      served(at >= end);
      hold.release();
    }
  }

  /** A peer got other bytes from here than their checksums say: what is wrong here is dropped. */
  async #check(text: string): Promise<void> {
    const id = parseContentId(text);
    if (id === undefined || this.#checking.has(id)) return;
    this.#checking.add(id);
    try {
      await this.#store.verify(id, 'check');
    } catch {
      // A disk that fails shows itself by its own events.
    } finally {
      this.#checking.delete(id);
    }
  }
}
