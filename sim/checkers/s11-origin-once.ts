/**
 * S-11 on one node: while a process lives, each block is read from the origin once. What it reads again it had dropped
 * (`store.dropped`), or counts as an `origin.refill` with its reason, byte for byte.
 *
 * Counted are blocks that one GET delivered whole: a block cut off by a fault of the origin was not had. Lives whose
 * disk failed are left out: what a disk did not take has to be read again.
 */
import { BLOCK_SIZE_BYTES, blockRange } from '../../src/core/chunk.ts';
import { originContentId } from '../../src/core/ids.ts';
import type { Event } from '../../src/observe/events.ts';
import type { Life } from '../sim-clock.ts';
import type { ServedRange, SimOrigin } from '../sim-origin.ts';
import type { Checker, Findings } from './checker.ts';

export class OriginOnce implements Checker {
  readonly #origin: SimOrigin;
  readonly #findings: Findings;
  /** Bytes counted as read again, per life; and bytes dropped, per life and content. */
  readonly #refills = new Map<Life, number>();
  readonly #dropped = new Map<Life, Map<string, number>>();
  readonly #failing = new Set<Life>();
  readonly #volume: string;

  constructor(origin: SimOrigin, findings: Findings, volume: string) {
    this.#origin = origin;
    this.#findings = findings;
    this.#volume = volume;
  }

  event(life: Life, event: Event): void {
    if (event.kind === 'origin.refill') this.#refills.set(life, (this.#refills.get(life) ?? 0) + event.bytes);
    if (event.kind !== 'store.dropped') return;
    const dropped = this.#dropped.get(life) ?? new Map<string, number>();
    dropped.set(event.content, (dropped.get(event.content) ?? 0) + event.bytes);
    this.#dropped.set(life, dropped);
  }

  diskFailed(life: Life): void {
    this.#failing.add(life);
  }

  /** To be called when no GET of `life` is under way. */
  check(life: Life): void {
    if (this.#failing.has(life)) return;
    const had = new Set<string>();
    const again = new Map<string, number>();
    for (const served of this.#origin.served) {
      if (served.life !== life) continue;
      const { key, etag } = served;
      const content = originContentId({ volume: this.#volume, key, etag });
      for (const { block, bytes } of this.#wholeBlocks(served)) {
        const name = `${content} ${block}`;
        if (had.has(name)) again.set(content, (again.get(content) ?? 0) + bytes);
        had.add(name);
      }
    }
    let uncounted = -(this.#refills.get(life) ?? 0);
    const names: string[] = [];
    for (const [content, bytes] of again) {
      const over = bytes - (this.#dropped.get(life)?.get(content) ?? 0);
      if (over <= 0) continue;
      uncounted += over;
      names.push(content);
    }
    if (uncounted <= 0) return;
    this.#findings.add('S-11', `${life.name} read ${uncounted} bytes again without counting them: ${names.join(', ')}`);
  }

  #wholeBlocks(served: ServedRange): { block: number; bytes: number }[] {
    const sizeBytes = this.#origin.version(served.key, served.etag)?.sizeBytes ?? 0;
    const blocks: { block: number; bytes: number }[] = [];
    for (let block = Math.floor(served.start / BLOCK_SIZE_BYTES); ; block++) {
      const range = blockRange(block, sizeBytes);
      if (range.start >= served.servedTo || range.end <= range.start) return blocks;
      if (range.start < served.start || range.end > served.servedTo) continue;
      blocks.push({ block, bytes: range.end - range.start });
    }
  }
}
