/**
 * Where values are: here; at the node that promised them; else as their owners say. One message per owner, one per holder, all at once, each
 * bounded by `peerMs`. Nobody who is silent is waited for: what only they know is not there.
 *
 * Promise (S-10): what is leased was leased by its holder, which has it whole; the lease counts from before it was asked.
 */
import { listOf, textOf } from '../cluster/chunk-wire.ts';
import { isForebayError } from '../core/errors.ts';
import { kvMessageKeyBytes, kvMessageKeysMax } from '../core/kv-limits.ts';
import type { Json } from '../io/peers.ts';
import type { KeyOwner } from './key-owner.ts';
import type { ValueFact } from './kv.ts';
import { batchesOf, factFromWire } from './kv-wire.ts';
import type { LeaseMemory, Promised } from './lease-memory.ts';
import { leaseHere } from './prepared.ts';
import type { Scope } from './scope.ts';

export interface RemoteFact extends Promised {
  /** All bytes, where they came with the answer. */
  readonly bytes: Uint8Array | undefined;
  readonly isLeased: boolean;
}

export type Found =
  | { readonly kind: 'here' }
  | ({ readonly kind: 'there' } & RemoteFact)
  /** `dropped`: its holder says that a client deleted it. `silent`: who may have it did not answer. */
  | { readonly kind: 'missing'; readonly why?: 'dropped' | 'silent' };

export interface FindOptions {
  /** Of the lease; 0: none. */
  readonly leaseMs: number;
  /** Bytes of small values come along. */
  readonly inline?: boolean;
  /** Only the longest leading run of keys that are there is of interest. */
  readonly leading?: boolean;
  /** Owners are asked even where a holder is remembered. */
  readonly forgets?: boolean;
  readonly signal: AbortSignal;
}

type Place = { readonly kind: 'here' } | { readonly kind: 'at'; readonly node: string } | undefined;

const MISSING: Found = { kind: 'missing' };
const SILENT: Found = { kind: 'missing', why: 'silent' };
const BATCH = { keysMax: kvMessageKeysMax, bytesMax: kvMessageKeyBytes };

export class KeyFinder {
  readonly #scope: Scope;
  readonly #owner: KeyOwner;
  readonly #memory: LeaseMemory;

  constructor(scope: Scope, owner: KeyOwner, memory: LeaseMemory) {
    this.#scope = scope;
    this.#owner = owner;
    this.#memory = memory;
  }

  async find(keys: readonly string[], options: FindOptions): Promise<Found[]> {
    const places: Place[] = keys.map((key) => (this.#scope.local.find(key) ? { kind: 'here' } : undefined));
    const remembered = new Set<number>();
    if (options.forgets !== true)
      for (const [at, key] of keys.entries()) {
        const promised = places[at] === undefined ? this.#remembered(key) : undefined;
        if (promised === undefined) continue;
        places[at] = { kind: 'at', node: promised.node };
        remembered.add(at);
      }
    await this.#locate(keys, places, options.signal);
    const gap = options.leading === true ? places.indexOf(undefined) : -1;
    const found = await this.#ask(keys, gap < 0 ? places : places.slice(0, gap), options);
    await this.#askAgain(keys, { places, found, remembered, options });
    return found;
  }

  /** The nodes that owners name, and whether a key is here. */
  async places(keys: readonly string[], signal: AbortSignal): Promise<Place[]> {
    const places: Place[] = keys.map((key) => (this.#scope.local.find(key) ? { kind: 'here' } : undefined));
    await this.#locate(keys, places, signal);
    return places;
  }

  #remembered(key: string): Promised | undefined {
    const promised = this.#memory.get(this.#scope.nowMs, key);
    if (promised !== undefined && this.#scope.sessionOf(promised.node) === promised.session) return promised;
    if (promised !== undefined) this.#memory.delete(key);
    return undefined;
  }

  /** Fills in what is not known yet. */
  async #locate(keys: readonly string[], places: Place[], signal: AbortSignal): Promise<void> {
    const byOwner = new Map<string, number[]>();
    for (const [at, key] of keys.entries()) {
      if (places[at] !== undefined) continue;
      const owner = this.#scope.ownerOf(key);
      if (owner === undefined) continue;
      const known = byOwner.get(owner);
      if (known === undefined) byOwner.set(owner, [at]);
      else known.push(at);
    }
    const { cluster } = this.#scope;
    const put = (at: number, node: string | undefined): void => {
      // who left holds nothing; what is not here by now went meanwhile
      if (node !== undefined && node !== cluster.self && cluster.member(node) !== undefined)
        places[at] = { kind: 'at', node };
    };
    await Promise.all(
      Array.from(byOwner, async ([owner, indexes]) => {
        if (owner === cluster.self) {
          for (const [n, node] of this.#owner.locate(indexes.map((at) => keys[at] as string)).entries())
            put(indexes[n] as number, node);
          return;
        }
        await this.#inBatches(indexes, keys, async (batch) => {
          const asked = batch.map((at) => keys[at] as string);
          const answer = listOf(await this.#scope.ask(owner, { type: 'kv.locate', keys: asked }, { signal }));
          for (const [n, at] of batch.entries()) put(at, typeof answer[n] === 'string' ? textOf(answer[n]) : undefined);
        });
      }),
    );
  }

  /** Asks the holders, and here, for what the places say. */
  async #ask(keys: readonly string[], places: readonly Place[], options: FindOptions): Promise<Found[]> {
    const found: Found[] = keys.map(() => MISSING);
    const byHolder = new Map<string, number[]>();
    const here: number[] = [];
    for (const [at, place] of places.entries()) {
      if (place?.kind === 'here') here.push(at);
      if (place?.kind !== 'at') continue;
      const known = byHolder.get(place.node);
      if (known === undefined) byHolder.set(place.node, [at]);
      else known.push(at);
    }
    await Promise.all([
      ...here.map(async (at) => {
        found[at] = await this.#lease(keys[at] as string, options);
      }),
      ...Array.from(byHolder, async ([node, indexes]) => {
        const isAnswered = await this.#inBatches(indexes, keys, (batch) =>
          this.#askHolder(node, batch, { keys, found, options }),
        );
        if (isAnswered) return;
        const lives = options.inline === true && (await this.#livesWith(node, keys, indexes));
        for (const at of indexes)
          if (found[at] === MISSING)
            found[at] = (lives ? this.#recalled(node, keys[at] as string) : undefined) ?? SILENT;
      }),
    ]);
    return found;
  }

  /** Whether a holder that did not answer in time, and has promised some of these, at least says hello: it may only be slow. */
  async #livesWith(node: string, keys: readonly string[], indexes: readonly number[]): Promise<boolean> {
    const { hellos } = this.#scope.cluster;
    const hasPromised = indexes.some((at) => this.#recalled(node, keys[at] as string) !== undefined);
    return hasPromised && !hellos.isSilent(node) && (await hellos.isThere(node));
  }

  /** What a node has promised is there while it lives (S-10), also where it cannot be asked about it just now. */
  #recalled(node: string, key: string): Found | undefined {
    const promised = this.#remembered(key);
    if (promised?.node !== node) return undefined;
    return { kind: 'there', ...promised, isLeased: false, bytes: undefined };
  }

  /** What is here stays here, if it can be promised. */
  async #lease(key: string, { leaseMs, leading }: FindOptions): Promise<Found> {
    const { local } = this.#scope;
    const isLeased = leaseMs > 0 && (await leaseHere(local, key, leaseMs));
    return isLeased || (leading !== true && local.find(key) !== undefined) ? { kind: 'here' } : MISSING;
  }

  async #askHolder(
    node: string,
    batch: readonly number[],
    { keys, found, options }: { keys: readonly string[]; found: Found[]; options: FindOptions },
  ): Promise<void> {
    const { leaseMs, inline, signal } = options;
    const asked = batch.map((at) => keys[at] as string);
    const { nowMs } = this.#scope;
    const session = this.#scope.sessionOf(node) ?? '';
    const message = { type: 'kv.lease', keys: asked, ms: leaseMs, ...(inline === true && { inline }) };
    const answer = listOf(await this.#scope.ask(node, message, { signal }));
    for (const [n, at] of batch.entries())
      found[at] = this.#taken(keys[at] as string, answer[n], { node, session, endMs: nowMs + leaseMs });
  }

  #taken(key: string, answer: Json | undefined, from: { node: string; session: string; endMs: number }): Found {
    if (answer === 'dropped') {
      this.#memory.delete(key);
      return { kind: 'missing', why: 'dropped' };
    }
    const held = factFromWire(answer);
    if (held === undefined) {
      this.#memory.delete(key);
      return MISSING;
    }
    const { fact, isLeased, bytes } = held;
    const found = { kind: 'there', ...from, fact, isLeased, bytes } as const;
    if (isLeased) this.#memory.set(key, { ...from, fact });
    return found;
  }

