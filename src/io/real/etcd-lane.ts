/**
 * Lanes: how a batch of transactions is applied exactly once although answers get lost. A lane has a key of its own in
 * etcd. Each batch compares the key's last revision and puts its own name there, in the same transaction: of all attempts
 * of all batches of a lane, one per revision succeeds. An attempt that fails the compare reads the key: when the batch's
 * name is in it, an earlier attempt was applied, at that very revision, and etcd's history tells what it found
 * (`etcd-settle.ts`); else an older straggler was, and the batch goes again.
 *
 * The key is under a lease, so that a dead process leaves nothing. A batch begins only while the lease has far more
 * than the deadline left, so that a key that is gone was not put by an attempt of the batch.
 */
import { randomUUID } from 'node:crypto';
import { ForebayError } from '../../core/errors.ts';
import { coordinatorDeadlineMs } from '../../core/limits.ts';
import type { Transaction, TransactionResult } from '../coordinator.ts';
import { writes } from '../transaction.ts';
import type { EtcdClient } from './etcd-client.ts';
import { EtcdError, etcdFailure, isTransient, LineLost, sendingMs } from './etcd-gateway.ts';
import { settle } from './etcd-settle.ts';
import type { EtcdKeys, EtcdTransaction } from './etcd-wire.ts';

const LEASE_TTL_S = 600;
const LEASE_RENEW_MS = 300_000;
const TXN_PATH = '/v3/kv/txn';

/** The lease of a process's lanes: a new one every five minutes of use, so that none has to be kept alive. */
export class LaneLease {
  readonly #client: EtcdClient;
  #grantedMs = Number.NEGATIVE_INFINITY;
  #id: Promise<string> | undefined;

  constructor(client: EtcdClient) {
    this.#client = client;
  }

