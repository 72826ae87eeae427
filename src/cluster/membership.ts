/**
 * Who is in the cluster. A node is in while its session lives; changes within `membershipSettleMs` are one membership
 * epoch, on which the nodes agree through the coordinator (`roster.ts`), so that all of them mean the same by its number.
 *
 * While the coordinator is away the members stay as they are (S-15). A node whose own session ended meanwhile takes a
 * new one as soon as it can; until then `mayAct` is false, and what needs the session must not be done (S-16).
 */
import { abortable } from '../core/abortable.ts';
import { assert } from '../core/assert.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { membershipRankMs, membershipRanksMax, membershipSettleMs } from '../core/limits.ts';
import type { Compare, Coordinator } from '../io/coordinator.ts';
import type { Clock } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import type { Member, Members } from './member.ts';
import { type Registered, Registration } from './registration.ts';
import { MEMBERS_PREFIX, Roster } from './roster.ts';

export interface JoinOptions {
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  readonly emit: Emit;
  readonly self: Omit<Member, 'session'>;
  readonly ttlMs: number;
  /**
   * Names what only one daemon at a time can have, such as a locked cache directory: a session of this node's name with
   * the same instance is a former life, which is over, and is not waited for.
   */
  readonly instance?: string;
  readonly signal?: AbortSignal;
}

export interface Membership {
  /** Those of the newest membership epoch; without this node only if it was away for so long that they went on without it. */
  readonly current: Members;
  readonly self: Member;
  /** False once this node's session may have ended. */
  mayAct(): boolean;
  /** Whether the coordinator does not answer, so that the members are those of before. */
  readonly isFrozen: boolean;
  /** A compare that holds while this life of this node is in: for transactions that must not be late (S-16). */
  fence(): Compare;
  /** Called after `current` changed. Returns what ends it. */
  onChange(listener: (members: Members) => void): () => void;
  /** Ends this node's session at once. */
  leave(): Promise<void>;
}

/**
 * Becomes a member; resolves once an epoch has this node in it. Rejects with `nameTaken` when another live session holds
 * the name for longer than a former life of this node could, or as the coordinator does.
 */
export async function joinCluster(options: JoinOptions): Promise<Membership> {
  const membership = new JoinedMembership(options);
  await membership.join();
  return membership;
}

/** Between two attempts to get back in, or to have an epoch agreed on. */
const RETRY_MS = 500;
/** How often a node looks whether it is frozen, per term. */
const LOOKS_PER_TERM = 10;

class JoinedMembership implements Membership {
  readonly #options: JoinOptions;
  readonly #registration: Registration;
  readonly #roster = new Roster();
  readonly #listeners = new Set<(members: Members) => void>();
  readonly #stop = new AbortController();
  #registered: Registered | undefined;
  #current: Members = { epoch: 0, members: [] };
  #isFrozen = false;
  /** Why the membership cannot be seen. */
  #blind: string | undefined;
  #onBehind: (() => void) | undefined;

  constructor(options: JoinOptions) {
    this.#options = options;
    const { coordinator, clock, self, ttlMs, instance } = options;
    this.#registration = new Registration({ coordinator, clock, self, ttlMs, instance });
  }

  get current(): Members {
    return this.#current;
  }

  get isFrozen(): boolean {
    return this.#isFrozen;
  }

  #joined(): Registered {
    assert(this.#registered, 'joinCluster resolves after the node is registered');
    return this.#registered;
  }

  get self(): Member {
    return this.#joined().member;
  }

  fence(): Compare {
    return this.#joined().fence;
  }

  mayAct(): boolean {
    return this.#options.clock.boottimeMs() < (this.#registered?.session.actUntilMs ?? 0);
  }

