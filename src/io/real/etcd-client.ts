/**
 * Asks etcd until there is an answer or the deadline passed, at one endpoint after the other, and holds every answer to
 * what this process has seen: a coordinator of another identity, or of an earlier revision, is refused for good.
 */
import { setTimeout as after } from 'node:timers/promises';
import { ForebayError } from '../../core/errors.ts';
import { coordinatorDeadlineMs } from '../../core/limits.ts';
import type { Clock, Random } from '../io.ts';
import { EtcdError, type EtcdGateway, etcdFailure, isTransient, LineLost } from './etcd-gateway.ts';
import type { EtcdHeader } from './etcd-wire.ts';

/** Between two attempts, doubled each time, with full jitter. */
const BACKOFF_MIN_MS = 20;
const BACKOFF_MAX_MS = 400;

export interface AskOptions {
  readonly signal?: AbortSignal | undefined;
  readonly deadlineMs?: number;
}

export interface EtcdClientOptions {
  readonly gateway: EtcdGateway;
  readonly clock: Clock;
  readonly random: Random;
  readonly onRefused: (refusal: ForebayError) => void;
}

export class EtcdClient {
  readonly gateway: EtcdGateway;
  readonly clock: Clock;
  readonly random: Random;
  readonly #onRefused: (refusal: ForebayError) => void;
  #clusterId: string | undefined;
  #seenRevision = 0;
  #refusal: ForebayError | undefined;

  constructor({ gateway, clock, random, onRefused }: EtcdClientOptions) {
    this.gateway = gateway;
    this.clock = clock;
    this.random = random;
    this.#onRefused = onRefused;
  }

  get refusal(): ForebayError | undefined {
    return this.#refusal;
  }

  /** A later revision than any that a linearizable answer may have from now on. */
  get seenRevision(): number {
    return this.#seenRevision;
  }

  /** Notes a revision that etcd has reached. */
  saw(revision: number): void {
    this.#seenRevision = Math.max(this.#seenRevision, revision);
  }

  /** Holds the answer to a linearizable request against what was seen before it was sent. */
  check(header: EtcdHeader | undefined, seenBefore: number): void {
    const revision = Number(header?.revision ?? 0);
    const id = header?.cluster_id ?? '';
    this.#clusterId ??= id;
    if (revision < seenBefore)
      this.refuse(`etcd went back in time: it is at revision ${revision}, and this node has seen ${seenBefore}`);
    if (id !== this.#clusterId)
      this.refuse(`etcd went back in time or was replaced: it is cluster ${id}, and was ${this.#clusterId}`);
    this.saw(revision);
  }

  refuse(message: string): never {
    if (!this.#refusal) {
      this.#refusal = new ForebayError('coordinatorRefused', message);
      this.#onRefused(this.#refusal);
    }
    throw this.#refusal;
  }

  /** One attempt of a linearizable request, checked. */
  async attempt<T extends { readonly header?: EtcdHeader }>(
    path: string,
    body: unknown,
    options: { signal?: AbortSignal | undefined } = {},
  ): Promise<T> {
    if (this.#refusal) throw this.#refusal;
    const seen = this.#seenRevision;
    const answer = await this.gateway.attempt<T>(path, body, options);
    if (!/^[1-9]\d{0,15}$/.test(String(answer.header?.revision)))
      throw new LineLost(`${this.gateway.endpoint} answered without a revision: is it etcd?`);
    this.check(answer.header, seen);
    return answer;
  }

  /** For requests that may be applied twice. Rejects with `coordinatorUnavailable`, `coordinatorRefused`, EtcdError. */
  async ask<T extends { readonly header?: EtcdHeader }>(
    path: string,
    body: unknown,
    options: AskOptions = {},
  ): Promise<T> {
    return await this.persist((signal) => this.attempt<T>(path, body, { signal }), options);
  }

  /**
   * Repeats `act` at one endpoint after the other while it fails in passing. Rejects with `coordinatorUnavailable` once
   * the deadline passed, with EtcdError where etcd said no.
   */
  async persist<T>(act: (signal: AbortSignal | undefined) => Promise<T>, options: AskOptions = {}): Promise<T> {
    const { signal, deadlineMs = coordinatorDeadlineMs } = options;
    const untilMs = this.clock.boottimeMs() + deadlineMs;
    for (let tries = 0; ; tries++) {
      const endpoint = this.gateway.endpoint;
      try {
        return await act(signal);
      } catch (error) {
        if (!isTransient(error)) throw error;
        this.gateway.turnFrom(endpoint);
        if (this.clock.boottimeMs() >= untilMs) throw etcdFailure(error);
      }
      await this.pause(tries, signal);
    }
  }

  /** Waits before the attempt after `tries` failed ones. */
  async pause(tries: number, signal?: AbortSignal): Promise<void> {
    const most = Math.min(BACKOFF_MAX_MS, BACKOFF_MIN_MS * 2 ** Math.min(tries, 10));
    await after(this.random.fraction() * most, undefined, { ...(signal && { signal }) }).catch(() => undefined);
  }
}

/** Lets a caller see ForebayErrors only. */
export async function translated<T>(promise: Promise<T>): Promise<T> {
  try {
    return await promise;
  } catch (error) {
    throw error instanceof EtcdError ? etcdFailure(error) : error;
  }
}
