/**
 * One version on its way through this node: staged while its replicas pull it, then sealed, committed and, at last, with
 * everyone who shall have it. Who begins one ends it with `commit` or `abandon`.
 */
import { abortable, SETTLED } from '../core/abortable.ts';
import { BLOCK_SIZE_BYTES } from '../core/chunk.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { type ContentId, newContentId } from '../core/ids.ts';
import { commitTriesMax, copyGraceMs, degradedWaitMs, stageInlineMaxBytes } from '../core/limits.ts';
import type { Range } from '../core/range.ts';
import type { Level } from '../core/volume.ts';
import type { Compare } from '../io/coordinator.ts';
import type { Sealed, Staging } from '../store/staging.ts';
import { type AttemptName, decideIntent } from './checkpoint-decisions.ts';
import { encodeNote } from './dirty-note.ts';
import type { DirtyRecord } from './object-record.ts';
import type { AskedBase } from './origin-base.ts';
import { decideWrite, type OriginKnowledge, type RecordDecision } from './record-decisions.ts';
import type { RecordCommit, Recorded } from './records.ts';
import { Replication } from './replication.ts';
import type { StagedParts, StagedVolume } from './staged-parts.ts';
import type { Target, WriteAttributes, WriteCondition } from './writer.ts';

type Begun = Recorded & { readonly asOf: number };

export interface BeginOptions {
  /** The exact size, where it is known. */
  readonly lengthBytes?: number;
  /** Path of a finished file whose bytes it takes over. */
  readonly from?: string;
  /** What is committed until this resolves goes to the origin first (S-7). */
  readonly after?: Promise<void>;
  /** Replicas hear of blocks only by `release`: what is there may yet be written again. */
  readonly isReleased?: boolean;
  /** A condition depends on what the origin has. */
  readonly patient: boolean;
  readonly signal: AbortSignal;
}

export interface CommitWish extends WriteAttributes {
  readonly level: Level;
  readonly condition?: WriteCondition;
  /** It is put beside the record, for a checkpoint, and all its copies are waited for; its right to that is asked for anew for each attempt. */
  readonly intent?: { readonly name: AttemptName; readonly fence: () => Promise<Compare> };
  /** Committed in the same transaction; made anew for each attempt. */
  readonly beside?: () => Promise<readonly RecordCommit[]>;
  readonly signal: AbortSignal;
}

export interface Committed {
  readonly record: DirtyRecord;
  readonly revision: number;
}

export class StagedVersion {
  readonly id: ContentId;
  readonly target: Target;
  readonly staging: Staging;
  readonly #parts: StagedParts;
  readonly #volume: StagedVolume;
  readonly #replication: Replication;
  readonly #begun: Promise<Begun>;
  readonly #base: Promise<AskedBase | undefined>;
  #isSealed = false;
  /** The life of this node under which the copies were promised. */
  #session = '';
  #unuse: (() => void) | undefined;

  private constructor(
    parts: StagedParts,
    volume: StagedVolume,
    made: {
      id: ContentId;
      target: Target;
      staging: Staging;
      replication: Replication;
      begun: Promise<Begun>;
      base: Promise<AskedBase | undefined>;
    },
  ) {
    this.#parts = parts;
    this.#volume = volume;
    this.id = made.id;
    this.target = made.target;
    this.staging = made.staging;
    this.#replication = made.replication;
    this.#begun = made.begun;
    this.#base = made.base;
  }

  /** Throws diskFull or overloaded where there is no room. */
  static async begin(
    parts: StagedParts,
    volume: StagedVolume,
    target: Target,
    options: BeginOptions,
  ): Promise<StagedVersion> {
    const { records, base, cluster, clock, random, store, slots, traffic, groupFor } = parts;
    const { policy, origin, chunkSizeBytes } = volume;
    const { lengthBytes, signal, patient } = options;
    parts.keeping.checkTakesMore();
    const begun = (options.after ?? Promise.resolve()).then(() => records.read(target.volume, target.key, signal));
    const asked = begun.then((read) => askBase(read, () => base.ask(origin, target, { patient, signal })));
    asked.catch(() => undefined);
    const id = newContentId({ wallMs: clock.wallMs(), random: random.bytes(10) });
    const replication = new Replication({
      cluster,
      slots,
      traffic,
      what: { content: id, chunkSizeBytes, lengthBytes },
      group: groupFor(lengthBytes ?? 0),
      wanted: policy.replicas - 1,
    });
    parts.underWay.add(replication);
    const isSmall = lengthBytes !== undefined && lengthBytes <= stageInlineMaxBytes;
    const whole = (block: number) => {
      // the last, short block goes with the seal
      const isLast = lengthBytes !== undefined && (block + 1) * BLOCK_SIZE_BYTES > lengthBytes;
      if (!isSmall && !isLast && options.isReleased !== true) replication.whole(block);
    };
    try {
      const staged = {
        id,
        chunkSizeBytes,
        onBlock: whole,
        signal,
        ...(lengthBytes !== undefined && { lengthBytes }),
        onFull: policy.onFull === 'block' ? ('block' as const) : ('fail' as const),
      };
      const { from } = options;
      const staging =
        from === undefined ? await store.stage(staged) : (await store.stageFile({ ...staged, from })).staging;
      return new StagedVersion(parts, volume, { id, target, staging, replication, begun, base: asked });
    } catch (error) {
      replication.stop(true);
      parts.underWay.delete(replication);
      throw error;
    }
  }

