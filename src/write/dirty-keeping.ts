/**
 * What this node holds that the origin does not have, and until when (S-4). A content is let go by a record that says so:
 * drained, it becomes ordinary cache; replaced or deleted, it stays for its readers for a while. A record that is absent
 * frees nothing that was committed. What was never committed, and no longer can be, for its writer's life is over,
 * is dropped.
 *
 * Restart: what the store kept is compared with the records, as the first event of the feed tells them all. A record whose time was over
 * while this node was away is absent then: that says so where it is of the life of the records that the note names.
 */

import type { ChunkRef } from '../cluster/chunk-ref.ts';
import { textOf } from '../cluster/chunk-wire.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import {
  dirtySweepMs,
  leftAfterMs,
  leftLookMs,
  recordWatchRetryMs,
  replacedKeepMs,
  uncommittedKeepMs,
} from '../core/limits.ts';
import type { WritePolicy } from '../core/volume.ts';
import type { Emit } from '../observe/events.ts';
import type { DirtyNote } from '../store/staging.ts';
import type { AttemptName } from './checkpoint-decisions.ts';
import { decodeNote, encodeNote } from './dirty-note.ts';
import { type Kept, type KeptContent, KeptPlaces } from './kept-places.ts';
import { judgeNotes } from './noted-lives.ts';
import type { DirtyRecord, ObjectRecord } from './object-record.ts';
import { begunRevision, contentsOf, isKeeper } from './record-contents.ts';
import type { RecordFeed } from './record-feed.ts';
import type { RecordLineage } from './record-lineage.ts';
import type { RecordChange, Recorded, Records } from './records.ts';
import type { StagingStore } from './staging-store.ts';
import { restated } from './version-order.ts';

export interface DirtyKeepingOptions {
  readonly cluster: Cluster;
  readonly store: StagingStore;
  readonly records: Records;
  readonly lineage: RecordLineage;
  readonly feed: RecordFeed;
  readonly emit: Emit;
  /** Whether it is known that an attempt at a checkpoint ended without a commit. */
  readonly isOver: (volume: string, attempt: AttemptName) => Promise<boolean>;
  /** Of volumes that are staged here. */
  readonly policyOf: (volume: string) => WritePolicy | undefined;
  /** A chunk is here whole, for whoever asks the directory: also after the drain the origin is not asked for it (S-11). */
  readonly onHeld: (ref: ChunkRef) => void;
}

export class DirtyKeeping {
  readonly #options: DirtyKeepingOptions;
  readonly #kept = new KeptPlaces();
  /** Up to which revision the feed has told of each volume's records. */
  readonly #heard = new Map<string, number>();
  readonly #stop = new AbortController();
  /** The life of the records, once it is known. */
  #lineage: string | undefined;
  #sweeping = false;
  #refusals = 0;

