/**
 * The state of the embedded coordinator in SQLite: keys with their revisions, their recent history, sessions. Every
 * method runs inside a transaction that its caller began. Times are CLOCK_BOOTTIME of this boot: a session of another
 * boot is over.
 */
import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { ForebayError } from '../../core/errors.ts';
import { coordinatorHistoryMax, coordinatorHistoryMaxBytes } from '../../core/limits.ts';
import type { Change, KeyValue, Transaction, TransactionResult, WatchEvent } from '../coordinator.ts';
import { holds } from '../transaction.ts';
import { prefixRange } from './key-range.ts';

/** Of one answer to a watch. */
const CHANGES_MAX = 1000;
const CHANGES_MAX_BYTES = 4 << 20;
/** History is cut when it is this much longer than it may be, so that not every commit cuts. */
const SLACK = 1.25;

interface EntryRow {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
  readonly created: number;
  readonly modified: number;
}

interface ChangeRow {
  readonly revision: number;
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
  readonly created: number;
}

export interface DatabaseState {
  readonly identity: string;
  readonly revision: number;
  readonly compacted: number;
  readonly historyBytes: number;
}

const encoder = new TextEncoder();
const decoder = new TextDecoder();

const entryOf = ({ key, value, created, modified }: EntryRow): KeyValue => ({
  key: decoder.decode(key),
  value,
  createRevision: created,
  modifyRevision: modified,
});

export class EmbeddedDatabase {
  readonly #database: DatabaseSync;
  readonly #bootId: string;
  readonly #statements = new Map<string, StatementSync>();

  constructor(database: DatabaseSync, bootId: string) {
    this.#database = database;
    this.#bootId = bootId;
  }

