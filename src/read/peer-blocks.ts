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
import { type Store, smallFootprintBytes } from '../store/store.ts';
import type { BlockRun, FillTarget, OnStored } from './fill-target.ts';
import { reserve } from './origin-blocks.ts';

export class PeerBlocks {
  readonly #store: Store;
  readonly #cluster: Cluster;

  constructor({ store, cluster }: { store: Store; cluster: Cluster }) {
    this.#store = store;
    this.#cluster = cluster;
  }

  /** Pulls runs of absent blocks of a held content. Returns a peer's error; rejects with this node's own. */
  async pull(
    target: FillTarget,
    runs: readonly BlockRun[],
    options: { from: string; signal: AbortSignal; onStored: OnStored },
  ): Promise<ForebayError | undefined> {
    try {
      for (const run of runs) await this.#pull(target, run, options);
      return undefined;
    } catch (error) {
      if (options.signal.aborted || !isForebayError(error, ...PEER_ERRORS)) throw error;
      if (error.code === 'peerCorrupt') this.#cluster.tell(options.from, 'blocks.suspect', target.id);
      return error;
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
    const request = { from: this.#cluster.endpoint(from), content, sizeBytes, first, count, signal };
    const reservation = await reserve(this.#store, bytes);
    try {
      if (isSmall) {
        const onBlock = async (block: number, _checksum: number, got: Uint8Array | undefined) => {
          assert(got !== undefined, 'a pull without a file hands over its bytes');
          await this.#store.putSmall(target, got, reservation);
          onStored(block);
        };
        await this.#cluster.mover.pull({ ...request, into: undefined, onBlock });
        return;
      }
      const receiving = await this.#store.receive(target, first);
      const onBlock = (block: number, checksum: number) => {
        receiving.stored(block, checksum, reservation);
        onStored(block);
      };
      await this.#cluster.mover.pull({ ...request, into: receiving.file, onBlock }).finally(() => receiving.close());
    } finally {
      reservation.release();
    }
  }
}

const BLAME = {
  peerUnreachable: 'unreachable',
  peerRefused: 'unreachable',
  peerTimeout: 'timeout',
  peerCorrupt: 'corrupt',
  notHeld: 'notHeld',
  overloaded: 'overloaded',
  shuttingDown: 'unreachable',
} as const satisfies Partial<Record<ErrorCode, FailureReason>>;
const PEER_ERRORS = Object.keys(BLAME) as (keyof typeof BLAME)[];

/** What a failed pull says of its holder. */
export function blameOf(error: ForebayError): (typeof BLAME)[keyof typeof BLAME] {
  return BLAME[error.code as keyof typeof BLAME];
}
