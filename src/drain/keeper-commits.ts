/**
 * Commits of a keeper: each compares the keeper's token and the record that it replaces (S-16). A record that was rewritten meanwhile, by a
 * replica that joined or an intent laid beside it, is taken as it is now; one that another version took over is left alone.
 */
import { ForebayError, isForebayError } from '../core/errors.ts';
import { keeperCommitTriesMax } from '../core/limits.ts';
import type { ObjectRecord } from '../write/object-record.ts';
import type { Recorded, Records } from '../write/records.ts';
import type { KeeperLease } from './keeper.ts';

type Current = NonNullable<ObjectRecord['current']>;

export class KeeperCommits {
  readonly #records: Records;
  readonly #lease: KeeperLease;

  constructor(options: { records: Records; lease: KeeperLease }) {
    this.#records = options.records;
    this.#lease = options.lease;
  }

  /** Throws sessionLost when this node is no longer keeper, or may not be. */
  checkRight(): void {
    if (!this.#lease.mayAct())
      throw new ForebayError('sessionLost', `this node may no longer act as keeper of ${this.#lease.volume}`);
  }

  /**
   * Replaces the key's record by what `make` says of it, as long as `isStill` holds of its current version: the new revision, or `undefined` when it did
   * not. `make` may be asked several times. Rejects as `Records.commit`, and with sessionLost.
   */
  async replace<V extends Current>(
    key: string,
    from: Recorded,
    isStill: (current: Current | undefined) => current is V,
    make: (record: ObjectRecord, current: V, revision: number) => ObjectRecord | undefined,
  ): Promise<number | undefined> {
    const { volume, fence, lost } = this.#lease;
    let { record, revision } = from;
    for (let tries = 1; ; tries++) {
      const current = record?.current;
      if (record === undefined || !isStill(current)) return undefined;
      this.checkRight();
      try {
        const next = make(record, current, revision);
        return await this.#records.commit({ volume, key, expected: revision, record: next, fences: [fence] });
      } catch (error) {
        if (!isForebayError(error, 'recordChanged') || tries >= keeperCommitTriesMax) throw error;
        const now = await this.#records.read(volume, key, lost);
        if (now.revision === revision)
          throw new ForebayError('sessionLost', `another node is keeper of ${volume}`, { cause: error });
        ({ record, revision } = now);
      }
    }
  }
}
