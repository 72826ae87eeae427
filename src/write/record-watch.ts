/**
 * The records of a volume as they change, with the checkpoints that decide about their intents: a commit of a checkpoint is told
 * as a change of each record that has an intent of it.
 *
 * Two watches run beside each other. Records that are told before the commit of their checkpoint is heard of are told again
 * then, so what was told last of each key is right once both are up to date.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Change, Coordinator, KeyValue, WatchEvent } from '../io/coordinator.ts';
import { foldIntents } from './checkpoint-decisions.ts';
import { checkpointKey, decodeCheckpoint, type FoundCheckpoint } from './checkpoint-record.ts';
import type { ObjectRecord } from './object-record.ts';
import type { KeyedRecord, RecordChange } from './records.ts';
import { committedRevision, pendingOf } from './version-order.ts';

export function foundCheckpoint({ value, modifyRevision }: KeyValue): FoundCheckpoint {
  return { record: decodeCheckpoint(value), revision: modifyRevision };
}

interface Watched {
  readonly coordinator: Coordinator;
  readonly volume: string;
  readonly signal: AbortSignal;
  /** The entries that can be read. */
  readonly keyed: (entries: readonly KeyValue[]) => readonly KeyedRecord[];
}

/** Rejects as `Coordinator.watch`; ends when the signal aborts. */
export async function* watchRecords({ coordinator, volume, signal, keyed }: Watched): AsyncGenerator<RecordChange> {
  const recordPrefix = `records/${volume}/`;
  const checkpointPrefix = checkpointKey(volume, '');
  const over = new AbortController();
  const either = AbortSignal.any([signal, over.signal]);
  const checkpoints = await coordinator.range(checkpointPrefix, { signal });
  const records = await coordinator.range(recordPrefix, { signal });
  const view = new View((key) => key.slice(recordPrefix.length), keyed);
  view.checkpointsAre(entriesOf(checkpoints.entries, checkpointPrefix));
  try {
    yield view.recordsAre(keyed(records.entries), records.revision);
    const events = merged([
      tagged('record', coordinator.watch(recordPrefix, { afterRevision: records.revision, signal: either })),
      tagged(
        'checkpoint',
        coordinator.watch(checkpointPrefix, { afterRevision: checkpoints.revision, signal: either }),
      ),
    ]);
    for await (const { from, event } of events) {
      if (from === 'record') yield* view.recordsChanged(event);
      else yield* view.checkpointsChanged(event, checkpointPrefix);
    }
  } finally {
    over.abort();
  }
}

type Checkpoint = readonly [name: string, found: FoundCheckpoint];

function entriesOf(entries: readonly KeyValue[], prefix: string): Checkpoint[] {
  return entries.map((entry) => [entry.key.slice(prefix.length), foundCheckpoint(entry)]);
}

class View {
  readonly #keyOf: (name: string) => string;
  readonly #keyed: (entries: readonly KeyValue[]) => readonly KeyedRecord[];
  #checkpoints = new Map<string, FoundCheckpoint>();
  /** Records with intents, as they are in the coordinator and as they were told last. */
  readonly #intended = new Map<string, { readonly entry: KeyedRecord; readonly told: ObjectRecord }>();

  constructor(keyOf: (name: string) => string, keyed: (entries: readonly KeyValue[]) => readonly KeyedRecord[]) {
    this.#keyOf = keyOf;
    this.#keyed = keyed;
  }

  checkpointsAre(checkpoints: Iterable<Checkpoint>): void {
    this.#checkpoints = new Map(checkpoints);
  }

  recordsAre(entries: readonly KeyedRecord[], revision: number): RecordChange {
    this.#intended.clear();
    return { kind: 'all', revision, records: entries.map((entry) => ({ ...entry, record: this.#folded(entry) })) };
  }

  *recordsChanged(event: WatchEvent): Generator<RecordChange> {
    const present = event.changes.filter(isPresent);
    if (event.kind === 'snapshot') {
      yield this.recordsAre(this.#keyed(present), event.revision);
      return;
    }
    for (const change of event.changes) {
      if (!isPresent(change)) {
        const key = this.#keyOf(change.key);
        this.#intended.delete(key);
        yield { kind: 'change', key, record: undefined, revision: event.revision };
        continue;
      }
      for (const entry of this.#keyed([change])) yield { kind: 'change', ...entry, record: this.#folded(entry) };
    }
  }

  *checkpointsChanged(event: WatchEvent, prefix: string): Generator<RecordChange> {
    const present = entriesOf(event.changes.filter(isPresent), prefix);
    if (event.kind === 'snapshot') this.checkpointsAre(present);
    else {
      for (const change of event.changes)
        if (!isPresent(change)) this.#checkpoints.delete(change.key.slice(prefix.length));
      for (const [name, found] of present) this.#checkpoints.set(name, found);
    }
    const changed: KeyedRecord[] = [];
    for (const { entry, told } of Array.from(this.#intended.values())) {
      const record = this.#folded(entry);
      if (!isDeepStrictEqual(record, told)) changed.push({ ...entry, record });
    }
    // Whoever acts on one of them has heard of all that goes to the origin before it (S-7).
    for (const each of changed.sort((a, b) => placeOf(a) - placeOf(b))) yield { kind: 'change', ...each };
  }

  #folded(entry: KeyedRecord): ObjectRecord {
    if (entry.record.intents === undefined) {
      this.#intended.delete(entry.key);
      return entry.record;
    }
    const told = foldIntents(entry, (name) => this.#checkpoints.get(name));
    this.#intended.set(entry.key, { entry, told });
    return told;
  }
}

function placeOf({ record, revision }: KeyedRecord): number {
  const pending = pendingOf(record);
  return pending === undefined ? 0 : committedRevision(pending, revision);
}

function isPresent(change: Change): change is KeyValue {
  return !('deleted' in change);
}

type Tagged = { readonly from: 'record' | 'checkpoint'; readonly event: WatchEvent };

async function* tagged(from: Tagged['from'], events: AsyncIterable<WatchEvent>): AsyncGenerator<Tagged> {
  for await (const event of events) yield { from, event };
}

/** What several iterations yield, as it comes; ends when one of them does. One that is silent for long costs nothing meanwhile. */
async function* merged<T>(iterations: readonly AsyncGenerator<T>[]): AsyncGenerator<T> {
  const ready: { readonly iteration: AsyncGenerator<T>; readonly result: IteratorResult<T> }[] = [];
  let failure: { readonly error: unknown } | undefined;
  let wake = (): void => undefined;
  const ask = async (iteration: AsyncGenerator<T>): Promise<void> => {
    try {
      ready.push({ iteration, result: await iteration.next() });
    } catch (error) {
      failure = { error };
    }
    wake();
  };
  for (const iteration of iterations) void ask(iteration);
  for (;;) {
    const next = ready.shift();
    if (next === undefined) {
      if (failure !== undefined) throw failure.error;
      await new Promise<void>((resolve) => (wake = resolve));
      continue;
    }
    if (next.result.done === true) return;
    void ask(next.iteration);
    yield next.result.value;
  }
}
