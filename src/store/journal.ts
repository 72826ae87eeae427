/**
 * The journal: an append-only log that rebuilds the index, in numbered segments, with snapshots.
 *
 * `append` keeps the order of calls and returns at once; records that gather while a write is under way share the next
 * one. A record survives a killed daemon once `writtenThrough` its number resolved, a power cut only after `sync`.
 * `<n>.snap` holds the state at some moment after segment `<n>.log` was begun: replaying it and all segments from n on
 * gives the state, because records are absolute. Older files go once the snapshot is synced and named.
 *
 * Bounds:  `pendingMaxBytes` wait for the disk; beyond it, records whose loss costs only a refill are dropped.
 * Crash:   a torn last record is cut off at replay; a segment is never appended to by another life.
 */
import { MiB } from '../core/limits.ts';
import type { Clock, Disk, File } from '../io/io.ts';
import { DiskError } from '../io/io.ts';
import { type JournalRecord, RecordBuffer } from './journal-record.ts';
import { SharedSync } from './shared-sync.ts';

export const JOURNAL_MAGIC = Buffer.from('FBJRNL01', 'latin1');

const pendingMaxBytes = 8 * MiB;
/** Above this, writers of blocks are asked to wait (`room`). */
const pendingWaitBytes = MiB;
const snapshotSliceBytes = MiB;
const retryMs = 250;

/** Records that a restart can do without: at worst the bytes are filled, or the origin asked, again. */
const EXPENDABLE: ReadonlySet<JournalRecord['type']> = new Set(['blocks', 'small', 'fact', 'value']);

export interface JournalOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  /** The journal's directory, which exists. */
  readonly directory: string;
  /** Number of the first segment of this life. */
  readonly segment: number;
  /** Called when a write failed for want of space, before it is tried again. */
  readonly onFull: () => Promise<void>;
}

export class Journal {
  readonly #options: JournalOptions;
  #segment: number;
  #file: File | undefined;
  #offset = 0;
  #pending = new RecordBuffer();
  #appended = 0;
  #written = 0;
  #waiters: { readonly through: number; readonly resolve: () => void; readonly reject: (error: Error) => void }[] = [];
  #running: Promise<void> | undefined;
  #rotating = false;
  #closing = false;
  /** The last write failed and is being repeated. */
  #failing = false;
  #logBytes = 0;
  #snapshotBytes = 0;
  #snapshotting: Promise<void> | undefined;
  /** The present segment's name survives a power cut. */
  #isNamed = false;
  readonly #sync = new SharedSync(() => this.#syncNow());

  constructor(options: JournalOptions) {
    this.#options = options;
    this.#segment = options.segment;
  }

  /** Number of the last record appended. */
  get appended(): number {
    return this.#appended;
  }

  /** Bytes of log since the last snapshot. */
  get logBytes(): number {
    return this.#logBytes;
  }

  get snapshotBytes(): number {
    return this.#snapshotBytes;
  }

