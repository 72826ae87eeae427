/**
 * Records in the coordinator, under `records/<volume>/<key>`.
 *
 * Reads that arrive while as many transactions of reads are under way as may be share the next one; none joins one that was
 * sent before it came, so each is linearizable. Commits are single transactions, grouped by the coordinator's adapter. One
 * whose outcome is not known is sent again: its compare lets it take effect once, and what is then found there tells
 * whether it did.
 *
 * Bounds:  `recordReadsMax` keys a transaction, `recordReadLanesMax` transactions, `recordReadsWaitingMax` reads that wait.
 */
import { abortable } from '../core/abortable.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { commitAgainMax, recordsPerCommitMax } from '../core/limits.ts';
import type { Compare, Coordinator, CoordinatorOperation, KeyValue } from '../io/coordinator.ts';
import type { Clock } from '../io/io.ts';
import { foldIntents } from './checkpoint-decisions.ts';
import { checkpointKey, type FoundCheckpoint } from './checkpoint-record.ts';
import type { ObjectRecord } from './object-record.ts';
import { ReadBatches } from './read-batches.ts';
import { foundCheckpoint, watchRecords } from './record-watch.ts';
import { decodeRecord, encodeRecord } from './record-wire.ts';
import type { KeyedRecord, RecordChange, RecordCommit, Recorded, Records } from './records.ts';

export interface RecordsOptions {
  readonly coordinator: Coordinator;
  readonly clock: Clock;
  /** Told of a value that is no record: it is left out of lists and watches, and its key cannot be read. */
  readonly onUnreadable?: (key: string, error: ForebayError) => void;
}

export function createRecords(options: RecordsOptions): Records {
  return new CoordinatorRecords(options);
}

/** The coordinator's key of a record. */
export function recordKey(volume: string, key: string): string {
  return `records/${volume}/${key}`;
}

class CoordinatorRecords implements Records {
  readonly #coordinator: Coordinator;
  readonly #reads: ReadBatches;
  readonly #onUnreadable: NonNullable<RecordsOptions['onUnreadable']>;

  constructor({ coordinator, onUnreadable = () => undefined }: RecordsOptions) {
    this.#coordinator = coordinator;
    this.#reads = new ReadBatches(coordinator);
    this.#onUnreadable = onUnreadable;
  }

