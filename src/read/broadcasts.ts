/**
 * Fan-out reads: nodes that want the same content at the same time exchange it over links that the owner of the object's
 * metadata deals (DESIGN.md section 7). This is the part that acts: it carries the deciders' messages
 * (`cluster/broadcast-dealer.ts`, `cluster/broadcast-member.ts`) and moves bytes by `fills.ts`, so that readers here share
 * what a broadcast brings, and a chunk that a token says to fill is still read from the origin only with leave of the
 * chunk's owner (S-11).
 */

import type { DealerAction, DealerOrder, FillFailure, LinkFailure, MemberAction } from '../cluster/broadcast.ts';
import type { BroadcastDealer } from '../cluster/broadcast-dealer.ts';
import type { BroadcastMember } from '../cluster/broadcast-member.ts';
import type { ChunkRange } from '../cluster/chunk-set.ts';
import { fieldsOf, itemsOf, malformed, textOf } from '../cluster/chunk-wire.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { slotOfDirectory } from '../cluster/slot.ts';
import { abortable } from '../core/abortable.ts';
import { isForebayError } from '../core/errors.ts';
import { type ContentId, parseContentId } from '../core/ids.ts';
import { broadcastDeathMs, broadcastTickMs } from '../core/limits.ts';
import type { Json, PeerMessage } from '../io/peers.ts';
import { announcementFromWire, orderFromWire, reportFromWire } from './broadcast-wire.ts';
import type { FillTarget } from './fill-target.ts';
import type { Fills } from './fills.ts';
import { blameOf } from './peer-blocks.ts';

export interface BroadcastsOptions {
  readonly cluster: Cluster;
  readonly fills: Fills;
  /** The chunks of a content that are here whole. */
  readonly whole: (target: FillTarget) => Iterable<number>;
  readonly dealer: (content: { chunks: number; chunkBytes: number }) => BroadcastDealer;
  readonly member: (content: { chunks: number; chunkBytes: number; have: readonly ChunkRange[] }) => BroadcastMember;
}

/** A content that is brought here. */
interface Part {
  readonly target: FillTarget;
  readonly chunks: number;
  /** The node that deals; when it is another, the part begins anew with that one. */
  dealer: string;
  decider: BroadcastMember;
  /** What is being moved: ends with the part. */
  work: AbortController;
  readonly moving: Map<string, AbortController>;
  /** The end of what is being pulled from a source: one chunk at a time, the next one right after it. */
  readonly lines: Map<string, Promise<void>>;
  users: number;
  readonly finished: PromiseWithResolvers<void>;
}

interface Dealt {
  readonly decider: BroadcastDealer;
  sinceEndedMs: number | undefined;
}

export class Broadcasts {
  readonly #options: BroadcastsOptions;
  readonly #parts = new Map<ContentId, Part>();
  readonly #dealt = new Map<ContentId, Dealt>();
  #members: readonly string[] = [];
  #ticking = false;

