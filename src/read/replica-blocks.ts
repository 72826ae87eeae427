/**
 * Bytes of a version that the origin does not have: from the nodes that its record names, never from the origin (S-5, S-9). When
 * none of them gives it, the record is read anew: others may have it by now, or the origin.
 *
 * Errors:  replicasUnavailable when all replicas failed, versionChanged when the key was written anew meanwhile.
 */
import type { Cluster } from '../cluster/cluster.ts';
import { BLOCK_SIZE_BYTES, blockRange } from '../core/chunk.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { dirtyLocateMs, replicaBusyMs, replicaRoundsMax } from '../core/limits.ts';
import type { ObjectFact } from '../core/object.ts';
import type { Range } from '../core/range.ts';
import type { Clock } from '../io/io.ts';
import type { FillTarget } from './fill-target.ts';
import { isUndrained } from './recorded.ts';
import type { VolumeSource } from './volume-source.ts';

/** The fact of the version as it is recorded now. Throws versionChanged when another is current. */
export type Renew = (source: VolumeSource, fact: ObjectFact, signal: AbortSignal) => Promise<ObjectFact>;

export interface ReplicaPull {
  readonly signal: AbortSignal;
  /** Pulls what is absent; what the node is to blame for, or `undefined`. */
  readonly pull: (node: string) => Promise<ForebayError | undefined>;
  readonly isDone: () => boolean;
}

export class ReplicaBlocks {
  readonly #cluster: Cluster | undefined;
  readonly #clock: Clock;
  readonly #renew: Renew;

  constructor({ cluster, clock, renew }: { cluster: Cluster | undefined; clock: Clock; renew: Renew }) {
    this.#cluster = cluster;
    this.#clock = clock;
    this.#renew = renew;
  }

  /** Tries the replicas; `undefined` once it is done, or, when the origin has the version by now, the target as it is there. */
  async bring(target: FillTarget, { signal, pull, isDone }: ReplicaPull): Promise<FillTarget | undefined> {
    let { fact } = target;
    let failure: ForebayError | undefined;
    for (let round = 0; round < replicaRoundsMax; round += 1) {
      let isBusy = false;
      for (const node of this.#others(fact)) {
        failure = (await pull(node)) ?? failure;
        if (isDone()) return undefined;
        isBusy ||= failure?.code === 'overloaded';
      }
      if (isBusy) await this.#clock.sleep(replicaBusyMs * 2 ** round, signal);
      const before = fact;
      fact = await this.#renew(target.source, fact, signal);
      if (!isUndrained(fact)) return { ...target, fact };
      if (!isBusy && this.#others(fact).every((node) => this.#others(before).includes(node))) break;
    }
    throw unavailable(fact, failure);
  }

  /**
   * Where the directory does not answer soon, for its owner of the chunk has died perhaps, the replicas are tried meanwhile. True
   * when the bytes are here; its answer is still to come then.
   */
  async unlessSoon(answer: Promise<unknown>, target: FillTarget, how: ReplicaPull): Promise<boolean> {
    const settled = new AbortController();
    const late = this.#clock.sleep(dirtyLocateMs, settled.signal).then(
      () => true,
      () => false,
    );
    try {
      if (!(await Promise.race([answer.then(() => false), late]))) return false;
    } finally {
      settled.abort();
    }
    try {
      return (await this.bring(target, how)) === undefined;
    } catch (error) {
      if (!isForebayError(error, 'replicasUnavailable')) throw error;
      return false;
    }
  }

  /** For a node alone: the target as it is at the origin. */
  async atOrigin(target: FillTarget, signal: AbortSignal): Promise<FillTarget> {
    const fact = await this.#renew(target.source, target.fact, signal);
    if (isUndrained(fact)) throw unavailable(fact, undefined);
    return { ...target, fact };
  }

  /** The bytes of a range in order, without the store. */
  async *bytes(target: FillTarget, range: Range, signal: AbortSignal): AsyncGenerator<Uint8Array> {
    for (let at = range.start; at < range.end; ) {
      const block = Math.floor(at / BLOCK_SIZE_BYTES);
      const whole = blockRange(block, target.sizeBytes);
      let got: Uint8Array | undefined;
      const there = await this.bring(target, {
        signal,
        isDone: () => got !== undefined,
        pull: async (node) => {
          try {
            got = await this.#pullBlock(target, { node, block, signal });
            return undefined;
          } catch (error) {
            signal.throwIfAborted();
            if (!isForebayError(error)) throw error;
            return error;
          }
        },
      });
      const end = Math.min(range.end, whole.end);
      if (there !== undefined) {
        const { origin } = there.source;
        yield* await origin.get(there.fact.key, { etag: there.fact.etag, range: { start: at, end }, signal });
      } else if (got !== undefined) yield got.subarray(at - whole.start, end - whole.start);
      at = end;
    }
  }

  async #pullBlock(
    { id: content, sizeBytes }: FillTarget,
    { node, block: first, signal }: { node: string; block: number; signal: AbortSignal },
  ): Promise<Uint8Array> {
    const cluster = this.#cluster;
    if (cluster === undefined) throw new ForebayError('peerUnreachable', 'this node is in no cluster');
    let bytes: Uint8Array | undefined;
    const onBlock = async (_block: number, _checksum: number, got: Uint8Array | undefined) => {
      // The buffer is used again for the next block.
      bytes = got && Uint8Array.from(got);
    };
    const from = cluster.endpoint(node);
    await cluster.mover.pull({ from, content, sizeBytes, first, count: 1, into: undefined, onBlock, signal });
    if (bytes === undefined) throw new ForebayError('peerCorrupt', `${node} sent nothing of block ${first}`);
    return bytes;
  }

  #others({ replicas = [] }: ObjectFact): readonly string[] {
    const self = this.#cluster?.self;
    return this.#cluster === undefined ? [] : replicas.filter((node) => node !== self);
  }
}

function unavailable({ volume, key, replicas = [] }: ObjectFact, cause: ForebayError | undefined): ForebayError {
  const named = replicas.length === 0 ? 'no node' : replicas.join(', ');
  const why = cause === undefined ? '' : `: ${cause.message}`;
  return new ForebayError(
    'replicasUnavailable',
    `${volume}/${key} is not in the origin yet, and ${named} did not give its bytes${why}`,
    cause === undefined ? {} : { cause },
  );
}
