/**
 * The coordinator of a cluster: etcd 3.4 or newer, through its JSON gateway. Plain only on loopback; a user's password
 * or a client certificate; keys below `/forebay/<cluster>/`. What makes it whole is in the files beside: attempts and
 * endpoints in `etcd-gateway.ts`, refusal of the past in `etcd-client.ts`, group commit in `etcd-commits.ts`, answers
 * that were lost in `etcd-lane.ts`, watches in `etcd-watch.ts`, sessions in `etcd-sessions.ts`.
 */
import { randomUUID } from 'node:crypto';
import { isLoopback } from '../../core/address.ts';
import { ForebayError } from '../../core/errors.ts';
import { watchSilentMs } from '../../core/limits.ts';
import type { Coordinator, KeyValue, Session, Transaction, TransactionResult, WatchEvent } from '../coordinator.ts';
import type { Clock, Random } from '../io.ts';
import { checkKey, checkTransaction } from '../transaction.ts';
import { EtcdClient, translated } from './etcd-client.ts';
import { EtcdCommits } from './etcd-commits.ts';
import { type EtcdAccess, EtcdError, EtcdGateway } from './etcd-gateway.ts';
import { EtcdSessions, revokeLease } from './etcd-sessions.ts';
import { watchEtcd } from './etcd-watch.ts';
import { EtcdKeys, type EtcdRange } from './etcd-wire.ts';
import type { FfiChoice } from './libc.ts';

/** Entries of one answer. */
const PAGE = 1000;
const OUT_OF_RANGE = 11;

export interface EtcdOptions extends EtcdAccess {
  readonly cluster: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly ffi?: FfiChoice | undefined;
  /** Transactions of one batch; 1 switches group commit off, for comparison. */
  readonly batchMax?: number | undefined;
  /** After how long a watch that hears nothing is begun anew; `watchSilentMs` where absent. */
  readonly silentMs?: number | undefined;
}

/**
 * Rejects with `config` where the options contradict each other, with `coordinatorRefused` or `coordinatorUnavailable`
 * where etcd does not let this process in or cannot be reached now.
 */
export async function openEtcdCoordinator(options: EtcdOptions): Promise<Coordinator> {
  checkOptions(options);
  const coordinator = new EtcdCoordinator(options);
  try {
    await coordinator.range('', { limit: 1 });
  } catch (error) {
    await coordinator.close();
    throw error;
  }
  return coordinator;
}

function checkOptions({ endpoints, cluster, user, password, certificate, key }: EtcdOptions): void {
  const refuse = (message: string): never => {
    throw new ForebayError('config', message);
  };
  if (endpoints.length === 0) refuse('etcd needs at least one endpoint: etcd://HOST:PORT');
  if (!/^[A-Za-z0-9._-]{1,255}$/.test(cluster)) refuse(`"${cluster}" cannot name a cluster`);
  const urls = endpoints.map((endpoint) => new URL(endpoint));
  const isTls = urls[0]?.protocol === 'https:';
  for (const url of urls) {
    if ((url.protocol === 'https:') !== isTls) refuse('endpoints of etcd are all plain or all with TLS');
    const host = url.hostname.replace(/^\[|\]$/g, '');
    if (!isTls && !isLoopback(host))
      refuse(`etcd at ${url.host} would be spoken to in plain text, which is for loopback only: write etcds://`);
  }
  if ((certificate === undefined) !== (key === undefined)) refuse('a client certificate of etcd comes with its key');
  if (user === undefined && password !== undefined) refuse('a password for etcd comes with its user');
}

class EtcdCoordinator implements Coordinator {
  readonly description: string;
  readonly #gateway: EtcdGateway;
  readonly #client: EtcdClient;
  readonly #keys: EtcdKeys;
  readonly #commits: EtcdCommits;
  readonly #sessions: EtcdSessions;
  readonly #silentMs: number;
  readonly #closed = new AbortController();
  #closing: Promise<void> | undefined;

