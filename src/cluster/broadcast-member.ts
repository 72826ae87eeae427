/**
 * One node's part in a broadcast (DESIGN.md section 7): asks its sources for chunks, fills what the dealer tells it to,
 * tells its readers what it has.
 *
 * Per source one chunk is on its way and one is queued there, so that a link is never idle for a round trip. What readers
 * here are waiting for (`window`) goes first, else `chunk-choice.ts` chooses. A chunk is asked for in one place at a time; a
 * queued one moves to a source that would otherwise be idle.
 *
 * Duty of the caller: carry out the actions in order, report each request's end by `arrived` or `failed`, each fill's by
 * `arrived` or `fillFailed`; serve readers one chunk at a time, in the order in which they ask; call `tick` at `nextMs`.
 */
import { BLOCK_SIZE_BYTES } from '../core/chunk.ts';
import type { Random } from '../io/io.ts';
import {
  type DealerOrder,
  type FillFailure,
  LINKS_PER_NODE,
  type LinkFailure,
  type MemberAction,
} from './broadcast.ts';
import { chooseChunk } from './chunk-choice.ts';
import { type ChunkRange, ChunkSet } from './chunk-set.ts';
import { PeakSpeed } from './peak-speed.ts';
import { type Announcement, ReaderNews } from './reader-news.ts';

export interface BroadcastMemberOptions {
  readonly chunks: number;
  readonly chunkBytes: number;
  /** What is here already. */
  readonly have?: readonly ChunkRange[];
  /** The speed of this node's link, where it is known. */
  readonly bytesPerS?: number;
  readonly random: Random;
}

/** Per source: one on its way, one queued. */
const requestsPerLink = 2;
/** Bytes are counted by the block: over fewer of them two nodes of one speed look twice as fast as each other. */
const speedWindowMinBytes = 8 * BLOCK_SIZE_BYTES;
/** With nothing to ask for during this time, or this many chunk times, the dealer is told. */
const starvedMinMs = 2000;
const starvedChunks = 32;
/** A speed is told again when it has changed by this. */
const speedChange = 0.25;

interface Source {
  readonly node: string;
  readonly has: ChunkSet;
  /** Asked for, in order; the first is on its way. */
  readonly asked: number[];
  /** Still a source; one that is none any more only ends what is on its way. */
  linked: boolean;
}

export class BroadcastMember {
  readonly #options: BroadcastMemberOptions;
  readonly #have: ChunkSet;
  /** Here, asked for, or being filled. */
  readonly #taken: ChunkSet;
  readonly #sources = new Map<string, Source>();
  readonly #fills = new Set<number>();
  /** Being filled, and told of already. */
  readonly #early = new Set<number>();
  /** Filled here, and nobody has copied it yet. */
  readonly #uncopied = new Set<number>();
  readonly #news: ReaderNews;
  readonly #speed: PeakSpeed;
  #told: number | undefined;
  #toldSaturated = false;
  #window: readonly number[] = [];
  #version = 0;
  #idleSince: number | undefined;
  #dismissed = false;

  constructor(options: BroadcastMemberOptions) {
    this.#options = options;
    this.#have = new ChunkSet(options.chunks, options.have);
    this.#taken = new ChunkSet(options.chunks, options.have);
    this.#news = new ReaderNews(this.#have, this.#early);
    this.#speed = new PeakSpeed(Math.max(options.chunkBytes / 2, speedWindowMinBytes));
    this.#told = options.bytesPerS;
  }

  get finished(): boolean {
    return this.#have.full;
  }

  /** The broadcast is over for this node; what is missing comes by the directory. */
  get dismissed(): boolean {
    return this.#dismissed;
  }

