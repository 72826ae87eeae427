/**
 * S-11 on one node: while a process lives, each block is read from the origin once. What it reads again is counted as
 * an `origin.refill` with its reason, byte for byte.
 *
 * Counted are blocks that one GET delivered whole: a block cut off by a fault of the origin was not had.
 */
import { BLOCK_SIZE_BYTES, blockRange } from '../../src/core/chunk.ts';
import type { Event } from '../../src/observe/events.ts';
import type { Life } from '../sim-clock.ts';
import type { ServedRange, SimOrigin } from '../sim-origin.ts';
import type { Checker, Findings } from './checker.ts';

export class OriginOnce implements Checker {
  readonly #origin: SimOrigin;
  readonly #findings: Findings;
  /** Bytes counted as read again, per life. */
  readonly #refills = new Map<Life, number>();

  constructor(origin: SimOrigin, findings: Findings) {
    this.#origin = origin;
    this.#findings = findings;
  }

  event(life: Life, event: Event): void {
    if (event.kind === 'origin.refill') this.#refills.set(life, (this.#refills.get(life) ?? 0) + event.bytes);
  }

  /** To be called when no GET of `life` is under way. */
  check(life: Life): void {
    const times = new Map<string, number>();
    let againBytes = 0;
    const again: string[] = [];
    for (const served of this.#origin.served) {
      if (served.life !== life) continue;
      for (const { block, bytes } of this.#wholeBlocks(served)) {
        const name = `${served.key} ${served.etag} block ${block}`;
        const count = (times.get(name) ?? 0) + 1;
        times.set(name, count);
        if (count === 1) continue;
        againBytes += bytes;
        again.push(name);
      }
    }
    const countedBytes = this.#refills.get(life) ?? 0;
    if (againBytes > countedBytes) {
      this.#findings.add(
        'S-11',
        `${life.name} read ${againBytes} bytes again but counted ${countedBytes}: ${again.slice(0, 5).join(', ')}`,
      );
    }
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
