/**
 * Which life of the records a revision is of. Revisions say what came before what only while the coordinator keeps what it knew: one
 * that was lost, or set back to an older state, counts the same numbers once more. So the key `lineage` names the life; what a node
 * notes of a record carries that name, and who finds at its start that the coordinator is behind such a note of its own gives the
 * records a new one. An absent record of the same life means that its time was over; of another life it means nothing.
 *
 * Not seen: a coordinator that was set back while all nodes that know better are away, until it is past what they know.
 */
import { ForebayError, isForebayError } from '../core/errors.ts';
import { commitAgainMax } from '../core/limits.ts';
import type { Coordinator, TransactionResult } from '../io/coordinator.ts';
import type { Random } from '../io/io.ts';

const KEY = 'lineage';
const ID_BYTES = 16;

export interface Lineage {
  readonly id: string;
  /** The coordinator's when it said so. */
  readonly revision: number;
}

export interface RecordLineageOptions {
  readonly coordinator: Pick<Coordinator, 'transaction'>;
  readonly random: Random;
}

const decoder = new TextDecoder();

export class RecordLineage {
  readonly #options: RecordLineageOptions;

  constructor(options: RecordLineageOptions) {
    this.#options = options;
  }

  /** The life of the records now; begins the first. Rejects as `Coordinator`. */
  async read(): Promise<Lineage> {
    const id = this.#newId();
    return await this.#settled(id, {
      compares: [{ key: KEY, target: 'createRevision', equals: 0 }],
      apply: [{ put: KEY, value: Buffer.from(id) }],
      otherwise: [{ read: KEY }],
    });
  }

  /** Another life than `before`, begun here unless somebody else was first. Rejects as `Coordinator`. */
  async renew(before: string): Promise<Lineage> {
    const id = this.#newId();
    return await this.#settled(id, {
      compares: [{ key: KEY, target: 'value', equals: Buffer.from(before) }],
      apply: [{ put: KEY, value: Buffer.from(id) }],
      otherwise: [{ read: KEY }],
    });
  }

  #newId(): string {
    return Buffer.from(this.#options.random.bytes(ID_BYTES)).toString('hex');
  }

  /** What was sent and not answered is sent again: it takes effect once, and is found then. */
  async #settled(id: string, transaction: Parameters<Coordinator['transaction']>[0]): Promise<Lineage> {
    for (let tries = 0; ; tries += 1) {
      let result: TransactionResult;
      try {
        result = await this.#options.coordinator.transaction(transaction);
      } catch (error) {
        if (!isForebayError(error, 'coordinatorUncertain') || tries >= commitAgainMax) throw error;
        continue;
      }
      const { succeeded, revision, reads } = result;
      if (succeeded) return { id, revision };
      const [found] = reads;
      // removed in between by hand: the next try begins one
      if (found !== undefined) return { id: decoder.decode(found.value), revision };
      throw new ForebayError('coordinatorUnavailable', `the coordinator's key ${KEY} was removed just now`);
    }
  }
}