  constructor(options: BroadcastsOptions) {
    this.#options = options;
    const { cluster } = options;
    cluster.handle('broadcast.report', (from, message) => this.#reported(from, message));
    cluster.handle('broadcast.order', (from, message) => this.#ordered(from, message));
    cluster.handle('broadcast.announce', (from, message) => this.#announced(from, message));
    cluster.handle('lost:broadcast.report', (_node, message) => this.#reportLost(message));
    cluster.onMembers(() => this.#membersChanged());
  }

  /** Contents that are brought here, or that this node deals. */
  get underWay(): number {
    return this.#parts.size + this.#dealt.size;
  }

  /** Worth a broadcast: there are others, and more than one chunk to exchange. */
  isWorth(target: FillTarget): boolean {
    return this.#options.cluster.members.members.length > 1 && target.sizeBytes > target.chunkSizeBytes;
  }

  /**
   * Brings a content here together with everybody who wants it now. Resolves when it is here, or the broadcast ended
   * without it: what is missing then comes chunk by chunk. Rejects with versionChanged or the signal's reason.
   */
  async bring(target: FillTarget, signal: AbortSignal): Promise<void> {
    const part = this.#parts.get(target.id) ?? this.#join(target);
    part.users += 1;
    try {
      await abortable(part.finished.promise, signal);
    } finally {
      part.users -= 1;
      if (part.users === 0 && signal.aborted && !part.decider.finished && this.#parts.get(target.id) === part)
        this.#leave(part);
    }
  }

  /** A chunk came here whole, from wherever. */
  arrived(content: ContentId, chunk: number, from: string | undefined): void {
    const part = this.#parts.get(content);
    if (part !== undefined) this.#act(part, part.decider.arrived(this.#nowMs(), chunk, from));
  }

  /** A block came from a peer or the origin. */
  received(content: ContentId, bytes: number): void {
    const part = this.#parts.get(content);
    if (part !== undefined) this.#act(part, part.decider.received(this.#nowMs(), bytes));
  }

  /** A peer begins to pull a chunk from here. */
  asked(content: ContentId, reader: string, chunk: number): void {
    const part = this.#parts.get(content);
    part?.decider.asked(reader, chunk);
  }

  /** It has gone out, or the peer gave it up. */
  served(content: ContentId, reader: string, chunk: number, isWhole: boolean): void {
    const part = this.#parts.get(content);
    if (part !== undefined) this.#act(part, part.decider.served(reader, chunk, isWhole));
  }

  // ---- as a member -------------------------------------------------------------------------------------------------

  #nowMs(): number {
    return this.#options.cluster.clock.boottimeMs();
  }

  #dealerOf({ fact }: FillTarget): string {
    const { placement, self } = this.#options.cluster;
    return placement.owner(slotOfDirectory(fact.volume, fact.key))?.node ?? self;
  }

  #join(target: FillTarget): Part {
    const chunks = Math.ceil(target.sizeBytes / target.chunkSizeBytes);
    const finished = Promise.withResolvers<void>();
    finished.promise.catch(() => undefined);
    const part: Part = {
      target,
      chunks,
      dealer: this.#dealerOf(target),
      decider: this.#decider(target, chunks),
      work: new AbortController(),
      moving: new Map(),
      lines: new Map(),
      users: 0,
      finished,
    };
    this.#parts.set(target.id, part);
    this.#tick();
    this.#act(part, part.decider.join(this.#nowMs()));
    return part;
  }

  #decider(target: FillTarget, chunks: number): BroadcastMember {
    return this.#options.member({
      chunks,
      chunkBytes: target.chunkSizeBytes,
      have: rangesOf(this.#options.whole(target)),
    });
  }

  #act(part: Part, actions: readonly MemberAction[]): void {
    const { cluster } = this.#options;
    const content = part.target.id;
    for (const action of actions) {
      switch (action.kind) {
        case 'request':
          this.#queue(part, { chunk: action.chunk, via: action.source });
          break;
        case 'fill':
          void this.#move(part, { chunk: action.chunk }, new AbortController());
          break;
        case 'cancel':
          part.moving.get(moveName(action.chunk, action.source))?.abort();
          break;
        case 'stopFill':
          part.moving.get(moveName(action.chunk, undefined))?.abort();
          break;
        case 'announce':
          cluster.tell(action.to, 'broadcast.announce', { content, have: action.have, all: action.all });
          break;
        case 'tell':
          this.#tell(part, { ...action.report });
          break;
        default:
          action satisfies never;
      }
    }
    if (part.decider.finished) part.finished.resolve();
  }

