/**
 * When what failed is tried again: each key after its own pause, longer each time. While the origin as a whole fails, one at a time is
 * tried, so that an origin that is away or throttles is not asked by everything that waits for it (S-13).
 */
import type { ErrorCode } from '../core/errors.ts';
import { drainBackoffBaseMs, drainBackoffMaxMs } from '../core/limits.ts';

/** These say nothing about the key. */
const OF_THE_ORIGIN: readonly ErrorCode[] = ['originUnavailable', 'originThrottled', 'originDenied', 'noSuchBucket'];

export class DrainBackoff {
  readonly #fraction: () => number;
  readonly #byKey = new Map<string, { failures: number; untilMs: number; ofOrigin: boolean }>();
  #originFailures = 0;
  #originUntilMs = 0;
  /** Of the origin as a whole; `undefined` while it works. */
  trouble: string | undefined;

  constructor(random: { fraction(): number }) {
    this.#fraction = () => random.fraction();
  }

  /** How many may be under way at once, of as many as otherwise. */
  concurrency(most: number, nowMs: number): number {
    if (this.#originFailures === 0) return most;
    return nowMs < this.#originUntilMs ? 0 : 1;
  }

  isDue(key: string, nowMs: number): boolean {
    return (this.#byKey.get(key)?.untilMs ?? 0) <= nowMs;
  }

  /** When something that waits may be tried; Infinity where nothing waits. */
  nextMs(nowMs: number): number {
    let next = this.#originUntilMs > nowMs ? this.#originUntilMs : Number.POSITIVE_INFINITY;
    for (const { untilMs } of this.#byKey.values()) if (untilMs > nowMs && untilMs < next) next = untilMs;
    return next;
  }

  failed(
    key: string,
    error: { code: ErrorCode; message: string; retryAfterMs: number | undefined },
    nowMs: number,
  ): void {
    const failures = (this.#byKey.get(key)?.failures ?? 0) + 1;
    const pauseMs = Math.max(this.#pauseMs(failures), error.retryAfterMs ?? 0);
    const ofOrigin = OF_THE_ORIGIN.includes(error.code);
    this.#byKey.set(key, { failures, untilMs: nowMs + pauseMs, ofOrigin });
    if (!ofOrigin) return;
    this.#originFailures++;
    this.#originUntilMs = nowMs + Math.max(this.#pauseMs(this.#originFailures), error.retryAfterMs ?? 0);
    this.trouble = error.message;
  }

  /** The key is through, or what it waits for changed. */
  forget(key: string): void {
    this.#byKey.delete(key);
  }

  /** The origin took something. */
  succeeded(): void {
    if (this.#originFailures > 0) for (const [key, { ofOrigin }] of this.#byKey) if (ofOrigin) this.#byKey.delete(key);
    this.#originFailures = 0;
    this.#originUntilMs = 0;
    this.trouble = undefined;
  }

  /** Everything may be tried now. */
  hurry(): void {
    this.#byKey.clear();
    this.#originUntilMs = 0;
  }

  #pauseMs(failures: number): number {
    const ceilingMs = Math.min(drainBackoffMaxMs, drainBackoffBaseMs * 2 ** (failures - 1));
    return ceilingMs * (0.5 + 0.5 * this.#fraction());
  }
}

/** What the origin refuses of this object for good. */
export function isRefusal(code: ErrorCode): boolean {
  return REFUSALS.includes(code);
}

const REFUSALS: readonly ErrorCode[] = [
  'keyTooLong',
  'invalidArgument',
  'invalidUri',
  'invalidRequest',
  'tooLarge',
  'tooSmall',
  'metadataTooLarge',
  'headersTooLarge',
  'methodNotAllowed',
  'notImplemented',
];
