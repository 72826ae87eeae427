/**
 * One kv volume: what is here (`values.ts`), and what other nodes have (`remote-keys.ts`). On a node alone there is nobody to ask.
 *
 * A value has one holder, the node that it was put at; reads of what is here ask nobody. Whatever cannot be had in time is a miss.
 */
import type { Cluster } from '../cluster/cluster.ts';
import { ForebayError } from '../core/errors.ts';
import {
  kvInlineMaxBytes,
  kvLeaseMaxMs,
  kvLeaseMs,
  kvMessageKeysMax,
  valueKeyMaxBytes,
  valueMaxBytes,
} from '../core/kv-limits.ts';
import type { Clock, Random } from '../io/io.ts';
import type { Json, PeerMessage } from '../io/peers.ts';
import type { Emit } from '../observe/events.ts';
import { entryOf } from './entry.ts';
import { KeyDirectory } from './key-directory.ts';
import { leadingOf } from './key-finder.ts';
import type {
  KeyPage,
  KvStatus,
  KvVolume as KvVolumeSeam,
  Lookup,
  OpenValue,
  PutOptions,
  PutOutcome,
  ValueBody,
  ValueFact,
} from './kv.ts';
import { leaseHere, openHere } from './prepared.ts';
import { RemoteKeys } from './remote-keys.ts';
import { withKeeping } from './value-blocks.ts';
import { bodyOf } from './value-holder.ts';
import type { LocalOutcome, LocalValues } from './values.ts';

export interface KvVolumeOptions {
  readonly name: string;
  readonly suffixes: readonly string[];
  readonly local: LocalValues;
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
  /** Absent for a node alone. */
  readonly cluster?: Cluster | undefined;
  /** How long a peer may take for an answer about keys; absent: the named limit. */
  readonly peerMs?: number | undefined;
}

export class KvVolume implements KvVolumeSeam {
  readonly name: string;
  readonly #options: KvVolumeOptions;
  readonly #local: LocalValues;
  /** Who puts where nothing is, on a node alone. */
  readonly #directory: KeyDirectory;
  readonly #remote: RemoteKeys | undefined;

  constructor(options: KvVolumeOptions) {
    const { name, suffixes, local, cluster, random, emit, peerMs } = options;
    this.name = name;
    this.#options = options;
    this.#local = local;
    const here = (key: string) => local.find(key)?.content;
    this.#directory = new KeyDirectory({ self: cluster?.self ?? '', suffixes, here });
    this.#remote =
      cluster &&
      new RemoteKeys({
        volume: name,
        suffixes,
        cluster,
        local,
        directory: this.#directory,
        emit,
        life: hex(random.bytes(8)),
        status: () => local.status,
        put: (key, body, put) => this.#putLocally(key, body, put),
        ...(peerMs !== undefined && { peerMs }),
      });
    local.onGone = (key) => this.#remote?.gone(key);
  }

  get status(): KvStatus {
    return this.#local.status;
  }

