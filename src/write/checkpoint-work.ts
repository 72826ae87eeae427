/**
 * What is left to do of checkpoints after the answer: committed intents are folded into their records, void ones dropped, the
 * marker put, removed checkpoints deleted. Each step is decided from what the coordinator says and compares it, so any node
 * may take it, twice or after a crash; normally the owner of the checkpoint's directory does, and who committed it.
 *
 * Errors of one checkpoint are said and tried again with the next sweep; they hold up no other.
 */
import { isForebayError } from '../core/errors.ts';
import {
  checkpointEndedMs,
  checkpointSweepMs,
  checkpointsMax,
  deletesInFlightMax,
  recordsPerCommitMax,
  recordsPerWindowMax,
} from '../core/limits.ts';
import type { Coordinator } from '../io/coordinator.ts';
import { type Clock, DiskError } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import { foldIntents, keptCurrent } from './checkpoint-decisions.ts';
import { type FoundCheckpoint, rewritten } from './checkpoint-record.ts';
import { type Checkpoints, MARKER, type NamedCheckpoint } from './checkpoints.ts';
import { recordKey } from './coordinator-records.ts';
import { decodeRecord } from './record-wire.ts';
import type { RecordCommit, Records } from './records.ts';
import type { Writer } from './writer.ts';

export interface CheckpointWorkOptions {
  readonly coordinator: Coordinator;
  readonly records: Records;
  readonly checkpoints: Checkpoints;
  readonly writer: Pick<Writer, 'put' | 'delete'>;
  readonly volumes: readonly string[];
  /** Whether this node looks after a checkpoint that nobody asked it about. */
  readonly isMine: (volume: string, name: string) => boolean;
  readonly keysBelow: (volume: string, prefix: string) => AsyncIterable<string>;
  /** Whether the origin sees a volume's objects in the order of S-7. */
  readonly isOrdered: (volume: string) => boolean;
  readonly clock: Clock;
  readonly emit: Emit;
}

export class CheckpointWork {
  readonly #options: CheckpointWorkOptions;
  readonly #stop = new AbortController();
  /** Markers on their way to the origin. */
  readonly #marking = new Map<string, Promise<void>>();
  /** Attempts that were taken over and whose intents are gone. */
  readonly #cleaned = new Set<string>();
  /** Since when, by this machine's own clock, attempts are known to have ended. */
  readonly #ended = new Map<string, number>();
  #wake = new AbortController();
  #isWoken = false;

  constructor(options: CheckpointWorkOptions) {
    this.#options = options;
  }

  /** Something was committed, aborted or removed by this node: it looks at all now. */
  wake(): void {
    this.#isWoken = true;
    this.#wake.abort();
  }