  /** Adds a record; returns its number for `writtenThrough`. `kept`: also one of a type that could be done without. */
  append(record: JournalRecord, kept = false): number {
    if (this.#pending.length > pendingMaxBytes && !kept && EXPENDABLE.has(record.type)) return this.#appended;
    this.#pending.append(record);
    this.#appended += 1;
    this.#start();
    return this.#appended;
  }

  /** Waits while more is pending than the disk keeps up with; at once while the disk fails, for then nobody should wait for it. */
  async room(): Promise<void> {
    if (this.#pending.length > pendingWaitBytes && !this.#failing)
      await this.writtenThrough(this.#appended).catch(() => undefined);
  }

  /** Resolves when all records up to `number` survive a killed daemon. Rejects only when the journal closes before. */
  writtenThrough(number: number): Promise<void> {
    if (number <= this.#written) return Promise.resolve();
    return new Promise((resolve, reject) => this.#waiters.push({ through: number, resolve, reject }));
  }

  /** Resolves when everything appended so far survives a power cut. */
  async sync(): Promise<void> {
    await this.syncedThrough(this.#appended);
  }

  /** Resolves when all records up to `number` survive a power cut; those who wait share a sync. Rejects with DiskError. */
  async syncedThrough(number: number): Promise<void> {
    await this.writtenThrough(number);
    await this.#sync.run();
  }

  async #syncNow(): Promise<void> {
    const file = this.#file;
    if (file === undefined) return;
    await file.sync();
    if (this.#isNamed || this.#file !== file) return;
    await this.#options.disk.syncDirectory(this.#options.directory);
    if (this.#file === file) this.#isNamed = true;
  }

  /**
   * Begins a new segment and writes a snapshot for it; `records` yields the state and may be asked slowly, while the state
   * changes. One at a time: a second call waits for the first.
   */
  snapshot(records: () => Generator<JournalRecord>): Promise<void> {
    this.#snapshotting ??= this.#snapshot(records).finally(() => {
      this.#snapshotting = undefined;
    });
    return this.#snapshotting;
  }

  /** Writes what waits, at most until `deadlineMs` from now, and closes the segment. */
  async close(deadlineMs: number): Promise<void> {
    const settled = this.sync().catch(() => undefined);
    await Promise.race([settled, this.#options.clock.sleep(deadlineMs)]);
    this.#closing = true;
    for (const waiter of this.#waiters.splice(0)) waiter.reject(new DiskError('ESHUTDOWN', 'the journal is closed'));
    await this.#file?.close().catch(() => undefined);
  }

  #start(): void {
    if (this.#running !== undefined || this.#closing) return;
    this.#running = this.#run().finally(() => {
      this.#running = undefined;
      if (this.#pending.length > 0 || this.#rotating) this.#start();
    });
  }

  async #run(): Promise<void> {
    while ((this.#pending.length > 0 || this.#rotating) && !this.#closing) {
      if (this.#rotating) await this.#persist(() => this.#beginSegment());
      const through = this.#appended;
      const bytes = this.#pending.take();
      if (bytes.length > 0) await this.#write(bytes);
      this.#written = Math.max(this.#written, through);
      const ready = this.#waiters.filter((waiter) => waiter.through <= this.#written);
      this.#waiters = this.#waiters.filter((waiter) => waiter.through > this.#written);
      for (const waiter of ready) waiter.resolve();
    }
  }

  async #write(bytes: Buffer): Promise<void> {
    await this.#persist(async () => {
      if (this.#file === undefined) await this.#beginSegment();
      await (this.#file as File).write(this.#offset, bytes);
    });
    this.#offset += bytes.length;
    this.#logBytes += bytes.length;
  }

  /** Repeats a step until it succeeds: nothing that follows may be written before it. Repeating writes the same bytes at the same place. */
  async #persist(step: () => Promise<void>): Promise<void> {
    while (!this.#closing) {
      try {
        await step();
        this.#failing = false;
        return;
      } catch (error) {
        if (!(error instanceof DiskError)) throw error;
        this.#failing = true;
        if (error.code === 'ENOSPC' || error.code === 'EDQUOT') await this.#options.onFull().catch(() => undefined);
        await this.#options.clock.sleep(retryMs);
      }
    }
  }

  async #beginSegment(): Promise<void> {
    // What was written to the segment before must not be less safe than what follows.
    if (this.#file !== undefined) {
      await this.#file.sync();
      if (!this.#isNamed) await this.#options.disk.syncDirectory(this.#options.directory);
    }
    const number = this.#rotating ? this.#segment + 1 : this.#segment;
    const file = await this.#options.disk.open(`${this.#options.directory}/${segmentName(number)}.log`, {
      write: true,
      create: true,
    });
    await file.write(0, JOURNAL_MAGIC).catch(async (error: unknown) => {
      await file.close().catch(() => undefined);
      throw error;
    });
    const old = this.#file;
    this.#file = file;
    this.#segment = number;
    this.#offset = JOURNAL_MAGIC.length;
    this.#rotating = false;
    this.#isNamed = false;
    await old?.close();
  }

  async #snapshot(records: () => Generator<JournalRecord>): Promise<void> {
    const { disk, directory } = this.#options;
    await this.writtenThrough(this.#appended);
    this.#rotating = true;
    this.#start();
    // Everything appended from here on belongs to the new segment; the state read below is at least as new as its start.
    this.#logBytes = 0;
    while (this.#rotating && !this.#closing) await this.#running;
    const number = this.#segment;
    const path = `${directory}/${segmentName(number)}.snap`;
    const file = await disk.open(`${path}.tmp`, { write: true, create: true });
    try {
      const written = await writeSnapshot(file, records());
      await file.truncate(written);
      await file.sync();
      this.#snapshotBytes = written;
    } finally {
      await file.close();
    }
    await disk.rename(`${path}.tmp`, path);
    await disk.syncDirectory(directory);
    for (const { name } of await disk.list(directory)) {
      if (segmentNumber(name) < number) await disk.unlink(`${directory}/${name}`);
    }
  }
}

/** Writes records and the closing one; returns the length in bytes. */
async function writeSnapshot(file: File, records: Generator<JournalRecord>): Promise<number> {
  await file.write(0, JOURNAL_MAGIC);
  let offset = JOURNAL_MAGIC.length;
  let count = 0;
  let slice = new RecordBuffer();
  for (const record of records) {
    slice.append(record);
    count += 1;
    if (slice.length < snapshotSliceBytes) continue;
    const bytes = slice.take();
    await file.write(offset, bytes);
    offset += bytes.length;
    slice = new RecordBuffer();
  }
  slice.append({ type: 'end', records: count });
  const bytes = slice.take();
  await file.write(offset, bytes);
  return offset + bytes.length;
}

export function segmentName(number: number): string {
  return number.toString().padStart(12, '0');
}

/** The number in a journal file's name; NaN for other names. */
export function segmentNumber(name: string): number {
  return /^\d{12}\.(log|snap|snap\.tmp)$/.test(name) ? Number.parseInt(name.slice(0, 12), 10) : Number.NaN;
}
