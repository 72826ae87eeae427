/**
 * Checkpoints: many objects committed as one (DESIGN.md section 8, S-6).
 *
 * An attempt is begun, objects are put beside the records of their keys, and one compare-and-swap of the checkpoint's record
 * makes all of them the versions of their keys, for everybody at once. Bringing them into the records (folding), the
 * marker, and deleting are background work that any node goes on with after a crash (`checkpoint-work.ts`).
 *
 * A begin of the same name takes the attempt before it its rights: its puts and its commit fail with `attemptEnded`.
 */
import { ForebayError, isForebayError } from '../core/errors.ts';
import {
  checkpointNameMaxBytes,
  checkpointObjectsMax,
  checkpointsMax,
  checkpointTriesMax,
  recordsPerWindowMax,
} from '../core/limits.ts';
import type { Compare, Coordinator, CoordinatorOperation, Transaction } from '../io/coordinator.ts';
import type { Clock, Random } from '../io/io.ts';
import { type AttemptName, checkOpen, decideAbort, decideBegin, decideCommit, isOf } from './checkpoint-decisions.ts';
import {
  type CheckpointRecord,
  checkpointKey,
  decodeCheckpoint,
  decodeLatest,
  encodeCheckpoint,
  encodeLatest,
  type FoundCheckpoint,
  type LatestRecord,
  latestKey,
  rewritten,
} from './checkpoint-record.ts';
import type { DirtyRecord, Tombstone } from './object-record.ts';
import type { Records } from './records.ts';

/** The last object of a checkpoint at the origin: where it is, all of the checkpoint is. */
export const MARKER = '.forebay-checkpoint.json';

/** How often a commit looks whether what was there before is in the records. */
const FOLD_LOOK_MS = 250;

export interface CheckpointsOptions {
  readonly coordinator: Coordinator;
  readonly records: Records;
  readonly clock: Clock;
  readonly random: Random;
  /** How many copies an object needs that are there now; throws accessDenied or noSuchBucket for volumes without. */
  readonly copiesOf: (volume: string) => number;
  readonly isLive: (node: string) => boolean;
  /** Keys that readers see below a prefix. */
  readonly keysBelow: (volume: string, prefix: string) => AsyncIterable<string>;
  /** Puts a delete of a key beside its record. */
  readonly putDelete: (volume: string, key: string, name: AttemptName) => Promise<void>;
  /** There is something to be done in the background. */
  readonly onWork?: () => void;
}

export interface CheckpointInfo {
  readonly name: string;
  readonly state: 'open' | 'committed' | 'aborted' | 'removing';
  readonly isLatest: boolean;
  readonly objects?: number;
  readonly bytes?: number;
  readonly committedMs?: number;
  /** Somebody is making it, or making it anew. */
  readonly begunMs?: number;
}

export interface CommittedInfo {
  readonly name: string;
  readonly objects: number;
  readonly bytes: number;
  readonly isLatest: boolean;
}

/** An object that an attempt has put. */
export interface PutObject {
  readonly key: string;
  readonly to: DirtyRecord | Tombstone;
}

export interface NamedCheckpoint extends FoundCheckpoint {
  readonly name: string;
}

/** Every method throws `invalidArgument` for names that are none, and as the coordinator. */
export class Checkpoints {
  readonly #options: CheckpointsOptions;

  constructor(options: CheckpointsOptions) {
    this.#options = options;
  }

  /** Begins an attempt; its token is what `put`, `commit` and `abort` need. */
  async begin(volume: string, name: string): Promise<{ attempt: string }> {
    const { clock, random, copiesOf } = this.#options;
    copiesOf(volume);
    checkName(name);
    const attempt = Buffer.from(random.bytes(12)).toString('hex');
    await this.#swap(volume, name, (found) => decideBegin(found, { name, attempt, nowMs: clock.wallMs() }));
    return { attempt };
  }

