/**
 * S-2: an open or listing shows what was current at the origin no longer ago than `revalidate` before it began; older
 * only when it says `stale`, and then no older than `staleIfError`. A write acknowledged by this node before an open
 * began is seen by it, unless it says `stale`.
 */
import { absenceNeverMs, listingNeverMs } from '../../src/core/limits.ts';
import type { Volume } from '../../src/core/volume.ts';
import type { Event } from '../../src/observe/events.ts';
import type { Life } from '../sim-clock.ts';
import type { SimOrigin, SimVersion } from '../sim-origin.ts';
import type { AbsenceSeen, Checker, Findings, ListingSeen, OpenSeen } from './checker.ts';

/** Clocks are read at the start of what they time; the answer may be used this much later than its bound. */
const ROUNDING_MS = 1;

interface Window {
  readonly fromMs: number;
  readonly toMs: number;
}

const wasCurrent = (version: SimVersion, window: Window): boolean =>
  version.fromMs <= window.toMs && version.untilMs >= window.fromMs;

export class Freshness implements Checker {
  readonly #origin: SimOrigin;
  readonly #findings: Findings;
  readonly #volume: Volume;
  /** Per key: when the latest acknowledged write took effect at the origin, and since when it must be seen. */
  readonly #written = new Map<string, { readonly effectMs: number; readonly ackMs: number }>();

  constructor(origin: SimOrigin, findings: Findings, volume: Volume) {
    this.#origin = origin;
    this.#findings = findings;
    this.#volume = volume;
  }

  #window(seen: { askedMs: number; answeredMs: number }, ageMs: number): Window {
    return { fromMs: seen.askedMs - ageMs - ROUNDING_MS, toMs: seen.answeredMs };
  }

  written(key: string, effectMs: number): void {
    const known = this.#written.get(key);
    if (known && known.effectMs > effectMs) return;
    this.#written.set(key, { effectMs, ackMs: this.#origin.clock.nowMs });
  }

  /** A node says that it could not tell others of a write: until they ask the origin they may not know. */
  event(_life: Life, event: Event): void {
    if (event.kind === 'node.warning' && event.message.includes('could not be told of a write')) this.#written.clear();
  }

  opened(seen: OpenSeen): void {
    const version = this.#origin.version(seen.key, seen.fact.etag);
    if (!version) return;
    const { revalidateMs, staleIfErrorMs } = this.#volume;
    const window = this.#window(seen, seen.stale ? Math.max(revalidateMs, staleIfErrorMs) : revalidateMs);
    if (!wasCurrent(version, window)) {
      const how = seen.stale ? 'as stale' : 'as fresh';
      this.#findings.add(
        'S-2',
        `${seen.key} opened ${how} at ${seen.askedMs} ms: ${version.etag} was current ${version.fromMs}–${version.untilMs} ms`,
      );
    }
    const written = this.#written.get(seen.key);
    if (written && !seen.stale && seen.askedMs > written.ackMs && version.untilMs <= written.effectMs) {
      this.#findings.add(
        'S-2',
        `${seen.key} opened as ${version.etag} after a write of ${written.effectMs} ms was acknowledged at ${written.ackMs} ms`,
      );
    }
  }

  absent(seen: AbsenceSeen): void {
    const { revalidateMs } = this.#volume;
    const ageMs = Number.isFinite(revalidateMs) ? revalidateMs : absenceNeverMs;
    const window = this.#window(seen, ageMs);
    // absent at some instant of the window: no version covers all of it
    const covered = this.#origin
      .versions(seen.key)
      .some((version) => version.fromMs < window.fromMs && version.untilMs > window.toMs);
    if (covered) this.#findings.add('S-2', `${seen.key} was said not to exist at ${seen.answeredMs} ms, but did`);
  }

  listed(seen: ListingSeen): void {
    const { request, listing } = seen;
    const { revalidateMs, staleIfErrorMs } = this.#volume;
    const freshMs = Number.isFinite(revalidateMs) ? revalidateMs : listingNeverMs;
    const window = this.#window(seen, listing.stale ? Math.max(freshMs, staleIfErrorMs) : freshMs);
    for (const { key, sizeBytes } of listing.objects) {
      const versions = this.#origin.versions(key);
      if (versions.some((version) => version.sizeBytes === sizeBytes && wasCurrent(version, window))) continue;
      this.#findings.add('S-2', `the listing of "${request.prefix}" shows ${key} with ${sizeBytes} bytes`);
    }
    this.#missing(seen, window);
  }

  /** Keys that were there all the time must be shown, as far as the page reaches. */
  #missing(seen: ListingSeen, window: Window): void {
    const { request, listing } = seen;
    const shown = new Set(listing.objects.map(({ key }) => key));
    const bytesOf = (text: string) => Buffer.from(text);
    for (const key of this.#origin.keys()) {
      if (!key.startsWith(request.prefix) || shown.has(key)) continue;
      // a key counts by the common prefix that it is rolled up into
      const cut = request.delimiter === undefined ? -1 : key.indexOf(request.delimiter, request.prefix.length);
      const name = cut < 0 ? key : key.slice(0, cut + 1);
      if (request.after !== undefined && Buffer.compare(bytesOf(name), bytesOf(request.after)) <= 0) continue;
      if (listing.next !== undefined && Buffer.compare(bytesOf(name), bytesOf(listing.next)) > 0) continue;
      if (listing.prefixes.includes(name)) continue;
      const since = this.#origin.versions(key).findLast((version) => version.untilMs > window.fromMs);
      const covered = this.#presentSince(key) < window.fromMs;
      if (since && covered) this.#findings.add('S-2', `the listing of "${request.prefix}" leaves out ${key}`);
    }
  }

  /** Since when a key has existed without a gap; infinity when it does not. */
  #presentSince(key: string): number {
    let since = Number.POSITIVE_INFINITY;
    let untilMs = Number.NaN;
    for (const version of this.#origin.versions(key)) {
      if (version.fromMs !== untilMs) since = version.fromMs;
      untilMs = version.untilMs;
    }
    return untilMs === Number.POSITIVE_INFINITY ? since : Number.POSITIVE_INFINITY;
  }
}
