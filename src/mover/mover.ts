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
  #pulls = 0;
  readonly #waiting: (() => void)[] = [];
  #uploads = 0;

  constructor(options: MoverOptions) {
    this.#options = options;
  }

  get pullsInFlight(): number {
    return this.#pulls;
  }

  get uploadsInFlight(): number {
    return this.#uploads;
  }

  async pull(want: PullWant): Promise<void> {
    const { clock, emit, budget } = this.#options;
    const bytes = rangeLength(blocksRange(want, want.sizeBytes));
    const peer = want.from.node;
    await this.#slot(want.signal);
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
      this.#release();
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

  async #slot(signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.#pulls < pullsMax) {
      this.#pulls += 1;
      return;
    }
    await new Promise<void>((resolve, reject) => {
      const begin = () => {
        signal.removeEventListener('abort', onAbort);
        resolve();
      };
      const onAbort = () => {
        this.#waiting.splice(this.#waiting.indexOf(begin), 1);
        reject(signal.reason as Error);
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(begin);
    });
  }

  #release(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#pulls -= 1;
    else next();
  }
}
