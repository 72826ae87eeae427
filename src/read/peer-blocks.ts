/**
 * Blocks from a peer into the store: written into the content's file by whoever receives them, and counted as present one
 * by one as their checksums prove right.
 */

import type { Cluster } from '../cluster/cluster.ts';
import type { FailureReason } from '../cluster/directory.ts';
import { assert } from '../core/assert.ts';
import { blocksRange } from '../core/chunk.ts';
import { type ErrorCode, type ForebayError, isForebayError } from '../core/errors.ts';
import { smallContentMaxBytes } from '../core/limits.ts';
import { rangeLength } from '../core/range.ts';
import type { PullWant } from '../mover/mover.ts';
import type { Store } from '../store/store.ts';
import { smallFootprintBytes } from '../store/store-index.ts';
import type { BlockRun, FillTarget, OnStored } from './fill-target.ts';
import { reserve } from './origin-blocks.ts';

export class PeerBlocks {
  readonly #store: Store;
  readonly #cluster: Cluster;

  constructor({ store, cluster }: { store: Store; cluster: Cluster }) {
    this.#store = store;
    this.#cluster = cluster;
  }

  /** Pulls runs of absent blocks of a held content. Returns what the peer is to blame for; rejects with what this node does not manage. */
  async pull(
    target: FillTarget,
    runs: readonly BlockRun[],
    options: { from: string; signal: AbortSignal; onStored: OnStored },
  ): Promise<ForebayError | undefined> {
    try {
      for (const run of runs) await this.#pull(target, run, options);
      return undefined;
    } catch (error) {
      if (!(error instanceof PeerFailure)) throw error;
      const { cause } = error;
      if (options.signal.aborted) throw cause;
      if (cause.code === 'peerCorrupt') this.#cluster.tell(options.from, 'blocks.suspect', target.id);
      return cause;
    }
  }

  async #pull(
    target: FillTarget,
    run: BlockRun,
    { from, signal, onStored }: { from: string; signal: AbortSignal; onStored: OnStored },
  ): Promise<void> {
    const { id: content, sizeBytes } = target;
    const { first } = run;
    const count = run.end - first;
    const isSmall = sizeBytes < smallContentMaxBytes;
    const bytes = isSmall ? smallFootprintBytes(sizeBytes) : rangeLength(blocksRange({ first, count }, sizeBytes));
    const endpoint = ofPeer(() => this.#cluster.endpoint(from));
    const request = { from: endpoint, content, sizeBytes, first, count, signal };
    const reservation = await reserve(this.#store, bytes);
    try {
      if (isSmall) {
        const onBlock = async (block: number, _checksum: number, got: Uint8Array | undefined) => {
          assert(got !== undefined, 'a pull without a file hands over its bytes');
          await this.#store.putSmall(target, got, reservation);
          onStored(block);
        };
        await this.#pullBlocks({ ...request, into: undefined, onBlock });
        return;
      }
      const receiving = await this.#store.receive(target, first);
      const onBlock = (block: number, checksum: number) => {
        receiving.stored(block, checksum, reservation);
        onStored(block);
      };
      await this.#pullBlocks({ ...request, into: receiving.file, onBlock }).finally(() => receiving.close());
    } finally {
      reservation.release();
    }
  }

  /** Rejects with PeerFailure for what the peer is to blame for, else with what `onBlock` or the signal said. */
  async #pullBlocks(want: PullWant): Promise<void> {
    let own: { readonly error: unknown } | undefined;
    const onBlock: PullWant['onBlock'] = async (...block) => {
      try {
        await want.onBlock(...block);
      } catch (error) {
        own = { error };
        throw error;
      }
    };
    try {
      await this.#cluster.mover.pull({ ...want, onBlock });
    } catch (error) {
      if (own !== undefined) throw own.error;
      throw isForebayError(error) ? new PeerFailure(error) : error;
    }
  }
}

/** A peer did not give what was asked of it: another source is tried, whatever its trouble is. */
class PeerFailure extends Error {
  override name = 'PeerFailure';
  override readonly cause: ForebayError;

  constructor(cause: ForebayError) {
    super(cause.message, { cause });
    this.cause = cause;
  }
}

function ofPeer<T>(ask: () => T): T {
  try {
    return ask();
  } catch (error) {
    throw isForebayError(error) ? new PeerFailure(error) : error;
  }
}

type Blame = Exclude<FailureReason, 'origin' | 'cancelled'>;

const BLAME: Partial<Record<ErrorCode, Blame>> = {
  peerUnreachable: 'unreachable',
  peerRefused: 'unreachable',
  peerTimeout: 'timeout',
  peerCorrupt: 'corrupt',
  notHeld: 'notHeld',
  corrupt: 'notHeld',
  diskUnavailable: 'notHeld',
  overloaded: 'overloaded',
};

/** What a failed pull says of its holder. */
export function blameOf(error: ForebayError): Blame | undefined {
  return BLAME[error.code];
}