  join(nowMs: number): readonly MemberAction[] {
    this.#idleSince = nowMs;
    const { bytesPerS } = this.#options;
    const known = bytesPerS === undefined ? {} : { bytesPerS };
    return [{ kind: 'tell', report: { kind: 'join', have: this.#have.ranges(), ...known } }];
  }

  /** Gives everything up. */
  leave(): readonly MemberAction[] {
    return this.#dismissed ? [] : [...this.#stop(), { kind: 'tell', report: { kind: 'leave' } }];
  }

  order(nowMs: number, order: DealerOrder): readonly MemberAction[] {
    if (this.#dismissed) return [];
    switch (order.kind) {
      case 'links':
        return order.version > this.#version ? this.#relink(nowMs, order) : [];
      case 'fill':
        return this.#fill(nowMs, order.chunk);
      case 'stopFill':
        return this.#stopFill(nowMs, order.chunk);
      case 'dismissed':
        return this.#stop();
    }
  }

  /** A source told what it has. `all`: that is all, else it is so much more. */
  announced(nowMs: number, node: string, have: readonly ChunkRange[], all: boolean): readonly MemberAction[] {
    const source = this.#sources.get(node);
    if (source === undefined || this.#dismissed) return [];
    if (all) source.has.clear();
    source.has.addRanges(have);
    const actions: MemberAction[] = [];
    this.#ask(nowMs, source, actions);
    return actions;
  }

  /** Bytes came from a source or the origin; tells the node's speed. To be called per block. */
  received(nowMs: number, bytes: number): readonly MemberAction[] {
    if (!this.#speed.received(nowMs, bytes)) return [];
    const bytesPerS = this.#speed.bytesPerS as number;
    const { saturated } = this.#speed;
    const same = this.#told !== undefined && Math.abs(bytesPerS / this.#told - 1) < speedChange;
    if (same && saturated === this.#toldSaturated) return [];
    // Less than before says something only when it is the link's fault.
    if (!saturated && !this.#toldSaturated && bytesPerS < (this.#told ?? 0)) return [];
    this.#told = bytesPerS;
    this.#toldSaturated = saturated;
    return [{ kind: 'tell', report: { kind: 'speed', bytesPerS, atLeast: !saturated } }];
  }

  /** A chunk is here whole: from this source, from the origin, or (`from` undefined) by another way. */
  arrived(nowMs: number, chunk: number, from?: string): readonly MemberAction[] {
    if (this.#dismissed || !this.#have.add(chunk)) return [];
    this.#taken.add(chunk);
    const actions: MemberAction[] = [];
    const source = this.#unask(chunk, from, actions);
    if (!this.#early.delete(chunk)) this.#tellReaders(chunk, actions);
    if (this.#fills.delete(chunk)) {
      this.#uncopied.add(chunk);
      actions.push({ kind: 'tell', report: { kind: 'filled', chunk } });
    }
    if (this.#have.full) actions.push({ kind: 'tell', report: { kind: 'finished' } });
    if (source !== undefined) this.#ask(nowMs, source, actions);
    this.#noteBusy(nowMs);
    return actions;
  }

  /** A chunk that was here is no longer: evicted, or found damaged. */
  dropped(nowMs: number, chunk: number): readonly MemberAction[] {
    if (!this.#have.delete(chunk) || this.#dismissed) return [];
    this.#taken.delete(chunk);
    this.#news.dropped(chunk);
    return this.#askAll(nowMs);
  }

  /** A request failed. A source that does not have the chunk is asked for others; any other failure ends the link. */
  failed(nowMs: number, node: string, chunk: number, reason: LinkFailure): readonly MemberAction[] {
    const source = this.#sources.get(node);
    if (source === undefined || !source.asked.includes(chunk)) return [];
    source.asked.splice(source.asked.indexOf(chunk), 1);
    this.#taken.delete(chunk);
    source.has.delete(chunk);
    const actions: MemberAction[] = [];
    if (this.#fills.has(chunk)) {
      // The dealer wants it filled here in any case; it was left to the source as long as that had it.
      this.#taken.add(chunk);
      actions.push({ kind: 'fill', chunk });
    }
    if (reason !== 'notHeld') {
      this.#cut(source, actions);
      actions.push({ kind: 'tell', report: { kind: 'badSource', source: node, reason } });
    }
    return [...actions, ...this.#askAll(nowMs)];
  }

  fillFailed(nowMs: number, chunk: number, reason: FillFailure): readonly MemberAction[] {
    if (!this.#fills.delete(chunk)) return [];
    this.#early.delete(chunk);
    this.#taken.delete(chunk);
    return [{ kind: 'tell', report: { kind: 'fillFailed', chunk, reason } }, ...this.#askAll(nowMs)];
  }

  /** A reader asked for a chunk. */
  asked(reader: string, chunk: number): void {
    this.#news.asked(reader, chunk);
  }

  /** A chunk has gone out to a reader; `whole`: or the reader gave it up. */
  served(reader: string, chunk: number, whole: boolean): readonly MemberAction[] {
    const actions: MemberAction[] = this.#news.served(reader).map(announce);
    if (whole && this.#uncopied.delete(chunk))
      actions.push({ kind: 'tell', report: { kind: 'copied', chunk, by: reader } });
    return actions;
  }

  /** What streaming readers here need next, first first: taken before anything else. */
  window(nowMs: number, chunks: readonly number[]): readonly MemberAction[] {
    this.#window = chunks;
    return this.#askAll(nowMs);
  }

  /** Tells the dealer when nothing has been on its way for too long. */
  tick(nowMs: number): readonly MemberAction[] {
    if (nowMs < (this.nextMs() ?? Number.POSITIVE_INFINITY)) return [];
    this.#idleSince = nowMs;
    const lacks = new ChunkSet(this.#options.chunks);
    for (let chunk = 0; chunk < lacks.bound; chunk++) if (!this.#have.has(chunk)) lacks.add(chunk);
    return [{ kind: 'tell', report: { kind: 'starved', lacks: lacks.ranges() } }];
  }

  nextMs(): number | undefined {
    if (this.#idleSince === undefined || this.#have.full || this.#dismissed) return undefined;
    const chunkMs = (1000 * this.#options.chunkBytes) / (this.#told ?? Number.POSITIVE_INFINITY);
    return this.#idleSince + Math.max(starvedMinMs, starvedChunks * chunkMs);
  }

  #relink(
    nowMs: number,
    links: { version: number; sources: readonly string[]; readers: readonly string[] },
  ): MemberAction[] {
    this.#version = links.version;
    const actions: MemberAction[] = [];
    for (const node of links.sources) {
      const source = this.#sources.get(node);
      if (source !== undefined) source.linked = true;
      else this.#sources.set(node, { node, has: new ChunkSet(this.#options.chunks), asked: [], linked: true });
    }
    for (const source of this.#sources.values()) {
      if (links.sources.includes(source.node)) continue;
      source.linked = false;
      // What is on its way may end; what is queued is asked for elsewhere.
      while (source.asked.length > 1) this.#cancel(source, actions);
      if (source.asked.length === 0) this.#sources.delete(source.node);
    }
    for (const told of this.#news.set(links.readers)) actions.push(announce(told));
    actions.push(...this.#askAll(nowMs));
    return actions;
  }

  #fill(nowMs: number, chunk: number): MemberAction[] {
    if (this.#have.has(chunk)) return [{ kind: 'tell', report: { kind: 'filled', chunk } }];
    if (!(chunk >= 0 && chunk < this.#options.chunks) || this.#fills.has(chunk)) return [];
    this.#fills.add(chunk);
    const actions: MemberAction[] = [];
    // It may come from a source after all: then that is what fills it.
    if (!this.#taken.add(chunk)) return [];
    this.#began(nowMs);
    actions.push({ kind: 'fill', chunk });
    this.#early.add(chunk);
    this.#tellReaders(chunk, actions);
    return actions;
  }

  #stopFill(nowMs: number, chunk: number): MemberAction[] {
    if (!this.#fills.delete(chunk)) return [];
    this.#early.delete(chunk);
    for (const { asked } of this.#sources.values()) if (asked.includes(chunk)) return [];
    this.#taken.delete(chunk);
    return [{ kind: 'stopFill', chunk }, ...this.#askAll(nowMs)];
  }

  #askAll(nowMs: number): MemberAction[] {
    const actions: MemberAction[] = [];
    for (const source of this.#sources.values()) this.#ask(nowMs, source, actions);
    this.#noteBusy(nowMs);
    return actions;
  }

  #tellReaders(chunk: number, actions: MemberAction[]): void {
    const knows = (node: string) => this.#sources.get(node)?.has.has(chunk) ?? false;
    for (const told of this.#news.arrived(chunk, knows)) actions.push(announce(told));
  }

  /** Keeps one chunk on its way and one queued, as long as the source has what is wanted. */
  #ask(nowMs: number, source: Source, actions: MemberAction[]): void {
    while (source.linked && source.asked.length < requestsPerLink) {
      const chunk = this.#choose(source) ?? this.#steal(source, actions);
      if (chunk === undefined) return;
      this.#taken.add(chunk);
      source.asked.push(chunk);
      this.#began(nowMs);
      actions.push({ kind: 'request', source: source.node, chunk });
    }
  }

  #choose(source: Source): number | undefined {
    for (const chunk of this.#window) if (source.has.has(chunk) && !this.#taken.has(chunk)) return chunk;
    const others: ChunkSet[] = [];
    for (const other of this.#sources.values()) if (other !== source && other.linked) others.push(other.has);
    // In a mesh a chunk is everywhere one step from where it is filled.
    const newestFirst = others.length === LINKS_PER_NODE - 1;
    return chooseChunk({ has: source.has, taken: this.#taken, others, newestFirst, random: this.#options.random });
  }

  /** With nothing to do here, a chunk that waits its turn at another source. */
  #steal(source: Source, actions: MemberAction[]): number | undefined {
    if (source.asked.length > 0) return undefined;
    for (const other of this.#sources.values()) {
      const queued = other.asked[1];
      if (queued === undefined || !source.has.has(queued)) continue;
      this.#cancel(other, actions);
      return queued;
    }
    return undefined;
  }

  /** Gives up what was asked for last. */
  #cancel(source: Source, actions: MemberAction[]): void {
    const chunk = source.asked.pop() as number;
    this.#taken.delete(chunk);
    actions.push({ kind: 'cancel', source: source.node, chunk });
  }

  #cut(source: Source, actions: MemberAction[]): void {
    while (source.asked.length > 0) this.#cancel(source, actions);
    source.linked = false;
    this.#sources.delete(source.node);
  }

  /** A chunk that is here need not come from a source any more; who was to send it has room for another. */
  #unask(chunk: number, from: string | undefined, actions: MemberAction[]): Source | undefined {
    for (const source of this.#sources.values()) {
      const at = source.asked.indexOf(chunk);
      if (at < 0) continue;
      source.asked.splice(at, 1);
      if (source.node !== from) actions.push({ kind: 'cancel', source: source.node, chunk });
      if (!source.linked && source.asked.length === 0) this.#sources.delete(source.node);
      return source;
    }
    return undefined;
  }

  #stop(): MemberAction[] {
    const actions: MemberAction[] = [];
    for (const source of this.#sources.values()) this.#cut(source, actions);
    for (const chunk of this.#fills) actions.push({ kind: 'stopFill', chunk });
    this.#fills.clear();
    this.#dismissed = true;
    return actions;
  }

  #began(nowMs: number): void {
    this.#idleSince = undefined;
    this.#noteBusy(nowMs);
  }

  #noteBusy(nowMs: number): void {
    let busy = 0;
    for (const { asked } of this.#sources.values()) if (asked.length > 0) busy += 1;
    const idle = busy === 0 && this.#fills.size === 0;
    this.#speed.set(nowMs, idle ? undefined : busy > 1 && busy === this.#sources.size);
    if (idle) this.#idleSince ??= nowMs;
  }
}

const announce = (told: Announcement): MemberAction => ({ kind: 'announce', ...told });
