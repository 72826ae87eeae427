/**
 * An origin on virtual time. It keeps every version an object ever had and when, records every range it served, and
 * fails as real ones do: throttled, unavailable, silent, cut off midway, shorter than promised, away for a while, the
 * object replaced between two requests or during one.
 */
import { ForebayError } from '../src/core/errors.ts';
import type { ObjectVersion } from '../src/core/object.ts';
import type { Origin, PutOptions } from '../src/origin/origin.ts';
import type { Life, SimClock, SimMachineClock } from './sim-clock.ts';
import { AttachedOrigin } from './sim-origin-attached.ts';
import type { SimRandom } from './sim-random.ts';
import type { Trace } from './trace.ts';

export interface OriginFaults {
  /** Mean time to the first byte, and bytes per millisecond of one stream. */
  latencyMs: number;
  bytesPerMs: number;
  /** Chances per request. */
  throttleChance: number;
  failChance: number;
  /** Never answers, until aborted. */
  silentChance: number;
  /** A body that ends in an error, ends early, falls silent. */
  resetChance: number;
  truncateChance: number;
  stallChance: number;
  /** Chance that a write is applied and its answer never comes. Absent: never. */
  unansweredChance?: number;
}

/** A write in parts that has begun; every node can go on with it. */
export interface SimUpload {
  readonly key: string;
  readonly options: PutOptions;
  readonly parts: Map<number, { readonly token: string; readonly bytes: Uint8Array }>;
}

/** An object that was replaced, made (`before` absent) or deleted (`now` absent), by a node or (`by` absent) by someone else. */
export interface OriginChange {
  readonly key: string;
  readonly before: SimVersion | undefined;
  readonly now: SimVersion | undefined;
  readonly by: Life | undefined;
}

/** For the canary: an origin that breaks its word. */
export interface OriginDamage {
  /** Conditions are not looked at. */
  ignoresConditions?: boolean;
  /** Objects are made without their last byte. */
  cutsObjects?: boolean;
  /** Every second write is acknowledged and applied only this much later. */
  lateMs?: number;
}

/** One version that a key had, and when it was current: `[fromMs, untilMs)` in virtual time. */
export interface SimVersion extends ObjectVersion {
  readonly number: number;
  readonly fromMs: number;
  untilMs: number;
  /** Bytes put through the interface; else they follow from the number. */
  readonly bytes?: Uint8Array;
}

/** One GET: bytes `[start, servedTo)` were handed out. */
export interface ServedRange {
  readonly life: Life;
  readonly key: string;
  readonly etag: string;
  readonly start: number;
  readonly end: number;
  readonly atMs: number;
  servedTo: number;
  isOpen: boolean;
}

export interface SimOriginOptions {
  readonly clock: SimClock;
  readonly machine: SimMachineClock;
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly faults: OriginFaults;
  /** Another container at the same store: its faults are this one's, too. */
  readonly twin?: SimOrigin;
}

export class SimOrigin {
  readonly clock: SimClock;
  readonly random: SimRandom;
  readonly trace: Trace;
  readonly faults: OriginFaults;
  /** Before this time every request fails. */
  awayUntilMs = 0;
  /** Before this time it refuses the credentials. */
  deniedUntilMs = 0;
  /** Lives whose way to the origin is cut: to them it is away. */
  isCutFrom: (life: Life) => boolean = () => false;
  readonly served: ServedRange[] = [];
  /** Told of each GET that is about to be served. */
  onServe: ((served: ServedRange) => void) | undefined;
  readonly requestsOpen = new Map<Life, number>();
  readonly uploads = new Map<string, SimUpload>();
  /** Bytes per millisecond of one request that writes. */
  uploadBytesPerMs = Number.POSITIVE_INFINITY;
  /** Brings the bytes of a request to the origin, where its link matters. */
  carry: ((life: Life, bytes: number) => Promise<void>) | undefined;
  /** Told of every change, at its instant. */
  onChange: ((change: OriginChange) => void) | undefined;
  /** As S3: an object made of parts has the headers and metadata of its beginning, not of its end. */
  keepsBeginOptions = false;
  damage: OriginDamage = {};
  /** Called when a node has decided to change something and is about to send it: it may be paused there. */
  beforeSend: ((life: Life) => void) | undefined;
  readonly #twin: SimOrigin | undefined;
  readonly #machine: SimMachineClock;
  readonly #versions = new Map<string, SimVersion[]>();
  readonly #byEtag = new Map<string, SimVersion>();
  #numbers = 0;