  current(): Promise<string> {
    const nowMs = this.#client.clock.boottimeMs();
    if (nowMs - this.#grantedMs > LEASE_RENEW_MS) this.forget();
    if (!this.#id) {
      this.#grantedMs = nowMs;
      const granting = grantLease(this.#client, LEASE_TTL_S);
      this.#id = granting;
      granting.catch(() => {
        if (this.#id === granting) this.#id = undefined;
      });
    }
    return this.#id;
  }

  forget(): void {
    this.#id = undefined;
  }

  /** The lease that lanes are under, if any. */
  get granted(): Promise<string> | undefined {
    return this.#id;
  }
}

/** Grants a lease of a name of our own, so that a lost answer does no harm. */
export async function grantLease(client: EtcdClient, ttlS: number): Promise<string> {
  const number = Buffer.from(client.random.bytes(8)).readBigUInt64BE() >> 1n;
  const id = String(number === 0n ? 1n : number);
  return await client.persist(async (signal) => {
    try {
      await client.gateway.attempt('/v3/lease/grant', { ID: id, TTL: String(ttlS) }, { signal });
    } catch (error) {
      const isOurs = error instanceof EtcdError && /lease already exists/.test(error.message);
      if (!isOurs) throw error;
    }
    return id;
  });
}

/** One outcome per transaction of a batch. */
export type Outcome = TransactionResult | Error;

export class Lane {
  readonly #client: EtcdClient;
  readonly #keys: EtcdKeys;
  readonly #lease: LaneLease;
  readonly #key: string;
  /** Of the lane's key, as last heard of; 0 when it is not there. */
  #revision = 0;

  constructor(name: string, options: { client: EtcdClient; keys: EtcdKeys; lease: LaneLease }) {
    this.#client = options.client;
    this.#keys = options.keys;
    this.#lease = options.lease;
    this.#key = options.keys.lane(name);
  }

  /** Applies all of a batch at once. Where etcd refuses it as a whole, each is tried alone, so that the others go on. */
  async send(batch: readonly Transaction[]): Promise<readonly Outcome[]> {
    try {
      return batch.some(writes) ? await this.#write(batch) : await this.#read(batch);
    } catch (error) {
      const isRefused = error instanceof EtcdError;
      if (isRefused && /lease not found/.test(error.message)) this.#lease.forget();
      if (!isRefused || batch.length === 1) return await this.#last(batch, error as Error);
    }
    const outcomes: Outcome[] = [];
    for (const transaction of batch) outcomes.push(...(await this.send([transaction])));
    return outcomes;
  }

  /** A transaction alone that was refused may have met a lane's lease that was gone: once more with a new one. */
  async #last(batch: readonly Transaction[], error: Error): Promise<readonly Outcome[]> {
    let reason = error;
    if (error instanceof EtcdError && /lease not found/.test(error.message)) {
      try {
        return await this.#write(batch);
      } catch (again) {
        reason = again as Error;
      }
    }
    return batch.map(() => etcdFailure(reason));
  }

  async #read(batch: readonly Transaction[]): Promise<readonly Outcome[]> {
    const answer = await this.#client.ask<EtcdTransaction>(TXN_PATH, { compare: [], success: this.#nested(batch) });
    return this.#outcomes(answer, answer.responses ?? []);
  }

  #nested(batch: readonly Transaction[]): object[] {
    return batch.map((transaction) => ({ request_txn: this.#keys.transaction(transaction) }));
  }

  #outcomes(answer: EtcdTransaction, responses: NonNullable<EtcdTransaction['responses']>): Outcome[] {
    const revision = Number(answer.header?.revision ?? 0);
    return responses.map(({ response_txn: inner = {} }) => ({
      succeeded: inner.succeeded ?? false,
      revision,
      reads: this.#keys.reads(inner),
    }));
  }

  async #write(batch: readonly Transaction[]): Promise<readonly Outcome[]> {
    const client = this.#client;
    const name = randomUUID();
    const untilMs = client.clock.boottimeMs() + coordinatorDeadlineMs + sendingMs(sizeOf(batch));
    const lease = await this.#lease.current();
    const put = { request_put: { key: this.#key, value: Buffer.from(name).toString('base64'), lease } };
    const success = [put, ...this.#nested(batch)];
    const failure = [{ request_range: { key: this.#key } }];
    let maybeApplied = false;
    for (let tries = 0; ; tries++) {
      const compare = [{ key: this.#key, target: 'MOD', result: 'EQUAL', mod_revision: String(this.#revision) }];
      const endpoint = client.gateway.endpoint;
      try {
        const answer = await client.attempt<EtcdTransaction>(TXN_PATH, { compare, success, failure });
        const outcomes = await this.#judge(answer, { name, batch });
        if (outcomes) return outcomes;
        // A process that was stopped for long cannot tell any more: the lane's key may have gone with its lease.
        if (client.clock.boottimeMs() >= untilMs) throw uncertain(new Error('it took too long to ask again'));
      } catch (error) {
        // Once an attempt may have been applied, only the lane's key can tell; etcd looks at it before leases.
        if (!isTransient(error)) throw maybeApplied && !(error instanceof ForebayError) ? uncertain(error) : error;
        client.gateway.turnFrom(endpoint);
        maybeApplied ||= !(error instanceof LineLost) || error.maybeSent;
        if (client.clock.boottimeMs() >= untilMs) throw maybeApplied ? uncertain(error) : etcdFailure(error);
        await client.pause(tries);
      }
    }
  }

  /** What an answered attempt means: outcomes, or `undefined` when the batch has to go again. */
  async #judge(
    answer: EtcdTransaction,
    { name, batch }: { name: string; batch: readonly Transaction[] },
  ): Promise<readonly Outcome[] | undefined> {
    const responses = answer.responses ?? [];
    if (answer.succeeded) {
      this.#revision = Number(answer.header?.revision ?? 0);
      return this.#outcomes(answer, responses.slice(1));
    }
    const found = responses[0]?.response_range?.kvs?.[0];
    this.#revision = Number(found?.mod_revision ?? 0);
    const holder = Buffer.from(found?.value ?? '', 'base64').toString();
    if (holder !== name) return undefined;
    return await settle(batch, { client: this.#client, keys: this.#keys, revision: this.#revision });
  }
}

/** About what a batch's values weigh in base64. */
function sizeOf(batch: readonly Transaction[]): number {
  const operations = batch.flatMap(({ apply, otherwise = [] }) => [...apply, ...otherwise]);
  return operations.reduce((sum, operation) => sum + ('put' in operation ? operation.value.length * 4 : 0), 0) / 3;
}

function uncertain(cause: unknown): ForebayError {
  const { message } = cause as Error;
  return new ForebayError('coordinatorUncertain', `the answer of etcd was lost: ${message}`, { cause });
}
