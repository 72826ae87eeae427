/**
 * This node as the owner of keys: hears who holds them, says so, decides who may put where nothing is, and has versions dropped
 * whose place something else took. What it decides is in `key-directory.ts`.
 *
 * A drop is told again until its node says that it did, leaves, or this node is no longer there: bounded by `kvDropsMax`.
 */
import { countOf, fieldsOf, listOf, textOf } from '../cluster/chunk-wire.ts';
import type { Members } from '../cluster/member.ts';
import type { SlotMove } from '../cluster/placement.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { kvMessageKeysMax, kvRetryMs, kvTellMs } from '../core/kv-limits.ts';
import { takeoverMs } from '../core/limits.ts';
import type { Json, PeerMessage } from '../io/peers.ts';
import type { Claimed, Drop, HeldKey, Holding, KeyDirectory } from './key-directory.ts';
import { contentOf, keyOf, keysOf, msOf } from './kv-wire.ts';
import type { Scope } from './scope.ts';

/** The answer to a question about keys of others: `undefined` where nobody has it. */
export type Located = string | undefined;
/** Another part of an entry, held elsewhere. */
export type Sibling = Holding & { readonly key: string };

interface Pursuit {
  /** Resolves when the node has dropped what it was told to by now. */
  round: PromiseWithResolvers<void>;
}

/** What a node told last: messages may come twice, and late. */
interface Heard {
  life: string;
  seq: number;
  readonly over: Set<string>;
}

/** Lives of a daemon that are remembered as over. */
const LIVES_KEPT = 8;

export class KeyOwner {
  readonly #scope: Scope;
  readonly #directory: KeyDirectory;
  readonly #pursuits = new Map<string, Pursuit>();
  readonly #heard = new Map<string, Heard>();
  /** Hides a version here; the volume remembers that a client did it. */
  readonly #drop: (key: string, content: ContentId) => void;

