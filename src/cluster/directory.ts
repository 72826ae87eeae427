/**
 * What the owner of a slot knows of its chunks, and where it sends those who ask (DESIGN.md section 5). Soft state: it is
 * rebuilt from members' reports after a takeover, and forgetting costs a refill at most, never bytes.
 *
 * Flow: a reader sends `locate(chunks)` in batches. For each chunk it is told to pull from a node, to fill from the
 * origin, or to wait. Who waits is parked: a `Grant` follows as soon as there is a source, without being asked again; the
 * `ms` of a wait is only for when that message was lost. Whoever pulls or fills serves others from then on, block by
 * block. At the end it reports `done` or `failed`; together: locate, answer, at most one grant, one report.
 */
import {
  directoryChunksMax,
  directoryWaitersMax,
  directoryWaitMs,
  fillLeaseMs,
  pullLeaseMs,
  takeoverMs,
  uploadSlotsMax,
} from '../core/limits.ts';
import { Blame } from './blame.ts';
import type { ChunkRef } from './chunk-ref.ts';
import { ChunkSpread, type DirectoryNode, type Lease } from './chunk-spread.ts';
import { DirectoryNodes } from './directory-nodes.ts';
import { type HolderRow, HolderTable } from './holder-table.ts';
import { hashText, type Slot } from './slot.ts';
import { SourceChoice } from './source-choice.ts';
import { Takeovers } from './takeovers.ts';

/** Why a chunk that the origin was read for before is read again (S-11; counted as `originRefills`). */
const REFILL_REASONS = ['fillFailed', 'fillTimedOut', 'fillerLeft', 'holdersLeft', 'holdersFailed', 'dropped'] as const;
export type RefillReason = (typeof REFILL_REASONS)[number];

export type Located =
  /** Pull it from this node; it has the chunk or is getting it, and serves blocks as they arrive. */
  | { readonly kind: 'pull'; readonly from: string }
  /** Read it from the origin: you are the only one. `refill`: it was read before; count it with this reason. */
  | { readonly kind: 'fill'; readonly refill?: RefillReason }
  /** A grant will come. Ask again when none has come for `ms`. */
  | { readonly kind: 'wait'; readonly ms: number };

/** An answer to somebody who was told to wait; goes to `node` as a message. */
export interface Grant {
  readonly node: string;
  readonly ref: ChunkRef;
  readonly answer: Located;
}

export interface Asker {
  readonly node: string;
  readonly zone: string;
}

/**
 * `unreachable`, `timeout`, `corrupt`, `notHeld`, `overloaded` blame the source that was pulled from; `origin`: the fill
 * failed; `cancelled`: the asker wants it no longer.
 */
export type FailureReason = 'unreachable' | 'timeout' | 'corrupt' | 'notHeld' | 'overloaded' | 'origin' | 'cancelled';

export type Outcome =
  | { readonly ref: ChunkRef; readonly kind: 'done' }
  /** Still at it: for pulls and fills that take longer than half of `pullLeaseMs` or `fillLeaseMs`. */
  | { readonly ref: ChunkRef; readonly kind: 'going' }
  | { readonly ref: ChunkRef; readonly kind: 'failed'; readonly reason: FailureReason; readonly source?: string };

/** The deciding part of an owner. Methods that free something return grants, which the caller sends. */
export interface DirectoryDecider {
  /** The members changed: those who left are forgotten, as holders, fillers and waiters. */
  members(nowMs: number, nodes: readonly Asker[]): readonly Grant[];
  /**
   * One answer per chunk, in order. Asking again for what one is already pulling or filling means that it failed. Grants that
   * follow from that come with the next `tick`.
   */
  locate(nowMs: number, asker: Asker, refs: readonly ChunkRef[]): readonly Located[];
  /** The ends of pulls and fills. */
  report(nowMs: number, node: string, outcomes: readonly Outcome[]): readonly Grant[];
  /** What a member holds whole: sent to a new owner. `last`: this was all that it holds of the slots asked for at `epoch`. */
  held(nowMs: number, node: string, refs: readonly ChunkRef[], last?: { epoch: number }): readonly Grant[];
  /** What a member reads from the origin by an earlier owner's leave: others wait for it, or pull from there. */
  filling(nowMs: number, node: string, refs: readonly ChunkRef[]): readonly Grant[];
  /** A member evicted or dropped these. */
  dropped(nowMs: number, node: string, refs: readonly ChunkRef[]): readonly Grant[];
  /** These slots are ours since `epoch`; `from` are the members that will report what they hold of them. */
  takeOver(nowMs: number, epoch: number, slots: readonly Slot[], from: readonly string[]): void;
  /** These slots are no longer ours: who waits for their chunks asks the new owner. */
  handOver(slots: readonly Slot[]): void;
  /** Ends leases that have timed out. Call it at `nextMs()`, or every second. */
  tick(nowMs: number): readonly Grant[];
  /** When `tick` has something to do; `undefined`: never, as things are. */
  nextMs(): number | undefined;
  /** Who has a chunk, for `explain`. */
  holders(ref: ChunkRef): readonly { node: string; state: 'whole' | 'pulling' | 'filling'; from?: string }[];
}

