/** A simulated coordinator as one life of a node sees it: `Coordinator` of src/io/coordinator.ts. */
import { abortReason, ForebayError } from '../src/core/errors.ts';
import { coordinatorAttemptMs, coordinatorDeadlineMs, sessionActShare } from '../src/core/limits.ts';
import type {
  Coordinator,
  KeyValue,
  Session,
  Transaction,
  TransactionResult,
  WatchEvent,
} from '../src/io/coordinator.ts';
import type { Clock } from '../src/io/io.ts';
import { checkKey, checkTransaction, keyOf, writes } from '../src/io/transaction.ts';
import type { Life } from './sim-clock.ts';
import type { SimCoordinator } from './sim-coordinator.ts';
import type { CoordinatorState } from './sim-coordinator-state.ts';

/** A request that may reach the coordinator several times, and is applied once. */
interface Request<T> {
  readonly name: string;
  readonly act: (state: CoordinatorState, nowMs: number) => T;
  readonly isWrite: boolean;
  readonly signal?: AbortSignal | undefined;
  applied?: { readonly revision: number; readonly result: T | ForebayError };
}

type Answer<T> = { readonly revision: number; readonly result: T | ForebayError };

export class AttachedCoordinator implements Coordinator {
  readonly description = 'simulated';
  readonly #server: SimCoordinator;
  readonly #life: Life;
  readonly #clock: Clock;
  readonly #node: string;
  readonly #closed = new AbortController();
  readonly #sessions = new Set<SimSession>();
  #seenRevision = 0;
  #refusal: ForebayError | undefined;

  constructor(server: SimCoordinator, { life, clock, node }: { life: Life; clock: Clock; node: string }) {
    this.#server = server;
    this.#life = life;
    this.#clock = clock;
    this.#node = node;
  }

  /** The newest revision that this life knows of. */
  get seenRevision(): number {
    return this.#seenRevision;
  }

