/**
 * The other nodes' part in one kv volume, put together: who holds what (as owner, as holder, as asker), and what a put, a delete or a
 * reader here needs of them.
 *
 * A key whose owner cannot be asked is a miss; a put whose owner does not hear of it in time is told to it later.
 */

import { fieldsOf, listOf } from '../cluster/chunk-wire.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { kvInlineMaxBytes, kvLeaseMs, kvPrefetchBlocksMax, kvRetryMs, kvTellMs } from '../core/kv-limits.ts';
import { ownerPatienceMs, peerCallMs, takeoverMs } from '../core/limits.ts';
import type { Json, PeerMessage } from '../io/peers.ts';
import type { Emit } from '../observe/events.ts';
import { DroppedKeys } from './dropped-keys.ts';
import { siblingsOf } from './entry.ts';
import { gather, PrefetchBudget } from './gather.ts';
import type { Claimed, KeyDirectory } from './key-directory.ts';
import { KeyFinder } from './key-finder.ts';
import { claimedOf, KeyOwner, type Sibling } from './key-owner.ts';
import { KeyTeller } from './key-teller.ts';
import type { KeyPage, OpenValue, PutOptions, ValueFact } from './kv.ts';
import { factFromWire, keyOf, msToWire } from './kv-wire.ts';
import { LeaseMemory } from './lease-memory.ts';
import { openHere } from './prepared.ts';
import { RemoteValue } from './remote-value.ts';
import { Scope, type ScopeOptions } from './scope.ts';
import { bodyOf, ValueHolder, type ValueHolderOptions } from './value-holder.ts';
import type { LocalOutcome } from './values.ts';

export interface RemoteKeysOptions extends ScopeOptions {
  readonly directory: KeyDirectory;
  readonly emit: Emit;
  /** Names this life of the daemon. */
  readonly life: string;
  readonly status: ValueHolderOptions['status'];
  /** As a client's put here. */
  readonly put: ValueHolderOptions['put'];
}

export class RemoteKeys {
  readonly #scope: Scope;
  readonly #emit: Emit;
  readonly #dropped = new DroppedKeys();
  readonly #memory = new LeaseMemory();
  readonly #budget = new PrefetchBudget(kvPrefetchBlocksMax);
  readonly #put: RemoteKeysOptions['put'];
  readonly #owner: KeyOwner;
  readonly #teller: KeyTeller;
  readonly #finder: KeyFinder;
  readonly #holder: ValueHolder;
  /** What each node last said that it has. */
  readonly #counts = new Map<string, number>();