  constructor(options: SimOriginOptions) {
    this.clock = options.clock;
    this.random = options.random;
    this.trace = options.trace;
    this.faults = options.twin ? options.twin.faults : { ...options.faults };
    this.#twin = options.twin;
    this.#machine = options.machine;
  }

  attach(life: Life): Origin {
    return new AttachedOrigin(this, life);
  }

  get isAway(): boolean {
    if (this.#twin) return this.#twin.isAway;
    return this.clock.nowMs < this.awayUntilMs;
  }

  isAwayFor(life: Life): boolean {
    return this.isAway || (this.#twin ?? this).isCutFrom(life);
  }

  keys(): string[] {
    const present = [...this.#versions.keys()].filter((key) => this.current(key) !== undefined);
    return present.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  }

  /** All versions that a key ever had, oldest first. */
  versions(key: string): readonly SimVersion[] {
    return this.#versions.get(key) ?? [];
  }

  current(key: string): SimVersion | undefined {
    const last = this.versions(key).at(-1);
    return last?.untilMs === Number.POSITIVE_INFINITY ? last : undefined;
  }

  version(key: string, etag: string): SimVersion | undefined {
    const version = this.#byEtag.get(etag);
    return version?.key === key ? version : undefined;
  }

  /** Gives a key a new version of `sizeBytes`, whose bytes follow from its number; or of `bytes`. */
  replace(
    key: string,
    content: { sizeBytes: number } | { bytes: Uint8Array },
    like: Partial<ObjectVersion> = {},
    by?: Life,
  ): SimVersion {
    const nowMs = this.clock.nowMs;
    const before = this.current(key);
    if (before) before.untilMs = nowMs;
    const number = ++this.#numbers;
    const version: SimVersion = {
      number,
      key,
      sizeBytes: 'bytes' in content ? content.bytes.length : content.sizeBytes,
      etag: `"v${number}-${this.random.word().toString(16)}"`,
      modifiedMs: Math.floor(this.#machine.wallMs / 1000) * 1000,
      headers: like.headers ?? { 'content-type': 'application/octet-stream' },
      metadata: like.metadata ?? { number: String(number) },
      fromMs: nowMs,
      untilMs: Number.POSITIVE_INFINITY,
      ...('bytes' in content ? { bytes: content.bytes } : {}),
    };
    const versions = this.#versions.get(key);
    if (versions) versions.push(version);
    else this.#versions.set(key, [version]);
    this.#byEtag.set(version.etag, version);
    this.trace.note(`origin has ${key} ${version.etag}`, version.sizeBytes);
    this.onChange?.({ key, before, now: version, by });
    return version;
  }

  remove(key: string, by?: Life): void {
    const before = this.current(key);
    if (!before) return;
    before.untilMs = this.clock.nowMs;
    this.trace.note(`origin lost ${key}`);
    this.onChange?.({ key, before, now: undefined, by });
  }

  /** The failure drawn for one request, thrown after its latency; `silent` means no answer at all. */
  drawFailure(life: Life): ForebayError | 'silent' | undefined {
    const { random, faults } = this;
    if (this.isAwayFor(life)) return new ForebayError('originUnavailable', 'the simulated origin is away');
    if (this.clock.nowMs < (this.#twin ?? this).deniedUntilMs)
      return new ForebayError('originDenied', 'the simulated origin refuses the credentials');
    if (random.chance(faults.throttleChance)) {
      const retryAfter = random.chance(0.5) ? { retryAfterMs: random.between(10, 2000) } : {};
      return new ForebayError('originThrottled', 'the simulated origin answers 503 SlowDown', retryAfter);
    }
    if (random.chance(faults.failChance)) {
      return new ForebayError('originUnavailable', 'the simulated origin answers 500');
    }
    return random.chance(faults.silentChance) ? 'silent' : undefined;
  }
}
