/**
 * Keys of kv volumes, as far as journal and replay go: `values.ts` changes them. Pure.
 *
 * A value is there when its key's row is and its content is whole. Whatever replay leaves of others goes at the start (`settle`): a value
 * whose bytes were not all journalled, and bytes whose value was not.
 */
import { blockCount, CHUNK_SIZE_DEFAULT_BYTES } from '../core/chunk.ts';
import type { ContentId } from '../core/ids.ts';
import type { Clock } from '../io/io.ts';
import { FLAG_VALUE } from './content-table.ts';
import type { JournalRecord, ValueRecord } from './journal-record.ts';
import type { StoreIndex } from './store-index.ts';
import { type ValueRow, ValueTable } from './value-table.ts';

/** Of a small content whose bytes are only in memory yet. */
export const PACK_NONE = 0;

export class ValueIndex {
  readonly tables = new Map<string, ValueTable>();
  readonly #index: StoreIndex;
  #nowMs: () => number = () => 0;

  constructor(index: StoreIndex) {
    this.#index = index;
  }

  /** Memory in bytes. */
  get bytes(): number {
    let bytes = 0;
    for (const table of this.tables.values()) bytes += table.bytes;
    return bytes;
  }

  /** The volume's table, made when missing. */
  table(volume: string): ValueTable {
    let table = this.tables.get(volume);
    if (table === undefined) this.tables.set(volume, (table = new ValueTable()));
    return table;
  }

  apply(record: Extract<JournalRecord, { type: 'value' | 'valueGone' }>): void {
    const { contents } = this.#index;
    const table = this.table(record.volume);
    const found = table.find(record.key);
    if (record.type === 'valueGone') {
      if (found !== undefined && contents.id(table.content(found)) === record.id) table.remove(found);
      this.#index.apply({ type: 'gone', id: record.id });
      return;
    }
    const content = this.#index.ensureContent(record.id, record);
    this.#index.setValue(content);
    if (record.place !== undefined) this.#index.setSmall(content, record.place.checksum, record.place);
    const row = found ?? table.add(record.key, content);
    table.setContent(row, content);
    table.touch(row);
    table.setContentType(row, record.contentType);
    table.setTimes(row, {
      deadlineMs: record.remainingMs,
      expiryMs: record.expiryMs,
      modifiedMs: record.modifiedMs,
    });
  }

  /** Ends replay: every value left is whole, and no other bytes of values are. Returns the contents that have to go from the disk, too. */
  settle(): ContentId[] {
    const { contents } = this.#index;
    const named = new Uint8Array(contents.rowsEnd);
    for (const table of this.tables.values()) {
      for (const row of table.rows()) {
        const content = table.content(row);
        if (this.#index.isWhole(content)) named[content] = 1;
        else table.remove(row);
      }
    }
    const strays: ContentId[] = [];
    for (const row of contents.rows()) {
      if (!contents.has(row, FLAG_VALUE) || named[row] === 1) continue;
      if (!contents.isSmall(row)) strays.push(contents.id(row));
      for (let block = 0; block < blockCount(contents.sizeBytes(row)); block += 1) this.#index.clearBlock(row, block);
      this.#index.removeContent(row);
    }
    return strays;
  }

  /** Deadlines by this boot's clock: what was left when it was written, or what the wall says, whichever is shorter. */
  begin(clock: Clock): void {
    this.#nowMs = () => clock.boottimeMs();
    const nowMs = clock.boottimeMs();
    const wallMs = clock.wallMs();
    for (const table of this.tables.values()) {
      for (const row of table.rows()) {
        const expiryMs = table.expiryMs(row);
        const deadlineMs = nowMs + Math.min(table.deadlineMs(row), expiryMs - wallMs);
        table.setTimes(row, { deadlineMs, expiryMs, modifiedMs: table.modifiedMs(row) });
      }
    }
  }

  /** What a restart must know of a value. */
  record(volume: string, table: ValueTable, row: ValueRow): ValueRecord {
    const { contents, chunks } = this.#index;
    const content = table.content(row);
    const chunk = contents.isSmall(content) ? chunks.find(content, 0) : undefined;
    return {
      type: 'value',
      id: contents.id(content),
      sizeBytes: contents.sizeBytes(content),
      chunkSizeBytes: CHUNK_SIZE_DEFAULT_BYTES,
      expiryMs: table.expiryMs(row),
      remainingMs: table.deadlineMs(row) - this.#nowMs(),
      modifiedMs: table.modifiedMs(row),
      place: chunk && { ...chunks.place(chunk), checksum: chunks.checksum(chunk, 0) },
      contentType: table.contentType(row) ?? '',
      volume,
      key: table.key(row),
    };
  }

  /** All values that are on the disk, the one used longest ago first. May be read slowly while they change: what changes is journalled after. */
  *records(): Generator<ValueRecord> {
    for (const [volume, table] of this.tables) {
      for (const each of table.inOrder()) {
        const row = each as ValueRow;
        if (!table.isLive(row)) continue;
        const record = this.record(volume, table, row);
        if (record.place?.pack !== PACK_NONE) yield record;
      }
    }
  }
}
