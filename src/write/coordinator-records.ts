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
import type { Change, Compare, Coordinator, CoordinatorOperation, KeyValue } from '../io/coordinator.ts';
import type { Clock } from '../io/io.ts';
import { ReadBatches } from './read-batches.ts';
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
    const { found, asOf } = await abortable(this.#reads.read(recordKey(volume, key)), signal);
    return { record: found && decodeRecord(found.value), revision: found?.modifyRevision ?? 0, asOf };
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
    return this.#keyed(volume, entries);
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

  async *watch(volume: string, signal: AbortSignal): AsyncGenerator<RecordChange> {
    const prefix = recordKey(volume, '');
    const { revision, entries } = await this.#coordinator.range(prefix, { signal });
    yield { kind: 'all', revision, records: this.#keyed(volume, entries) };
    for await (const event of this.#coordinator.watch(prefix, { afterRevision: revision, signal })) {
      if (event.kind === 'snapshot') {
        const present = event.changes.filter((change): change is KeyValue => !('deleted' in change));
        yield { kind: 'all', revision: event.revision, records: this.#keyed(volume, present) };
        continue;
      }
      for (const change of event.changes) {
        const told = this.#change(volume, change, event.revision);
        if (told !== undefined) yield told;
      }
    }
  }

  #change(volume: string, change: Change, revision: number): RecordChange | undefined {
    if ('deleted' in change)
      return { kind: 'change', key: keyOfRecord(volume, change.key), record: undefined, revision };
    const [found] = this.#keyed(volume, [change]);
    return found && { kind: 'change', ...found };
  }

  #keyed(volume: string, entries: readonly KeyValue[]): KeyedRecord[] {
    const records: KeyedRecord[] = [];
    for (const { key: name, value, modifyRevision: revision } of entries) {
      const key = keyOfRecord(volume, name);
      try {
        records.push({ key, record: decodeRecord(value), revision });
      } catch (error) {
        if (!isForebayError(error, 'recordUnreadable')) throw error;
        this.#onUnreadable(`${volume}/${key}`, error);
      }
    }
    return records;
  }
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