  constructor(options: DirtyKeepingOptions) {
    this.#options = options;
    for (const { id, ...dirty } of options.store.dirtyContents()) this.#add(id, dirty);
    options.feed.listen((volume, change) => this.#changed(volume, change));
    options.cluster.onMembers(() => void this.#sweep());
    options.cluster.handle('stage.wants', (_from, message) => this.#kept.has(textOf(message['content']) as ContentId));
  }

  /** The life of the records that this node works with; `undefined` until it is known. */
  get lineage(): string | undefined {
    return this.#lineage;
  }

  /** Finds out whether what is noted here is of the records that there are. Before the feed is started; returns once it is known, or closed. */
  async learn(): Promise<void> {
    const { clock } = this.#options.cluster;
    const { signal } = this.#stop;
    while (!signal.aborted && this.#lineage === undefined) {
      try {
        this.#lineage = await judgeNotes(() => this.#kept.all(), this.#options);
        return;
      } catch (error) {
        if (!isForebayError(error)) throw error;
      }
      await clock.sleep(recordWatchRetryMs, signal).catch(() => undefined);
    }
  }

  /** Looks after what is kept, until closed. */
  async run(): Promise<void> {
    const { clock } = this.#options.cluster;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#sweep();
      await clock.sleep(dirtySweepMs, signal).catch(() => undefined);
    }
  }

  close(): void {
    this.#stop.abort();
  }

  /** Nothing new is kept here until the function that is returned is called: the node is leaving. */
  takeNoMore(): () => void {
    this.#refusals += 1;
    return () => {
      this.#refusals -= 1;
    };
  }

  /** Throws `shuttingDown` where nothing new is kept. */
  checkTakesMore(): void {
    if (this.#refusals > 0)
      throw new ForebayError(
        'shuttingDown',
        `${this.#options.cluster.self} is leaving and takes no more writes: write through another node`,
      );
  }

  *contents(): Generator<KeptContent> {
    for (const kept of this.#kept.all())
      yield { ...kept, isUsed: kept.uses > 0, isReplaced: kept.doomedMs !== undefined };
  }

  /** Nobody lets go of it while it is used; returns what ends that. */
  use(content: ContentId): () => void {
    return this.#kept.use(content);
  }

  /** The store has sealed it: this node's own, or a copy. */
  sealed(content: ContentId, { atUs = 0 }: { writer: string; note: DirtyNote; atUs?: number }): void {
    const dirty = this.#options.store.dirty(content);
    if (dirty === undefined) return;
    const { id, ...rest } = dirty;
    this.#add(id, rest);
    this.#kept.promise(content, atUs);
  }

  /** Tells the directory that this node has all of it. */
  #tellHeld({ content, sizeBytes, chunkSizeBytes }: Kept): void {
    for (let chunk = 0; chunk * chunkSizeBytes < sizeBytes; chunk += 1) this.#options.onHeld({ content, chunk });
  }

  /** Its record was committed by this node. */
  committed(content: ContentId, key: string, record: ObjectRecord, revision: number): void {
    const kept = this.#kept.get(content);
    if (kept !== undefined) this.#named(kept, key, record, revision);
  }

  /** A commit failed for good: nobody will ever know of it. */
  drop(content: ContentId): void {
    const kept = this.#kept.get(content);
    if (kept !== undefined) this.#drop(kept);
  }

  /** Somebody found that what is noted of it, of another life of the records, is older than the record: that decides about it again. */
  judged(content: ContentId): void {
    const kept = this.#kept.get(content);
    if (kept?.noted === undefined || !kept.isForeign || this.#lineage === undefined) return;
    kept.isForeign = false;
    kept.isUnheard = true;
    kept.noted = { ...kept.noted, revision: 0, lineage: this.#lineage };
    this.#options.store.renote(content, encodeNote(kept.volume, kept.key, kept.noted));
  }

  /** Its writer asks, maybe in another life, whether it is kept: it is, for as long as that life may commit it. */
  promised(content: ContentId, note: DirtyNote, atUs: number): void {
    const kept = this.#kept.get(content);
    this.#kept.promise(content, atUs);
    const asked = decodeNote(note);
    if (kept === undefined || asked === undefined || kept.noted?.revision !== undefined) return;
    kept.noted = asked;
    this.#options.store.renote(content, note);
  }

  /** Its writer does not count on this copy, as it was promised until then; it goes unless a record does. */
  async unpromised(content: ContentId, session: string, atUs: number): Promise<void> {
    const kept = this.#kept.get(content);
    if (kept?.noted?.session !== session || kept.uses > 0 || kept.promisedUs >= atUs) return;
    const { key } = kept;
    const { record, revision } = await this.#options.records.read(kept.volume, key);
    if (this.#kept.get(content) !== kept || kept.key !== key || !this.#hasHeard(kept, revision)) return;
    // its writer may have asked anew meanwhile
    if (
      kept.promisedUs < atUs &&
      kept.noted?.session === session &&
      !isKeeper(record, content, this.#options.cluster.self)
    )
      this.#drop(kept);
  }

  /**
   * Puts nodes that have it whole into its record. False where the record is of another version by now: no more copies are
   * needed. Rejects as `Records`.
   */
  async addReplicas(
    { content, volume, key: writtenAs }: Pick<KeptContent, 'content' | 'volume' | 'key'>,
    added: readonly { node: string; fence: Parameters<Records['commit']>[0]['fences'] }[],
  ): Promise<boolean> {
    const { records } = this.#options;
    // what was committed just now is most likely still what is there: the compare says so
    let known: Recorded | undefined = this.#committedAs(content);
    for (;;) {
      // renamed meanwhile: both keys were committed at one revision, so the compare would not tell them apart
      const key = this.#kept.get(content)?.key ?? writtenAs;
      const { record, revision }: Recorded = known ?? (await records.read(volume, key));
      known = undefined;
      const current = record?.current;
      if (current?.kind !== 'dirty' || current.content !== content) return false;
      const missing = added.filter(({ node }) => !current.replicas.includes(node));
      if (missing.length === 0) return true;
      const changes = this.#namedNow(volume, current, [...current.replicas, ...missing.map(({ node }) => node)]);
      const changed: ObjectRecord = { ...record, current: restated(current, revision, changes) };
      const fences = missing.flatMap(({ fence }) => fence ?? []);
      try {
        const committed = await records.commit({ volume, key, expected: revision, record: changed, fences });
        this.committed(content, key, changed, committed);
        return true;
      } catch (error) {
        if (!isForebayError(error, 'recordChanged')) throw error;
        const again = await records.read(volume, key);
        // the record is as it was: a fence fell, so a node that shall be added lives another life now
        if (again.revision === revision) throw error;
      }
    }
  }

  #committedAs(content: ContentId): Recorded | undefined {
    const { noted } = this.#kept.get(content) ?? {};
    return noted?.revision === undefined ? undefined : { record: noted.record, revision: noted.revision };
  }

  /** Where enough are there without them, nodes that are not there are named no longer; only those that are there count. */
  #namedNow(volume: string, current: DirtyRecord, all: readonly string[]): Pick<DirtyRecord, 'replicas' | 'level'> {
    const { cluster, policyOf } = this.#options;
    const live = all.filter((node) => cluster.member(node) !== undefined);
    const hasEnough = live.length >= (policyOf(volume)?.replicas ?? Number.POSITIVE_INFINITY);
    return hasEnough ? { replicas: live, level: 'replicated' } : { replicas: all, level: current.level };
  }

  // ---- what the records say ----------------------------------------------------------------------------------------

  #changed(volume: string, change: RecordChange): void {
    if (change.kind === 'change') {
      this.#told(volume, change.key, change.record, change.revision);
      this.#heard.set(volume, Math.max(change.revision, this.#heard.get(volume) ?? 0));
      return;
    }
    this.#heard.set(volume, change.revision);
    const named = new Set<Kept>();
    const seen = new Map<string, { record: ObjectRecord; revision: number }>();
    for (const { key, record, revision } of change.records) {
      seen.set(key, { record, revision });
      for (const kept of this.#keepers(record, volume)) {
        this.#named(kept, key, record, revision);
        named.add(kept);
      }
    }
    for (const kept of this.#kept.all()) {
      if (kept.volume !== volume || named.has(kept)) continue;
      const found = seen.get(kept.key);
      this.#unheard(kept, change.revision);
      if (found !== undefined) this.#unnamed(kept, found.record, found.revision);
    }
  }

  #told(volume: string, key: string, record: ObjectRecord | undefined, revision: number): void {
    const named = new Set(record === undefined ? [] : this.#keepers(record, volume));
    if (record !== undefined) for (const kept of named) this.#named(kept, key, record, revision);
    for (const kept of this.#kept.at(volume, key)) {
      if (named.has(kept)) continue;
      this.#unheard(kept, revision);
      if (record !== undefined) this.#unnamed(kept, record, revision);
    }
  }

  /** What is kept here that a record names, as dirty or as what a checkpoint will put there. */
  #keepers(record: ObjectRecord, volume: string): Kept[] {
    return contentsOf(record).flatMap((content) => {
      const kept = this.#kept.get(content);
      return kept?.volume === volume ? [kept] : [];
    });
  }

  #named(kept: Kept, key: string, record: ObjectRecord, revision: number): void {
    if (!kept.isForeign && (kept.noted?.revision ?? 0) > revision) return;
    const { store } = this.#options;
    const { current } = record;
    if (current?.kind === 'stub' && current.content === kept.content) {
      this.#kept.remove(kept);
      store.cleaned(kept.content);
      return;
    }
    this.#kept.move(kept, key);
    kept.isForeign = false;
    kept.isUnheard = false;
    kept.doomedMs = undefined;
    kept.unnamedAt = undefined;
    if (kept.noted?.revision === undefined) this.#tellHeld(kept);
    const session = kept.noted?.session ?? '';
    const isCommitted = current?.kind === 'dirty' && current.content === kept.content;
    const lineage = this.#lineage;
    kept.noted = { record, session, ...(isCommitted && { revision, ...(lineage !== undefined && { lineage }) }) };
    store.renote(kept.content, encodeNote(kept.volume, key, kept.noted));
  }

  /** No record names it as of a revision. */
  #unheard(kept: Kept, revision: number): void {
    if (kept.isForeign || (kept.noted?.revision ?? 0) <= revision) kept.isUnheard = true;
  }

  /** The record of its key is of another version: a newer one, where it is of the same life as what is noted. */
  #unnamed(kept: Kept, record: ObjectRecord, revision: number): void {
    const { noted } = kept;
    if (kept.isForeign || noted?.revision === undefined || revision <= noted.revision || record.current === undefined)
      return;
    kept.doomedMs ??= this.#options.cluster.clock.boottimeMs() + replacedKeepMs;
  }