  constructor(options: RemoteKeysOptions) {
    const { directory, emit, life, status, put } = options;
    this.#scope = new Scope(options);
    this.#emit = emit;
    this.#put = put;
    this.#owner = new KeyOwner(this.#scope, directory, (key, content) => {
      if (this.#scope.local.drop(key, content)) this.removed(key);
    });
    const onSibling = (sibling: Sibling) => void this.#takeSibling(sibling).catch(() => undefined);
    this.#teller = new KeyTeller({ scope: this.#scope, life, onSibling });
    this.#finder = new KeyFinder(this.#scope, this.#owner, this.#memory);
    this.#holder = new ValueHolder({
      scope: this.#scope,
      dropped: this.#dropped,
      status,
      put,
      onMissed: (key) => void this.#teller.mark(key, { fresh: false }),
      expire: (key, ttlMs) => this.expireHere(key, ttlMs),
    });
  }

  /** Answers a message of another node. */
  answer(from: string, message: PeerMessage, signal: AbortSignal): Promise<Json> | Json {
    const answer = this.#owner.answers[message.type] ?? this.#holder.answers[message.type];
    if (answer === undefined) throw new ForebayError('invalidRequest', `nothing here answers to ${message.type}`);
    return answer(from, message, signal);
  }

  /** Ends what has timed out. */
  tick(): void {
    this.#owner.tick();
  }

  /** A client is about to put another version of a key that is here. */
  replaces(key: string): void {
    this.#dropped.add(this.#scope.nowMs, key);
  }

  /** A client put a key here. Resolves when its owner knows, or after `kvTellMs`. */
  async stored(key: string, fact: ValueFact): Promise<void> {
    this.#memory.delete(key);
    if (this.#scope.isOurs(key)) {
      for (const sibling of this.#owner.siblings(key, this.#scope.cluster.self))
        void this.#takeSibling(sibling).catch(() => undefined);
      const told = this.#owner.put(key, fact.content, this.#scope.nowMs + fact.remainingMs);
      await this.#scope.atMost(kvTellMs, told);
      return;
    }
    const told = this.#teller.mark(key, { fresh: true });
    if (told !== undefined) await this.#scope.atMost(kvTellMs, told);
  }

  /** A key went by itself. */
  gone(key: string): void {
    void this.#teller.mark(key, { fresh: false });
  }

  /** A client deleted a key that was here, or put another over it elsewhere. */
  removed(key: string): void {
    this.#dropped.add(this.#scope.nowMs, key);
    void this.#teller.mark(key, { fresh: false });
  }

  expireHere(key: string, ttlMs: number): boolean {
    if (!this.#scope.local.expire(key, ttlMs)) return false;
    this.#dropped.add(this.#scope.nowMs, key);
    void this.#teller.mark(key, { fresh: false });
    return true;
  }

  /** From the node that has it. */
  async open(key: string, signal: AbortSignal): Promise<OpenValue | undefined> {
    const promised = this.#memory.get(this.#scope.nowMs, key);
    const remembered = promised && this.#scope.sessionOf(promised.node) === promised.session ? promised : undefined;
    if (remembered !== undefined && remembered.fact.sizeBytes > kvInlineMaxBytes) {
      const value = await this.#arriving({ ...remembered, isLeased: true, bytes: undefined }, signal);
      if (value !== undefined) return value;
    }
    const first = await this.#openFound(key, { forgets: false }, signal);
    if (typeof first !== 'string') return first;
    const value = first === 'lost' ? await this.#openFound(key, { forgets: true }, signal) : first;
    if (typeof value !== 'string') return value;
    if (remembered !== undefined && value !== 'dropped') await this.#missedPromise(key, remembered.node, signal);
    return undefined;
  }

  async find(
    keys: readonly string[],
    options: { leaseMs: number; leading: boolean; signal: AbortSignal },
  ): ReturnType<KeyFinder['find']> {
    return this.#finder.find(keys, options);
  }

  gather(
    keys: readonly string[],
    open: (key: string, signal: AbortSignal) => Promise<OpenValue | undefined>,
    signal: AbortSignal,
  ): AsyncGenerator<OpenValue | undefined> {
    return gather({ scope: this.#scope, finder: this.#finder, budget: this.#budget, open }, keys, signal);
  }

  /** Where another part of the entry is elsewhere, a small part is put there: `undefined` where it is to be put here. */
  async forward(key: string, bytes: Uint8Array, options: PutOptions): Promise<LocalOutcome | undefined> {
    const { local, suffixes } = this.#scope;
    const siblings = siblingsOf(key, suffixes);
    if (siblings.length === 0 || siblings.some((sibling) => local.find(sibling) !== undefined)) return undefined;
    const places = await this.#finder.places(siblings, options.signal);
    for (const place of places) {
      if (place?.kind !== 'at') continue;
      const { ttlMs, contentType } = options;
      const message = {
        type: 'kv.put',
        key,
        bytes: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64'),
        ...(ttlMs !== undefined && { ms: msToWire(ttlMs) }),
        ...(contentType !== undefined && { contentType }),
      };
      try {
        const { outcome, fact } = fieldsOf(await this.#scope.ask(place.node, message, { deadlineMs: peerCallMs }));
        const held = factFromWire(fact);
        if (held !== undefined) return { outcome: outcome === 'same' ? 'same' : 'stored', fact: held.fact };
      } catch (error) {
        if (!isForebayError(error)) throw error;
      }
    }
    return undefined;
  }

  /** Asks the owner for the right to put where nothing is. Throws what the owner's silence is. */
  async claim(key: string, token: string, signal: AbortSignal): Promise<'granted' | 'exists'> {
    return this.#decided(key, signal, (owner) =>
      owner === undefined
        ? this.#owner.claim(key, token)
        : this.#scope.ask(owner, { type: 'kv.claim', key, token }, { deadlineMs: peerCallMs, signal }).then(claimedOf),
    );
  }

  unclaim(key: string, token: string): void {
    const owner = this.#scope.ownerOf(key);
    if (owner === this.#scope.cluster.self) this.#owner.unclaim(key, token);
    else if (owner !== undefined)
      void this.#scope
        .ask(owner, { type: 'kv.unclaim', key, token }, { deadlineMs: peerCallMs })
        .catch(() => undefined);
  }

  /** What was put by that right is here now: it counts, or somebody else came first. */
  async settle(key: string, fact: ValueFact, token: string, signal: AbortSignal): Promise<'granted' | 'exists'> {
    const { cluster } = this.#scope;
    const { content, remainingMs } = fact;
    return this.#decided(key, signal, (owner) => {
      if (owner === undefined)
        return this.#owner.settle(cluster.self, { key, content, untilMs: this.#scope.nowMs + remainingMs }, token);
      const message = { type: 'kv.settle', key, content, ms: msToWire(remainingMs), token };
      return this.#scope.ask(owner, message, { deadlineMs: peerCallMs, signal }).then(claimedOf);
    });
  }

  /** How many of these keys, none of which is here, others had. */
  async remove(keys: readonly string[], signal: AbortSignal): Promise<number> {
    const { cluster } = this.#scope;
    const byOwner = Map.groupBy(keys, (key) => this.#scope.ownerOf(key));
    const counts = await Promise.all(
      Array.from(byOwner, async ([owner, owned]) => {
        for (const key of owned) this.#memory.delete(key);
        if (owner === undefined) return 0;
        const removed =
          owner === cluster.self ? await this.#owner.remove(owned) : await this.#askToRemove(owner, owned, signal);
        return removed.filter(Boolean).length;
      }),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  async #askToRemove(owner: string, keys: readonly string[], signal: AbortSignal): Promise<boolean[]> {
    const removed: boolean[] = [];
    const deadlineMs = 4 * this.#scope.peerMs;
    for (let at = 0; at < keys.length; at += REMOVED_MAX) {
      const message = { type: 'kv.remove', keys: keys.slice(at, at + REMOVED_MAX) };
      try {
        const answer = listOf(await this.#scope.ask(owner, message, { deadlineMs, signal }));
        removed.push(...answer.map((each) => each === true));
      } catch (error) {
        if (!isForebayError(error)) throw error;
      }
    }
    return removed;
  }

  async expire(key: string, ttlMs: number, signal: AbortSignal): Promise<boolean> {
    const [place] = await this.#finder.places([key], signal);
    if (place?.kind === 'here') return this.expireHere(key, ttlMs);
    if (place === undefined) return false;
    try {
      return (await this.#scope.ask(place.node, { type: 'kv.expire', key, ms: msToWire(ttlMs) }, { signal })) === true;
    } catch (error) {
      if (!isForebayError(error)) throw error;
      return false;
    }
  }

  /** What the others have, each as it last said. */
  async count(signal: AbortSignal): Promise<number> {
    const counts = await Promise.all(
      this.#others().map(async (node) => {
        const count = await this.#askFor(node, { type: 'kv.count' }, signal);
        if (typeof count === 'number') this.#counts.set(node, count);
        return this.#counts.get(node) ?? 0;
      }),
    );
    return counts.reduce((sum, count) => sum + count, 0);
  }

  /** A page of each other node, in byte order; `isWhole`: there is nothing after it. */
  async pages(
    request: { prefix: string; after?: string; limit: number },
    signal: AbortSignal,
  ): Promise<{ keys: KeyPage['keys']; isWhole: boolean }[]> {
    const pages = await Promise.all(
      this.#others().map(async (node) => {
        const answer = await this.#askFor(node, { type: 'kv.page', ...request }, signal);
        const keys = Array.isArray(answer) ? listOf(answer as Json).flatMap(pageItemOf) : [];
        return { keys, isWhole: keys.length < request.limit };
      }),
    );
    return pages;
  }

  #others(): string[] {
    const { members, self } = this.#scope.cluster;
    return members.members.map(({ node }) => node).filter((node) => node !== self);
  }

  async #askFor(node: string, message: PeerMessage, signal: AbortSignal): Promise<Json | undefined> {
    try {
      return await this.#scope.ask(node, message, { signal });
    } catch (error) {
      if (!isForebayError(error)) throw error;
      return undefined;
    }
  }

  /** `lost`: it was found, and could not be had. */
  async #openFound(
    key: string,
    { forgets }: { forgets: boolean },
    signal: AbortSignal,
  ): Promise<OpenValue | 'missing' | 'dropped' | 'lost'> {
    const [found] = await this.#finder.find([key], { leaseMs: kvLeaseMs, inline: true, forgets, signal });
    if (found?.kind === 'here') return (await openHere(this.#scope.local, key)) ?? 'lost';
    if (found?.kind !== 'there') return found?.why === 'dropped' ? 'dropped' : 'missing';
    const value = await this.#arriving(found, signal);
    if (value !== undefined) return value;
    this.#memory.delete(key);
    return 'lost';
  }

  async #arriving(
    remote: ConstructorParameters<typeof RemoteValue>[0]['remote'],
    signal: AbortSignal,
  ): Promise<OpenValue | undefined> {
    const value = new RemoteValue({ cluster: this.#scope.cluster, remote });
    try {
      if (await value.arrives(signal)) return value;
    } catch (error) {
      value.close();
      throw error;
    }
    value.close();
    return undefined;
  }

  /** A promise was not kept: counted, unless a client wanted it so, or its holder is not there any more. */
  async #missedPromise(key: string, node: string, signal: AbortSignal): Promise<void> {
    const { volume } = this.#scope;
    const answer = await this.#askFor(node, { type: 'kv.lease', keys: [key], ms: 0 }, signal);
    if (!Array.isArray(answer) || answer[0] !== null) return;
    this.#emit({ kind: 'kv.missed', volume, key, holder: node });
  }

  /** The owner's decision, asked again while it is not to be had, for as long as a takeover may last. */
  async #decided(
    key: string,
    signal: AbortSignal,
    ask: (owner: string | undefined) => Promise<Claimed | 'notOwner'> | Claimed | 'notOwner',
  ): Promise<'granted' | 'exists'> {
    const { cluster } = this.#scope;
    const endMs = this.#scope.nowMs + takeoverMs + ownerPatienceMs;
    for (;;) {
      signal.throwIfAborted();
      const owner = this.#scope.ownerOf(key);
      const decided = await this.#decision(owner === cluster.self ? undefined : owner, ask);
      if (decided === 'granted' || decided === 'exists') return decided;
      if (decided === 'overloaded') throw new ForebayError('overloaded', 'too many conditional puts are under way');
      if (this.#scope.nowMs >= endMs)
        throw new ForebayError('peerTimeout', `${owner ?? 'no node'} does not say who may put this key; try again`);
      await cluster.clock.sleep(kvRetryMs, signal);
    }
  }

  async #decision(
    owner: string | undefined,
    ask: (owner: string | undefined) => Promise<Claimed | 'notOwner'> | Claimed | 'notOwner',
  ): Promise<Claimed | 'notOwner'> {
    try {
      return await ask(owner);
    } catch (error) {
      if (!isForebayError(error)) throw error;
      return 'notOwner';
    }
  }

  /** Another node has a small part of an entry that was put here: it comes here too. */
  async #takeSibling({ key, node }: Sibling): Promise<void> {
    const { closing } = this.#scope.cluster;
    const message = { type: 'kv.lease', keys: [key], ms: 0, inline: true };
    const [answer] = listOf(await this.#scope.ask(node, message, { signal: closing }));
    if (answer === 'dropped') return;
    const held = factFromWire(answer);
    if (held?.bytes === undefined || this.#scope.local.find(key) !== undefined) return;
    const { remainingMs, contentType } = held.fact;
    await this.#put(key, bodyOf(held.bytes), {
      ...(Number.isFinite(remainingMs) && { ttlMs: remainingMs }),
      ...(contentType !== undefined && { contentType }),
      signal: closing,
    });
  }
}

/** Keys of one message that deletes. */
const REMOVED_MAX = 256;

function pageItemOf(item: Json): { key: string; fact: ValueFact }[] {
  const held = factFromWire(item);
  return held === undefined ? [] : [{ key: keyOf(fieldsOf(item)['key']), fact: held.fact }];
}
