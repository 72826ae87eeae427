/**
 * S-11 across nodes: while a holder lives and answers in time, a block is read from the origin once across the cluster.
 *
 * Judged is every GET that the origin serves while nothing has been wrong for `SETTLED_MS`: a block that another live
 * node has by its own account at that moment, or is just getting from the origin, needs no second read. The reader may
 * have been told so and count it (`origin.refill`), byte for byte; else it is a finding. What is read while something is
 * wrong, or was just before, is not judged.
 *
 * `whole` judges one content: what the cluster read of it beyond once, against what it counted.
 */
import { BLOCK_SIZE_BYTES, blockRange } from '../../src/core/chunk.ts';
import { type ContentId, originContentId } from '../../src/core/ids.ts';
import type { Event } from '../../src/observe/events.ts';
import type { Life } from '../sim-clock.ts';
import type { ServedRange, SimOrigin } from '../sim-origin.ts';
import type { Checker, Findings } from './checker.ts';

/** Longer than a session's term, a takeover and every retry: who could not be asked before, can be by now. */
export const SETTLED_MS = 30_000;

/** A node that serves now. */
export interface Holder {
  readonly life: Life;
  holds(content: ContentId, block: number): boolean;
}

export interface ClusterView {
  /** For how long nothing has been wrong. */
  quietMs(): number;
  holders(): readonly Holder[];
}

interface Suspect {
  readonly content: ContentId;
  readonly block: number;
  readonly bytes: number;
  readonly holder: Life;
  readonly served: ServedRange;
}

export class ClusterOnce implements Checker {
  readonly #origin: SimOrigin;
  readonly #findings: Findings;
  readonly #volume: string;
  readonly #view: ClusterView;
  readonly #suspects = new Map<Life, Suspect[]>();
  readonly #counted = new Map<Life, number>();

  constructor(options: { origin: SimOrigin; findings: Findings; volume: string; view: ClusterView }) {
    this.#origin = options.origin;
    this.#findings = options.findings;
    this.#volume = options.volume;
    this.#view = options.view;
    options.origin.onServe = (served) => this.#served(served);
  }

  event(life: Life, event: Event): void {
    if (event.kind === 'origin.refill') this.#counted.set(life, this.counted(life) + event.bytes);
  }

  /** Bytes that a life counted as read again. */
  counted(life: Life): number {
    return this.#counted.get(life) ?? 0;
  }

  #served(served: ServedRange): void {
    if (this.#view.quietMs() < SETTLED_MS) return;
    const { key, etag, life, start, end } = served;
    const sizeBytes = this.#origin.version(key, etag)?.sizeBytes ?? 0;
    const content = originContentId({ volume: this.#volume, key, etag });
    for (let block = Math.floor(start / BLOCK_SIZE_BYTES); block * BLOCK_SIZE_BYTES < end; block++) {
      const holder = this.#holder(served, content, block);
      if (!holder) continue;
      const range = blockRange(block, sizeBytes);
      const suspects = this.#suspects.get(life) ?? [];
      suspects.push({ content, block, bytes: range.end - range.start, holder, served });
      this.#suspects.set(life, suspects);
    }
  }

  /** Another life that has a block, or gets it from the origin. */
  #holder(served: ServedRange, content: ContentId, block: number): Life | undefined {
    for (const holder of this.#view.holders()) {
      if (holder.life !== served.life && holder.holds(content, block)) return holder.life;
    }
    const at = block * BLOCK_SIZE_BYTES;
    const other = this.#origin.served.find(
      (each) =>
        each !== served &&
        each.isOpen &&
        each.life.alive &&
        each.life !== served.life &&
        each.etag === served.etag &&
        each.start <= at &&
        at < each.end,
    );
    return other?.life;
  }

  /** To be called when no GET is under way. */
  check(): void {
    for (const [life, suspects] of this.#suspects) {
      const judged = suspects.filter(({ served, bytes }) => served.servedTo - served.start >= Math.min(bytes, 1));
      const bytes = judged.reduce((sum, suspect) => sum + suspect.bytes, 0);
      const first = judged[0];
      if (!first || bytes <= this.counted(life)) continue;
      this.#findings.add(
        'S-11',
        `${life.name} read ${bytes} bytes from the origin that others had, and counted ${this.counted(life)}: ` +
          `block ${first.block} of ${first.served.key} at ${first.served.atMs} ms, ${first.holder.name} had it`,
      );
    }
    this.#suspects.clear();
  }

  /** What of one content the origin delivered, in whole blocks, since `fromMs`: all bytes, and those beyond once. */
  delivered(content: { key: string; etag: string }, fromMs = 0): { bytes: number; again: number } {
    const had = new Set<number>();
    let [bytes, again] = [0, 0];
    for (const served of this.#origin.served) {
      if (served.key !== content.key || served.etag !== content.etag || served.atMs < fromMs) continue;
      const sizeBytes = this.#origin.version(served.key, served.etag)?.sizeBytes ?? 0;
      for (let block = Math.floor(served.start / BLOCK_SIZE_BYTES); ; block++) {
        const range = blockRange(block, sizeBytes);
        if (range.start >= served.servedTo || range.end <= range.start) break;
        if (range.start < served.start || range.end > served.servedTo) continue;
        bytes += range.end - range.start;
        if (had.has(block)) again += range.end - range.start;
        had.add(block);
      }
    }
    return { bytes, again };
  }

  /** One content was read by nodes that were all well: once, but for what they counted and for what died with a life. */
  whole(content: { key: string; etag: string }, excused: { counted: number; lost: number }): void {
    const { again } = this.delivered(content);
    if (again <= excused.counted + excused.lost) return;
    this.#findings.add(
      'S-11',
      `${content.key} ${content.etag}: ${again} bytes were read again from the origin, ${excused.counted} counted, ${excused.lost} lost with a node`,
    );
  }
}