  /**
   * What has to hold when an object of an attempt is committed. Throws as `checkOpen`, and `invalidArgument` for a key that is
   * not below the checkpoint's name.
   */
  async fence(volume: string, key: string, name: AttemptName): Promise<Compare> {
    this.#options.copiesOf(volume);
    checkName(name.checkpoint);
    if (!key.startsWith(`${name.checkpoint}/`) || key === `${name.checkpoint}/${MARKER}`)
      throw new ForebayError(
        'invalidArgument',
        `the key ${JSON.stringify(key)} is not one of the checkpoint: its objects are below ${JSON.stringify(`${name.checkpoint}/`)}`,
      );
    const { revision } = checkOpen(await this.#found(volume, name.checkpoint), name);
    return { key: checkpointKey(volume, name.checkpoint), target: 'modifyRevision', equals: revision };
  }

  /**
   * Commits an attempt: all of its objects are there for everybody, or none. `expect`: the keys that it must have, or how many.
   * Throws `checkpointIncomplete`, which names what lacks, and as `checkOpen`. Committing what is committed answers as the
   * first time.
   */
  async commit(
    volume: string,
    name: AttemptName,
    expect: { keys?: readonly string[]; count?: number } = {},
  ): Promise<CommittedInfo> {
    const { clock, onWork } = this.#options;
    const { checkpoint, attempt } = name;
    checkName(checkpoint);
    for (let tries = 1; ; tries += 1) {
      const found = await this.#found(volume, checkpoint);
      const done = found?.record.committed;
      if (done?.attempt === attempt) return this.#committedInfo(volume, checkpoint, done);
      const open = checkOpen(found, name);
      if (open.record.committed?.folded === false) {
        await this.#untilFolded(name, tries);
        continue;
      }
      const put = await this.#put(volume, name);
      this.#checkComplete(volume, put, name, expect);
      if (open.record.committed !== undefined) await this.#replace(volume, put, name);
      const all = open.record.committed === undefined ? put : await this.#put(volume, name);
      const { value: before, revision } = await this.#latest(volume);
      const sums = { objects: countOf(all), bytes: bytesOf(all) };
      const { record, latest } = decideCommit(open, before, { ...name, ...sums, nowMs: clock.wallMs() });
      const key = checkpointKey(volume, checkpoint);
      const apply: CoordinatorOperation[] = [{ put: key, value: encodeCheckpoint(record) }];
      const compares: Compare[] = [{ key, target: 'modifyRevision', equals: open.revision }];
      if (latest !== undefined) apply.push({ put: latestKey(volume), value: encodeLatest(latest) });
      compares.push({ key: latestKey(volume), target: 'modifyRevision', equals: revision });
      if (await this.#apply({ compares, apply }, tries)) {
        onWork?.();
        return { name: checkpoint, ...sums, isLatest: latest !== undefined };
      }
    }
  }

  /** Ends an attempt; what it put is dropped. Throws as `checkOpen`. Aborting what was aborted is no error. */
  async abort(volume: string, name: AttemptName): Promise<void> {
    const { clock, onWork } = this.#options;
    checkName(name.checkpoint);
    const found = await this.#found(volume, name.checkpoint);
    const { ended, open } = found?.record ?? {};
    if (ended?.attempt === name.attempt && ended.how === 'aborted' && open === undefined) return;
    await this.#swap(volume, name.checkpoint, (now) => decideAbort(now, { ...name, nowMs: clock.wallMs() }));
    onWork?.();
  }

  /** The latest committed checkpoint; `undefined`: none is. */
  async latest(volume: string): Promise<CheckpointInfo | undefined> {
    this.#options.copiesOf(volume);
    const { value } = await this.#latest(volume);
    if (value === undefined) return undefined;
    const found = await this.#found(volume, value.name);
    return found && infoOf({ ...found, name: value.name }, value);
  }

  /** All checkpoints of a volume, the one begun last first. */
  async list(volume: string): Promise<readonly CheckpointInfo[]> {
    this.#options.copiesOf(volume);
    const [all, { value }] = await Promise.all([this.all(volume), this.#latest(volume)]);
    return all.map((each) => infoOf(each, value));
  }

  /**
   * Makes an earlier checkpoint the latest. Attempts that were begun before do not take its place any more. Throws
   * `noSuchCheckpoint` for what is not committed.
   */
  async rollback(volume: string, name: string): Promise<CheckpointInfo> {
    this.#options.copiesOf(volume);
    checkName(name);
    for (let tries = 1; ; tries += 1) {
      const found = await this.#found(volume, name);
      const committed = found?.record.committed;
      if (found === undefined || committed === undefined || found.record.removing)
        throw new ForebayError('noSuchCheckpoint', `no checkpoint ${name} is committed`);
      const { value: before, revision, asOf } = await this.#latest(volume);
      if (before === undefined) throw new ForebayError('noSuchCheckpoint', 'no checkpoint is committed');
      const latest = { name, attempt: committed.attempt, floorRevision: asOf };
      const key = latestKey(volume);
      const compares: Compare[] = [
        { key, target: 'modifyRevision', equals: revision },
        { key: checkpointKey(volume, name), target: 'modifyRevision', equals: found.revision },
      ];
      if (await this.#apply({ compares, apply: [{ put: key, value: encodeLatest(latest) }] }, tries))
        return infoOf({ ...found, name }, latest);
    }
  }

  /** Keeps the `count` committed checkpoints that were begun last, and the latest, and begins to delete the others; their names. */
  async keep(volume: string, count: number): Promise<readonly string[]> {
    if (!Number.isSafeInteger(count) || count < 1)
      throw new ForebayError('invalidArgument', 'at least one checkpoint is kept');
    this.#options.copiesOf(volume);
    const [all, { value }] = await Promise.all([this.all(volume), this.#latest(volume)]);
    const committed = all.filter(({ record }) => record.committed !== undefined && record.removing === undefined);
    const removed: string[] = [];
    for (const { name, record } of committed.slice(count)) {
      // One that is made anew is in use.
      if (name === value?.name || record.open !== undefined) continue;
      await this.#remove(volume, name);
      removed.push(name);
    }
    if (removed.length > 0) this.#options.onWork?.();
    return removed;
  }

  async #remove(volume: string, name: string): Promise<void> {
    const key = checkpointKey(volume, name);
    for (let tries = 1; ; tries += 1) {
      const found = await this.#found(volume, name);
      const { value: latest, revision } = await this.#latest(volume);
      if (found === undefined || found.record.open !== undefined || latest?.name === name) return;
      const value = encodeCheckpoint(rewritten(found, { removing: true }));
      const compares: Compare[] = [
        { key, target: 'modifyRevision', equals: found.revision },
        { key: latestKey(volume), target: 'modifyRevision', equals: revision },
      ];
      if (await this.#apply({ compares, apply: [{ put: key, value }] }, tries)) return;
    }
  }

  /** Whether it is known that an attempt ended without a commit: what it put may be let go. */
  async isOver(volume: string, { checkpoint, attempt }: AttemptName): Promise<boolean> {
    const { record } = (await this.#found(volume, checkpoint)) ?? {};
    return record !== undefined && record.open?.attempt !== attempt && record.committed?.attempt !== attempt;
  }

  /** All checkpoints with their records, the one begun last first. */
  async all(volume: string): Promise<readonly NamedCheckpoint[]> {
    const prefix = checkpointKey(volume, '');
    const { entries } = await this.#options.coordinator.range(prefix, { limit: checkpointsMax });
    const found = entries.map(({ key, value, modifyRevision: revision }) => ({
      name: key.slice(prefix.length),
      record: decodeCheckpoint(value),
      revision,
    }));
    return found.sort((a, b) => begunAt(b) - begunAt(a));
  }

  /** Rewrites a checkpoint's record in the background; false where another came first. */
  async rewrite(
    volume: string,
    { name, revision }: NamedCheckpoint,
    record: CheckpointRecord | undefined,
  ): Promise<boolean> {
    const key = checkpointKey(volume, name);
    const apply: CoordinatorOperation[] = [
      record === undefined ? { delete: key } : { put: key, value: encodeCheckpoint(record) },
    ];
    const { succeeded } = await this.#options.coordinator.transaction({
      compares: [{ key, target: 'modifyRevision', equals: revision }],
      apply,
    });
    return succeeded;
  }

  /** The objects that an attempt has put so far. */
  async #put(volume: string, name: AttemptName): Promise<PutObject[]> {
    const put: PutObject[] = [];
    const prefix = `${name.checkpoint}/`;
    let after: string | undefined;
    for (;;) {
      const limit = recordsPerWindowMax;
      const page = await this.#options.records.list(volume, { prefix, limit, ...(after !== undefined && { after }) });
      for (const { key, record } of page) {
        const intent = record.intents?.find((each) => isOf(each, name));
        if (intent !== undefined) put.push({ key, to: intent.to });
      }
      if (put.length > checkpointObjectsMax)
        throw new ForebayError('invalidArgument', `a checkpoint has at most ${checkpointObjectsMax} objects`);
      if (page.length < limit) return put;
      after = page.at(-1)?.key;
    }
  }

  #checkComplete(
    volume: string,
    put: readonly PutObject[],
    { checkpoint }: AttemptName,
    { keys = [], count }: { keys?: readonly string[]; count?: number },
  ): void {
    const there = new Set(put.filter(({ to }) => to.kind === 'dirty').map(({ key }) => key));
    const missing = keys.filter((key) => !there.has(key));
    if (missing.length > 0) {
      const more = missing.length === 1 ? '' : `, and ${missing.length - 1} more`;
      throw new ForebayError('checkpointIncomplete', `${checkpoint} lacks ${JSON.stringify(missing[0])}${more}`);
    }
    if (count !== undefined && there.size !== count)
      throw new ForebayError('checkpointIncomplete', `${checkpoint} has ${there.size} objects, not ${count}`);
    if (there.size === 0) throw new ForebayError('checkpointIncomplete', `nothing was put into ${checkpoint}`);
    const { copiesOf, isLive } = this.#options;
    const copies = copiesOf(volume);
    for (const { key, to } of put) {
      if (to.kind !== 'dirty') continue;
      const live = to.replicas.filter(isLive).length;
      if (live < copies)
        throw new ForebayError('checkpointIncomplete', `${JSON.stringify(key)} has ${live} of ${copies} copies now`);
    }
  }

  /** What the attempt before it committed has to be in the records before another is. */
  async #untilFolded({ checkpoint }: AttemptName, tries: number): Promise<void> {
    const { clock, onWork } = this.#options;
    if (tries >= checkpointTriesMax)
      throw new ForebayError('conflict', `what ${checkpoint} had before is still being brought into the records`);
    onWork?.();
    await clock.sleep(FOLD_LOOK_MS);
  }

  /** Of a checkpoint that is made anew, what was there before and is not any more goes in the same commit. */
  async #replace(volume: string, put: readonly PutObject[], name: AttemptName): Promise<void> {
    const { keysBelow, putDelete } = this.#options;
    const named = new Set(put.map(({ key }) => key));
    for await (const key of keysBelow(volume, `${name.checkpoint}/`))
      if (!named.has(key)) await putDelete(volume, key, name);
  }

  async #committedInfo(
    volume: string,
    name: string,
    { attempt, objects, bytes }: NonNullable<CheckpointRecord['committed']>,
  ): Promise<CommittedInfo> {
    const { value } = await this.#latest(volume);
    return { name, objects, bytes, isLatest: value?.name === name && value.attempt === attempt };
  }

