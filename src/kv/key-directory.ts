/**
 * The owner's part of a kv volume, decided: who holds which key of the slots owned here, who may put where nothing is, and
 * what is to be dropped because something else took its place. Soft state: what is lost is told again, and until then a miss.
 *
 * Two nodes that put one key end the same everywhere: whoever's word arrives later at the owner wins, and the other is told
 * to drop its version until it says that it did. What was told before by a node and is told again (to a new owner, or because the first
 * message was lost) is no new word: of two such versions the younger content wins (their ids sort by time).
 *
 * Pure: it is given the time, the members and what this node itself holds, and returns what is to be said to whom.
 */

import type { Slot } from '../cluster/slot.ts';
import { Takeovers } from '../cluster/takeovers.ts';
import type { ContentId } from '../core/ids.ts';
import { kvClaimMs, kvClaimsMax, kvDirectoryKeysMax, kvDropsMax } from '../core/kv-limits.ts';
import { keyId, siblingsOf, slotOfKey } from './entry.ts';
import { KeyTable } from './key-table.ts';

export interface KeyDirectoryOptions {
  readonly self: string;
  readonly suffixes: readonly string[];
  /** What this node itself has of a key. */
  readonly here: (key: string) => ContentId | undefined;
  readonly keysMax?: number;
}

/** A node says that it has this. `fresh`: just put there. */
export interface HeldKey {
  readonly key: string;
  readonly content: ContentId;
  /** Boottime milliseconds of the owner. */
  readonly untilMs: number;
  readonly fresh: boolean;
}

/** A node is to drop this version of a key, and to say when it did. */
export interface Drop {
  readonly node: string;
  readonly key: string;
  readonly content: ContentId;
}

export interface Holding {
  readonly node: string;
  readonly content: ContentId;
}

/** `settling`: the slot came from another owner, and what its members hold is not all known yet: ask again. */
export type Claimed = 'granted' | 'exists' | 'settling' | 'overloaded';

interface Claim {
  readonly token: string;
  untilMs: number;
}

export class KeyDirectory {
  readonly #self: string;
  readonly #suffixes: readonly string[];
  readonly #here: KeyDirectoryOptions['here'];
  readonly #table: KeyTable;
  /** A node's number is its place here; numbers of nodes that left are not used again before the table was swept of them. */
  readonly #nodes: (string | undefined)[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #claims = new Map<string, Claim>();
  /** Node → key → version to drop. */
  readonly #drops = new Map<string, Map<string, ContentId>>();
  #dropCount = 0;
  readonly #takeovers = new Takeovers();

  constructor({ self, suffixes, here, keysMax = kvDirectoryKeysMax }: KeyDirectoryOptions) {
    this.#self = self;
    this.#suffixes = suffixes;
    this.#here = here;
    this.#table = new KeyTable(keysMax);
  }

  /** Keys of other nodes that are known here. */
  get count(): number {
    return this.#table.count;
  }

  /** These are the members now: what others held is gone. */
  members(nodes: readonly string[]): void {
    const alive = new Set(nodes);
    const gone = new Set<number>();
    for (const [node, number] of this.#numbers) {
      if (alive.has(node)) continue;
      gone.add(number);
      this.#numbers.delete(node);
      this.#nodes[number] = undefined;
      this.#dropCount -= this.#drops.get(node)?.size ?? 0;
      this.#drops.delete(node);
    }
    if (gone.size > 0) this.#table.sweep((_slot, holder) => gone.has(holder));
    this.#takeovers.members(nodes);
  }

  /** These slots came from another owner; all of `from` are to tell what they hold. */
  takeOver(takeover: { epoch: number; slots: readonly Slot[]; from: readonly string[]; untilMs: number }): void {
    this.#takeovers.begin(takeover);
  }