  get #hears(): boolean {
    return this.#server.hears(this.#node);
  }

  #sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.#server.clock.sleep(ms, { signal, life: this.#life });
  }

  /** Asks until there is an answer or the deadline passed. Attempts of one request are applied once. */
  async #request<T>(request: Request<T>): Promise<T> {
    const { trace, random, faults } = this.#server;
    const { name, signal } = request;
    const startMs = this.#clock.boottimeMs();
    for (;;) {
      if (this.#closed.signal.aborted) throw new ForebayError('shuttingDown', 'the coordinator is closed');
      if (this.#refusal) throw this.#refusal;
      if (signal?.aborted) throw abortReason(signal);
      trace.note(`coordinator ${this.#node} ${name}`);
      const seen = this.#seenRevision;
      const answer = await this.#attempt(request);
      if (answer) return this.#accept(answer, seen);
      if (this.#clock.boottimeMs() - startMs >= coordinatorDeadlineMs) throw this.#gaveUp(request);
      await this.#sleep(random.exponential(faults.latencyMs), signal);
    }
  }

  #gaveUp(request: Request<unknown>): ForebayError {
    return request.isWrite
      ? new ForebayError('coordinatorUncertain', `${request.name}: no answer came`)
      : new ForebayError('coordinatorUnavailable', `${request.name}: the coordinator does not answer`);
  }

  /** One attempt; `undefined` when no answer comes within its deadline. */
  async #attempt<T>(request: Request<T>): Promise<Answer<T> | undefined> {
    const { clock, random, faults } = this.#server;
    const there = random.exponential(faults.latencyMs / 2) + (random.chance(faults.slowChance) ? faults.slowMs : 0);
    const back = random.exponential(faults.latencyMs / 2);
    const lostOnTheWay = random.chance(faults.lostRequestChance);
    const lostOnTheWayBack = random.chance(faults.lostAnswerChance);
    const heard = Promise.withResolvers<Answer<T> | undefined>();
    // What is on its way arrives even if its sender dies or gives up.
    clock.schedule(there, () => {
      if (lostOnTheWay || !this.#server.reaches(this.#node)) return;
      const answer = this.#apply(request);
      clock.schedule(
        back,
        () => {
          if (!lostOnTheWayBack && this.#hears) heard.resolve(answer);
        },
        this.#life,
      );
    });
    const late = clock.schedule(coordinatorAttemptMs, () => heard.resolve(undefined), this.#life);
    const aborted = () => heard.reject(abortReason(request.signal as AbortSignal));
    request.signal?.addEventListener('abort', aborted, { once: true });
    try {
      return await heard.promise;
    } finally {
      late.run = undefined;
      request.signal?.removeEventListener('abort', aborted);
    }
  }

  #apply<T>(request: Request<T>): Answer<T> {
    const { applied } = request;
    if (applied && request.isWrite) return { result: applied.result, revision: this.#server.state.revision };
    const answer = this.#server.serve((state, nowMs): Answer<T> => {
      try {
        const result = request.act(state, nowMs);
        return { result, revision: state.revision };
      } catch (error) {
        if (!(error instanceof ForebayError)) throw error;
        return { result: error, revision: state.revision };
      }
    });
    request.applied = answer;
    return answer;
  }

  #accept<T>({ revision, result }: Answer<T>, seen: number): T {
    if (revision < seen) throw this.#refuse(revision, seen);
    this.#seenRevision = Math.max(this.#seenRevision, revision);
    if (result instanceof ForebayError) throw result;
    return result;
  }

  #refuse(revision: number, seen: number): ForebayError {
    this.#refusal ??= new ForebayError(
      'coordinatorRefused',
      `the coordinator went back in time: it is at revision ${revision}, and this node has seen ${seen}`,
    );
    for (const session of this.#sessions) session.end(this.#refusal);
    return this.#refusal;
  }

  async session({ ttlMs }: { ttlMs: number }): Promise<Session> {
    const id = Buffer.from(this.#server.random.bytes(8)).toString('hex');
    const sentMs = this.#clock.boottimeMs();
    await this.#request({
      name: 'session',
      isWrite: true,
      act: (state, nowMs) => state.begin(id, { ttlMs, nowMs }),
    });
    const session = new SimSession({ id, ttlMs, sentMs, clock: this.#clock }, () => this.#end(session));
    this.#sessions.add(session);
    void this.#renewing(session).catch(() => undefined);
    session.lost.addEventListener('abort', () => this.#sessions.delete(session), { once: true });
    return session;
  }

  async #end(session: SimSession): Promise<void> {
    session.end(new ForebayError('sessionLost', 'the session was closed'));
    if (this.#closed.signal.aborted) return;
    await this.#request({ name: 'end', isWrite: true, act: (state) => state.end(session.id) });
  }

  /** Renews at a quarter of the term; gives the session up when the term of the last confirmed renewal is over. */
  async #renewing(session: SimSession): Promise<void> {
    const { lost, ttlMs, id } = session;
    while (!lost.aborted) {
      await this.#sleep(ttlMs / 4, lost);
      const lapsed = new ForebayError('sessionLost', 'the session was not renewed in time');
      if (this.#clock.boottimeMs() >= session.termMs) return session.end(lapsed);
      const sentMs = this.#clock.boottimeMs();
      const renew: Request<boolean> = {
        name: 'renew',
        isWrite: false,
        act: (state, nowMs) => state.renew(id, nowMs),
        signal: lost,
      };
      const answer = await this.#attempt(renew);
      if (this.#clock.boottimeMs() >= session.termMs) return session.end(lapsed);
      if (answer?.result === false) return session.end(new ForebayError('sessionLost', 'the coordinator ended it'));
      if (answer?.result === true) session.confirm(sentMs);
    }
  }

  async range(
    prefix: string,
    options: { limit?: number; after?: string; signal?: AbortSignal } = {},
  ): Promise<{ readonly revision: number; readonly entries: readonly KeyValue[]; readonly more: boolean }> {
    checkKey(prefix, { mayBeEmpty: true });
    const { limit = Number.POSITIVE_INFINITY, after, signal } = options;
    return await this.#request({
      name: `range ${prefix}`,
      isWrite: false,
      signal,
      act: (state) => {
        const all = state.range(prefix, after);
        return { revision: state.revision, entries: all.slice(0, limit), more: all.length > limit };
      },
    });
  }

  async transaction(transaction: Transaction): Promise<TransactionResult> {
    checkTransaction(transaction);
    const first = transaction.apply[0];
    if (this.#server.beforeSend && writes(transaction)) {
      this.#server.beforeSend(this.#life);
      await this.#sleep(0);
    }
    return await this.#request({
      name: `transaction ${first ? keyOf(first) : ''}`,
      isWrite: writes(transaction),
      act: (state) => state.transaction(transaction),
    });
  }

  async *watch(prefix: string, options: { afterRevision: number; signal: AbortSignal }): AsyncIterable<WatchEvent> {
    checkKey(prefix, { mayBeEmpty: true });
    const { random, faults } = this.#server;
    const signal = AbortSignal.any([options.signal, this.#closed.signal]);
    let seen = options.afterRevision;
    while (!signal.aborted) {
      if (this.#refusal) throw this.#refusal;
      const event = this.#hears ? this.#next(prefix, seen) : undefined;
      const waited = event ? this.#sleep(random.exponential(faults.latencyMs / 2), signal) : this.#somethingNew(signal);
      await waited.catch(() => undefined);
      if (signal.aborted) return;
      // What was on its way when the connection broke is asked for again.
      if (!event || !this.#hears) continue;
      seen = event.revision;
      this.#seenRevision = Math.max(this.#seenRevision, seen);
      yield event;
    }
  }

  #next(prefix: string, seen: number): WatchEvent | undefined {
    return this.#server.serve((state): WatchEvent | undefined => {
      if (state.revision < seen) throw this.#refuse(state.revision, seen);
      if (seen < state.compacted) return { kind: 'snapshot', revision: state.revision, changes: state.range(prefix) };
      const found = state.changesAfter(seen, prefix);
      return found && { kind: 'changes', ...found };
    });
  }

  #somethingNew(signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => void this.#server.clock.schedule(0, resolve, this.#life);
    const stop = this.#server.onChange(wake);
    signal.addEventListener('abort', wake, { once: true });
    return promise.finally(() => {
      stop();
      signal.removeEventListener('abort', wake);
    });
  }

  async close(): Promise<void> {
    if (this.#closed.signal.aborted) return;
    await Promise.allSettled([...this.#sessions].map((session) => session.close()));
    this.#closed.abort(new ForebayError('shuttingDown', 'the coordinator is closed'));
  }
}

class SimSession implements Session {
  readonly id: string;
  readonly ttlMs: number;
  readonly #lost = new AbortController();
  readonly #onClose: () => Promise<void>;
  #sentMs: number;

  constructor(
    { id, ttlMs, sentMs, clock }: { id: string; ttlMs: number; sentMs: number; clock: Clock },
    onClose: () => Promise<void>,
  ) {
    this.id = id;
    this.ttlMs = ttlMs;
    this.#sentMs = sentMs;
    this.#onClose = onClose;
    void this.#lapsing(clock).catch(() => undefined);
  }

  /** Lost the moment the term ends, whatever a renewal on its way may say. */
  async #lapsing(clock: Clock): Promise<void> {
    for (;;) {
      const leftMs = this.termMs - clock.boottimeMs();
      if (leftMs <= 0) return this.end(new ForebayError('sessionLost', 'the session was not renewed in time'));
      await clock.sleep(leftMs, this.lost);
    }
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** When the term of the last confirmed renewal is over. */
  get termMs(): number {
    return this.#sentMs + this.ttlMs;
  }

  get actUntilMs(): number {
    return this.lost.aborted ? Number.NEGATIVE_INFINITY : this.#sentMs + this.ttlMs * sessionActShare;
  }

  confirm(sentMs: number): void {
    this.#sentMs = sentMs;
  }

  end(reason: ForebayError): void {
    this.#lost.abort(reason);
  }

  close(): Promise<void> {
    return this.#onClose();
  }
}
