/**
 * Deals the links and fills of one broadcast; runs at the owner of the object's metadata (DESIGN.md section 7).
 *
 * - Links (`link-table.ts`) are patched at once where nodes come and go, and dealt anew after a change, about every 64
 *   chunk times. Changes of some milliseconds are sent together.
 * - A node below half of the median speed (`node-speeds.ts`) is a leaf: one source, no readers, no fills. One whose bytes
 *   were wrong for two readers gets no readers any more.
 * - Fills (`fill-tokens.ts`) go to nodes at random, one per node at a time.
 *
 * Duty of the caller: send the actions in order, call `tick` at `nextMs`, tell of dead nodes by `lost`.
 * State is soft: when the dealer's node dies, members leave and get what they lack by the directory.
 */
import type { Random } from '../io/io.ts';
import type { DealerAction, FillFailure, LinkFailure, MemberReport } from './broadcast.ts';
import { type ChunkRange, ChunkSet } from './chunk-set.ts';
import { FillTokens } from './fill-tokens.ts';
import { type LinkEnd, MESH_NODES_MAX } from './link-deal.ts';
import { LinkPeer, LinkTable, sourcesAmong } from './link-table.ts';
import { type JudgedNode, judgeLeaf, medianSpeed } from './node-speeds.ts';

export interface BroadcastDealerOptions {
  readonly chunks: number;
  readonly chunkBytes: number;
  readonly random: Random;
  /** The origin's bandwidth in links of a node, where it is known. */
  readonly originLinks?: number;
}

export interface BroadcastStatus {
  readonly members: number;
  readonly finished: number;
  readonly leaves: number;
  readonly filled: number;
  readonly chunks: number;
}

/** Changes of links that come within this time are sent together. */
const flushMs = 5;
/** Speeds that are reported within this time are compared together. */
const judgeMs = 20;
/** Links are dealt anew after this many chunk times, or this long while no speed is known. */
const redealChunks = 64;
const redealUnknownMs = 5000;
/** A fill that takes this many times as long as others is given to somebody else. */
const fillSlowness = 8;
const leafFillSlowness = 4;
const fillHangsMinMs = 5000;
const fillHangsUnknownMs = 60_000;
/** Fills that fail in a row: each doubles the pause, so many end the broadcast. */
const fillPauseBaseMs = 100;
const fillPauseMaxMs = 10_000;
const fillFailuresMax = 16;
/** Readers whose complaint of a source counts for all. */
const complaintsMax = 2;

class DealtPeer extends LinkPeer implements JudgedNode {
  bytesPerS: number | undefined;
  atLeast = true;
  leafUntilMs = 0;
  timesLeaf = 0;
  token: number | undefined;
  /** A fill that it did not bring to an end: rather another node's now. */
  failedFill: number | undefined;
  readonly blamedBy = new Set<string>();
  /** What it lacked, though somebody had it, when it starved, and in which deal. */
  starved: { readonly deal: number; readonly lacks: ChunkSet } | undefined;
}

export class BroadcastDealer {
  readonly #options: BroadcastDealerOptions;
  readonly #peers = new Map<string, DealtPeer>();
  readonly #links: LinkTable<DealtPeer>;
  readonly #tokens: FillTokens<DealtPeer>;
  #version = 0;
  #deals = 0;
  #dealtAt = 0;
  #flushAt: number | undefined;
  #redealAt: number | undefined;
  #judgeAt: number | undefined;
  #median: number | undefined;
  #unfinished = 0;
  #failures = 0;
  #pausedUntil = 0;
  #ended = false;

  constructor(options: BroadcastDealerOptions) {
    this.#options = options;
    const { chunks, random, originLinks } = options;
    this.#links = new LinkTable(random);
    const known = originLinks === undefined ? {} : { originLinks };
    this.#tokens = new FillTokens({ chunks, ...known });
  }