  constructor(options: EtcdOptions) {
    const { clock, random, cluster, ffi = 'auto' } = options;
    const { endpoints, user, password, ca, certificate, key } = options;
    const access: EtcdAccess = { endpoints, user, password, ca, certificate, key };
    this.description = `etcd ${endpoints.map((endpoint) => new URL(endpoint).host).join(', ')}`;
    this.#gateway = new EtcdGateway(access);
    this.#client = new EtcdClient({
      gateway: this.#gateway,
      clock,
      random,
      onRefused: (refusal) => this.#refused(refusal),
    });
    this.#keys = new EtcdKeys(cluster);
    this.#silentMs = options.silentMs ?? watchSilentMs;
    this.#commits = new EtcdCommits({
      client: this.#client,
      keys: this.#keys,
      name: randomUUID(),
      batchMax: options.batchMax,
    });
    this.#sessions = new EtcdSessions({ client: this.#client, access, ffi });
  }

  #refused(refusal: ForebayError): void {
    this.#sessions.endAll(refusal.message);
    this.#commits.stop(refusal);
  }

  #checkOpen(): void {
    if (this.#closing) throw new ForebayError('shuttingDown', 'the coordinator is closed');
    if (this.#client.refusal) throw this.#client.refusal;
  }

  async session({ ttlMs }: { ttlMs: number }): Promise<Session> {
    this.#checkOpen();
    return await translated(this.#sessions.begin(ttlMs));
  }

  async range(prefix: string, options: { limit?: number; after?: string; signal?: AbortSignal } = {}) {
    this.#checkOpen();
    checkKey(prefix, { mayBeEmpty: true });
    return await translated(this.#range(prefix, options));
  }

  async #range(
    prefix: string,
    options: { limit?: number; after?: string; signal?: AbortSignal },
  ): Promise<{ revision: number; entries: KeyValue[]; more: boolean }> {
    const { limit = Number.POSITIVE_INFINITY, signal } = options;
    const entries: KeyValue[] = [];
    let revision = 0;
    let after = options.after;
    for (;;) {
      const body = {
        ...this.#keys.range(prefix, after),
        limit: String(Math.min(PAGE, limit - entries.length)),
        ...(revision > 0 && { revision: String(revision) }),
      };
      let page: EtcdRange;
      try {
        page = await this.#client.ask<EtcdRange>('/v3/kv/range', body, { signal });
      } catch (error) {
        // The revision of the first page was compacted meanwhile.
        if (revision > 0 && error instanceof EtcdError && error.code === OUT_OF_RANGE)
          return this.#range(prefix, options);
        throw error;
      }
      revision ||= Number(page.header?.revision ?? 0);
      for (const found of page.kvs ?? []) entries.push(this.#keys.keyValue(found));
      const more = page.more ?? false;
      if (!more || entries.length >= limit) return { revision, entries, more };
      after = entries.at(-1)?.key;
    }
  }

  async transaction(transaction: Transaction): Promise<TransactionResult> {
    this.#checkOpen();
    const bytes = checkTransaction(transaction);
    for (const operation of [...transaction.apply, ...(transaction.otherwise ?? [])]) {
      // What etcd could not even read would fail a whole batch.
      if ('put' in operation && operation.session !== undefined && !/^[1-9]\d{0,18}$/.test(operation.session))
        throw new ForebayError('sessionLost', `session ${operation.session} has ended`);
    }
    return await this.#commits.commit(transaction, bytes);
  }

  async *watch(prefix: string, options: { afterRevision: number; signal: AbortSignal }): AsyncIterable<WatchEvent> {
    this.#checkOpen();
    checkKey(prefix, { mayBeEmpty: true });
    yield* watchEtcd({
      client: this.#client,
      keys: this.#keys,
      prefix,
      afterRevision: options.afterRevision,
      range: () => this.range(prefix),
      silentMs: this.#silentMs,
      signal: AbortSignal.any([options.signal, this.#closed.signal]),
    });
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    const reason = new ForebayError('shuttingDown', 'the coordinator is closed');
    this.#closed.abort(reason);
    this.#commits.stop(reason);
    const lanes = await this.#commits.lease.granted?.catch(() => undefined);
    await Promise.allSettled([
      this.#sessions.close(),
      lanes === undefined ? undefined : revokeLease(this.#client, lanes),
    ]);
    this.#gateway.close();
  }
}
