/**
 * S-14 for clean data: what a client had whole from this node, and nothing has dropped since, is there after `kill -9`,
 * also while the origin is away.
 *
 * A content counts as kept once `SETTLED_MS` have passed since its last byte was served: the journal is written behind
 * the answer. Contents stop counting when the node says that it dropped bytes of theirs or that their key has another
 * version, when the disk misbehaved, and at a machine crash, for clean bytes are not synced.
 */
import type { Range } from '../../src/core/range.ts';
import type { Event } from '../../src/observe/events.ts';
import type { Life, SimClock } from '../sim-clock.ts';
import type { Checker, Findings, OpenSeen } from './checker.ts';

const SETTLED_MS = 500;

export interface Kept {
  readonly key: string;
  readonly etag: string;
}

export class CrashRestart implements Checker {
  readonly #clock: SimClock;
  readonly #findings: Findings;
  /** Content id → what it is and when its last byte was served. */
  readonly #whole = new Map<string, Kept & { readonly atMs: number }>();
  #expected: Kept[] = [];
  #troubleUntilMs = 0;
  /** When last a part of a key went round the cache for want of space, or bytes of a content were dropped. */
  readonly #bypassedMs = new Map<string, number>();
  readonly #droppedMs = new Map<string, number>();

  constructor(clock: SimClock, findings: Findings) {
    this.#clock = clock;
    this.#findings = findings;
  }

  readDone(seen: OpenSeen, range: Range): void {
    if (range.start > 0 || range.end < seen.fact.sizeBytes || seen.askedMs < this.#troubleUntilMs) return;
    const never = Number.NEGATIVE_INFINITY;
    const { content, etag } = seen.fact;
    const goneMs = Math.max(this.#bypassedMs.get(seen.key) ?? never, this.#droppedMs.get(content) ?? never);
    if (goneMs >= seen.askedMs) return;
    if (!this.#whole.has(content)) this.#whole.set(content, { key: seen.key, etag, atMs: this.#clock.nowMs });
  }

  event(_life: Life, event: Event): void {
    if (event.kind === 'fill.failed') this.#bypassedMs.set(event.key, this.#clock.nowMs);
    if (event.kind === 'store.dropped' || event.kind === 'store.corrupt') {
      this.#whole.delete(event.content);
      this.#droppedMs.set(event.content, this.#clock.nowMs);
    }
    if (event.kind !== 'object.changed') return;
    for (const [content, { key }] of this.#whole) if (key === event.key) this.#whole.delete(content);
  }

  /** Until then bytes may be served without being kept: the disk fails, is full or slow beyond its deadline. */
  diskFailed(untilMs: number): void {
    this.#troubleUntilMs = Math.max(this.#troubleUntilMs, untilMs);
    this.#whole.clear();
    this.#expected = [];
  }

  crashed(_life: Life, kind: 'process' | 'machine'): void {
    if (kind === 'machine') this.#whole.clear();
    const settledMs = this.#clock.nowMs - SETTLED_MS;
    this.#expected = [...this.#whole.values()].filter(({ atMs }) => atMs < settledMs);
    this.#whole.clear();
  }

  /** What must be served after the crash just seen without asking the origin for bytes. */
  get expected(): readonly Kept[] {
    return this.#expected;
  }

  lost(kept: Kept, why: string): void {
    this.#findings.add('S-14', `${kept.key} ${kept.etag} was here before kill -9 and cannot be served after: ${why}`);
  }
}
