/**
 * Pulls: blocks from other nodes, within this node's slots and bandwidth, and its own blocks to others within theirs
 * (DESIGN.md section 6). Which node to ask is decided above (`cluster/`, `read/`).
 *
 * Bounds:  `pullsMax` pulls under way and `peerUploadsMax` uploads; pulls beyond wait in order, uploads beyond are refused with
 *          `overloaded`, for the asker knows other holders.
 * Errors:  as `PeerTransport.pull`.
 */

import { blocksRange } from '../core/chunk.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { peerIdleMs, peerUploadsMax, pullsMax } from '../core/limits.ts';
import { Places } from '../core/places.ts';
import { rangeLength } from '../core/range.ts';
import type { Clock } from '../io/io.ts';
import type { BlockRequest, BlockRun, PeerTransport, Pull } from '../io/peers.ts';
import type { Emit } from '../observe/events.ts';
import type { Budget } from './budget.ts';

export interface MoverOptions {
  readonly transport: () => PeerTransport;
  readonly clock: Clock;
  readonly emit: Emit;
  /** What this node may receive from peers. */
  readonly budget: Budget;
}

export type PullWant = Omit<Pull, 'idleMs'>;

/** Where a node's own blocks come from when a peer asks: see `PeerService.blocks`. */
export type ServeBlocks = (from: string, request: BlockRequest, signal: AbortSignal) => AsyncIterable<BlockRun>;

export class Mover {
  readonly #options: MoverOptions;
  readonly #pulls = new Places(pullsMax);
  #uploads = 0;

  constructor(options: MoverOptions) {
    this.#options = options;
  }

  get pullsInFlight(): number {
    return this.#pulls.taken;
  }

  get uploadsInFlight(): number {
    return this.#uploads;
  }

  async pull(want: PullWant): Promise<void> {
    const { clock, emit, budget } = this.#options;
    const bytes = rangeLength(blocksRange(want, want.sizeBytes));
    const peer = want.from.node;
    await this.#pulls.take(want.signal);
    const begunMs = clock.boottimeMs();
    try {
      await budget.take(bytes, want.signal);
      await this.#options.transport().pull({ ...want, idleMs: peerIdleMs });
      emit({ kind: 'pull.done', peer, content: want.content, bytes, ms: clock.boottimeMs() - begunMs });
    } catch (error) {
      if (isForebayError(error) && !want.signal.aborted)
        emit({ kind: 'pull.failed', peer, content: want.content, code: error.code, message: error.message });
      throw error;
    } finally {
      this.#pulls.release();
    }
  }

  /** Counts an upload for as long as it lasts, and refuses those beyond the bound. */
  async *upload(runs: AsyncIterable<BlockRun>): AsyncGenerator<BlockRun> {
    if (this.#uploads >= peerUploadsMax)
      throw new ForebayError('overloaded', `${peerUploadsMax} uploads are under way`);
    this.#uploads += 1;
    try {
      yield* runs;
    } finally {
      this.#uploads -= 1;
    }
  }
}
