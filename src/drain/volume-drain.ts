/**
 * The drain of one volume, at its keeper: follows the records, uploads what is large at once, finalises what may be in the order
 * of S-7, and writes down how it went. Ends with the keeper's right.
 *
 * Bounds:  `drainUploadsMax` uploads and `drainFinalisesMax` finalises under way; one attempt per key.
 * Away:    with the coordinator away nothing is begun (S-15); with the origin away one object at a time is tried (S-13).
 */
import { ForebayError, isForebayError } from '../core/errors.ts';
import {
  drainDenialsMax,
  drainFinalisesMax,
  drainRefusedRetryMs,
  drainSettleMs,
  drainSweepMs,
  drainUploadsMax,
  drainYieldMs,
  keeperLookMs,
  lostAfterMs,
  stageInlineMaxBytes,
} from '../core/limits.ts';
import type { Volume, WritePolicy } from '../core/volume.ts';
import type { Coordinator } from '../io/coordinator.ts';
import type { Clock, Random } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import type { Origin } from '../origin/origin.ts';
import type { ObjectRecord, Trouble } from '../write/object-record.ts';
import type { RecordChange, Records } from '../write/records.ts';
import { type KeptConditions, probeConditions } from './condition-probe.ts';
import { DrainBackoff, isRefusal } from './drain-backoff.ts';
import { needsUpload } from './drain-object.ts';
import { DrainOrder, type PendingVersion } from './drain-order.ts';
import { FinishedRecords } from './finished-records.ts';
import type { KeeperLease } from './keeper.ts';
import { KeeperCommits } from './keeper-commits.ts';
import { ParkedCopies } from './parked-copies.ts';
import type { PartUploads } from './part-uploads.ts';
import { UnfoldedCheckpoints } from './unfolded-checkpoints.ts';
import { VersionDrain } from './version-drain.ts';

export interface VolumeDrainOptions {
  readonly volume: Volume;
  readonly policy: WritePolicy;
  readonly origin: Origin;
  readonly records: Records;
  readonly coordinator: Coordinator;
  readonly lease: KeeperLease;
  readonly uploads: PartUploads;
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
  /** Tells the owner of the key's metadata; settles when no node takes the old version for current. */
  readonly onWritten: (volume: string, key: string) => Promise<void>;
  /** How many copies a version can have, all told: as many as it shall, or as there are nodes. */
  readonly copiesToBeHad: () => number;
}

export interface DrainProgress {
  readonly volume: string;
  readonly pendingObjects: number;
  readonly pendingBytes: number;
  readonly oldestMs: number;
  /** Sent to the origin since this keeper began. */
  readonly sentBytes: number;
  readonly underWay: number;
  /** Of those pending, the ones that somebody has to decide about: `forebay conflicts`. */
  readonly troubledObjects: number;
  /** The rest waits for these. */
  readonly isStuck: boolean;
  /** Why nothing moves, for people. */
  readonly message?: string;
}

export class VolumeDrain {
  readonly #options: VolumeDrainOptions;
  readonly #order: DrainOrder;
  readonly #finished = new FinishedRecords();
  readonly #checkpoints: UnfoldedCheckpoints;
  readonly #backoff: DrainBackoff;
  readonly #parked: ParkedCopies;
  readonly #commits: KeeperCommits;
  /** Attempts under way, by key; those of them that only upload. */
  readonly #busy = new Map<string, { readonly entry: PendingVersion; readonly over: AbortController }>();
  #uploading = 0;
  /** Large versions of which the origin lacks parts. */
  readonly #large = new Map<string, PendingVersion>();
  /** Versions that are through, before the watch says so. */
  readonly #done = new WeakSet<PendingVersion>();
  /** When what was refused or lost is tried again. */
  readonly #againMs = new WeakMap<PendingVersion, number>();
  readonly #versions: VersionDrain;
  /** Since when nobody had a version's bytes. */
  readonly #missingMs = new WeakMap<PendingVersion, number>();
  #kept: KeptConditions | undefined;
  #wake: () => void = () => undefined;
  #sentBytes = 0;
  #isUrgent = false;
  #stopped: string | undefined;
  #lastDrainedMs = Number.NEGATIVE_INFINITY;
  /** Of a version that the origin denied: when last, and how often while it took others in between. */
  readonly #denials = new WeakMap<PendingVersion, { readonly atMs: number; readonly alone: number }>();

