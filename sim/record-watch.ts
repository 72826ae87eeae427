/** The records of written objects as the simulated coordinator holds them, seen from outside of all nodes. */
import type { Change, KeyValue } from '../src/io/coordinator.ts';
import type { DirtyRecord, ObjectRecord, Tombstone } from '../src/write/object-record.ts';
import type { SimCoordinator } from './sim-coordinator.ts';

export interface WatchedRecord {
  readonly volume: string;
  readonly key: string;
  readonly record: ObjectRecord;
}

const PREFIX = 'records/';

export interface RecordStep {
  readonly volume: string;
  readonly key: string;
  readonly before: ObjectRecord | undefined;
  readonly now: ObjectRecord | undefined;
}

export class RecordWatch {
  readonly #records = new Map<string, WatchedRecord>();
  onStep: ((step: RecordStep) => void) | undefined;

  constructor(coordinator: SimCoordinator) {
    coordinator.state.onChange = (changes) => {
      for (const change of changes) if (change.key.startsWith(PREFIX)) this.#changed(change);
    };
  }

  all(): WatchedRecord[] {
    return [...this.#records.values()];
  }

  of(volume: string, key: string): ObjectRecord | undefined {
    return this.#records.get(`${PREFIX}${volume}/${key}`)?.record;
  }

  #changed(change: Change): void {
    const before = this.#records.get(change.key)?.record;
    const now = 'deleted' in change ? undefined : parse(change);
    const [volume = '', ...rest] = change.key.slice(PREFIX.length).split('/');
    const key = rest.join('/');
    if (now) this.#records.set(change.key, { volume, key, record: now });
    else this.#records.delete(change.key);
    this.onStep?.({ volume, key, before, now });
  }
}

function parse({ value }: KeyValue): ObjectRecord {
  return JSON.parse(Buffer.from(value).toString('utf8')) as ObjectRecord;
}

/** What the origin does not have yet, of a record: committed and, in checkpoints in the making, intended. */
export function dirtyIn(record: ObjectRecord): DirtyRecord[] {
  const all = [record.current, ...(record.intents ?? []).map(({ to }) => to)];
  return all.filter((each): each is DirtyRecord => each?.kind === 'dirty');
}

/** What is committed and has to reach the origin. */
export function undrained(record: ObjectRecord): DirtyRecord | Tombstone | undefined {
  const { current } = record;
  if (current?.kind === 'dirty') return current;
  return current?.kind === 'tombstone' && !current.drained ? current : undefined;
}