  async read(volume: string, key: string, signal?: AbortSignal): Promise<Recorded & { readonly asOf: number }> {
    for (let again = false; ; again = true) {
      const { found, asOf } = await abortable(this.#reads.read(recordKey(volume, key)), signal);
      const record = found && decodeRecord(found.value);
      const revision = found?.modifyRevision ?? 0;
      const names = namesOf(record);
      if (record === undefined || names.length === 0) return { record, revision, asOf };
      const checkpoints = await abortable(this.#checkpoints(volume, names), signal);
      // One may have been folded and removed since the record was read.
      if (checkpoints.size < names.length && !again) continue;
      return { record: foldIntents({ record, revision }, (name) => checkpoints.get(name)), revision, asOf };
    }
  }

  /** Those of the checkpoints that there are, now. */
  async #checkpoints(volume: string, names: readonly string[]): Promise<ReadonlyMap<string, FoundCheckpoint>> {
    const found = await Promise.all(names.map((name) => this.#reads.read(checkpointKey(volume, name))));
    const checkpoints = new Map<string, FoundCheckpoint>();
    for (const [index, { found: entry }] of found.entries()) {
      const name = names[index];
      if (entry !== undefined && name !== undefined) checkpoints.set(name, foundCheckpoint(entry));
    }
    return checkpoints;
  }

  async list(
    volume: string,
    { prefix, after, limit, signal }: { prefix: string; after?: string; limit: number; signal?: AbortSignal },
  ): Promise<readonly KeyedRecord[]> {
    const { entries } = await this.#coordinator.range(recordKey(volume, prefix), {
      limit,
      ...(after !== undefined && { after: recordKey(volume, after) }),
      ...(signal && { signal }),
    });
    const listed = this.#keyed(volume, entries, { withUnreadable: true });
    const names = Array.from(new Set(listed.flatMap(({ record }) => namesOf(record))));
    if (names.length === 0) return listed;
    const checkpoints = await abortable(this.#checkpoints(volume, names), signal);
    const isGone = ({ record }: KeyedRecord) => namesOf(record).some((name) => !checkpoints.has(name));
    const fold = (entry: KeyedRecord): KeyedRecord => ({
      ...entry,
      record: foldIntents(entry, (name) => checkpoints.get(name)),
    });
    return Promise.all(
      listed.map(async (entry) => {
        if (!isGone(entry)) return fold(entry);
        const { record, revision } = await this.read(volume, entry.key, signal);
        return { key: entry.key, record: record ?? {}, revision };
      }),
    );
  }

  async commit(change: RecordCommit): Promise<number> {
    return this.commitAll([change]);
  }

  async commitAll(changes: readonly RecordCommit[]): Promise<number> {
    if (changes.length === 0 || changes.length > recordsPerCommitMax)
      throw new ForebayError(
        'invalidArgument',
        `${changes.length} records in one commit: at most ${recordsPerCommitMax}`,
      );
    const replacing = changes.map(asReplacing);
    const compares = [...replacing.map(({ compare }) => compare), ...fencesOf(changes)];
    const apply = replacing.map(({ operation }) => operation);
    const otherwise = replacing.map(({ name }) => ({ read: name }));
    for (let tries = 0; ; tries += 1) {
      try {
        const { succeeded, revision, reads } = await this.#coordinator.transaction({ compares, apply, otherwise });
        if (succeeded) return revision;
        return outcome(replacing, reads, { mayBeOurs: tries > 0 });
      } catch (error) {
        if (!isForebayError(error, 'coordinatorUncertain') || tries >= commitAgainMax) throw error;
      }
    }
  }

  watch(volume: string, signal: AbortSignal): AsyncIterable<RecordChange> {
    const keyed = (entries: readonly KeyValue[]) => this.#keyed(volume, entries);
    return watchRecords({ coordinator: this.#coordinator, volume, signal, keyed });
  }

  #keyed(volume: string, entries: readonly KeyValue[], { withUnreadable = false } = {}): KeyedRecord[] {
    const records: KeyedRecord[] = [];
    for (const { key: name, value, modifyRevision: revision } of entries) {
      const key = keyOfRecord(volume, name);
      try {
        records.push({ key, record: decodeRecord(value), revision });
      } catch (error) {
        if (!isForebayError(error, 'recordUnreadable')) throw error;
        this.#onUnreadable(`${volume}/${key}`, error);
        if (withUnreadable) records.push({ key, record: {}, revision });
      }
    }
    return records;
  }
}

/** The checkpoints that a record's intents are of. */
function namesOf(record: ObjectRecord | undefined): readonly string[] {
  return record?.intents === undefined ? [] : Array.from(new Set(record.intents.map(({ checkpoint }) => checkpoint)));
}

function keyOfRecord(volume: string, name: string): string {
  return name.slice(recordKey(volume, '').length);
}

interface Replacing {
  readonly name: string;
  readonly shown: string;
  readonly compare: Compare;
  readonly operation: CoordinatorOperation;
  readonly expected: number;
  readonly value: Uint8Array | undefined;
}

function asReplacing({ volume, key, expected, record }: RecordCommit): Replacing {
  const name = recordKey(volume, key);
  const value = record && encodeRecord(record);
  return {
    name,
    shown: `${volume}/${key}`,
    compare: { key: name, target: 'modifyRevision', equals: expected },
    operation: value === undefined ? { delete: name } : { put: name, value },
    expected,
    value,
  };
}

/** Each once: the coordinator bounds their number. */
function fencesOf(changes: readonly RecordCommit[]): Compare[] {
  const fences = new Map<string, Compare>();
  for (const { fences: each = [] } of changes)
    for (const fence of each) fences.set(JSON.stringify([fence.key, fence.target, String(fence.equals)]), fence);
  return Array.from(fences.values());
}

/** Of a commit whose compares did not hold. `mayBeOurs`: it was sent before, and nobody knows what became of that. */
function outcome(
  replacing: readonly Replacing[],
  reads: readonly KeyValue[],
  { mayBeOurs }: { mayBeOurs: boolean },
): number {
  const found = new Map(reads.map((entry) => [entry.key, entry]));
  const changed = replacing.filter(({ name, expected }) => (found.get(name)?.modifyRevision ?? 0) !== expected);
  if (changed.length === 0)
    throw new ForebayError('recordChanged', `a right that the commit of ${replacing[0]?.shown} relies on has ended`);
  if (mayBeOurs) {
    const isOurs = replacing.every(({ name, value }) => isSame(found.get(name)?.value, value));
    if (isOurs) return Math.max(...reads.map(({ modifyRevision }) => modifyRevision), 0);
    throw new ForebayError(
      'coordinatorUncertain',
      `whether the commit of ${changed[0]?.shown} took effect before another is not known`,
    );
  }
  throw new ForebayError('recordChanged', `${changed[0]?.shown} was written by another`);
}

function isSame(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  return a === undefined || b === undefined ? a === b : Buffer.compare(a, b) === 0;
}