  constructor(options: VolumeDrainOptions) {
    this.#options = options;
    const { onConflict, drainOrder } = options.policy;
    this.#order = new DrainOrder({ settleMs: drainSettleMs, onConflict, drainOrder });
    this.#checkpoints = new UnfoldedCheckpoints(options.volume.name);
    this.#backoff = new DrainBackoff(options.random);
    this.#commits = new KeeperCommits(options);
    const { origin, lease, emit, volume } = options;
    const failed = (key: string, error: unknown) => {
      if (!(error instanceof ForebayError)) throw error;
      emit({ kind: 'drain.failed', volume: volume.name, key, code: error.code, message: error.message });
    };
    this.#parked = new ParkedCopies({ origin, mayAct: () => lease.mayAct(), failed });
    this.#versions = new VersionDrain({
      ...options,
      commits: this.#commits,
      isCurrent: (entry) => this.#order.get(entry.key) === entry,
      isHurried: () => this.#isUrgent,
      onArrived: (entry) => {
        this.#order.arrived(entry);
        this.#wake();
      },
      onSent: (bytes) => {
        this.#sentBytes += bytes;
      },
    });
  }

  /** Until the keeper's right ends. */
  async run(): Promise<void> {
    const { lost } = this.#options.lease;
    try {
      const { coordinator, clock } = this.#options;
      const onChange = () => this.#wake();
      const checkpoints = this.#checkpoints.follow({ coordinator, clock, signal: lost, onChange });
      await Promise.all([checkpoints, this.#follow(), this.#schedule(), this.#sweep()]);
    } catch (error) {
      if (!lost.aborted) throw error;
    } finally {
      for (const { over } of this.#busy.values()) over.abort(lost.reason);
    }
  }

  /** Everything that waits is urgent and due, until nothing does. */
  hurry(): void {
    this.#isUrgent = true;
    this.#backoff.hurry();
    this.#wake();
  }

  get progress(): DrainProgress {
    const nowMs = this.#options.clock.boottimeMs();
    let pendingBytes = 0;
    let oldestMs = 0;
    let troubledObjects = 0;
    for (const { version, knownMs } of this.#order.all()) {
      if (version.kind === 'dirty') pendingBytes += version.sizeBytes;
      if (version.trouble !== undefined) troubledObjects++;
      oldestMs = Math.max(oldestMs, nowMs - knownMs);
    }
    const message = this.#stopped ?? this.#backoff.trouble;
    return {
      volume: this.#options.volume.name,
      pendingObjects: this.#order.size,
      pendingBytes,
      oldestMs,
      sentBytes: this.#sentBytes,
      underWay: this.#busy.size,
      troubledObjects,
      isStuck: this.#stopped !== undefined || (this.#busy.size === 0 && this.#order.isStuck),
      ...(message !== undefined && { message }),
    };
  }

  /** What an entry waits for, for people. */
  blockerOf(key: string): string | undefined {
    return this.#order.blockerOf(key)?.key;
  }

  // ---- the records -------------------------------------------------------------------------------------------------

  async #follow(): Promise<void> {
    const { records, volume, lease, clock } = this.#options;
    const { lost } = lease;
    while (!lost.aborted) {
      try {
        for await (const change of records.watch(volume.name, lost)) this.#apply(change);
      } catch (error) {
        if (lost.aborted) return;
        if (!isForebayError(error)) throw error;
      }
      await clock.sleep(keeperLookMs, lost).catch(() => undefined);
    }
  }

  #apply(change: RecordChange): void {
    const nowMs = this.#options.clock.boottimeMs();
    if (change.kind === 'change') this.#abandonUpload(change.key, change.record);
    this.#freeParked(change);
    this.#order.apply(change, nowMs);
    this.#finished.apply(change, nowMs);
    const keys = change.kind === 'change' ? [change.key] : change.records.map(({ key }) => key);
    if (change.kind === 'all') this.#large.clear();
    for (const key of keys) this.#changed(key);
    if (change.kind === 'all')
      for (const [key, { entry, over }] of this.#busy) if (this.#order.get(key) !== entry) over.abort(replaced(key));
    this.#wake();
  }

  #freeParked(change: RecordChange): void {
    const changed = change.kind === 'change' ? [change] : change.records;
    for (const { key, record } of changed) this.#parked.changed(this.#order.get(key)?.version, record);
  }

  /** The upload of a version that another replaced is of no use. */
  #abandonUpload(key: string, record: ObjectRecord | undefined): void {
    const before = this.#order.get(key)?.version;
    if (before?.kind !== 'dirty' || before.upload === undefined || !this.#options.lease.mayAct()) return;
    const { current } = record ?? {};
    if (current !== undefined && current.kind !== 'tombstone' && current.content === before.content) return;
    void this.#options.origin.abort({ key, id: before.upload }).catch((error: unknown) => {
      // the origin expires it
      if (!isForebayError(error)) throw error;
    });
  }

  #changed(key: string): void {
    const entry = this.#order.get(key);
    const isLarge = entry?.version.kind === 'dirty' && needsUpload(entry.version) && !this.#versions.isUploaded(entry);
    if (isLarge) this.#large.set(key, entry);
    else this.#large.delete(key);
    const busy = this.#busy.get(key);
    if (busy === undefined || busy.entry === entry) return;
    this.#backoff.forget(key);
    // A finalise that is on its way may have happened: it is waited for, and settled.
    busy.over.abort(replaced(key));
  }

  // ---- what is done next -------------------------------------------------------------------------------------------

  async #schedule(): Promise<void> {
    const { lease, clock } = this.#options;
    const { lost } = lease;
    while (!lost.aborted) {
      const woken = new AbortController();
      this.#wake = () => woken.abort();
      let waitMs = keeperLookMs;
      if (lease.mayAct() && (await this.#knowsConditions())) waitMs = Math.min(waitMs, this.#begin());
      const either = AbortSignal.any([lost, woken.signal]);
      await clock.sleep(Math.max(waitMs, 1), either).catch(() => undefined);
    }
  }

  /** Begins what may be; returns after how long there may be more. */
  #begin(): number {
    const nowMs = this.#options.clock.boottimeMs();
    if (this.#order.size === 0) this.#isUrgent = false;
    const finalisesMax = this.#backoff.concurrency(drainFinalisesMax, nowMs);
    for (const entry of this.#order.finalisable(nowMs, { urgent: this.#isUrgent })) {
      if (this.#busy.size - this.#uploading >= finalisesMax) break;
      if (this.#isDue(entry, nowMs) && !this.#isHeldBack(entry) && !this.#isBeingCopied(entry, nowMs))
        this.#attempt(entry, 'finalise');
    }
    const uploadsMax = this.#backoff.concurrency(drainUploadsMax, nowMs);
    for (const entry of this.#large.values()) {
      if (this.#uploading >= uploadsMax) break;
      const isWanted =
        !entry.version.trouble && !this.#versions.isUploaded(entry) && !this.#isBeingCopied(entry, nowMs);
      if (isWanted && this.#isDue(entry, nowMs)) this.#attempt(entry, 'upload');
    }
    // Whoever ends wakes the loop.
    const isFull = this.#busy.size - this.#uploading >= drainFinalisesMax;
    return Math.min(isFull ? Number.POSITIVE_INFINITY : this.#order.nextMs(nowMs), this.#backoff.nextMs(nowMs)) - nowMs;
  }

  #isHeldBack(entry: PendingVersion): boolean {
    return this.#options.policy.drainOrder === 'directory' && this.#checkpoints.holdsBack(entry);
  }

  /**
   * Its copies are on their way: they come first, and then all who have it send parts. Not for ever, for some may never
   * come.
   */
  #isBeingCopied({ version, isUrgent, knownMs }: PendingVersion, nowMs: number): boolean {
    if (version.kind !== 'dirty' || version.level === 'replicated' || isUrgent || this.#isUrgent) return false;
    if (version.sizeBytes <= stageInlineMaxBytes || nowMs >= knownMs + drainYieldMs) return false;
    return version.replicas.length < this.#options.copiesToBeHad();
  }

  #isDue(entry: PendingVersion, nowMs: number): boolean {
    return !this.#busy.has(entry.key) && !this.#done.has(entry) && this.#backoff.isDue(entry.key, nowMs);
  }

  #attempt(entry: PendingVersion, what: 'upload' | 'finalise'): void {
    const { key } = entry;
    const over = new AbortController();
    this.#busy.set(key, { entry, over });
    if (what === 'upload') this.#uploading++;
    void this.#try(entry, what, over.signal).finally(() => {
      this.#busy.delete(key);
      if (what === 'upload') this.#uploading--;
      this.#wake();
    });
  }

  async #try(entry: PendingVersion, what: 'upload' | 'finalise', signal: AbortSignal): Promise<void> {
    const { clock, emit, volume } = this.#options;
    const { key, version } = entry;
    const { lost } = this.#options.lease;
    const either = AbortSignal.any([signal, lost]);
    try {
      if (what === 'upload') {
        await this.#versions.upload(entry, { signal: either, lost });
        if (this.#large.get(key) === entry) this.#large.delete(key);
        return;
      }
      const kept = this.#kept as KeptConditions;
      const outcome = await this.#versions.drain(entry, { kept, signal: either, lost });
      if (outcome !== 'replaced') this.#done.add(entry);
      this.#backoff.succeeded();
      this.#backoff.forget(key);
      this.#lastDrainedMs = clock.boottimeMs();
      if (outcome !== 'drained') return;
      const bytes = version.kind === 'dirty' ? version.sizeBytes : 0;
      const drained = version.kind === 'dirty' ? 'object' : 'tombstone';
      const ms = clock.boottimeMs() - entry.knownMs;
      emit({ kind: 'drain.done', volume: volume.name, key, what: drained, bytes, ms });
    } catch (error) {
      if (either.aborted) return;
      if (!(error instanceof ForebayError)) throw error;
      await this.#failed(entry, error);
    }
  }

  async #failed(entry: PendingVersion, error: ForebayError): Promise<void> {
    const { clock, emit, volume } = this.#options;
    const { key } = entry;
    if (error.code === 'recordChanged') return;
    const nowMs = clock.boottimeMs();
    const isKeyDenied = error.code === 'originDenied' && this.#isDeniedAlone(entry, nowMs);
    if ((isRefusal(error.code) || isKeyDenied) && !entry.version.trouble) {
      await this.#trouble(entry, { kind: 'refused', message: error.message });
      return;
    }
    if (this.#isLost(entry, error, nowMs)) {
      await this.#trouble(entry, { kind: 'lost', message: `no node has its bytes: ${error.message}` });
      return;
    }
    this.#backoff.failed(key, error, nowMs);
    emit({ kind: 'drain.failed', volume: volume.name, key, code: error.code, message: error.message });
  }

  /** Whether the origin takes other keys, but again and again not this one: credentials that were revoked hit all. */
  #isDeniedAlone(entry: PendingVersion, nowMs: number): boolean {
    const last = this.#denials.get(entry);
    const alone = last !== undefined && this.#lastDrainedMs > last.atMs ? last.alone + 1 : 0;
    this.#denials.set(entry, { atMs: nowMs, alone });
    return alone >= drainDenialsMax;
  }

  /** Whether nobody who is there has had its bytes for a while; a node that is away may bring them back later. */
  #isLost(entry: PendingVersion, error: ForebayError, nowMs: number): boolean {
    if (!isForebayError(error, 'notHeld', 'replicasUnavailable', 'corrupt')) {
      this.#missingMs.delete(entry);
      return false;
    }
    const sinceMs = this.#missingMs.get(entry);
    if (sinceMs === undefined) this.#missingMs.set(entry, nowMs);
    return sinceMs !== undefined && nowMs - sinceMs >= lostAfterMs && !entry.version.trouble;
  }

  async #trouble(entry: PendingVersion, trouble: Trouble): Promise<void> {
    const { clock } = this.#options;
    try {
      await this.#versions.trouble(entry, trouble);
    } catch (error) {
      if (this.#options.lease.lost.aborted) return;
      if (!(error instanceof ForebayError)) throw error;
      this.#backoff.failed(entry.key, error, clock.boottimeMs());
    }
  }

  /** Whether it is known how the origin takes conditions, and the volume is content with that. */
  async #knowsConditions(): Promise<boolean> {
    const { origin, random, lease, clock, policy, emit, volume } = this.#options;
    if (this.#stopped !== undefined) return false;
    // Adapters of our own keep them.
    if (origin.kind === 'file' || origin.kind === 'memory') this.#kept = { puts: true, uploads: true };
    if (this.#kept !== undefined) return true;
    const probe = '\u0000probe';
    const nowMs = clock.boottimeMs();
    if (this.#order.size === 0 || !this.#backoff.isDue(probe, nowMs)) return false;
    try {
      this.#kept = await probeConditions(origin, { random, signal: lease.lost });
      this.#backoff.succeeded();
    } catch (error) {
      if (lease.lost.aborted || !(error instanceof ForebayError)) throw error;
      this.#backoff.failed(probe, error, nowMs);
      emit({ kind: 'drain.failed', volume: volume.name, key: '', code: error.code, message: error.message });
      return false;
    }
    const { puts, uploads } = this.#kept;
    if (puts && uploads) return true;
    const what = puts ? 'large objects are put' : 'objects are put';
    const found = `${origin.url} keeps no conditions where ${what}, so changes that others make at that moment cannot be seen`;
    if (policy.conflicts === 'unchecked') {
      emit({ kind: 'node.warning', message: `${volume.name}: ${found}` });
      return true;
    }
    this.#stopped = `${found}; set volumes.${volume.name}.conflicts = "unchecked" to drain nevertheless`;
    emit({ kind: 'node.warning', message: `nothing of ${volume.name} drains: ${this.#stopped}` });
    return false;
  }

  // ---- now and then ------------------------------------------------------------------------------------------------

  async #sweep(): Promise<void> {
    const { lease, clock } = this.#options;
    const { lost } = lease;
    while (!lost.aborted) {
      await clock.sleep(drainSweepMs, lost).catch(() => undefined);
      if (!lease.mayAct()) continue;
      const nowMs = clock.boottimeMs();
      this.#tryTroubled(nowMs);
      try {
        for (const gone of this.#finished.toLookAt(nowMs)) await this.#versions.deleteReappeared(gone, lost);
        for (const finished of this.#finished.over(nowMs)) await this.#versions.forget(finished);
      } catch (error) {
        if (lost.aborted) return;
        if (!(error instanceof ForebayError)) throw error;
      }
    }
  }

  /** Somebody may have changed the origin's mind, and a node may have come back with the bytes. */
  #tryTroubled(nowMs: number): void {
    if (this.#kept === undefined) return;
    for (const entry of this.#order.all()) {
      const kind = entry.version.trouble?.kind;
      if (kind === undefined || kind === 'conflict' || this.#order.blockerOf(entry.key) !== undefined) continue;
      const pauseMs = kind === 'lost' ? drainSweepMs : drainRefusedRetryMs;
      const dueMs = this.#againMs.get(entry);
      if (dueMs !== undefined && nowMs >= dueMs && this.#isDue(entry, nowMs)) this.#attempt(entry, 'finalise');
      if (dueMs === undefined || nowMs >= dueMs) this.#againMs.set(entry, nowMs + pauseMs);
    }
  }
}

function replaced(key: string): ForebayError {
  return new ForebayError('recordChanged', `${key} was written anew`);
}
