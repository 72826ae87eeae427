/**
 * Which chunks of a broadcast are read from the origin next, and how many at once. Chunks go out in index order, about
 * (degree + 1) · B_origin/B + 3 at a time (DESIGN.md section 7): a filling node shares its link between `degree` pulls and the
 * fill, so that many fills keep the origin busy, and more would only make each of them later. Where B_origin/B is not known
 * it counts as 1: the origin needs to be no faster than one link, and with 8 links of origin that costs nothing
 * (64 nodes, 256 chunks: .972, with the true 8 .967).
 *
 * Fills that begin together share the origin evenly, end together, and leave it idle until the next ones are on their way, again
 * and again. So they go out some time apart, where nodes are many; whatever the dealer hears next lets the next one go out.
 *
 * Remembers for each chunk the node that filled it and the first that copied it: when both are gone, it is filled again.
 */
import { ChunkSet } from './chunk-set.ts';

export interface FillTokensOptions {
  readonly chunks: number;
  /** B_origin/B where it is known. */
  readonly originLinks?: number;
}

interface Token<T> {
  readonly chunk: number;
  readonly by: T;
  readonly sinceMs: number;
}

/** Fills go out this share apart of the time in which one ends after the other, when as many as may be are out. */
const spacing = 0.8;

export class FillTokens<T extends object> {
  /** Pulls that a filling node has under way beside its fill. */
  degree = 1;
  /** Whether fills are kept apart. */
  spaced = false;
  /** Here somewhere, or being filled. */
  readonly #begun: ChunkSet;
  readonly #filled: ChunkSet;
  readonly #out = new Map<number, Token<T>>();
  /** Per chunk, whoever is known to have it, two at most. */
  readonly #first: (T | undefined)[];
  readonly #second: (T | undefined)[];
  readonly #originLinks: number;
  #from = 0;
  #meanMs = 0;
  #ended = 0;
  #firstMs: number | undefined;
  #lastMs = 0;
  #spacedUntilMs = 0;

  constructor({ chunks, originLinks }: FillTokensOptions) {
    this.#begun = new ChunkSet(chunks);
    this.#filled = new ChunkSet(chunks);
    this.#first = Array.from({ length: chunks }, () => undefined);
    this.#second = Array.from({ length: chunks }, () => undefined);
    this.#originLinks = originLinks ?? 1;
  }

  get filled(): number {
    return this.#filled.count;
  }

  /** How many may be out at once. */
  get atOnce(): number {
    return Math.max(1, Math.round((this.degree + 1) * this.#originLinks + 3));
  }

  get out(): number {
    return this.#out.size;
  }

  /** Fills take about this long; 0 while none has ended. */
  get meanMs(): number {
    return this.#meanMs;
  }

  /** Fills that have ended per millisecond so far; 0 while none has. */
  get perMs(): number {
    const elapsed = this.#lastMs - (this.#firstMs ?? 0);
    return elapsed > 0 ? this.#ended / elapsed : 0;
  }

  /**
   * The next chunk that nobody has or fills, when another may go out; the caller gives it to somebody by `give`. With none out, one
   * may always go.
   */
  next(nowMs: number): number | undefined {
    if (this.#out.size >= this.atOnce) return undefined;
    if (this.spaced && this.#out.size > 0 && nowMs < this.#spacedUntilMs) return undefined;
    this.#from = this.#begun.firstAbsent(this.#from);
    return this.#from < this.#begun.bound ? this.#from : undefined;
  }

  give(nowMs: number, chunk: number, by: T): void {
    this.#begun.add(chunk);
    this.#out.set(chunk, { chunk, by, sinceMs: nowMs });
    this.#firstMs ??= nowMs;
    this.#spacedUntilMs = nowMs + (spacing * this.#meanMs) / this.atOnce;
  }

  /** Somebody has it: filled it, copied it, or brought it along. */
  has(nowMs: number, chunk: number, who: T): void {
    if (!(chunk >= 0 && chunk < this.#begun.bound)) return;
    const token = this.#out.get(chunk);
    if (token?.by === who) {
      this.#out.delete(chunk);
      this.#ended += 1;
      this.#lastMs = nowMs;
      this.#meanMs = this.#meanMs === 0 ? nowMs - token.sinceMs : 0.8 * this.#meanMs + 0.2 * (nowMs - token.sinceMs);
    }
    this.#begun.add(chunk);
    this.#filled.add(chunk);
    if (this.#first[chunk] === undefined) this.#first[chunk] = who;
    else if (this.#first[chunk] !== who) this.#second[chunk] ??= who;
  }

  /** Who was told to fill it and has not ended. */
  filler(chunk: number): T | undefined {
    return this.#out.get(chunk)?.by;
  }

  isFilled(chunk: number): boolean {
    return this.#filled.has(chunk);
  }

  /** The fill is not done by this node after all; the chunk goes out again. */
  back(chunk: number): void {
    if (!this.#out.delete(chunk) || this.#filled.has(chunk)) return;
    this.#again(chunk);
  }

  /** Fills that went out before this time. */
  olderThan(sinceMs: number): readonly Token<T>[] {
    const old: Token<T>[] = [];
    for (const token of this.#out.values()) {
      if (token.sinceMs >= sinceMs) break;
      old.push(token);
    }
    return old;
  }

  /** When the fill that is out for longest went out. */
  oldestMs(): number | undefined {
    return this.#out.values().next().value?.sinceMs;
  }

  /** Nobody can be found who has it. */
  missing(chunk: number): void {
    if (!this.#filled.delete(chunk)) return;
    this.#first[chunk] = this.#second[chunk] = undefined;
    this.#again(chunk);
  }

  /** A node is gone, with its fills and what only it had. */
  lost(who: T): void {
    for (const { chunk, by } of this.#out.values()) if (by === who) this.back(chunk);
    for (let chunk = 0; chunk < this.#begun.bound; chunk++) {
      if (this.#second[chunk] === who) this.#second[chunk] = undefined;
      if (this.#first[chunk] !== who) continue;
      this.#first[chunk] = this.#second[chunk];
      this.#second[chunk] = undefined;
      if (this.#first[chunk] === undefined) this.missing(chunk);
    }
  }

  #again(chunk: number): void {
    this.#begun.delete(chunk);
    this.#from = Math.min(this.#from, chunk);
  }
}