  /** A holder that was remembered, or just lost its place, may have been followed by another: its owner knows. */
  async #askAgain(
    keys: readonly string[],
    asked: { places: Place[]; found: Found[]; remembered: ReadonlySet<number>; options: FindOptions },
  ): Promise<void> {
    const { places, found, remembered, options } = asked;
    const again: number[] = [];
    for (const [at, place] of places.entries()) {
      const each = found[at] as Found;
      if (place?.kind === 'at' && each.kind === 'missing' && (each.why !== 'silent' || remembered.has(at)))
        again.push(at);
    }
    if (again.length === 0) return;
    const names = again.map((at) => keys[at] as string);
    const now = await this.places(names, options.signal);
    const isNew = (n: number) => {
      const [before, after] = [places[again[n] as number], now[n]];
      return after?.kind === 'here' || (after?.kind === 'at' && (before?.kind !== 'at' || after.node !== before.node));
    };
    const later = now.map((place, n) => (isNew(n) ? place : undefined));
    const others = await this.#ask(names, later, options);
    for (const [n, at] of again.entries()) {
      const each = others[n] as Found;
      if (later[n] !== undefined && this.#isWanted(each, options)) found[at] = each;
    }
  }

  #isWanted(found: Found, { leading }: FindOptions): boolean {
    return found.kind !== 'missing' && (leading !== true || found.kind === 'here' || found.isLeased);
  }

  /** False when one of the messages was not answered. */
  async #inBatches(
    indexes: readonly number[],
    keys: readonly string[],
    send: (batch: number[]) => Promise<void>,
  ): Promise<boolean> {
    let isAnswered = true;
    const batches = Array.from(batchesOf(indexes, (at) => keys[at] as string, BATCH));
    await Promise.all(
      batches.map(async (batch) => {
        try {
          await send(batch);
        } catch (error) {
          if (!isForebayError(error)) throw error;
          isAnswered = false;
        }
      }),
    );
    return isAnswered;
  }
}

/** Which facts a lookup may tell: the leading ones that were leased. */
export function leadingOf(found: readonly Found[], here: (at: number) => ValueFact | undefined): ValueFact[] {
  const facts: ValueFact[] = [];
  for (const [at, each] of found.entries()) {
    const fact = each.kind === 'here' ? here(at) : each.kind === 'there' && each.isLeased ? each.fact : undefined;
    if (fact === undefined) break;
    facts.push(fact);
  }
  return facts;
}