  /** They went to another owner. */
  handOver(slots: readonly Slot[]): void {
    const gone = new Set(slots);
    this.#table.sweep((slot) => gone.has(slot));
    for (const key of this.#claims.keys()) if (gone.has(slotOfKey(key, this.#suffixes))) this.#claims.delete(key);
    this.#takeovers.drop(gone);
  }

  /** A member has told all that it holds, as of this epoch. */
  reported(node: string, epoch: number): void {
    this.#takeovers.reported(node, epoch);
  }

  tick(nowMs: number): void {
    this.#takeovers.tick(nowMs);
    for (const [key, { untilMs }] of this.#claims) if (untilMs <= nowMs) this.#claims.delete(key);
  }

  isSettling(key: string): boolean {
    return this.#takeovers.isSettling(slotOfKey(key, this.#suffixes));
  }

  locate(nowMs: number, key: string): Holding | undefined {
    const content = this.#here(key);
    return content === undefined ? this.#row(nowMs, key) : { node: this.#self, content };
  }

  /** Where other parts of its entry are that another node has. */
  siblings(nowMs: number, key: string, node: string): readonly (Holding & { readonly key: string })[] {
    return siblingsOf(key, this.#suffixes).flatMap((sibling) => {
      const holding = this.locate(nowMs, sibling);
      return holding === undefined || holding.node === node ? [] : [{ ...holding, key: sibling }];
    });
  }

  /** A node has a key. Returns what is to be dropped for it. */
  held(nowMs: number, node: string, told: HeldKey): readonly Drop[] {
    const { key, content, fresh } = told;
    if (this.#drops.get(node)?.get(key) === content) return [];
    if (fresh) this.#claims.delete(key);
    const other = this.#other(nowMs, key, node);
    if (other !== undefined && !fresh && other.content > content) return this.#drop({ node, key, content });
    this.#set(node, told);
    return other === undefined ? [] : this.#drop({ ...other, key });
  }

  /** As `held`, `fresh`, of who put where nothing was: it counts only while nobody else came first. */
  settle(nowMs: number, node: string, told: Omit<HeldKey, 'fresh'>, token: string): Claimed | readonly Drop[] {
    const { key } = told;
    if (this.isSettling(key)) return 'settling';
    const claim = this.#claims.get(key);
    if (claim !== undefined && claim.untilMs > nowMs && claim.token !== token) return 'exists';
    if (this.#other(nowMs, key, node) !== undefined) return 'exists';
    return this.held(nowMs, node, { ...told, fresh: true });
  }

  /** A node no longer has a key. */
  gone(node: string, key: string): void {
    this.dropped(node, key);
    if (this.#table.count === 0 || node === this.#self) return;
    const id = keyId(key);
    const row = this.#table.get(id);
    if (row !== undefined && this.#nodes[row.holder] === node) this.#table.delete(id);
  }

  /** A client deleted the key: its holder is to drop it. */
  remove(nowMs: number, key: string): readonly Drop[] {
    const content = this.#here(key);
    const row = this.#row(nowMs, key);
    this.#claims.delete(key);
    if (row !== undefined) this.#table.delete(keyId(key));
    return [
      ...(content === undefined ? [] : this.#drop({ node: this.#self, key, content })),
      ...(row === undefined ? [] : this.#drop({ ...row, key })),
    ];
  }

  /** May the bearer of `token` put where nothing is? Ends with its `fresh` word, after `kvClaimMs`, or by `unclaim`. */
  claim(nowMs: number, key: string, token: string): Claimed {
    if (this.isSettling(key)) return 'settling';
    const claim = this.#claims.get(key);
    if (claim !== undefined && claim.untilMs > nowMs && claim.token !== token) return 'exists';
    if (this.locate(nowMs, key) !== undefined) return 'exists';
    if (claim === undefined && this.#claims.size >= kvClaimsMax) return 'overloaded';
    this.#claims.set(key, { token, untilMs: nowMs + kvClaimMs });
    return 'granted';
  }

  unclaim(key: string, token: string): void {
    if (this.#claims.get(key)?.token === token) this.#claims.delete(key);
  }

  /** What a node is still to drop. */
  drops(node: string): readonly Drop[] {
    return Array.from(this.#drops.get(node) ?? [], ([key, content]) => ({ node, key, content }));
  }

  /** A node has dropped what it was told to. */
  dropped(node: string, key: string, content?: ContentId): void {
    const drops = this.#drops.get(node);
    const wanted = drops?.get(key);
    if (drops === undefined || wanted === undefined || (content !== undefined && wanted !== content)) return;
    drops.delete(key);
    this.#dropCount -= 1;
    if (drops.size === 0) this.#drops.delete(node);
  }

  /** Who has it besides this node. */
  #other(nowMs: number, key: string, node: string): Holding | undefined {
    const content = node === this.#self ? undefined : this.#here(key);
    if (content !== undefined) return { node: this.#self, content };
    const row = this.#row(nowMs, key);
    return row?.node === node ? undefined : row;
  }

  #row(nowMs: number, key: string): Holding | undefined {
    if (this.#table.count === 0) return undefined;
    const id = keyId(key);
    const row = this.#table.get(id);
    const node = row && this.#nodes[row.holder];
    if (row === undefined || node === undefined) return undefined;
    if (row.untilMs > nowMs) return { node, content: row.content };
    this.#table.delete(id);
    return undefined;
  }

  #set(node: string, { key, content, untilMs }: HeldKey): void {
    const id = keyId(key);
    if (node === this.#self) {
      this.#table.delete(id);
      return;
    }
    this.#table.set(id, slotOfKey(key, this.#suffixes), { holder: this.#numberOf(node), content, untilMs });
  }

  #drop(drop: Drop): readonly Drop[] {
    if (drop.node === this.#self) return [drop];
    let drops = this.#drops.get(drop.node);
    if (drops === undefined) this.#drops.set(drop.node, (drops = new Map()));
    if (!drops.has(drop.key)) {
      if (this.#dropCount >= kvDropsMax) return [drop];
      this.#dropCount += 1;
    }
    drops.set(drop.key, drop.content);
    return [drop];
  }

  #numberOf(node: string): number {
    const known = this.#numbers.get(node);
    if (known !== undefined) return known;
    const free = this.#nodes.indexOf(undefined);
    const number = free < 0 ? this.#nodes.length : free;
    this.#nodes[number] = node;
    this.#numbers.set(node, number);
    return number;
  }
}
