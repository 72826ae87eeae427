/**
 * Tells owners what is held here of their keys. Per owner there is a list of keys that it may know wrongly; one message at a time
 * says how they are by then, so that whatever was lost, came twice or changed meanwhile ends in what is true. A new owner, or
 * one that begins a new life, is told all that is here of its slots, and then that this was all.
 *
 * Bounds: one entry per key held here, and `kvUntoldMax` of keys that are gone; beyond that owners find out when somebody asks.
 */

import { listOf } from '../cluster/chunk-wire.ts';
import type { Members } from '../cluster/member.ts';
import type { SlotMove } from '../cluster/placement.ts';
import { SLOTS, type Slot } from '../cluster/slot.ts';
import { isForebayError } from '../core/errors.ts';
import { kvMessageKeyBytes, kvMessageKeysMax, kvRetryMs, kvScanKeys, kvUntoldMax } from '../core/kv-limits.ts';
import { peerCallMs } from '../core/limits.ts';
import { type Sibling, siblingOf } from './key-owner.ts';
import { msToWire } from './kv-wire.ts';
import type { Scope } from './scope.ts';

interface Untold {
  /** Of its first mark; entries stand in this order. */
  readonly since: number;
  /** Of its latest mark. */
  version: number;
  isFresh: boolean;
  told: PromiseWithResolvers<void> | undefined;
}

interface Line {
  readonly owner: string;
  readonly untold: Map<string, Untold>;
  isSending: boolean;
  /** To be said once what was marked before `version` was told. */
  last: { readonly epoch: number; readonly version: number } | undefined;
}

export interface KeyTellerOptions {
  readonly scope: Scope;
  /** Names this life of the daemon. */
  readonly life: string;
  /** Another node has a part of an entry that was put here. */
  readonly onSibling: (sibling: Sibling) => void;
}

export class KeyTeller {
  readonly #scope: Scope;
  readonly #life: string;
  readonly #onSibling: (sibling: Sibling) => void;
  readonly #lines = new Map<string, Line>();
  #version = 0;
  /** Of messages to all owners: one that leaves and comes back knows the earlier ones. */
  #seq = 0;
  /** Sessions of the members as of the last change. */
  #sessions = new Map<string, string>();
  /** Slots to be told anew; a scan is under way while it is there. */
  #scanning: Set<Slot> | undefined;
  #hasJoined = false;

  constructor({ scope, life, onSibling }: KeyTellerOptions) {
    this.#scope = scope;
    this.#life = life;
    this.#onSibling = onSibling;
    scope.cluster.onMembers((members, moves) => this.#changed(members, moves));
  }

  /**
   * A key of another owner has changed here; `fresh`: it was put by a client just now. Resolves when the owner knows, or could not be told at
   * the first try; `undefined` where there is nobody to tell.
   */
  mark(key: string, { fresh }: { fresh: boolean }): Promise<void> | undefined {
    const owner = this.#scope.ownerOf(key);
    if (owner === undefined || owner === this.#scope.cluster.self) return undefined;
    const line = this.#lineOf(owner);
    const version = ++this.#version;
    let untold = line.untold.get(key);
    if (untold === undefined) {
      if (line.untold.size >= kvUntoldMax && this.#scope.local.find(key) === undefined) return undefined;
      line.untold.set(key, (untold = { since: version, version, isFresh: fresh, told: undefined }));
    } else {
      untold.version = version;
      untold.isFresh ||= fresh;
    }
    this.#wake(line);
    if (!fresh) return undefined;
    untold.told ??= Promise.withResolvers<void>();
    return untold.told.promise;
  }

  #lineOf(owner: string): Line {
    let line = this.#lines.get(owner);
    if (line === undefined) {
      line = { owner, untold: new Map(), isSending: false, last: undefined };
      this.#lines.set(owner, line);
    }
    return line;
  }

  #wake(line: Line): void {
    if (!line.isSending) void this.#send(line);
  }

  async #send(line: Line): Promise<void> {
    const { cluster } = this.#scope;
    line.isSending = true;
    // what the same turn has to say goes in one message
    await Promise.resolve();
    while (!cluster.closing.aborted && this.#lines.get(line.owner) === line) {
      const batch = this.#batch(line);
      const last = this.#isLast(line) ? line.last : undefined;
      if (batch.length === 0 && last === undefined) break;
      if (!(await this.#tell(line, batch, last)))
        await cluster.clock.sleep(kvRetryMs, cluster.closing).catch(() => undefined);
    }
    line.isSending = false;
  }

  /** The oldest that fit into a message; those that another owner knows by now fall out. */
  #batch(line: Line): [string, Untold, number][] {
    const batch: [string, Untold, number][] = [];
    let bytes = 0;
    for (const [key, untold] of line.untold) {
      if (this.#scope.ownerOf(key) !== line.owner) {
        line.untold.delete(key);
        untold.told?.resolve();
        continue;
      }
      if (batch.length >= kvMessageKeysMax || bytes > kvMessageKeyBytes) break;
      bytes += key.length;
      batch.push([key, untold, untold.version]);
    }
    return batch;
  }

  #isLast({ untold, last }: Line): boolean {
    if (last === undefined) return false;
    for (const { since } of untold.values()) return since >= last.version;
    return true;
  }