  /** Everybody has been dismissed or has left: it takes no more members. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Everyone it deals to. */
  nodes(): readonly string[] {
    return [...this.#peers.keys()];
  }

  status(): BroadcastStatus {
    const peers = this.#links.peers;
    return {
      members: peers.length,
      finished: peers.length - this.#unfinished,
      leaves: peers.filter(({ leaf }) => leaf).length,
      filled: this.#tokens.filled,
      chunks: this.#options.chunks,
    };
  }

  report(nowMs: number, node: string, report: MemberReport): readonly DealerAction[] {
    if (this.#ended) return report.kind === 'leave' ? [] : [dismissal(node)];
    if (report.kind === 'join') return this.#join(nowMs, node, report);
    const peer = this.#peers.get(node);
    // Who was taken for dead and is not learns it here, and may join again.
    if (peer === undefined) return report.kind === 'leave' ? [] : [dismissal(node)];
    switch (report.kind) {
      case 'leave':
        return this.lost(nowMs, node);
      case 'finished':
        return this.#finished(nowMs, peer);
      case 'speed':
        return this.#speed(nowMs, peer, report);
      case 'filled':
        return this.#filled(nowMs, peer, report.chunk);
      case 'copied':
        return this.#copied(nowMs, report.chunk, report.by);
      case 'fillFailed':
        return this.#fillFailed(nowMs, peer, report.chunk, report.reason);
      case 'badSource':
        return this.#badSource(nowMs, peer, report.source, report.reason);
      case 'starved':
        return this.#starved(nowMs, peer, report.lacks);
    }
  }

  /** A node is dead or has left the cluster; for one that takes no part nothing is done. */
  lost(nowMs: number, node: string): readonly DealerAction[] {
    const peer = this.#peers.get(node);
    if (peer === undefined) return [];
    this.#peers.delete(node);
    if (peer.reads) this.#unfinished -= 1;
    this.#links.remove(peer);
    this.#tokens.lost(peer);
    this.#change(nowMs);
    return [...this.#issue(nowMs), ...this.#dismissIfDone()];
  }

  /** Takes back fills that hang, deals anew, sends the links that changed. */
  tick(nowMs: number): readonly DealerAction[] {
    if (this.#ended) return [];
    const actions: DealerAction[] = [];
    for (const { by, chunk } of this.#tokens.olderThan(nowMs - this.#fillHangsMs())) {
      by.failedFill = chunk;
      this.#stopFill(by, actions);
    }
    this.#takeFromLeaves(nowMs, actions);
    if (this.#judgeAt !== undefined && nowMs >= this.#judgeAt) actions.push(...this.#judge(nowMs));
    if (this.#redealAt !== undefined && nowMs >= this.#redealAt) {
      this.#links.deal();
      this.#dealt(nowMs);
    }
    if (this.#flushAt !== undefined && nowMs >= this.#flushAt) {
      this.#flushAt = undefined;
      if (this.#links.settle()) this.#dealt(nowMs);
    }
    actions.push(...this.#linkOrders(), ...this.#issue(nowMs));
    return actions;
  }

  /** When `tick` has something to do; `undefined`: not before the next event. */
  nextMs(): number | undefined {
    if (this.#ended) return undefined;
    const oldest = this.#tokens.oldestMs();
    const hangs = oldest === undefined ? undefined : oldest + this.#fillHangsMs() + 1;
    const times = [this.#flushAt, this.#redealAt, this.#judgeAt, hangs, this.#leafFillDueMs()];
    if (this.#failures > 0 && this.#tokens.next(this.#pausedUntil) !== undefined) times.push(this.#pausedUntil);
    const known = times.filter((time) => time !== undefined);
    return known.length === 0 ? undefined : Math.min(...known);
  }

  #join(nowMs: number, node: string, join: { have: readonly ChunkRange[]; bytesPerS?: number }): DealerAction[] {
    const actions = [...this.lost(nowMs, node)];
    const { chunks } = this.#options;
    const have = new ChunkSet(chunks, join.have);
    const peer = new DealtPeer(node, !have.full);
    this.#peers.set(node, peer);
    this.#links.add(peer);
    if (peer.reads) this.#unfinished += 1;
    if (have.count > 0) this.#brings(nowMs, peer, have, actions);
    this.#change(nowMs);
    if (join.bytesPerS !== undefined)
      actions.push(...this.#speed(nowMs, peer, { bytesPerS: join.bytesPerS, atLeast: false }));
    return [...actions, ...this.#issue(nowMs), ...this.#dismissIfDone()];
  }

  /** What somebody brings along is not filled any longer. */
  #brings(nowMs: number, peer: DealtPeer, have: ChunkSet, actions: DealerAction[]): void {
    for (const other of this.#links.peers)
      if (other.token !== undefined && have.has(other.token)) this.#stopFill(other, actions);
    for (let chunk = 0; chunk < have.bound; chunk++) if (have.has(chunk)) this.#tokens.has(nowMs, chunk, peer);
  }

  #finished(nowMs: number, peer: DealtPeer): DealerAction[] {
    if (!peer.reads) return [];
    peer.reads = false;
    this.#unfinished -= 1;
    const actions: DealerAction[] = [];
    this.#stopFill(peer, actions);
    this.#planDeal(nowMs);
    return [...actions, ...this.#issue(nowMs), ...this.#dismissIfDone()];
  }

  #filled(nowMs: number, peer: DealtPeer, chunk: number): DealerAction[] {
    if (peer.token === chunk) peer.token = undefined;
    this.#failures = 0;
    const actions: DealerAction[] = [];
    const other = this.#tokens.filler(chunk);
    if (other !== undefined && other !== peer) this.#stopFill(other, actions);
    this.#tokens.has(nowMs, chunk, peer);
    return [...actions, ...this.#issue(nowMs)];
  }

  #copied(nowMs: number, chunk: number, by: string): DealerAction[] {
    const peer = this.#peers.get(by);
    if (peer !== undefined) this.#tokens.has(nowMs, chunk, peer);
    return this.#issue(nowMs);
  }

  #fillFailed(nowMs: number, peer: DealtPeer, chunk: number, reason: FillFailure): DealerAction[] {
    if (peer.token !== chunk) return [];
    peer.token = undefined;
    peer.failedFill = chunk;
    this.#tokens.back(chunk);
    this.#failures += 1;
    if (reason === 'changed' || this.#failures > fillFailuresMax) return this.#dismissAll();
    this.#pausedUntil = nowMs + Math.min(fillPauseMaxMs, fillPauseBaseMs * 2 ** (this.#failures - 1));
    return [];
  }

  #badSource(nowMs: number, reader: DealtPeer, node: string, reason: LinkFailure): readonly DealerAction[] {
    const source = this.#peers.get(node);
    if (source === undefined) return [];
    this.#links.replace(source, reader);
    this.#change(nowMs);
    if (reason === 'notHeld') return [];
    source.blamedBy.add(reader.node);
    if (source.blamedBy.size < Math.min(complaintsMax, this.#peers.size - 1)) return [];
    if (reason !== 'corrupt') return this.lost(nowMs, node);
    this.#links.shut(source);
    return [];
  }

  /**
   * Deals anew; what it then still lacks, though it is said to have been filled, is filled again: those who had it are gone
   * or have lost it.
   */
  #starved(nowMs: number, peer: DealtPeer, lacks: readonly ChunkRange[]): DealerAction[] {
    const missed = new ChunkSet(this.#options.chunks, lacks);
    for (let chunk = 0; chunk < missed.bound; chunk++) if (!this.#tokens.isFilled(chunk)) missed.delete(chunk);
    if (missed.count === 0) return [];
    const before = peer.starved;
    peer.starved = { deal: this.#deals, lacks: missed };
    if (before === undefined || before.deal === this.#deals) {
      this.#planDeal(nowMs, nowMs);
      return [];
    }
    for (let chunk = 0; chunk < missed.bound; chunk++)
      if (missed.has(chunk) && before.lacks.has(chunk)) this.#tokens.missing(chunk);
    return this.#issue(nowMs);
  }

  /** All speeds are looked at together, so that ten thousand reports do not cost ten thousand medians. */
  #speed(nowMs: number, peer: DealtPeer, speed: { bytesPerS: number; atLeast: boolean }): DealerAction[] {
    // A leaf has one source, which says nothing of its own link.
    if (!(speed.bytesPerS > 0) || peer.leaf) return [];
    const originShare = this.#originShare();
    peer.atLeast = speed.atLeast || originShare === 0;
    peer.bytesPerS = peer.atLeast ? speed.bytesPerS : this.#linkSpeed(speed.bytesPerS, shareOf(peer), originShare);
    this.#judgeAt ??= nowMs + judgeMs;
    return [];
  }

  /**
   * What a node's link can do, of which its sources, or the origin, gave it a share. By the latter nobody counts as faster than the
   * others: speeds that grow by what they are compared with would make leaves of all who are measured once everything is filled.
   */
  #linkSpeed(bytesPerS: number, sourcesShare: number, originShare: number): number {
    return Math.max(bytesPerS / sourcesShare, Math.min(bytesPerS / originShare, this.#median ?? 0));
  }

  #judge(nowMs: number): DealerAction[] {
    this.#judgeAt = undefined;
    const peers = this.#links.peers;
    this.#median = medianSpeed(peers);
    const actions: DealerAction[] = [];
    if (this.#median === undefined) return actions;
    const chunkMs = this.#chunkMs() as number;
    for (const peer of peers) {
      const leaf = judgeLeaf(nowMs, peer, { median: this.#median, chunkMs });
      if (leaf === peer.leaf) continue;
      this.#links.setLeaf(peer, leaf);
      this.#change(nowMs);
    }
    for (const { leaf, leafUntilMs } of peers)
      if (leaf) this.#judgeAt = Math.min(this.#judgeAt ?? leafUntilMs, leafUntilMs);
    return actions;
  }

  /** A leaf whose fill takes four times as long as others' gives it up; what has come is read again, but nobody waits for the rest. */
  #takeFromLeaves(nowMs: number, actions: DealerAction[]): void {
    const { meanMs } = this.#tokens;
    if (meanMs === 0) return;
    for (const { by } of this.#tokens.olderThan(nowMs - leafFillSlowness * meanMs))
      if (by.leaf) this.#stopFill(by, actions);
  }

  #leafFillDueMs(): number | undefined {
    const { meanMs } = this.#tokens;
    const token = this.#tokens.olderThan(Number.POSITIVE_INFINITY).find(({ by }) => by.leaf);
    return token === undefined || meanMs === 0 ? undefined : token.sinceMs + leafFillSlowness * meanMs + 1;
  }

  /** What comes from the origin, in links; all that comes to anybody comes no faster while there is something to fill. 0: unknown. */
  #originShare(): number {
    const { perMs, filled } = this.#tokens;
    return filled === this.#options.chunks ? 1 : Math.min(1, perMs * (this.#chunkMs() ?? 0));
  }

  #stopFill(peer: DealtPeer, actions: DealerAction[]): void {
    if (peer.token === undefined) return;
    actions.push({ to: peer.node, order: { kind: 'stopFill', chunk: peer.token } });
    this.#tokens.back(peer.token);
    peer.token = undefined;
  }

  /** Hands out fills as long as there are chunks, tokens and nodes without one. */
  #issue(nowMs: number): DealerAction[] {
    const actions: DealerAction[] = [];
    if (nowMs < this.#pausedUntil) return actions;
    this.#tokens.degree = sourcesAmong(this.#links.size);
    this.#tokens.spaced = this.#links.size > MESH_NODES_MAX;
    for (;;) {
      const chunk = this.#tokens.next(nowMs);
      const peer = chunk === undefined ? undefined : this.#filler(chunk);
      if (chunk === undefined || peer === undefined) return actions;
      peer.token = chunk;
      this.#tokens.give(nowMs, chunk, peer);
      actions.push({ to: peer.node, order: { kind: 'fill', chunk } });
    }
  }

  #filler(chunk: number): DealtPeer | undefined {
    const free = (peer: DealtPeer) => peer.reads && peer.serves && peer.token === undefined;
    for (let attempt = 0; attempt < 8; attempt++) {
      const peer = this.#links.draw();
      if (peer !== undefined && free(peer) && peer.failedFill !== chunk) return peer;
    }
    if (this.#tokens.out >= this.#unfinished) return undefined;
    const possible = this.#links.peers.filter(free);
    const better = possible.filter(({ failedFill }) => failedFill !== chunk);
    const some = better.length > 0 ? better : possible;
    if (some.length > 0) return some[this.#options.random.integer(some.length)];
    // With nobody fast left the slow ones fill for themselves.
    const others = this.#links.peers.filter(({ reads, serves }) => reads && serves);
    return others.length > 0 ? undefined : this.#links.peers.find(({ reads, token }) => reads && token === undefined);
  }

  #linkOrders(): DealerAction[] {
    if (this.#flushAt !== undefined) return [];
    const changed = this.#links.takeChanged();
    if (changed.length === 0) return [];
    this.#version += 1;
    const version = this.#version;
    const names = (ends: readonly LinkEnd[]) => (ends as readonly LinkPeer[]).map(({ node }) => node);
    return changed.map(({ node, sources, readers }) => ({
      to: node,
      order: { kind: 'links', version, sources: names(sources), readers: names(readers) },
    }));
  }

  /** Links have changed, or are about to: what comes within `flushMs` is sent together. */
  #change(nowMs: number): void {
    this.#flushAt ??= nowMs + flushMs;
    this.#planDeal(nowMs);
  }

  #planDeal(nowMs: number, atMs?: number): void {
    const chunkMs = this.#chunkMs();
    const everyMs = chunkMs === undefined ? redealUnknownMs : redealChunks * chunkMs;
    const at = atMs ?? Math.max(nowMs, this.#dealtAt + everyMs);
    this.#redealAt = Math.min(this.#redealAt ?? at, at);
  }

  #dealt(nowMs: number): void {
    this.#dealtAt = nowMs;
    this.#deals += 1;
    this.#redealAt = undefined;
  }

  #dismissIfDone(): DealerAction[] {
    return this.#unfinished === 0 ? this.#dismissAll() : [];
  }

  #dismissAll(): DealerAction[] {
    this.#ended = true;
    return [...this.#peers.keys()].map(dismissal);
  }

  /** What a chunk takes over a whole link. */
  #chunkMs(): number | undefined {
    return this.#median === undefined ? undefined : (1000 * this.#options.chunkBytes) / this.#median;
  }

  #fillHangsMs(): number {
    const { meanMs } = this.#tokens;
    return meanMs === 0 ? fillHangsUnknownMs : Math.max(fillHangsMinMs, fillSlowness * meanMs);
  }
}

/** The share of a link that a node's sources can fill, when all of them serve all of their readers. */
function shareOf(peer: DealtPeer): number {
  let share = 0;
  for (const { readers } of peer.sources) share += 1 / Math.max(1, readers.filter(({ reads }) => reads).length);
  return share === 0 ? 1 : Math.min(1, share);
}

const dismissal = (to: string): DealerAction => ({ to, order: { kind: 'dismissed' } });