  /** Prepared once each. */
  #sql(text: string): StatementSync {
    let statement = this.#statements.get(text);
    if (!statement) this.#statements.set(text, (statement = this.#database.prepare(text)));
    return statement;
  }

  state(): DatabaseState {
    const columns = 'hex(identity) AS identity, revision, compacted, history_bytes AS historyBytes';
    return this.#sql(`SELECT ${columns} FROM state`).get() as unknown as DatabaseState;
  }

  /** Changes when another process committed. */
  dataVersion(): number {
    return Number(Object.values(this.#sql('PRAGMA data_version').get() ?? {})[0]);
  }

  // sessions

  beginSession(id: string, { ttlMs, nowMs }: { ttlMs: number; nowMs: number }): void {
    this.#sql('INSERT INTO sessions VALUES (?, ?, ?, ?)').run(id, this.#bootId, ttlMs, nowMs + ttlMs);
  }

  /** False when the session is gone. */
  renewSession(id: string, nowMs: number): boolean {
    return this.#sql('UPDATE sessions SET expires = ? + ttl WHERE id = ?').run(nowMs, id).changes > 0;
  }

  /** Removes a session and, in one revision, its keys. */
  endSession(id: string): void {
    if (this.#sql('DELETE FROM sessions WHERE id = ?').run(id).changes === 0) return;
    const keys = this.#sql('SELECT key FROM entries WHERE session = ? ORDER BY key').all(id) as { key: Uint8Array }[];
    if (keys.length === 0) return;
    const revision = this.state().revision + 1;
    let bytes = 0;
    for (const { key } of keys) bytes += this.#delete(key, revision);
    this.#advance(revision, bytes);
  }

  /** When the next session ends: at once for those of another boot, never when there is none. */
  nextExpiryMs(): number {
    const row = this.#sql('SELECT min(CASE WHEN boot = ? THEN expires ELSE 0 END) AS next FROM sessions').get(
      this.#bootId,
    );
    return (row?.['next'] as number | null) ?? Number.POSITIVE_INFINITY;
  }

  /** Removes the sessions whose term is over. */
  expire(nowMs: number): void {
    const over = this.#sql('SELECT id FROM sessions WHERE boot <> ? OR expires <= ? ORDER BY expires');
    for (const { id } of over.all(this.#bootId, nowMs)) this.endSession(id as string);
  }

  // reads

  range(
    prefix: string,
    { after, limit }: { after: string | undefined; limit: number | undefined },
  ): { revision: number; entries: KeyValue[]; more: boolean } {
    const { start, end } = prefixRange(prefix, after);
    const bound = limit === undefined ? -1 : limit + 1;
    const columns = 'SELECT key, value, created, modified FROM entries WHERE key >= ?';
    const rows = (end
      ? this.#sql(`${columns} AND key < ? ORDER BY key LIMIT ?`).all(start, end, bound)
      : this.#sql(`${columns} ORDER BY key LIMIT ?`).all(start, bound)) as unknown as EntryRow[];
    const more = limit !== undefined && rows.length > limit;
    const entries = (more ? rows.slice(0, limit) : rows).map(entryOf);
    return { revision: this.state().revision, entries, more };
  }

  #entry(key: string): KeyValue | undefined {
    const row = this.#sql('SELECT key, value, created, modified FROM entries WHERE key = ?').get(encoder.encode(key));
    return row && entryOf(row as unknown as EntryRow);
  }

  /** What a watch has to be told beyond a revision: whole revisions in order, bounded, or a snapshot. */
  changes(prefix: string, afterRevision: number): { events: WatchEvent[]; toRevision: number } {
    const { revision, compacted } = this.state();
    if (afterRevision < compacted) {
      const { entries } = this.range(prefix, { after: undefined, limit: undefined });
      return { events: [{ kind: 'snapshot', revision, changes: entries }], toRevision: revision };
    }
    const { start, end } = prefixRange(prefix);
    const columns = 'SELECT revision, key, value, created FROM changes WHERE revision > ? AND key >= ?';
    const rows = (end
      ? this.#sql(`${columns} AND key < ? ORDER BY revision, key`).iterate(afterRevision, start, end)
      : this.#sql(`${columns} ORDER BY revision, key`).iterate(afterRevision, start)) as unknown as Iterable<ChangeRow>;
    const events: { kind: 'changes'; revision: number; changes: Change[] }[] = [];
    let bytes = 0;
    for (const row of rows) {
      if (events.at(-1)?.revision !== row.revision) {
        if (events.length >= CHANGES_MAX || bytes > CHANGES_MAX_BYTES)
          return { events, toRevision: (events.at(-1) as WatchEvent).revision };
        events.push({ kind: 'changes', revision: row.revision, changes: [] });
      }
      bytes += row.key.length + (row.value?.length ?? 0);
      events.at(-1)?.changes.push(changeOf(row));
    }
    return { events, toRevision: revision };
  }

  // writes

  /** Applies a transaction. Throws `sessionLost` before anything is changed. */
  transaction({ compares, apply, otherwise = [] }: Transaction): TransactionResult {
    const succeeded = compares.every((compare) => holds(compare, this.#entry(compare.key)));
    const operations = succeeded ? apply : otherwise;
    for (const operation of operations) {
      const session = 'put' in operation ? operation.session : undefined;
      if (session !== undefined && !this.#sql('SELECT 1 FROM sessions WHERE id = ?').get(session))
        throw new ForebayError('sessionLost', `session ${session} has ended`);
    }
    const before = this.state().revision;
    const next = before + 1;
    const reads: KeyValue[] = [];
    let [bytes, revision] = [0, before];
    for (const operation of operations) {
      if ('read' in operation) {
        const entry = this.#entry(operation.read);
        if (entry) reads.push(entry);
        continue;
      }
      const changed =
        'put' in operation
          ? this.#put(encoder.encode(operation.put), operation.value, { revision: next, session: operation.session })
          : this.#delete(encoder.encode(operation.delete), next);
      bytes += changed;
      if (changed > 0) revision = next;
    }
    if (revision === next) this.#advance(next, bytes);
    return { succeeded, revision, reads };
  }

  /** Puts an entry; returns what that adds to the history. */
  #put(key: Uint8Array, value: Uint8Array, put: { revision: number; session: string | undefined }): number {
    const { revision, session = null } = put;
    const { created } = this.#sql(
      `INSERT INTO entries (key, value, created, modified, session) VALUES (?1, ?2, ?3, ?3, ?4)
       ON CONFLICT (key) DO UPDATE SET value = ?2, modified = ?3, session = ?4 RETURNING created`,
    ).get(key, value, revision, session) as { created: number };
    this.#sql('INSERT INTO changes VALUES (?, ?, ?, ?)').run(revision, key, value, created);
    return key.length + value.length;
  }

  /** Deletes an entry; returns what that adds to the history, 0 where there was none. */
  #delete(key: Uint8Array, revision: number): number {
    if (this.#sql('DELETE FROM entries WHERE key = ?').run(key).changes === 0) return 0;
    this.#sql('INSERT INTO changes VALUES (?, ?, NULL, 0)').run(revision, key);
    return key.length;
  }

  #advance(revision: number, bytes: number): void {
    this.#sql('UPDATE state SET revision = ?, history_bytes = history_bytes + ?').run(revision, bytes);
    const { compacted, historyBytes } = this.state();
    const isLong = revision - compacted > coordinatorHistoryMax * SLACK;
    if (isLong || historyBytes > coordinatorHistoryMaxBytes * SLACK) this.#cutHistory(revision);
  }

  #cutHistory(revision: number): void {
    const newest = this.#sql(
      'SELECT revision, length(key) + coalesce(length(value), 0) AS bytes FROM changes ORDER BY revision DESC',
    ).iterate() as unknown as Iterable<{ revision: number; bytes: number }>;
    let to = revision - coordinatorHistoryMax;
    let total = 0;
    for (const change of newest) {
      total += change.bytes;
      if (total > coordinatorHistoryMaxBytes) to = Math.max(to, change.revision);
      if (change.revision <= to) break;
    }
    this.compact(to);
  }

  /** Forgets the history up to and including a revision. */
  compact(revision: number): void {
    this.#sql('DELETE FROM changes WHERE revision <= ?').run(revision);
    this.#sql(
      `UPDATE state SET compacted = max(compacted, ?),
       history_bytes = (SELECT coalesce(sum(length(key) + coalesce(length(value), 0)), 0) FROM changes)`,
    ).run(revision);
  }
}

function changeOf({ key, value, revision, created }: ChangeRow): Change {
  const name = decoder.decode(key);
  if (value === null) return { key: name, deleted: true };
  return { key: name, value, createRevision: created, modifyRevision: revision };
}