  onChange(listener: (members: Members) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async join(): Promise<void> {
    const { emit, signal } = this.#options;
    const given = AbortSignal.any([this.#stop.signal, ...(signal ? [signal] : [])]);
    this.#registered = await this.#registration.begin(given);
    const { session, member } = this.#registered;
    emit({ kind: 'session.begun', session: session.id });
    const isSeen = new Promise<void>((resolve) => {
      const done = this.onChange(({ members }) => {
        if (!members.some((other) => other.session === member.session)) return;
        done();
        resolve();
      });
    });
    // the session may be lost already: the name was long in coming
    const isIn = abortable(isSeen, AbortSignal.any([given, session.lost]));
    isIn.catch(() => undefined);
    const following = this.#follow();
    void this.#settle();
    try {
      await Promise.race([isIn, following]);
    } catch (error) {
      await this.leave().catch(() => undefined);
      throw error;
    }
    void this.#goOnFollowing(following);
    void this.#stay();
  }

  /** A coordinator that refuses to be watched may be made to allow it. */
  async #goOnFollowing(first: Promise<void>): Promise<void> {
    const { signal } = this.#stop;
    let following = first;
    for (;;) {
      try {
        await following;
      } catch (error) {
        if (signal.aborted) return;
        if (!isForebayError(error)) throw error;
        this.#blind = error.message;
      }
      await this.#options.clock.sleep(RETRY_MS, signal).catch(() => undefined);
      if (signal.aborted) return;
      following = this.#follow();
    }
  }

  /** Applies what happens in the coordinator. Ends with it, or rejects when that can no longer be known. */
  async #follow(): Promise<void> {
    const { coordinator } = this.#options;
    const { signal } = this.#stop;
    const { revision, entries } = await coordinator.range(MEMBERS_PREFIX, { signal });
    this.#blind = undefined;
    this.#roster.apply({ kind: 'snapshot', revision, changes: entries });
    this.#look();
    for await (const event of coordinator.watch(MEMBERS_PREFIX, { afterRevision: revision, signal })) {
      this.#roster.apply(event);
      this.#look();
    }
    if (!signal.aborted) throw new ForebayError('coordinatorUnavailable', 'the coordinator is closed');
  }

  #look(): void {
    const { current } = this.#roster;
    if (current && current.epoch > this.#current.epoch) this.#change(current);
    if (this.#roster.isBehind) this.#onBehind?.();
  }

  #change(next: Members): void {
    const before = new Map(this.#current.members.map((member) => [member.session, member]));
    const after = new Map(next.members.map((member) => [member.session, member]));
    const named = (members: readonly Member[]) => members.map(({ node }) => node).join(' ');
    this.#current = next;
    this.#options.emit({
      kind: 'cluster.changed',
      epoch: next.epoch,
      members: next.members.length,
      joined: named(next.members.filter(({ session }) => !before.has(session))),
      left: named([...before.values()].filter(({ session }) => !after.has(session))),
    });
    for (const listener of Array.from(this.#listeners)) listener(next);
  }

  /** Makes changes an epoch: after they had time to settle, the first of those present does; others if it does not. */
  async #settle(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      if (!this.#roster.isBehind) await this.#untilBehind(signal);
      await clock.sleep(this.#patienceMs(), signal).catch(() => undefined);
      if (signal.aborted || !this.#roster.isBehind) continue;
      await this.#agree().catch((error: unknown) => {
        if (!isForebayError(error)) throw error;
      });
      await clock.sleep(RETRY_MS, signal).catch(() => undefined);
    }
  }

  #untilBehind(signal: AbortSignal): Promise<void> {
    return new Promise<void>((resolve) => {
      this.#onBehind = resolve;
      signal.addEventListener('abort', () => resolve(), { once: true });
    }).finally(() => {
      this.#onBehind = undefined;
    });
  }

  /** A node alone has nobody to wait for. */
  #patienceMs(): number {
    const { present } = this.#roster;
    const rank = present.indexOf(this.#options.self.node);
    if (present.length === 1 && rank === 0) return 0;
    const turn = rank < 0 ? membershipRanksMax : Math.min(rank, membershipRanksMax);
    return membershipSettleMs + turn * membershipRankMs;
  }

  async #agree(): Promise<void> {
    if (!this.mayAct()) return;
    const { key, value } = this.#roster.next();
    const last = { key, target: 'modifyRevision', equals: this.#roster.agreedRevision } as const;
    await this.#options.coordinator.transaction({ compares: [last, this.fence()], apply: [{ put: key, value }] });
  }

  /** Says when the members are frozen, and gets a new session when this one was lost. */
  async #stay(): Promise<void> {
    const { clock, ttlMs, emit } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const { lost } = this.#joined().session;
      if (lost.aborted) {
        this.#freeze((lost.reason as Error).message);
        emit({ kind: 'session.lost', message: (lost.reason as Error).message });
        await this.#comeBack();
        continue;
      }
      if (this.mayAct() && this.#blind === undefined) this.#thaw();
      else this.#freeze(this.#blind ?? 'the coordinator does not answer');
      const either = AbortSignal.any([signal, lost]);
      await clock.sleep(ttlMs / LOOKS_PER_TERM, either).catch(() => undefined);
    }
  }

  async #comeBack(): Promise<void> {
    const { clock, emit } = this.#options;
    const { signal } = this.#stop;
    let warned = '';
    while (!signal.aborted) {
      try {
        const registered = await this.#registration.begin(signal);
        this.#registered = registered;
        emit({ kind: 'session.begun', session: registered.session.id });
        if (signal.aborted) await registered.session.close().catch(() => undefined);
        return;
      } catch (error) {
        if (signal.aborted) return;
        if (!isForebayError(error)) throw error;
        const { message } = error;
        if (!error.row.retry && message !== warned) emit({ kind: 'node.warning', message: (warned = message) });
      }
      await clock.sleep(RETRY_MS, signal).catch(() => undefined);
    }
  }

  #freeze(message: string): void {
    if (this.#isFrozen || this.#stop.signal.aborted) return;
    this.#isFrozen = true;
    this.#options.emit({ kind: 'cluster.frozen', message });
  }

  #thaw(): void {
    if (!this.#isFrozen) return;
    this.#isFrozen = false;
    this.#options.emit({ kind: 'cluster.thawed' });
  }

  async leave(): Promise<void> {
    if (this.#stop.signal.aborted) return;
    this.#stop.abort(new Error('this node left the cluster'));
    await this.#registered?.session.close();
  }
}