  /** The bytes of a range will not be written again: replicas may pull its whole blocks. */
  release({ start, end }: Range): void {
    const last = Math.floor(end / BLOCK_SIZE_BYTES);
    for (let block = Math.ceil(start / BLOCK_SIZE_BYTES); block < last; block += 1) this.#replication.whole(block);
  }

  /** Nothing of it is kept, here or elsewhere. */
  abandon(): void {
    this.#replication.stop(true);
    this.#parts.underWay.delete(this.#replication);
    this.#unuse?.();
    if (this.#isSealed) this.#parts.keeping.drop(this.id);
    else this.staging.abandon();
  }

  /**
   * Seals and commits what was staged. Resolves once the level is reached that can be reached without the origin; at `origin` the
   * record is urgent. Copies that are still lacking go on being made. Throws preconditionFailed, degraded, and as `Records`;
   * then nothing is kept of it, unless it may have been committed (coordinatorUncertain).
   */
  async commit(sizeBytes: number, wish: CommitWish, bytes?: Uint8Array): Promise<Committed> {
    try {
      const sealed = await this.staging.sum(sizeBytes);
      const begun = await this.#begun;
      const origin = (await (await this.#base)?.settle()) ?? UNKNOWN;
      wish.signal.throwIfAborted();
      const { intent } = wish;
      const decide = (read: Recorded, urgent: boolean) => {
        const version = this.#wishOf({ sizeBytes, sealed, begun, origin, urgent }, wish);
        return intent === undefined ? decideWrite(read, version) : decideIntent(read, version, intent.name);
      };
      const first = decide(begun, wish.level === 'origin');
      await this.#seal(sizeBytes, sealed, first, bytes);
      if (sizeBytes <= stageInlineMaxBytes && !this.#replication.hasAll) await this.#grace();
      let isUrgent = wish.level === 'origin' || (wish.level === 'replicated' && (await this.#replicated(wish)));
      wish.signal.throwIfAborted();
      const mayGoOn = (): void => {
        if (intent !== undefined && isUrgent)
          throw new ForebayError('degraded', `too few nodes hold "${this.target.key}" for a checkpoint`);
      };
      mayGoOn();
      const hasLevel = async (): Promise<void> => {
        if (wish.level === 'replicated' && !isUrgent && !this.#replication.hasAll)
          isUrgent = await this.#replicated(wish);
        mayGoOn();
      };
      const committed = await this.#commit(begun, (read) => decide(read, isUrgent), hasLevel, wish);
      void this.#finish(committed);
      return committed;
    } catch (error) {
      if (!isForebayError(error, 'coordinatorUncertain')) this.abandon();
      else this.#release();
      throw error;
    }
  }

  #wishOf(
    known: { sizeBytes: number; sealed: Sealed; begun: Begun; origin: OriginKnowledge; urgent: boolean },
    { headers, metadata, condition }: CommitWish,
  ): Parameters<typeof decideWrite>[1] {
    const { cluster, clock } = this.#parts;
    const { sizeBytes, sealed, begun, origin, urgent } = known;
    const { chunkSizeBytes, policy } = this.#volume;
    const replicas = [cluster.self, ...this.#replication.sealed.map(({ node }) => node)];
    const modifiedMs = Math.floor(clock.wallMs());
    return {
      content: { content: this.id, sizeBytes, chunkSizeBytes, modifiedMs, headers, metadata },
      level: replicas.length >= policy.replicas ? 'replicated' : 'local',
      replicas,
      table: sealed.table,
      urgent,
      begunRevision: begun.asOf,
      origin,
      ...(condition !== undefined && { condition }),
    };
  }

  /** Here the disk is waited for; the replicas sync at the same time. */
  async #seal(
    sizeBytes: number,
    sealed: Sealed,
    { record }: RecordDecision<DirtyRecord>,
    bytes: Uint8Array | undefined,
  ): Promise<void> {
    const { cluster, keeping } = this.#parts;
    const { volume, key } = this.target;
    this.#session = cluster.session;
    const note = encodeNote(volume, key, { record, session: this.#session });
    this.#replication.seal({ sizeBytes, table: sealed.table, note, bytes });
    await this.staging.seal(note);
    this.#isSealed = true;
    keeping.sealed(this.id, { writer: cluster.self, note });
    this.#unuse = keeping.use(this.id);
  }

  /** A moment in which the copies of something little are most likely made. */
  async #grace(): Promise<void> {
    const over = new AbortController();
    const late = this.#parts.clock.sleep(copyGraceMs, over.signal).catch(() => undefined);
    await Promise.race([this.#replication.settled, late]).finally(() => over.abort(SETTLED));
  }

  /** Waits for the copies. True where the origin is to be waited for in their place. */
  async #replicated({ signal }: CommitWish): Promise<boolean> {
    const { clock, emit, groupFor } = this.#parts;
    const { policy } = this.#volume;
    const untilMs = clock.boottimeMs() + degradedWaitMs;
    for (;;) {
      await abortable(this.#replication.settled, signal);
      if (this.#replication.hasAll) return false;
      const { onDegraded } = policy;
      const has = 1 + this.#replication.sealed.length;
      if (onDegraded !== 'wait') {
        emit({ kind: 'write.degraded', ...this.target, replicas: has, wanted: policy.replicas, instead: onDegraded });
        return onDegraded === 'origin';
      }
      if (clock.boottimeMs() >= untilMs) {
        const text = `only ${has} of ${policy.replicas} nodes hold "${this.target.key}", and the volume waits for all`;
        throw new ForebayError('degraded', text);
      }
      await clock.sleep(DEGRADED_LOOK_MS, signal);
      this.#replication.again(groupFor(0));
    }
  }

  async #commit(
    begun: Recorded,
    decide: (read: Recorded) => RecordDecision<DirtyRecord>,
    hasLevel: () => Promise<void>,
    { beside, intent }: CommitWish,
  ): Promise<Committed> {
    const { records, cluster, clock, keeping } = this.#parts;
    const { volume, key } = this.target;
    let read = begun;
    for (let tries = 1; ; tries += 1) {
      // copies were promised to the life that asked for them: in another one they may be gone
      while (cluster.session !== this.#session) {
        const { session } = cluster;
        await this.#replication.renew(encodeNote(volume, key, { record: decide(read).record, session }));
        this.#session = session;
        await hasLevel();
      }
      const { record, current } = decide(read);
      const named = this.#replication.sealed.filter(({ node }) => current.replicas.includes(node));
      const right = intent === undefined ? [] : [await intent.fence()];
      const fences = [cluster.fence(), ...named.map(({ fence }) => fence), ...right];
      const others = (await beside?.()) ?? [];
      try {
        const revision = await records.commitAll([{ volume, key, expected: read.revision, record, fences }, ...others]);
        keeping.committed(this.id, key, record, revision);
        return { record: current, revision };
      } catch (error) {
        if (!isForebayError(error, 'recordChanged') || tries >= commitTriesMax) throw error;
      }
      const now = await records.read(volume, key);
      // the record is as it was: it is a session that ended, this node's or a replica's
      if (now.revision === read.revision) {
        await this.#replication.renew();
        await clock.sleep(FENCE_RETRY_MS);
        await hasLevel();
      }
      read = now;
    }
  }

  /** Makes the copies that are lacking; who was answered waits no more. */
  async #finish({ record }: Committed): Promise<void> {
    const { keeping, emit, clock } = this.#parts;
    const fromMs = clock.boottimeMs();
    try {
      await this.#replication.settled;
      const added = this.#replication.sealed.filter(({ node }) => !record.replicas.includes(node));
      let isWanted = true;
      if (added.length > 0)
        isWanted = await keeping.addReplicas(
          { content: this.id, ...this.target },
          added.map(({ node, fence }) => ({ node, fence: [fence] })),
        );
      if (this.#replication.hasAll && isWanted)
        emit({ kind: 'write.replicated', ...this.target, bytes: record.sizeBytes, ms: clock.boottimeMs() - fromMs });
      this.#replication.stop(!isWanted);
    } catch (error) {
      this.#replication.stop(false);
      // `replica-pursuit.ts` goes on with it
      if (!isForebayError(error)) throw error;
    } finally {
      this.#release();
    }
  }

  #release(): void {
    this.#parts.underWay.delete(this.#replication);
    this.#unuse?.();
    this.#unuse = undefined;
  }
}

const UNKNOWN: OriginKnowledge = { has: 'unknown' };
/** How often nodes are looked for that could hold a copy. */
const DEGRADED_LOOK_MS = 500;
/** A lost session is followed by another after about this. */
const FENCE_RETRY_MS = 250;

/** What the origin has counts where no record says more. */
function askBase({ record }: Recorded, ask: () => AskedBase): AskedBase | undefined {
  const current = record?.current;
  const isKnown = current?.kind === 'dirty' || (current?.kind === 'tombstone' && !current.drained);
  return isKnown ? undefined : ask();
}