  constructor(scope: Scope, directory: KeyDirectory, drop: (key: string, content: ContentId) => void) {
    this.#scope = scope;
    this.#directory = directory;
    this.#drop = drop;
    scope.cluster.onMembers((members, moves) => this.#changed(members, moves));
  }

  tick(): void {
    this.#directory.tick(this.#scope.nowMs);
  }

  locate(keys: readonly string[]): Located[] {
    const { nowMs } = this.#scope;
    return keys.map((key) => this.#directory.locate(nowMs, key)?.node);
  }

  /** This node has put a key that it owns. Resolves when what it replaces was dropped. */
  async put(key: string, content: ContentId, untilMs: number): Promise<void> {
    const { nowMs, cluster } = this.#scope;
    await this.#pursue(this.#directory.held(nowMs, cluster.self, { key, content, untilMs, fresh: true }));
  }

  siblings(key: string, node: string): readonly Sibling[] {
    return this.#directory.siblings(this.#scope.nowMs, key, node);
  }

  claim(key: string, token: string): Claimed | 'notOwner' {
    if (!this.#mayDecide(key)) return 'notOwner';
    return this.#directory.claim(this.#scope.nowMs, key, token);
  }

  unclaim(key: string, token: string): void {
    this.#directory.unclaim(key, token);
  }

  settle(node: string, told: Omit<HeldKey, 'fresh'>, token: string): Claimed | 'notOwner' {
    if (!this.#mayDecide(told.key)) return 'notOwner';
    const settled = this.#directory.settle(this.#scope.nowMs, node, told, token);
    if (typeof settled === 'string') return settled;
    void this.#pursue(settled);
    return 'granted';
  }

  /** Which of the keys somebody had. Resolves when they are dropped, or after `peerMs`. */
  async remove(keys: readonly string[]): Promise<boolean[]> {
    const { nowMs, peerMs } = this.#scope;
    const drops = keys.map((key) => this.#directory.remove(nowMs, key));
    await this.#scope.atMost(peerMs, this.#pursue(drops.flat()));
    return drops.map((each) => each.length > 0);
  }

  answers: Readonly<Record<string, (from: string, message: PeerMessage) => Promise<Json> | Json>> = {
    'kv.tell': (from, message) => this.#told(from, message),
    'kv.locate': (_from, message) =>
      keysOf(message['keys']).map((key) => (this.#scope.isOurs(key) ? (this.locate([key])[0] ?? null) : null)),
    'kv.claim': (_from, message) => this.claim(keyOf(message['key']), textOf(message['token'])),
    'kv.unclaim': (_from, message) => {
      this.unclaim(keyOf(message['key']), textOf(message['token']));
      return null;
    },
    'kv.settle': (from, message) => {
      const untilMs = this.#scope.nowMs + msOf(message['ms']);
      const told = { key: keyOf(message['key']), content: contentOf(message['content']), untilMs };
      return this.settle(from, told, textOf(message['token']));
    },
    'kv.remove': (_from, message) => this.remove(keysOf(message['keys'])),
  };

  /** Answers with parts of the same entries that others hold; waits a little for what is replaced to be dropped. */
  async #told(from: string, message: PeerMessage): Promise<Json> {
    const { epoch } = message;
    if (typeof epoch === 'number' && epoch > this.#scope.cluster.members.epoch)
      throw new ForebayError('overloaded', 'this node has not heard yet of the members that it is told by');
    if (!this.#isNew(from, textOf(message['life']), countOf(message['seq']))) return [];
    const { nowMs } = this.#scope;
    const drops: Drop[] = [];
    const siblings: Sibling[] = [];
    for (const item of listOf(message['items'])) {
      const [name, content, ms, fresh] = listOf(item);
      const key = keyOf(name);
      if (!this.#scope.isOurs(key)) continue;
      if (content === undefined) {
        this.#directory.gone(from, key);
        continue;
      }
      const told = { key, content: contentOf(content), untilMs: nowMs + msOf(ms), fresh: fresh === 1 };
      drops.push(...this.#directory.held(nowMs, from, told));
      if (told.fresh) siblings.push(...this.siblings(key, from));
    }
    const { last } = message;
    if (last !== undefined) this.#directory.reported(from, countOf(last));
    if (drops.length > 0) await this.#scope.atMost(kvTellMs, this.#pursue(drops));
    return siblings.map(({ key, node, content }) => ({ key, node, content }));
  }

  /** Not an earlier message that comes late or twice. */
  #isNew(from: string, life: string, seq: number): boolean {
    const heard = this.#heard.get(from);
    if (heard === undefined) {
      this.#heard.set(from, { life, seq, over: new Set() });
      return true;
    }
    if (heard.over.has(life)) return false;
    if (heard.life !== life) {
      heard.over.add(heard.life);
      if (heard.over.size > LIVES_KEPT) heard.over.delete(heard.over.values().next().value as string);
      heard.life = life;
    } else if (seq <= heard.seq) return false;
    heard.seq = seq;
    return true;
  }

  #mayDecide(key: string): boolean {
    return this.#scope.cluster.mayAct() && this.#scope.isOurs(key);
  }

  /** Has versions dropped. Resolves when their nodes have been told. */
  async #pursue(drops: readonly Drop[]): Promise<void> {
    const { self } = this.#scope.cluster;
    const rounds = new Set<Promise<void>>();
    for (const { node, key, content } of drops) {
      if (node === self) this.#drop(key, content);
      else rounds.add(this.#pursuit(node).round.promise);
    }
    await Promise.all(rounds);
  }

  #pursuit(node: string): Pursuit {
    let pursuit = this.#pursuits.get(node);
    if (pursuit !== undefined) return pursuit;
    pursuit = { round: Promise.withResolvers<void>() };
    this.#pursuits.set(node, pursuit);
    void this.#run(node, pursuit);
    return pursuit;
  }

  async #run(node: string, pursuit: Pursuit): Promise<void> {
    const { cluster } = this.#scope;
    // what the same turn has to drop goes in one message
    await Promise.resolve();
    for (;;) {
      const { round } = pursuit;
      const drops = this.#directory.drops(node).slice(0, kvMessageKeysMax);
      if (drops.length === 0 || cluster.closing.aborted) break;
      pursuit.round = Promise.withResolvers<void>();
      try {
        const items = drops.map(({ key, content }) => [key, content]);
        await this.#scope.ask(node, { type: 'kv.drop', items }, { deadlineMs: 4 * this.#scope.peerMs });
        for (const { key, content } of drops) this.#directory.dropped(node, key, content);
        round.resolve();
      } catch (error) {
        if (!isForebayError(error)) throw error;
        pursuit.round = round;
        await cluster.clock.sleep(kvRetryMs, cluster.closing).catch(() => undefined);
      }
    }
    this.#pursuits.delete(node);
    pursuit.round.resolve();
  }

  #changed({ epoch, members }: Members, moves: readonly SlotMove[]): void {
    const { self } = this.#scope.cluster;
    const names = members.map(({ node }) => node);
    this.#directory.members(names);
    for (const node of this.#heard.keys()) if (!names.includes(node)) this.#heard.delete(node);
    const gone = moves.filter(({ from }) => from === self).map(({ slot }) => slot);
    const come = moves.filter(({ to }) => to === self).map(({ slot }) => slot);
    if (gone.length > 0) this.#directory.handOver(gone);
    const others = names.filter((node) => node !== self);
    const untilMs = this.#scope.nowMs + takeoverMs;
    if (come.length > 0 && others.length > 0) this.#directory.takeOver({ epoch, slots: come, from: others, untilMs });
  }
}

export function claimedOf(value: Json): Claimed | 'notOwner' {
  const claimed = textOf(value);
  return claimed === 'granted' || claimed === 'exists' || claimed === 'settling' || claimed === 'overloaded'
    ? claimed
    : 'notOwner';
}

export function siblingOf(value: Json): Sibling {
  const { key, node, content } = fieldsOf(value);
  return { key: keyOf(key), node: textOf(node), content: contentOf(content) };
}