  /** False when it has to be said again. */
  async #tell(line: Line, batch: readonly [string, Untold, number][], last: Line['last']): Promise<boolean> {
    const { local, volume, cluster } = this.#scope;
    const items = batch.map(([key, { isFresh }]) => {
      const fact = local.find(key);
      return fact === undefined ? [key] : [key, fact.content, msToWire(fact.remainingMs), ...(isFresh ? [1] : [])];
    });
    const message = {
      type: 'kv.tell',
      volume,
      life: this.#life,
      seq: ++this.#seq,
      items,
      ...(last !== undefined && { last: last.epoch }),
    };
    try {
      const answer = await cluster.call(line.owner, message, { deadlineMs: peerCallMs });
      for (const sibling of listOf(answer)) this.#onSibling(siblingOf(sibling));
    } catch (error) {
      if (!isForebayError(error)) throw error;
      for (const [, untold, version] of batch) {
        // said again it is no news any more: whoever put the key since is to win
        untold.isFresh &&= untold.version !== version;
        untold.told?.resolve();
        untold.told = undefined;
      }
      return false;
    }
    for (const [key, untold, version] of batch) {
      line.untold.delete(key);
      if (untold.version === version) untold.told?.resolve();
      else line.untold.set(key, { ...untold, since: ++this.#version });
    }
    if (last !== undefined && line.last === last) line.last = undefined;
    return true;
  }

  #changed({ epoch, members }: Members, moves: readonly SlotMove[]): void {
    const { self, placement } = this.#scope.cluster;
    const sessions = new Map(members.map(({ node, session }) => [node, session]));
    const anew = new Set(
      members.filter(({ node, session }) => this.#sessions.get(node) !== session).map(({ node }) => node),
    );
    this.#sessions = sessions;
    for (const [owner, { untold }] of this.#lines) {
      if (sessions.has(owner)) continue;
      this.#lines.delete(owner);
      for (const { told } of untold.values()) told?.resolve();
    }
    const slots = new Set(moves.map(({ slot }) => slot));
    // who comes back after its session ended was forgotten by all owners
    const isAnew = !this.#hasJoined || anew.has(self);
    if (anew.size > 0)
      for (let slot = 0; slot < SLOTS; slot++)
        if (isAnew || anew.has(placement.owner(slot as Slot)?.node ?? '')) slots.add(slot as Slot);
    this.#hasJoined = true;
    const others = members.map(({ node }) => node).filter((node) => node !== self);
    void this.#scan(slots, epoch, others);
  }

  /** Marks what is here of these slots, some at a time, and then that this was all as of this epoch. */
  async #scan(slots: Set<Slot>, epoch: number, others: readonly string[]): Promise<void> {
    const { local, cluster } = this.#scope;
    for (const slot of this.#scanning ?? []) slots.add(slot);
    this.#scanning = slots;
    let left = kvScanKeys;
    for (const { key } of slots.size === 0 || others.length === 0 ? [] : local.all()) {
      if (slots.has(this.#scope.slotOf(key))) void this.mark(key, { fresh: false });
      if (--left > 0) continue;
      left = kvScanKeys;
      await cluster.clock.sleep(0, cluster.closing).catch(() => undefined);
      // a later change of members goes on with what is left of this one
      if (this.#scanning !== slots || cluster.closing.aborted) return;
    }
    this.#scanning = undefined;
    for (const owner of others) {
      if (cluster.member(owner) === undefined) continue;
      const line = this.#lineOf(owner);
      line.last = { epoch, version: ++this.#version };
      this.#wake(line);
    }
  }
}
