/** Reads a journal back: the newest whole snapshot, then the segments from its number on. */
import { MiB } from '../core/limits.ts';
import type { Disk, File } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import { JOURNAL_MAGIC, segmentName, segmentNumber } from './journal.ts';
import { type JournalRecord, RecordReader } from './journal-record.ts';

const sliceBytes = 4 * MiB;

export interface Replayed {
  /** Number for the next life's first segment. */
  readonly nextSegment: number;
  readonly records: number;
  /** Bytes that were not records. After damage nothing that the journal says is taken without a check. */
  readonly lostBytes: number;
  readonly bytes: number;
  /** Bytes were lost in front of others that were not: more than the torn end that a killed daemon leaves. */
  readonly lostWithin: boolean;
}

/**
 * Replays into what `begin` makes, once per attempt: a snapshot that turns out not to be whole makes it begin anew with the
 * one before. A torn or damaged place ends its segment; the following segments are still read.
 */
export async function replayJournal<Into extends { apply(record: JournalRecord): void }>(
  disk: Disk,
  directory: string,
  begin: () => Into,
  emit: Emit,
): Promise<Replayed & { readonly into: Into }> {
  const names = (await disk.list(directory)).map((entry) => entry.name);
  const numbersOf = (ending: string) =>
    names
      .filter((name) => name.endsWith(ending) && segmentNumber(name) >= 0)
      .map(segmentNumber)
      .sort((a, b) => a - b);
  const logs = numbersOf('.log');
  const snapshots = numbersOf('.snap').reverse();
  const totals = { records: 0, lostBytes: 0, bytes: 0, lostWithin: false };
  const damaged = (path: string, offset: number, lost: number) => {
    totals.lostBytes += lost;
    emit({ kind: 'journal.damaged', path, offset, lost });
  };

  let into = begin();
  let from = 0;
  for (const number of snapshots) {
    const path = `${directory}/${segmentName(number)}.snap`;
    const read = await readSnapshot(disk, path, into);
    if (read.whole) {
      totals.records += read.records;
      totals.bytes += read.bytes;
      from = number;
      break;
    }
    damaged(path, 0, Math.max(1, read.bytes));
    totals.lostWithin = true;
    into = begin();
  }
  for (const number of logs.filter((each) => each >= from)) {
    const path = `${directory}/${segmentName(number)}.log`;
    const read = await readRecords(disk, path, (record) => into.apply(record));
    totals.records += read.records;
    totals.bytes += read.bytes;
    if (read.lostBytes > 0) damaged(path, read.bytes - read.lostBytes, read.lostBytes);
    if (read.lostBytes > 0 && number !== logs.at(-1)) totals.lostWithin = true;
  }
  return { ...totals, into, nextSegment: Math.max(0, ...logs, ...snapshots) + 1 };
}

/** A snapshot counts only with its closing record, which says how many came before it. */
async function readSnapshot(disk: Disk, path: string, into: { apply(record: JournalRecord): void }) {
  let records = 0;
  let end = -1;
  const result = await readRecords(disk, path, (record) => {
    if (record.type === 'end') end = record.records;
    else records += 1;
    into.apply(record);
  });
  return { whole: result.lostBytes === 0 && end === records, records, bytes: result.bytes };
}

/** Reads the records of one file in slices. */
async function readRecords(
  disk: Disk,
  path: string,
  apply: (record: JournalRecord) => void,
): Promise<{ records: number; lostBytes: number; bytes: number }> {
  const file = await disk.open(path);
  try {
    const { sizeBytes } = await file.stat();
    const magic = await file.read(0, JOURNAL_MAGIC.length);
    if (!JOURNAL_MAGIC.equals(magic)) return { records: 0, lostBytes: sizeBytes, bytes: sizeBytes };
    return await readSlices(file, sizeBytes, apply);
  } finally {
    await file.close();
  }
}

async function readSlices(file: File, sizeBytes: number, apply: (record: JournalRecord) => void) {
  let at: number = JOURNAL_MAGIC.length;
  let records = 0;
  const length = sliceBytes;
  while (at < sizeBytes) {
    const slice = await file.read(at, Math.min(length, sizeBytes - at));
    const reader = new RecordReader(slice);
    for (let record = reader.next(); record !== undefined; record = reader.next()) {
      apply(record);
      records += 1;
    }
    at += reader.offset;
    // A record cut by the end of the slice begins the next one; one that does not fit a whole slice is damage.
    const cut = reader.damaged && reader.offset > 0 && slice.length === length;
    if (reader.damaged && !cut) return { records, lostBytes: sizeBytes - at, bytes: sizeBytes };
  }
  return { records, lostBytes: 0, bytes: sizeBytes };
}