  async #found(volume: string, name: string): Promise<FoundCheckpoint | undefined> {
    const key = checkpointKey(volume, name);
    const { reads } = await this.#options.coordinator.transaction({ compares: [], apply: [{ read: key }] });
    const [entry] = reads;
    return entry && { record: decodeCheckpoint(entry.value), revision: entry.modifyRevision };
  }

  async #latest(volume: string): Promise<{ value: LatestRecord | undefined; revision: number; asOf: number }> {
    const apply = [{ read: latestKey(volume) }];
    const { reads, revision: asOf } = await this.#options.coordinator.transaction({ compares: [], apply });
    const [entry] = reads;
    return { value: entry && decodeLatest(entry.value), revision: entry?.modifyRevision ?? 0, asOf };
  }

  async #swap(
    volume: string,
    name: string,
    decide: (found: FoundCheckpoint | undefined) => CheckpointRecord,
  ): Promise<void> {
    const key = checkpointKey(volume, name);
    for (let tries = 1; ; tries += 1) {
      const found = await this.#found(volume, name);
      const value = encodeCheckpoint(decide(found));
      const compares: Compare[] = [{ key, target: 'modifyRevision', equals: found?.revision ?? 0 }];
      if (await this.#apply({ compares, apply: [{ put: key, value }] }, tries)) return;
    }
  }

  /** Whether it was applied; false where another came first, or nobody knows: what is there is to be read again. */
  async #apply(transaction: Transaction, tries: number): Promise<boolean> {
    try {
      if ((await this.#options.coordinator.transaction(transaction)).succeeded) return true;
    } catch (error) {
      if (!isForebayError(error, 'coordinatorUncertain') || tries >= checkpointTriesMax) throw error;
    }
    if (tries < checkpointTriesMax) return false;
    throw new ForebayError('recordChanged', 'others change the checkpoint at the same time');
  }
}

function begunAt({ record, revision }: FoundCheckpoint): number {
  if (record.open !== undefined || record.committed === undefined) return revision;
  return record.committed.begunRevision;
}

function infoOf({ name, record }: NamedCheckpoint, latest: LatestRecord | undefined): CheckpointInfo {
  const { committed, open, removing } = record;
  const state = removing ? 'removing' : committed ? 'committed' : open ? 'open' : 'aborted';
  const isLatest = committed !== undefined && latest?.name === name;
  return {
    name,
    state,
    isLatest,
    ...(committed && { objects: committed.objects, bytes: committed.bytes, committedMs: committed.committedMs }),
    ...(open && { begunMs: open.begunMs }),
  };
}

function countOf(put: readonly PutObject[]): number {
  return put.filter(({ to }) => to.kind === 'dirty').length;
}

function bytesOf(put: readonly PutObject[]): number {
  return put.reduce((sum, { to }) => sum + (to.kind === 'dirty' ? to.sizeBytes : 0), 0);
}

/** A name is a prefix of keys: well-formed, without empty segments. */
function checkName(name: string): void {
  const isName =
    name !== '' &&
    name.isWellFormed() &&
    Buffer.byteLength(name) <= checkpointNameMaxBytes &&
    !name.includes('\0') &&
    name.split('/').every((segment) => segment !== '' && segment !== '.' && segment !== '..');
  if (!isName)
    throw new ForebayError(
      'invalidArgument',
      `${JSON.stringify(name)} cannot name a checkpoint: at most ${checkpointNameMaxBytes} bytes, no "." , ".." or empty part`,
    );
}