/** Waiters that are passed over when there is nothing for them. */
const missedMax = 4;
/** Chunks with waiters that are looked at when an upload slot becomes free that nobody of its own chunk wants. */
const starvedLookedAt = 16;
/** Who refused, because others keep it busy or because it has not begun to get the chunk, is not asked again for this long. */
const spareMs = 100;

export class Directory implements DirectoryDecider {
  readonly #nodes = new DirectoryNodes();
  readonly #blame = new Blame();
  readonly #takeovers = new Takeovers();
  readonly #table: HolderTable;
  readonly #sources: SourceChoice;
  readonly #spreads = new Map<HolderRow, ChunkSpread>();
  /** Those with waiters. */
  readonly #starved = new Set<ChunkSpread>();
  /** In the order in which they end; fills that members told of are among the pulls until they are heard of again. */
  readonly #pulls = new Set<Lease>();
  readonly #fills = new Set<Lease>();
  #waiting = 0;
  #retryMs: number | undefined;
  #retryLastMs = 0;
  #pending: Grant[] = [];

  constructor({ chunksMax = directoryChunksMax } = {}) {
    this.#table = new HolderTable(chunksMax, (row) => this.#spreads.has(row));
    this.#sources = new SourceChoice({ table: this.#table, nodes: this.#nodes, blame: this.#blame });
  }