  /** Of another node. */
  answer(from: string, message: PeerMessage, signal: AbortSignal): Promise<Json> | Json {
    if (this.#remote === undefined) throw new ForebayError('invalidRequest', 'this node is alone');
    return this.#remote.answer(from, message, signal);
  }

  tick(): void {
    if (this.#remote === undefined) this.#directory.tick(this.#options.clock.boottimeMs());
    else this.#remote.tick();
  }

  async put(key: string, body: ValueBody, options: PutOptions): Promise<PutOutcome> {
    checkKey(key);
    if (body.lengthBytes > valueMaxBytes)
      throw new ForebayError('tooLarge', `a value has at most ${valueMaxBytes} bytes, not ${body.lengthBytes}`);
    if (options.onlyIfAbsent === true || options.mustBeAbsent !== undefined)
      return this.#putIfAbsent(key, body, options);
    if (this.#remote === undefined || body.lengthBytes > kvInlineMaxBytes) return this.#putHere(key, body, options);
    if (entryOf(key, this.#options.suffixes).suffix === '') return this.#putHere(key, body, options);
    const bytes = body.whole ?? (await collect(body));
    const forwarded = await this.#remote.forward(key, bytes, options);
    if (forwarded === undefined) return this.#putHere(key, bodyOf(bytes), options);
    options.onKept?.(forwarded.fact);
    return forwarded.outcome;
  }

  openHot(key: string): OpenValue | undefined {
    const preparing = this.#local.prepare(key);
    if (preparing !== undefined) {
      preparing.catch(() => undefined);
      return undefined;
    }
    const value = this.#local.open(key);
    if (value === undefined || value.hot !== undefined) return value;
    value.close();
    return undefined;
  }

  async open(key: string, signal: AbortSignal): Promise<OpenValue | undefined> {
    return (await openHere(this.#local, key)) ?? this.#remote?.open(key, signal);
  }

  async lookup(
    keys: readonly string[],
    { leaseMs = kvLeaseMs, signal }: { readonly leaseMs?: number; readonly signal: AbortSignal },
  ): Promise<Lookup> {
    const ms = Math.min(Math.max(1, leaseMs), kvLeaseMaxMs);
    const facts =
      this.#remote === undefined ? await this.#leading(keys, ms) : await this.#find(this.#remote, keys, ms, signal);
    return { leading: facts.length, facts };
  }

  async *getMany(keys: readonly string[], signal: AbortSignal): AsyncGenerator<OpenValue | undefined> {
    if (this.#remote !== undefined) {
      yield* this.#remote.gather(keys, (key, stop) => this.open(key, stop), signal);
      return;
    }
    for (const key of keys) {
      signal.throwIfAborted();
      yield await openHere(this.#local, key);
    }
  }

  async delete(keys: readonly string[], signal: AbortSignal): Promise<number> {
    let count = 0;
    const others: string[] = [];
    for (const key of new Set(keys)) {
      if (!this.#local.drop(key)) others.push(key);
      else {
        count += 1;
        this.#remote?.removed(key);
      }
    }
    if (count > 0) await this.#local.written();
    if (others.length > 0 && this.#remote !== undefined) count += await this.#remote.remove(others, signal);
    return count;
  }

  async stat(key: string, signal: AbortSignal): Promise<ValueFact | undefined> {
    const fact = this.#local.find(key);
    if (fact !== undefined || this.#remote === undefined) return fact;
    const [found] = await this.#remote.find([key], { leaseMs: 0, leading: false, signal });
    return found?.kind === 'there' ? found.fact : this.#local.find(key);
  }

  async expire(key: string, ttlMs: number, signal: AbortSignal): Promise<boolean> {
    if (ttlMs <= 0) return (await this.delete([key], signal)) > 0;
    if (this.#remote === undefined) return this.#local.expire(key, ttlMs);
    return this.#remote.expire(key, ttlMs, signal);
  }

  async list(
    { prefix, after, limit }: { readonly prefix: string; readonly after?: string; readonly limit: number },
    signal: AbortSignal,
  ): Promise<KeyPage> {
    const request = { prefix, ...(after !== undefined && { after }), limit: Math.min(limit, kvMessageKeysMax) };
    if (request.limit <= 0) return { keys: [] };
    const here = this.#local.page(request);
    const others = (await this.#remote?.pages(request, signal)) ?? [];
    return merge([{ keys: here, isWhole: here.length < request.limit }, ...others], request.limit);
  }

  async count(signal: AbortSignal): Promise<number> {
    return this.status.values + ((await this.#remote?.count(signal)) ?? 0);
  }

  async #putHere(key: string, body: ValueBody, options: PutOptions): Promise<PutOutcome> {
    // on a node alone nobody asks what it was that a small put kept
    const now =
      this.#remote === undefined && options.onKept === undefined && body.whole !== undefined
        ? this.#local.putNow(key, body.whole, withKeeping(options, body))
        : undefined;
    if (now !== undefined) return now.outcome;
    const { outcome, fact } = await this.#putLocally(key, body, options);
    options.onKept?.(fact);
    return outcome;
  }

  async #putLocally(key: string, body: ValueBody, options: PutOptions): Promise<LocalOutcome> {
    const { onlyIfAbsent: _, mustBeAbsent: __, onKept: ___, ...rest } = options;
    if (this.#remote !== undefined && this.#local.find(key) !== undefined) this.#remote.replaces(key);
    const { outcome, fact } =
      (body.whole && this.#local.putNow(key, body.whole, withKeeping(rest, body))) ??
      (await this.#local.put(key, body, rest));
    if (this.#remote !== undefined) await this.#remote.stored(key, fact);
    return { outcome, fact };
  }

  /** Claimed at the key's owner before a byte is taken (or when that is known to be wanted), and confirmed there once it is here. */
  async #putIfAbsent(key: string, body: ValueBody, options: PutOptions): Promise<PutOutcome> {
    const { signal, onlyIfAbsent, mustBeAbsent, onKept, ...rest } = options;
    const cameFirst = new ForebayError('preconditionFailed', 'somebody else put this key first');
    let token: string | undefined;
    const claim = async () => {
      if (this.#local.find(key) !== undefined) throw cameFirst;
      const asked = hex(this.#options.random.bytes(8));
      if ((await this.#claim(key, asked, signal)) === 'exists') throw cameFirst;
      token = asked;
    };
    const admit = async () => {
      if (token === undefined && mustBeAbsent?.() === true) await claim();
      const isHere = this.#local.find(key) !== undefined;
      if (isHere && token !== undefined) throw cameFirst;
      if (isHere) this.#remote?.replaces(key);
    };
    let claimed: ValueFact | undefined;
    try {
      if (onlyIfAbsent === true) await claim();
      const { outcome, fact } = await this.#local.put(key, body, { ...rest, signal, admit });
      if (outcome === 'same' && (onlyIfAbsent === true || mustBeAbsent?.() === true)) throw cameFirst;
      if (token === undefined) {
        await this.#remote?.stored(key, fact);
        onKept?.(fact);
        return outcome;
      }
      claimed = fact;
      if ((await this.#settle(key, fact, token, signal)) === 'exists') throw cameFirst;
    } catch (error) {
      if (claimed !== undefined && this.#local.drop(key, claimed.content)) this.#remote?.removed(key);
      if (token !== undefined) this.#unclaim(key, token);
      if (error === cameFirst) return 'exists';
      throw error;
    }
    onKept?.(claimed);
    return 'stored';
  }

  async #claim(key: string, token: string, signal: AbortSignal): Promise<'granted' | 'exists'> {
    if (this.#remote !== undefined) return this.#remote.claim(key, token, signal);
    const claimed = this.#directory.claim(this.#options.clock.boottimeMs(), key, token);
    if (claimed === 'overloaded') throw new ForebayError('overloaded', 'too many conditional puts are under way');
    return claimed === 'granted' ? 'granted' : 'exists';
  }

  async #settle(key: string, fact: ValueFact, token: string, signal: AbortSignal): Promise<'granted' | 'exists'> {
    if (this.#remote !== undefined) return this.#remote.settle(key, fact, token, signal);
    this.#directory.unclaim(key, token);
    return 'granted';
  }

  #unclaim(key: string, token: string): void {
    if (this.#remote === undefined) this.#directory.unclaim(key, token);
    else this.#remote.unclaim(key, token);
  }

  async #leading(keys: readonly string[], leaseMs: number): Promise<ValueFact[]> {
    const facts: ValueFact[] = [];
    for (const key of keys) {
      const fact = (await leaseHere(this.#local, key, leaseMs)) ? this.#local.find(key) : undefined;
      if (fact === undefined) break;
      facts.push(fact);
    }
    return facts;
  }

  async #find(remote: RemoteKeys, keys: readonly string[], leaseMs: number, signal: AbortSignal): Promise<ValueFact[]> {
    const found = await remote.find(keys, { leaseMs, leading: true, signal });
    return leadingOf(found, (at) => this.#local.find(keys[at] as string));
  }
}

function checkKey(key: string): void {
  if (key.length === 0) throw new ForebayError('invalidArgument', 'a key has at least one byte');
  if (key.length > valueKeyMaxBytes)
    throw new ForebayError('keyTooLong', `a key has at most ${valueKeyMaxBytes} bytes, not ${key.length}`);
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

/** All bytes of a small body. */
async function collect(body: ValueBody): Promise<Uint8Array> {
  const whole = Buffer.allocUnsafe(body.lengthBytes);
  let at = 0;
  for await (const bytes of body.stream()) {
    if (at + bytes.length > whole.length) throw new ForebayError('invalidRequest', 'a body is longer than it said');
    whole.set(bytes, at);
    at += bytes.length;
  }
  if (at !== whole.length) throw new ForebayError('incompleteBody', `${at} of ${whole.length} bytes came`);
  return whole;
}

/** One page of several; a key that two nodes have just now is shown once. */
function merge(pages: readonly { keys: KeyPage['keys']; isWhole: boolean }[], limit: number): KeyPage {
  // of a page that was cut, nothing is known after its last key
  const ends = pages.flatMap(({ keys, isWhole }) => (isWhole ? [] : [keys.at(-1)?.key ?? '']));
  const end = ends.sort()[0];
  const byKey = new Map<string, KeyPage['keys'][number]>();
  for (const { keys } of pages)
    for (const item of keys) if (end === undefined || item.key <= end) byKey.set(item.key, item);
  const sorted = Array.from(byKey.values()).sort((a, b) => (a.key < b.key ? -1 : 1));
  const keys = sorted.slice(0, limit);
  const last = keys.at(-1)?.key;
  const isMore = end !== undefined || sorted.length > limit;
  return { keys, ...(isMore && last !== undefined && { next: last }) };
}