  // ---- what nobody says anything of --------------------------------------------------------------------------------

  async #sweep(): Promise<void> {
    if (this.#sweeping || this.#stop.signal.aborted || this.#options.cluster.isFrozen) return;
    this.#sweeping = true;
    try {
      const nowMs = this.#options.cluster.clock.boottimeMs();
      const ended = new Map<string, Promise<boolean>>();
      for (const kept of this.#kept.all()) {
        if (this.#stop.signal.aborted) return;
        if (kept.uses > 0 || !this.#kept.has(kept.content)) continue;
        if (kept.doomedMs !== undefined && kept.doomedMs <= nowMs) this.#drop(kept);
        else if (kept.doomedMs === undefined) await this.#look(kept, nowMs, ended);
      }
    } finally {
      this.#sweeping = false;
    }
  }

  async #look(kept: Kept, nowMs: number, ended: Map<string, Promise<boolean>>): Promise<void> {
    try {
      if (kept.lookedMs + leftLookMs <= nowMs && (await this.#isLeft(kept, nowMs))) {
        await this.#settle(kept);
        kept.lookedMs = nowMs;
      } else if (kept.lookedMs + leftLookMs <= nowMs && this.#mayBeOver(kept)) {
        await this.#settleOver(kept);
        kept.lookedMs = nowMs;
      } else if (await this.#isVoid(kept, ended)) this.#drop(kept);
    } catch (error) {
      // without the coordinator nothing is freed (S-15): the next sweep tries again
      if (!isForebayError(error)) throw error;
    }
  }

  #hasHeard({ volume }: Kept, revision: number): boolean {
    return (this.#heard.get(volume) ?? Number.NEGATIVE_INFINITY) >= revision;
  }

  /** Whether it was committed, and no record of the same life names it any more. */
  #mayBeOver(kept: Kept): boolean {
    const { isUnheard, isForeign, noted } = kept;
    if (!isUnheard || isForeign || noted?.revision === undefined || noted.lineage === undefined) return false;
    return noted.lineage === this.#lineage && this.#hasHeard(kept, noted.revision);
  }

  /**
   * The time of its record was over while this node did not hear of it: the origin has had it, or what came after it. A record goes only
   * then, so what is of no record any more is ordinary cache. Nobody can have renamed it: the feed has told of all records since.
   */
  async #settleOver(kept: Kept): Promise<void> {
    const { records, store, lineage } = this.#options;
    const { content, volume, key } = kept;
    const { record, revision, asOf } = await records.read(volume, key);
    // another node may have found meanwhile that the coordinator was set back
    if ((await lineage.read()).id !== this.#lineage) {
      this.#lineage = await judgeNotes(() => this.#kept.all(), this.#options);
      return;
    }
    if (this.#kept.get(content) !== kept || kept.key !== key || kept.uses > 0 || !this.#mayBeOver(kept)) return;
    if (record !== undefined && contentsOf(record).includes(content)) this.#named(kept, key, record, revision);
    else if (record !== undefined) this.#unnamed(kept, record, revision);
    else if (asOf >= (kept.noted?.revision ?? Number.POSITIVE_INFINITY)) {
      this.#kept.remove(kept);
      store.cleaned(content);
    }
  }

  /**
   * Whether what does not name the content, the record of its key as it was read, is all that there is to know. It may have been
   * renamed, and after a power cut this node may not know that any more: then another record names it, and the feed, once
   * it is as far as that record, has told or is about to. So it must say the same twice.
   */
  #isUnnamed(kept: Kept, revision: number): boolean {
    if (!this.#hasHeard(kept, revision)) return false;
    const before = kept.unnamedAt;
    kept.unnamedAt = revision;
    return before === revision;
  }

  /** It was put into a checkpoint by an attempt that ended without a commit, and nothing else names it. `ended`: what is known of attempts. */
  async #isVoid(kept: Kept, ended: Map<string, Promise<boolean>>): Promise<boolean> {
    const { content, volume, key, noted } = kept;
    if (noted === undefined || noted.revision !== undefined || this.#options.cluster.isFrozen) return false;
    const intent = noted.record.intents?.find(({ to }) => to.kind === 'dirty' && to.content === content);
    if (intent === undefined) return false;
    const name = `${volume} ${intent.checkpoint} ${intent.attempt}`;
    const known = ended.get(name) ?? this.#options.isOver(volume, intent);
    ended.set(name, known);
    if (!(await known)) return false;
    const { record, revision } = await this.#options.records.read(volume, key);
    const isNamed = record !== undefined && contentsOf(record).includes(content);
    if (isNamed || kept.uses > 0 || this.#kept.get(content) !== kept || kept.key !== key) return false;
    return this.#isUnnamed(kept, revision);
  }

  /**
   * Nobody will commit it any more, and this node is not promised by a record: its writer's life is over, or its writer, asked
   * a good while later, no longer has it.
   */
  async #isLeft({ content, noted, sinceMs }: Kept, nowMs: number): Promise<boolean> {
    const { cluster } = this.#options;
    if (noted === undefined || cluster.members.epoch === 0 || cluster.isFrozen) return false;
    if (noted.revision !== undefined && isKeeper(noted.record, content, cluster.self)) return false;
    const writer = cluster.members.members.find(({ session }) => session === noted.session);
    if (writer === undefined) return true;
    if (noted.revision !== undefined || nowMs - sinceMs < leftAfterMs) return false;
    if (writer.node === cluster.self) return true;
    return (await cluster.call(writer.node, { type: 'stage.wants', content })) === false;
  }

  async #settle(kept: Kept): Promise<void> {
    const { records, cluster, policyOf } = this.#options;
    const { content, volume, key } = kept;
    const { record, revision, asOf } = await records.read(volume, key);
    if (this.#kept.get(content) !== kept || kept.key !== key || kept.uses > 0) return;
    if (record !== undefined && contentsOf(record).includes(content)) {
      this.#named(kept, key, record, revision);
      const { current } = record;
      if (current?.kind !== 'dirty' || current.content !== content || isKeeper(record, content, cluster.self)) return;
      const live = current.replicas.filter((node) => cluster.member(node) !== undefined).length;
      if (live >= (policyOf(volume)?.replicas ?? 1)) return;
      // a copy that its writer had no time to tell of
      await this.addReplicas(kept, [{ node: cluster.self, fence: [cluster.fence()] }]);
      return;
    }
    if (kept.noted?.revision !== undefined) {
      if (record !== undefined) this.#unnamed(kept, record, revision);
      return;
    }
    if (!this.#isUnnamed(kept, revision)) return;
    if (record?.current !== undefined) {
      this.#drop(kept);
      return;
    }
    // A coordinator that lost what it knew is behind what was read of it then.
    const begun = begunRevision(kept.noted?.record);
    const ageMs = cluster.clock.boottimeMs() - kept.sinceMs;
    if (begun !== undefined && asOf >= begun && ageMs > uncommittedKeepMs) this.#drop(kept);
  }

  // ---- bookkeeping -------------------------------------------------------------------------------------------------

  #add(content: ContentId, dirty: DirtyNote & { sizeBytes: number; chunkSizeBytes: number }): void {
    if (this.#kept.has(content)) return;
    const { volume, key, sizeBytes, chunkSizeBytes } = dirty;
    const noted = decodeNote(dirty);
    if (noted === undefined)
      this.#options.emit({
        kind: 'node.warning',
        message: `what is kept beside ${content} of ${volume}/${key} cannot be read: it stays`,
      });
    const sinceMs = this.#options.cluster.clock.boottimeMs();
    const kept: Kept = {
      lookedMs: Number.NEGATIVE_INFINITY,
      content,
      volume,
      sizeBytes,
      chunkSizeBytes,
      sinceMs,
      key,
      noted,
      doomedMs: undefined,
      unnamedAt: undefined,
      promisedUs: 0,
      isUnheard: true,
      isForeign: false,
      uses: 0,
    };
    this.#kept.add(kept);
  }

  #drop(kept: Kept): void {
    this.#kept.remove(kept);
    this.#options.store.discard(kept.content);
  }
}