  members(nowMs: number, nodes: readonly Asker[]): readonly Grant[] {
    const grants: Grant[] = [];
    const left = this.#nodes.set(nodes);
    for (const node of this.#nodes.all()) for (const gone of left) node.sparedFor.delete(gone);
    // What came from them comes no more: those who pulled will say so, and ask again.
    if (left.length > 0) for (const lease of this.#pulls) if (lease.source?.alive === false) this.#takeOff(lease);
    for (const node of left) for (const spread of this.#starved) this.#unpark(spread, node);
    for (const node of left) {
      this.#blame.forget(node.name);
      for (const lease of node.leases) {
        if (lease.source === undefined) this.#lost(lease.spread.row, 'fillerLeft');
        this.#end(nowMs, lease, grants);
      }
    }
    if (this.#nodes.mustSweep) {
      this.#table.sweep((index) => this.#nodes.at(index) === undefined);
      this.#nodes.swept();
    }
    // Chunks whose only source left go to the origin.
    this.#releaseAll(nowMs, grants);
    this.#settle(nowMs, this.#takeovers.members(nodes.map(({ node }) => node)), grants);
    return grants;
  }

  locate(nowMs: number, asker: Asker, refs: readonly ChunkRef[]): readonly Located[] {
    const node = this.#nodes.get(asker);
    return refs.map((ref) => this.#locate(nowMs, node, ref));
  }

  report(nowMs: number, name: string, outcomes: readonly Outcome[]): readonly Grant[] {
    const grants: Grant[] = [];
    const node = this.#nodes.get({ node: name, zone: undefined });
    for (const outcome of outcomes) {
      const row = outcome.kind === 'done' ? this.#table.add(outcome.ref) : this.#table.find(outcome.ref);
      if (row === undefined) continue;
      const lease = this.#spreads.get(row)?.leases.get(node);
      if (outcome.kind === 'going') this.#renew(nowMs, lease);
      else if (outcome.kind === 'done') this.#done(nowMs, node, row, grants);
      else this.#failed(nowMs, node, row, outcome, grants);
    }
    return grants;
  }

  held(nowMs: number, name: string, refs: readonly ChunkRef[], last?: { epoch: number }): readonly Grant[] {
    const grants: Grant[] = [];
    const node = this.#nodes.get({ node: name, zone: undefined });
    for (const ref of refs) {
      const row = this.#table.add(ref);
      if (row !== undefined) this.#done(nowMs, node, row, grants);
    }
    if (last !== undefined) this.#settle(nowMs, this.#takeovers.reported(name, last.epoch), grants);
    return grants;
  }

  filling(nowMs: number, name: string, refs: readonly ChunkRef[]): readonly Grant[] {
    const grants: Grant[] = [];
    const node = this.#nodes.get({ node: name, zone: undefined });
    for (const ref of refs) {
      const row = this.#table.add(ref);
      if (row === undefined) continue;
      let spread = this.#spreads.get(row);
      if (spread === undefined) this.#spreads.set(row, (spread = new ChunkSpread(row)));
      // It may have ended meanwhile, and what was said of that have come first: the first `going` makes it a fill like others.
      if (!spread.leases.has(node) && !this.#sources.isWhole(spread, node))
        this.#lease(spread, node, undefined, { leases: this.#pulls, deadlineMs: nowMs + pullLeaseMs });
      this.#release(nowMs, spread, grants);
    }
    return grants;
  }

  dropped(nowMs: number, name: string, refs: readonly ChunkRef[]): readonly Grant[] {
    const grants: Grant[] = [];
    const node = this.#nodes.find(name);
    for (const ref of refs) {
      const row = this.#table.find(ref);
      if (row === undefined || node === undefined) continue;
      this.#forgetHolder(row, node);
      if (this.#table.holders(row).length === 0) this.#table.setNeverHeld(row);
      const spread = this.#spreads.get(row);
      if (spread !== undefined) this.#release(nowMs, spread, grants);
    }
    return grants;
  }

  takeOver(nowMs: number, epoch: number, slots: readonly Slot[], from: readonly string[]): void {
    this.#takeovers.begin({ epoch, slots, from, untilMs: nowMs + takeoverMs });
  }

  handOver(slots: readonly Slot[]): void {
    const gone = new Set(slots);
    this.#takeovers.drop(gone);
    for (const row of this.#table.inSlots(gone)) {
      const spread = this.#spreads.get(row);
      if (spread !== undefined) {
        for (const lease of spread.leases.values()) this.#takeOff(lease);
        this.#waiting -= spread.waiters.size;
        this.#starved.delete(spread);
        this.#spreads.delete(row);
      }
      this.#table.forget(row);
    }
  }

  tick(nowMs: number): readonly Grant[] {
    const grants = this.#pending;
    this.#pending = [];
    for (const leases of [this.#pulls, this.#fills])
      for (const lease of leases) {
        if (lease.deadlineMs > nowMs) break;
        if (lease.source === undefined) this.#lost(lease.spread.row, 'fillTimedOut');
        this.#end(nowMs, lease, grants);
      }
    this.#settle(nowMs, this.#takeovers.tick(nowMs), grants);
    if (this.#retryMs !== undefined && nowMs >= this.#retryMs) {
      this.#retryMs = this.#retryLastMs > nowMs ? this.#retryLastMs : undefined;
      this.#releaseAll(nowMs, grants);
    }
    return grants;
  }

  nextMs(): number | undefined {
    const first = (leases: Set<Lease>) => leases.values().next().value?.deadlineMs;
    const times = [first(this.#pulls), first(this.#fills), this.#takeovers.nextMs(), this.#retryMs];
    if (this.#pending.length > 0) times.push(0);
    const known = times.filter((time) => time !== undefined);
    return known.length === 0 ? undefined : Math.min(...known);
  }

  holders(ref: ChunkRef): readonly { node: string; state: 'whole' | 'pulling' | 'filling'; from?: string }[] {
    const row = this.#table.find(ref);
    if (row === undefined) return [];
    const whole = this.#sources.wholeHolders(row).map(({ name }) => ({ node: name, state: 'whole' as const }));
    const leases = [...(this.#spreads.get(row)?.leases.values() ?? [])].map(({ asker, source }) =>
      source === undefined
        ? { node: asker.name, state: 'filling' as const }
        : { node: asker.name, state: 'pulling' as const, from: source.name },
    );
    return [...whole, ...leases];
  }

  /** Askers that are waiting, for tests and figures. */
  get waiting(): number {
    return this.#waiting;
  }

  #locate(nowMs: number, asker: DirectoryNode, ref: ChunkRef): Located {
    const row = this.#table.add(ref);
    if (row === undefined) return { kind: 'wait', ms: this.#waitMs(asker, ref) };
    let spread = this.#spreads.get(row);
    const before = spread?.leases.get(asker);
    if (before !== undefined) {
      if (before.source === undefined) this.#lost(row, 'fillFailed');
      this.#end(nowMs, before, this.#pending);
      spread = this.#spreads.get(row);
    }
    // It lacks the chunk, whatever it said before: evicted, which is nothing to be counted.
    this.#forgetHolder(row, asker);
    if (this.#table.holders(row).length === 0 && spread === undefined) this.#table.setNeverHeld(row);
    if (spread === undefined) this.#spreads.set(row, (spread = new ChunkSpread(row)));
    const answer = this.#decide(nowMs, spread, asker);
    if (answer !== undefined) return answer;
    if (!spread.waiters.has(asker)) {
      if (this.#waiting >= directoryWaitersMax) {
        this.#tidy(spread);
        return { kind: 'wait', ms: this.#waitMs(asker, ref) };
      }
      this.#waiting += 1;
      this.#starved.add(spread);
    }
    spread.waiters.set(asker, nowMs);
    return { kind: 'wait', ms: directoryWaitMs };
  }

  /** Those who cannot be kept waiting come back at different times. */
  #waitMs(asker: DirectoryNode, { chunk }: ChunkRef): number {
    return Math.round(directoryWaitMs * (0.5 + hashText(asker.name, chunk) / 0x1_0000_0000));
  }

  /** Where the asker gets the chunk now, with the lease for it; undefined: it has to wait. */
  #decide(nowMs: number, spread: ChunkSpread, asker: DirectoryNode): Located | undefined {
    const source = this.#sources.choose(nowMs, spread, asker);
    if (source !== undefined) {
      this.#begin(nowMs, spread, asker, source);
      return { kind: 'pull', from: source.name };
    }
    if (this.#takeovers.isSettling(this.#table.slot(spread.row)) || this.#sources.mayHope(nowMs, spread, asker))
      return undefined;
    const refill = this.#refillReason(spread);
    this.#begin(nowMs, spread, asker, undefined);
    return refill === undefined ? { kind: 'fill' } : { kind: 'fill', refill };
  }

  /** Why it is read again; undefined when it never was read, or was dropped rightly. */
  #refillReason({ row, fillers }: ChunkSpread): RefillReason | undefined {
    const known = REFILL_REASONS[this.#table.note(row) - 1];
    this.#table.setNote(row, 0);
    if (known !== undefined) return known;
    if (fillers.size > 0) return 'fillTimedOut';
    if (!this.#table.wasHeld(row)) return undefined;
    return this.#sources.wholeHolders(row).length > 0 ? 'holdersFailed' : 'holdersLeft';
  }

  #lost(row: HolderRow, reason: RefillReason): void {
    this.#table.setNote(row, REFILL_REASONS.indexOf(reason) + 1);
  }

  #begin(nowMs: number, spread: ChunkSpread, asker: DirectoryNode, source: DirectoryNode | undefined): void {
    const leases = source === undefined ? this.#fills : this.#pulls;
    this.#lease(spread, asker, source, { leases, deadlineMs: nowMs + leaseMsOf(source) });
  }

  #lease(
    spread: ChunkSpread,
    asker: DirectoryNode,
    source: DirectoryNode | undefined,
    { leases, deadlineMs }: { leases: Set<Lease>; deadlineMs: number },
  ): void {
    if (spread.waiters.has(asker)) this.#unpark(spread, asker);
    const depth = source === undefined ? 1 : (spread.leases.get(source)?.depth ?? 0) + 1;
    const lease: Lease = { asker, spread, source, depth, deadlineMs };
    asker.leases.add(lease);
    leases.add(lease);
    spread.begin(lease);
  }

  #renew(nowMs: number, lease: Lease | undefined): void {
    if (lease === undefined) return;
    this.#pulls.delete(lease);
    this.#fills.delete(lease);
    lease.deadlineMs = nowMs + leaseMsOf(lease.source);
    (lease.source === undefined ? this.#fills : this.#pulls).add(lease);
  }

  #done(nowMs: number, node: DirectoryNode, row: HolderRow, grants: Grant[]): void {
    this.#table.addHolder(row, node.index);
    this.#table.setNote(row, 0);
    const spread = this.#spreads.get(row);
    if (spread === undefined) return;
    if (spread.waiters.has(node)) this.#unpark(spread, node);
    spread.whole.add(node);
    if (!spread.open.includes(node)) spread.open.push(node);
    const lease = spread.leases.get(node);
    if (lease !== undefined) this.#end(nowMs, lease, grants);
    else this.#release(nowMs, spread, grants);
  }

  #failed(
    nowMs: number,
    node: DirectoryNode,
    row: HolderRow,
    { reason, source: name }: { reason: FailureReason; source?: string },
    grants: Grant[],
  ): void {
    const spread = this.#spreads.get(row);
    const lease = spread?.leases.get(node);
    if (spread?.waiters.has(node) && lease === undefined) this.#unpark(spread, node);
    const source = lease?.source ?? (name === undefined ? undefined : this.#nodes.find(name));
    if (source !== undefined) this.#blameSource(nowMs, node, row, source, reason);
    if (lease !== undefined && lease.source === undefined) this.#lost(row, 'fillFailed');
    if (lease !== undefined) this.#end(nowMs, lease, grants);
    else if (spread !== undefined) this.#release(nowMs, spread, grants);
  }

  #blameSource(nowMs: number, by: DirectoryNode, row: HolderRow, source: DirectoryNode, reason: FailureReason): void {
    switch (reason) {
      case 'unreachable':
      case 'timeout':
        this.#blame.add(nowMs, by.name, source.name, reason);
        break;
      case 'corrupt':
        if (!this.#blame.add(nowMs, by.name, source.name, reason)) break;
        this.#forgetHolder(row, source);
        this.#lost(row, 'holdersFailed');
        break;
      case 'notHeld':
        source.sparedFor.set(by, nowMs + spareMs);
        this.#retryAt(nowMs + spareMs);
        if (this.#forgetHolder(row, source)) this.#lost(row, 'dropped');
        break;
      case 'overloaded':
        source.fullUntilMs = nowMs + spareMs;
        this.#retryAt(nowMs + spareMs);
        break;
      case 'origin':
      case 'cancelled':
    }
  }

  /** Returns whether it was one. */
  #forgetHolder(row: HolderRow, node: DirectoryNode): boolean {
    const inTable = this.#table.removeHolder(row, node.index);
    return this.#spreads.get(row)?.whole.delete(node) === true || inTable;
  }

  /** Who waits is looked at again then, though nothing else happens. */
  #retryAt(atMs: number): void {
    this.#retryLastMs = Math.max(this.#retryLastMs, atMs);
    this.#retryMs ??= atMs;
  }

  /** Ends a lease and gives what it frees to those who wait: for this chunk first. */
  #end(nowMs: number, lease: Lease, grants: Grant[]): void {
    const { spread, source } = lease;
    this.#takeOff(lease);
    this.#release(nowMs, spread, grants);
    if (source === undefined) return;
    let looked = 0;
    for (const other of firstOf(this.#starved, starvedLookedAt)) {
      if (source.uploads >= uploadSlotsMax || looked++ >= starvedLookedAt) return;
      if (other === spread || !this.#sources.isWhole(other, source)) continue;
      if (!other.open.includes(source)) other.open.unshift(source);
      this.#release(nowMs, other, grants);
    }
  }

  #takeOff(lease: Lease): void {
    lease.spread.end(lease);
    lease.asker.leases.delete(lease);
    this.#pulls.delete(lease);
    this.#fills.delete(lease);
  }

  /** Sends waiters of a chunk to sources, in the order in which they came, as long as there are any. */
  #release(nowMs: number, spread: ChunkSpread, grants: Grant[]): void {
    let missed = 0;
    for (const [asker, sinceMs] of spread.waiters) {
      // Who has not asked again for so long wants it no more.
      if (nowMs - sinceMs > 2 * directoryWaitMs) {
        this.#unpark(spread, asker);
        continue;
      }
      const answer = this.#decide(nowMs, spread, asker);
      if (answer === undefined) {
        // The next may be let where this one may not; but with no slot free nobody is.
        if (++missed >= missedMax) break;
        continue;
      }
      grants.push({ node: asker.name, ref: this.#table.ref(spread.row), answer });
    }
    this.#tidy(spread);
  }

  #releaseAll(nowMs: number, grants: Grant[]): void {
    for (const spread of this.#starved) this.#release(nowMs, spread, grants);
  }

  #settle(nowMs: number, settled: boolean, grants: Grant[]): void {
    if (settled) this.#releaseAll(nowMs, grants);
  }

  #unpark(spread: ChunkSpread, node: DirectoryNode): void {
    if (!spread.waiters.delete(node)) return;
    this.#waiting -= 1;
    if (spread.waiters.size === 0) this.#starved.delete(spread);
  }

  #tidy(spread: ChunkSpread): void {
    if (spread.idle && this.#spreads.get(spread.row) === spread) this.#spreads.delete(spread.row);
  }
}

function leaseMsOf(source: DirectoryNode | undefined): number {
  return source === undefined ? fillLeaseMs : pullLeaseMs;
}

function* firstOf<T>(items: Iterable<T>, count: number): Generator<T> {
  let taken = 0;
  for (const item of items) {
    if (taken++ >= count) return;
    yield item;
  }
}