  async run(): Promise<void> {
    const { clock } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const isWoken = this.#isWoken;
      this.#isWoken = false;
      this.#wake = new AbortController();
      await this.sweep({ all: isWoken });
      if (this.#isWoken) continue;
      await clock.sleep(checkpointSweepMs, AbortSignal.any([signal, this.#wake.signal])).catch(() => undefined);
    }
  }

  close(): void {
    this.#stop.abort(new Error('the node is stopping'));
  }

  /** Takes every step that can be taken; `all`: also for checkpoints that others look after. */
  async sweep({ all = false } = {}): Promise<void> {
    const { volumes, checkpoints, isMine } = this.#options;
    for (const volume of volumes) {
      try {
        for (const found of await checkpoints.all(volume))
          if (all || isMine(volume, found.name)) await this.#advance(volume, found);
      } catch (error) {
        this.#failed(volume, error);
      }
    }
  }

  async #advance(volume: string, found: NamedCheckpoint): Promise<void> {
    const { clock, checkpoints } = this.#options;
    const { record, name } = found;
    try {
      if (record.removing) await this.#remove(volume, found);
      else if (record.committed?.folded === false) {
        await this.#fold(volume, found);
        const committed = { ...record.committed, folded: true };
        await checkpoints.rewrite(volume, found, rewritten(withCommitted(found, committed), {}));
        this.wake();
      } else if (record.committed?.marked === false) this.#mark(volume, found);
      else if (record.ended !== undefined && record.open === undefined) {
        await this.#fold(volume, found);
        if (clock.boottimeMs() - this.#endedSince(record.ended.attempt) < checkpointEndedMs) return;
        const { ended: _ended, ...rest } = rewritten(found, {});
        await checkpoints.rewrite(volume, found, rest.committed === undefined ? undefined : rest);
      } else if (record.ended !== undefined && !this.#cleaned.has(record.ended.attempt)) {
        await this.#fold(volume, found);
        if (this.#cleaned.size >= checkpointsMax) this.#cleaned.clear();
        this.#cleaned.add(record.ended.attempt);
      }
    } catch (error) {
      this.#failed(`${volume}/${name}`, error);
    }
  }

  /**
   * When this node heard that an attempt had ended: clocks of machines differ, and what is forgotten too early leaves what
   * the attempt put on its holders for a day.
   */
  #endedSince(attempt: string): number {
    const known = this.#ended.get(attempt);
    if (known !== undefined) return known;
    if (this.#ended.size >= checkpointsMax) this.#ended.clear();
    const nowMs = this.#options.clock.boottimeMs();
    this.#ended.set(attempt, nowMs);
    return nowMs;
  }

  /** Brings the checkpoint's intents to what they are: the versions of their keys, or nothing. */
  async #fold(volume: string, { name, ...found }: NamedCheckpoint): Promise<void> {
    const { coordinator } = this.#options;
    const prefix = recordKey(volume, `${name}/`);
    let after: string | undefined;
    for (;;) {
      this.#stop.signal.throwIfAborted();
      const limit = recordsPerWindowMax;
      const { entries } = await coordinator.range(prefix, { limit, ...(after !== undefined && { after }) });
      const changes: RecordCommit[] = [];
      for (const { key, value, modifyRevision: revision } of entries) {
        const change = foldedChange(
          { volume, key: key.slice(recordKey(volume, '').length), value, revision },
          { name, found },
        );
        if (change !== undefined) changes.push(change);
      }
      for (let first = 0; first < changes.length; first += recordsPerCommitMax)
        await this.#commit(changes.slice(first, first + recordsPerCommitMax));
      if (entries.length < limit) return;
      after = entries.at(-1)?.key;
    }
  }

  /** All at once; where another came first somewhere, one by one: what has changed was folded by whoever changed it. */
  async #commit(changes: readonly RecordCommit[]): Promise<void> {
    const { records } = this.#options;
    try {
      await records.commitAll(changes);
    } catch (error) {
      if (!isForebayError(error, 'recordChanged', 'coordinatorUncertain')) throw error;
      for (const change of changes)
        await records.commit(change).catch((failure: unknown) => {
          if (!isForebayError(failure, 'recordChanged')) throw failure;
        });
    }
  }

  /** Puts the marker, after everything else is committed: the drain's order has it last. */
  #mark(volume: string, found: NamedCheckpoint): void {
    const place = `${volume}/${found.name}`;
    if (this.#marking.has(place)) return;
    const done = this.#putMarker(volume, found)
      .catch((error: unknown) => this.#failed(place, error))
      .finally(() => this.#marking.delete(place));
    this.#marking.set(place, done);
  }

  async #putMarker(volume: string, found: NamedCheckpoint): Promise<void> {
    const { writer, isOrdered, checkpoints } = this.#options;
    const { committed } = found.record;
    if (committed === undefined) return;
    const { objects, isPending } = await this.#objects(volume, found.name);
    // Without the drain's order the marker itself waits for what it speaks of.
    if (isPending && !isOrdered(volume)) return;
    const { attempt, committedMs } = committed;
    const text = JSON.stringify({ checkpoint: found.name, attempt, committedMs, objects });
    const bytes = Buffer.from(`${text}\n`);
    const body = {
      lengthBytes: bytes.length,
      async *stream() {
        yield bytes;
      },
    };
    const headers = { 'content-type': 'application/json' };
    const { signal } = this.#stop;
    await writer.put({ volume, key: `${found.name}/${MARKER}` }, body, {
      headers,
      metadata: {},
      ack: 'origin',
      signal,
    });
    await checkpoints.rewrite(volume, found, rewritten(withCommitted(found, { ...committed, marked: true }), {}));
  }

  async #objects(volume: string, name: string) {
    const objects: { key: string; sizeBytes: number; content: string }[] = [];
    let isPending = false;
    let after: string | undefined;
    for (;;) {
      const limit = recordsPerWindowMax;
      const prefix = `${name}/`;
      const page = await this.#options.records.list(volume, { prefix, limit, ...(after !== undefined && { after }) });
      for (const { key, record } of page) {
        const { current } = record;
        if (current?.kind === 'dirty' || (current?.kind === 'tombstone' && !current.drained)) isPending = true;
        if (key === `${name}/${MARKER}` || (current?.kind !== 'dirty' && current?.kind !== 'stub')) continue;
        objects.push({ key, sizeBytes: current.sizeBytes, content: current.content });
      }
      if (page.length < limit) return { objects, isPending };
      after = page.at(-1)?.key;
    }
  }

  /** Deletes what is below a checkpoint, the marker first, then forgets it. */
  async #remove(volume: string, found: NamedCheckpoint): Promise<void> {
    const { writer, keysBelow, checkpoints } = this.#options;
    await this.#fold(volume, found);
    await writer.delete({ volume, key: `${found.name}/${MARKER}` });
    let batch: Promise<void>[] = [];
    for await (const key of keysBelow(volume, `${found.name}/`)) {
      this.#stop.signal.throwIfAborted();
      batch.push(writer.delete({ volume, key }));
      if (batch.length < deletesInFlightMax) continue;
      await Promise.all(batch);
      batch = [];
    }
    await Promise.all(batch);
    await checkpoints.rewrite(volume, found, undefined);
  }

  #failed(what: string, error: unknown): void {
    if (this.#stop.signal.aborted) return;
    if (!isForebayError(error) && !(error instanceof DiskError)) throw error;
    const message = `work on the checkpoint ${what} goes on later: ${error.message}`;
    if (!isForebayError(error, 'coordinatorUnavailable')) this.#options.emit({ kind: 'node.warning', message });
  }
}

function withCommitted(found: NamedCheckpoint, committed: NonNullable<FoundCheckpoint['record']['committed']>) {
  return { ...found, record: { ...found.record, committed } };
}

/** What is to be committed over a record for a checkpoint's intents in it. */
function foldedChange(
  { volume, key, value, revision }: { volume: string; key: string; value: Uint8Array; revision: number },
  { name, found }: { name: string; found: FoundCheckpoint },
): RecordCommit | undefined {
  let record: ReturnType<typeof decodeRecord>;
  try {
    record = decodeRecord(value);
  } catch (error) {
    // It was told of where it was read; nothing can be folded into it.
    if (!isForebayError(error, 'recordUnreadable')) throw error;
    return undefined;
  }
  if (record.intents === undefined) return undefined;
  const folded = foldIntents({ record, revision }, (of) => (of === name ? found : undefined));
  if (folded.intents?.length === record.intents.length) return undefined;
  const isEmpty = folded.current === undefined && folded.intents === undefined;
  const kept = folded.current === record.current ? keptCurrent({ record, revision }) : {};
  return { volume, key, expected: revision, record: isEmpty ? undefined : { ...folded, ...kept } };
}
