/**
 * A node's name in the coordinator, under its session. The name is taken while another session holds its key; one that
 * may be a former life of this node, not yet expired, is waited for.
 */
import { formatAddress } from '../core/address.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import type { Compare, Coordinator, KeyValue, Session } from '../io/coordinator.ts';
import type { Clock } from '../io/io.ts';
import type { Member } from './member.ts';
import { formatPublished, memberKey, parsePublished } from './roster.ts';

/** A session that does not renew is gone after its term and what the coordinator takes to notice. */
const FORMER_LIFE_TERMS = 1.5;
const LOOKS_PER_TERM = 20;

export interface Registered {
  readonly session: Session;
  readonly member: Member;
  /** Holds as long as this session has the name: for transactions that must not be late (S-16). */
  readonly fence: Compare;
}

export interface RegistrationOptions {
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  readonly self: Omit<Member, 'session'>;
  readonly ttlMs: number;
  readonly instance: string | undefined;
}

export class Registration {
  readonly #options: RegistrationOptions;
  /** Sessions that this process had: their keys may be replaced. */
  readonly #former = new Set<string>();

  constructor(options: RegistrationOptions) {
    this.#options = options;
  }

  /** Begins a session and puts the name under it. Rejects with `nameTaken`, or as the coordinator does. */
  async begin(signal: AbortSignal): Promise<Registered> {
    const { coordinator, self, ttlMs, instance } = this.#options;
    const session = await coordinator.session({ ttlMs });
    this.#former.add(session.id);
    const member: Member = { ...self, session: session.id };
    const value = formatPublished({ member, instance });
    try {
      const revision = await this.#put(value, { session, signal });
      const fence = { key: memberKey(self.node), target: 'modifyRevision', equals: revision } as const;
      return { session, member, fence };
    } catch (error) {
      await session.close().catch(() => undefined);
      throw error;
    }
  }

  /** Puts the key as soon as nobody else has it; returns its revision. */
  async #put(value: Uint8Array, { session, signal }: { session: Session; signal: AbortSignal }): Promise<number> {
    const { clock, self, ttlMs } = this.#options;
    const key = memberKey(self.node);
    const patienceMs = ttlMs * FORMER_LIFE_TERMS;
    const startMs = clock.boottimeMs();
    let replaces = 0;
    for (;;) {
      signal.throwIfAborted();
      const holder = await this.#attempt(key, value, { replaces, session });
      if (typeof holder === 'number') return holder;
      const published = holder && parsePublished(holder.value);
      if (published?.member.session === session.id) return (holder as KeyValue).modifyRevision;
      const isFormer = published && this.#isFormer(published.member.session, published.instance);
      replaces = isFormer ? (holder as KeyValue).modifyRevision : 0;
      if (!holder || isFormer) continue;
      if (clock.boottimeMs() - startMs >= patienceMs) {
        const at = published ? ` at ${formatAddress(published.member.address)}` : '';
        throw new ForebayError('nameTaken', `another node${at} has the name ${self.node} and is alive`);
      }
      await clock.sleep(ttlMs / LOOKS_PER_TERM, signal);
    }
  }

  #isFormer(session: string, instance: string | undefined): boolean {
    return this.#former.has(session) || (instance !== undefined && instance === this.#options.instance);
  }

  /** The revision of the put, or who has the key, or `undefined` when that changed meanwhile. */
  async #attempt(
    key: string,
    value: Uint8Array,
    { replaces, session }: { replaces: number; session: Session },
  ): Promise<number | KeyValue | undefined> {
    const { coordinator } = this.#options;
    const read = { compares: [], apply: [{ read: key }] };
    try {
      const result = await coordinator.transaction({
        compares: [{ key, target: 'modifyRevision', equals: replaces }],
        apply: [{ put: key, value, session: session.id }],
        otherwise: [{ read: key }],
      });
      return result.succeeded ? result.revision : result.reads[0];
    } catch (error) {
      // Whether it happened shows in the key: nobody else puts this session there.
      if (!isForebayError(error, 'coordinatorUncertain')) throw error;
      return (await coordinator.transaction(read)).reads[0];
    }
  }
}
