/**
 * Group commit: transactions that arrive within `commitWindowMs` share one transaction of etcd, each nested with its own
 * compares, so that one sync of etcd's disk serves many. No key that one of them writes is named by another of the same
 * batch: etcd refuses a key that is put twice, and judges all compares before anything is put.
 *
 * Bounds:  `commitBatchMax` transactions, `commitBatchMaxBytes` and etcd's 128 operations per batch; `commitLanesMax`
 *          batches under way; `coordinatorRequestsMax` waiting, each for `coordinatorDeadlineMs` before it is sent.
 */
import { ForebayError } from '../../core/errors.ts';
import {
  commitBatchMax,
  commitBatchMaxBytes,
  commitLanesMax,
  commitWindowMs,
  coordinatorDeadlineMs,
  coordinatorRequestsMax,
} from '../../core/limits.ts';
import type { Transaction, TransactionResult } from '../coordinator.ts';
import { isWrite, keyOf } from '../transaction.ts';
import type { EtcdClient } from './etcd-client.ts';
import { Lane, LaneLease } from './etcd-lane.ts';
import type { EtcdKeys } from './etcd-wire.ts';

/** etcd's bound on the operations, and on the compares, of a transaction: its own and those of one nested in it. */
const ETCD_OPERATIONS_MAX = 128;

interface Waiting {
  readonly transaction: Transaction;
  readonly bytes: number;
  readonly sinceMs: number;
  readonly resolve: (result: TransactionResult) => void;
  readonly reject: (error: Error) => void;
}

export interface EtcdCommitsOptions {
  readonly client: EtcdClient;
  readonly keys: EtcdKeys;
  /** Names this process among those whose lanes are in etcd. */
  readonly name: string;
  /** 1 switches group commit off, for comparison. */
  readonly batchMax?: number | undefined;
}

export class EtcdCommits {
  readonly lease: LaneLease;
  readonly #client: EtcdClient;
  readonly #batchMax: number;
  readonly #lanes: Lane[];
  #queue: Waiting[] = [];
  #timer: NodeJS.Timeout | undefined;
  #underWay = 0;
  #refusal: ForebayError | undefined;

  constructor({ client, keys, name, batchMax = commitBatchMax }: EtcdCommitsOptions) {
    this.#client = client;
    this.#batchMax = batchMax;
    this.lease = new LaneLease(client);
    // Without batches, as many lanes as it takes to keep etcd busy.
    const lanes = batchMax === 1 ? commitBatchMax : commitLanesMax;
    const options = { client, keys, lease: this.lease };
    this.#lanes = Array.from({ length: lanes }, (_, index) => new Lane(`${name}/${index}`, options));
  }

  commit(transaction: Transaction, bytes: number): Promise<TransactionResult> {
    return new Promise((resolve, reject) => {
      if (this.#refusal) return reject(this.#refusal);
      if (this.#queue.length + this.#underWay >= coordinatorRequestsMax)
        return reject(
          new ForebayError('overloaded', `${coordinatorRequestsMax} transactions wait for the coordinator`),
        );
      this.#queue.push({ transaction, bytes, sinceMs: this.#client.clock.boottimeMs(), resolve, reject });
      this.#timer ??= setTimeout(() => {
        this.#timer = undefined;
        this.#send();
      }, commitWindowMs);
    });
  }

  /** Sends what waits down the lanes that are free. */
  #send(): void {
    while (this.#queue.length > 0) {
      const lane = this.#lanes.pop();
      if (!lane) return;
      const batch = this.#take();
      if (batch.length === 0) {
        this.#lanes.push(lane);
        return;
      }
      void this.#sendDown(lane, batch);
    }
  }

  async #sendDown(lane: Lane, batch: readonly Waiting[]): Promise<void> {
    this.#underWay += batch.length;
    const outcomes = await lane.send(batch.map(({ transaction }) => transaction));
    this.#underWay -= batch.length;
    this.#lanes.push(lane);
    for (const [index, { resolve, reject }] of batch.entries()) {
      const outcome = outcomes[index] ?? new ForebayError('internal', 'etcd answered fewer transactions than it got');
      if (outcome instanceof Error) reject(outcome);
      else resolve(outcome);
    }
    // What arrived meanwhile has waited its time, unless its own window is still open.
    if (this.#timer === undefined) this.#send();
  }

  /** The next batch, in order of arrival; what would conflict with it stays for the next. */
  #take(): readonly Waiting[] {
    const latestMs = this.#client.clock.boottimeMs() - coordinatorDeadlineMs;
    const batch = new Batch(this.#batchMax);
    const rest: Waiting[] = [];
    const taken: Waiting[] = [];
    for (const waiting of this.#queue) {
      if (waiting.sinceMs < latestMs)
        waiting.reject(new ForebayError('coordinatorUnavailable', 'etcd cannot be reached: the queue does not move'));
      else if (batch.admits(waiting)) taken.push(waiting);
      else rest.push(waiting);
    }
    this.#queue = rest;
    return taken;
  }

  /** Refuses what waits and what comes. */
  stop(refusal: ForebayError): void {
    this.#refusal ??= refusal;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { reject } of this.#queue) reject(this.#refusal);
    this.#queue = [];
  }
}

/** What fits into one transaction of etcd. */
class Batch {
  readonly #max: number;
  readonly #written = new Set<string>();
  readonly #named = new Set<string>();
  #count = 0;
  #bytes = 0;
  #widest = 0;
  #isFull = false;

  constructor(max: number) {
    this.#max = max;
  }

  admits({ transaction, bytes }: Pick<Waiting, 'transaction' | 'bytes'>): boolean {
    if (this.#isFull) return false;
    const { compares, apply, otherwise = [] } = transaction;
    const widest = Math.max(this.#widest, compares.length, apply.length, otherwise.length);
    // One operation of the outer transaction is the lane's.
    const isOver = this.#count + 2 + widest > ETCD_OPERATIONS_MAX || this.#bytes + bytes > commitBatchMaxBytes;
    if (this.#count > 0 && isOver) {
      this.#isFull = true;
      return false;
    }
    const operations = [...apply, ...otherwise];
    const written = operations.filter(isWrite).map(keyOf);
    const named = [...operations.map(keyOf), ...compares.map(({ key }) => key)];
    if (written.some((key) => this.#named.has(key)) || named.some((key) => this.#written.has(key))) return false;
    for (const key of written) this.#written.add(key);
    for (const key of named) this.#named.add(key);
    this.#count++;
    this.#bytes += bytes;
    this.#widest = widest;
    this.#isFull = this.#count >= this.#max;
    return true;
  }
}