  #tell(part: Part, report: { readonly [name: string]: Json | undefined }): void {
    const { id, chunkSizeBytes, fact } = part.target;
    this.#options.cluster.tell(part.dealer, 'broadcast.report', {
      content: id,
      directory: { volume: fact.volume, key: fact.key },
      chunks: part.chunks,
      chunkBytes: chunkSizeBytes,
      report,
    });
  }

  /** Pulls from one source in turn. */
  #queue(part: Part, what: { chunk: number; via: string }): void {
    const stop = new AbortController();
    part.moving.set(moveName(what.chunk, what.via), stop);
    const before = part.lines.get(what.via) ?? Promise.resolve();
    const line = before.then(() => this.#move(part, what, stop));
    part.lines.set(what.via, line);
    void line.finally(() => {
      if (part.lines.get(what.via) === line) part.lines.delete(what.via);
    });
  }

  /** Pulls a chunk, or fills it, and tells the decider how it went. */
  async #move(part: Part, { chunk, via }: { chunk: number; via?: string }, stop: AbortController): Promise<void> {
    const name = moveName(chunk, via);
    part.moving.set(name, stop);
    // Both are others once another node deals.
    const { decider, work } = part;
    let actions: readonly MemberAction[] = [];
    try {
      const signal = AbortSignal.any([stop.signal, work.signal]);
      await this.#options.fills.chunk(part.target, chunk, { signal, ...(via !== undefined && { via }) });
      actions = decider.arrived(this.#nowMs(), chunk, via);
    } catch (error) {
      if (stop.signal.aborted || work.signal.aborted) return;
      if (!isForebayError(error)) throw error;
      if (via === undefined) {
        const reason: FillFailure = error.code === 'versionChanged' ? 'changed' : 'origin';
        actions = decider.fillFailed(this.#nowMs(), chunk, reason);
        if (reason === 'changed') part.finished.reject(error);
      } else actions = decider.failed(this.#nowMs(), via, chunk, linkFailureOf(error));
    } finally {
      if (part.moving.get(name) === stop) part.moving.delete(name);
    }
    if (part.decider === decider && this.#parts.get(part.target.id) === part) this.#act(part, actions);
  }

  #leave(part: Part): void {
    this.#act(part, part.decider.leave());
    this.#end(part);
  }

  #end(part: Part): void {
    part.work.abort();
    if (this.#parts.get(part.target.id) === part) this.#parts.delete(part.target.id);
    part.finished.resolve();
  }

  #ordered(from: string, message: PeerMessage): null {
    for (const item of itemsOf(message)) {
      const fields = fieldsOf(item);
      const part = this.#parts.get(contentOf(fields['content']));
      const order: DealerOrder = orderFromWire(fields['order']);
      if (part === undefined || part.dealer !== from) continue;
      this.#act(part, part.decider.order(this.#nowMs(), order));
      if (order.kind === 'dismissed') this.#end(part);
    }
    return null;
  }

  #announced(from: string, message: PeerMessage): null {
    for (const item of itemsOf(message)) {
      const { content, have, all } = announcementFromWire(item);
      const part = this.#parts.get(content);
      if (part !== undefined) this.#act(part, part.decider.announced(this.#nowMs(), from, have, all));
    }
    return null;
  }

  /** The dealer cannot be reached: the directory brings what is missing, unless another node is to deal by then. */
  async #reportLost(message: PeerMessage): Promise<null> {
    const { clock, closing } = this.#options.cluster;
    const contents = new Set(itemsOf(message).map((item) => contentOf(fieldsOf(item)['content'])));
    await clock.sleep(broadcastDeathMs, closing).catch(() => undefined);
    for (const content of contents) {
      const part = this.#parts.get(content);
      if (part !== undefined && part.dealer === this.#dealerOf(part.target)) this.#end(part);
    }
    return null;
  }

  /** Whoever deals now learns of those who want something; nodes that left deal nothing and get nothing. */
  #membersChanged(): void {
    const { cluster } = this.#options;
    const nowMs = this.#nowMs();
    for (const part of this.#parts.values()) {
      const dealer = this.#dealerOf(part.target);
      if (dealer === part.dealer) continue;
      // Nobody here waits for it any more: it stayed to serve, which the directory sees to.
      if (part.users === 0) {
        this.#end(part);
        continue;
      }
      part.work.abort();
      part.work = new AbortController();
      part.moving.clear();
      part.dealer = dealer;
      part.decider = this.#decider(part.target, part.chunks);
      this.#act(part, part.decider.join(nowMs));
    }
    const left = this.#members.filter((node) => cluster.member(node) === undefined);
    this.#members = cluster.members.members.map(({ node }) => node);
    for (const [content, { decider }] of this.#dealt)
      for (const node of left) this.#send(content, decider.lost(nowMs, node));
  }

  // ---- as the dealer -----------------------------------------------------------------------------------------------

  #reported(from: string, message: PeerMessage): null {
    for (const item of itemsOf(message)) {
      const fields = fieldsOf(item);
      const content = contentOf(fields['content']);
      const { volume, key } = fieldsOf(fields['directory']);
      const { placement, self } = this.#options.cluster;
      if (placement.owner(slotOfDirectory(textOf(volume), textOf(key)))?.node !== self) {
        this.#send(content, [{ to: from, order: { kind: 'dismissed' } }]);
        continue;
      }
      const { report, chunks, chunkBytes } = reportFromWire(fields);
      let dealt = this.#dealt.get(content);
      if (dealt === undefined) {
        dealt = { decider: this.#options.dealer({ chunks, chunkBytes }), sinceEndedMs: undefined };
        this.#dealt.set(content, dealt);
        this.#tick();
      }
      this.#send(content, dealt.decider.report(this.#nowMs(), from, report));
    }
    return null;
  }

  #send(content: ContentId, actions: readonly DealerAction[]): void {
    for (const { to, order } of actions)
      this.#options.cluster.tell(to, 'broadcast.order', { content, order: { ...order } });
  }

  /** Lets deciders do what is due, while there are any. */
  #tick(): void {
    if (this.#ticking) return;
    this.#ticking = true;
    void this.#tickOn().finally(() => {
      this.#ticking = false;
    });
  }

  async #tickOn(): Promise<void> {
    const { clock, closing } = this.#options.cluster;
    while (this.underWay > 0) {
      const due = Math.min(...this.#due(), this.#nowMs() + broadcastTickMs);
      await clock.sleep(Math.max(1, due - this.#nowMs()), closing).catch(() => undefined);
      if (closing.aborted) return;
      const nowMs = this.#nowMs();
      for (const [content, { decider }] of this.#dealt) {
        this.#send(content, decider.tick(nowMs));
        if (decider.ended) this.#dealt.delete(content);
      }
      for (const part of Array.from(this.#parts.values())) this.#act(part, part.decider.tick(nowMs));
    }
  }

  *#due(): Generator<number> {
    for (const { decider } of this.#dealt.values()) yield decider.nextMs() ?? Number.POSITIVE_INFINITY;
    for (const { decider } of this.#parts.values()) yield decider.nextMs() ?? Number.POSITIVE_INFINITY;
  }
}

/** Ascending chunks as ranges. */
function rangesOf(chunks: Iterable<number>): ChunkRange[] {
  const ranges: [number, number][] = [];
  for (const chunk of chunks) {
    const last = ranges.at(-1);
    if (last?.[1] === chunk) last[1] = chunk + 1;
    else ranges.push([chunk, chunk + 1]);
  }
  return ranges;
}

function moveName(chunk: number, via: string | undefined): string {
  return `${chunk} ${via ?? ''}`;
}

function contentOf(value: Json | undefined): ContentId {
  const id = parseContentId(textOf(value));
  if (id === undefined) throw malformed('no content id');
  return id;
}

function linkFailureOf(error: Parameters<typeof blameOf>[0]): LinkFailure {
  const blame = blameOf(error);
  return blame === 'overloaded' || blame === undefined ? 'timeout' : blame;
}
