/**
 * The file of the embedded coordinator: made, opened, told apart from others' files, and refused where it cannot be
 * shared by processes of one machine.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, openSync, statfsSync, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { ForebayError } from '../../core/errors.ts';
import { coordinatorBusyMs } from '../../core/limits.ts';

/** "Fbay" */
const APPLICATION_ID = 0x46626179;
const FORMAT = 1;
const MODE_PRIVATE = 0o600;

/** Types of file systems that other machines may have mounted too: SQLite's shared memory does not reach them. */
const SHARED_FILE_SYSTEMS: Readonly<Record<number, string>> = {
  26985: 'NFS',
  20859: 'SMB',
  4266872130: 'SMB',
  4283649346: 'SMB',
  198183888: 'Lustre',
  1196443219: 'GPFS',
  12805120: 'Ceph',
  428016422: 'BeeGFS',
};

const SCHEMA = `
CREATE TABLE state (
  only INTEGER PRIMARY KEY CHECK (only = 1),
  identity BLOB NOT NULL,
  revision INTEGER NOT NULL,
  compacted INTEGER NOT NULL,
  history_bytes INTEGER NOT NULL
) STRICT;
CREATE TABLE entries (
  key BLOB PRIMARY KEY,
  value BLOB NOT NULL,
  created INTEGER NOT NULL,
  modified INTEGER NOT NULL,
  session TEXT
) STRICT;
CREATE INDEX entries_by_session ON entries (session) WHERE session IS NOT NULL;
CREATE TABLE changes (
  revision INTEGER NOT NULL,
  key BLOB NOT NULL,
  value BLOB,
  created INTEGER NOT NULL
) STRICT;
CREATE INDEX changes_by_revision ON changes (revision);
CREATE TABLE sessions (
  id TEXT PRIMARY KEY,
  boot TEXT NOT NULL,
  ttl REAL NOT NULL,
  expires REAL NOT NULL
) STRICT;
`;

/** SQLite's result codes (the low byte), by what they mean here. */
const BUSY = new Set([5, 6]);
const NOT_OURS = new Set([11, 26]);
const FULL = 13;
/** Between two attempts at a file that others are opening for the first time. */
const OPEN_PAUSE_MS = 20;

/** What an error of SQLite means. `isWrite`: a failed commit may yet show after a crash. */
export function embeddedError(error: unknown, path: string, isWrite: boolean): ForebayError {
  if (error instanceof ForebayError) return error;
  const { errcode = 0, message } = error as Error & { errcode?: number };
  const code = errcode & 0xff;
  const options = { cause: error };
  if (BUSY.has(code))
    return new ForebayError('coordinatorUnavailable', `another process holds ${path} (${message})`, options);
  if (NOT_OURS.has(code)) return new ForebayError('coordinatorRefused', `${path} is damaged: ${message}`, options);
  if (code === FULL) return new ForebayError('coordinatorUnavailable', `no space for ${path}`, options);
  return new ForebayError(isWrite ? 'coordinatorUncertain' : 'coordinatorUnavailable', `${path}: ${message}`, options);
}

export interface OpenedFile {
  readonly database: DatabaseSync;
  readonly inode: bigint;
}

/** Opens the file, making it where there is none. Throws `coordinatorRefused`, `coordinatorUnavailable`, `formatTooNew`. */
export function openEmbeddedFile(path: string): OpenedFile {
  const pause = new Int32Array(new SharedArrayBuffer(4));
  const untilMs = performance.now() + coordinatorBusyMs;
  for (;;) {
    try {
      return openOnce(path);
    } catch (error) {
      const failure = openError(error, path);
      // SQLite does not wait by itself for the lock that turns a new file into one with a write-ahead log.
      if (failure.code !== 'coordinatorUnavailable' || performance.now() > untilMs) throw failure;
      Atomics.wait(pause, 0, 0, OPEN_PAUSE_MS);
    }
  }
}

function openOnce(path: string): OpenedFile {
  const { DatabaseSync: Database } = process.getBuiltinModule('node:sqlite');
  let database: DatabaseSync | undefined;
  try {
    refuseSharedFileSystem(path);
    // Made by us first, so that what SQLite makes beside it is as private.
    closeSync(openSync(path, 'a', MODE_PRIVATE));
    const { ino: inode } = statSync(path, { bigint: true });
    database = new Database(path, { timeout: coordinatorBusyMs });
    // A file of someone else's is looked at before anything about it is changed.
    checkFormat(database, path);
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = OFF;');
    createSchema(database);
    checkFormat(database, path);
    return { database, inode };
  } catch (error) {
    database?.close();
    throw error;
  }
}

function refuseSharedFileSystem(path: string): void {
  const kind = SHARED_FILE_SYSTEMS[statfsSync(dirname(path)).type >>> 0];
  if (kind === undefined) return;
  throw new ForebayError(
    'coordinatorRefused',
    `${path} is on ${kind}, and an embedded coordinator is for the daemons of one machine: use a local disk, or etcd for a cluster`,
  );
}

function numberOf(database: DatabaseSync, pragma: string): number {
  return Number(Object.values(database.prepare(`PRAGMA ${pragma}`).get() ?? {})[0]);
}

function checkFormat(database: DatabaseSync, path: string): void {
  // Asked for first: another daemon may make the schema between two of these questions, and it makes all three at once.
  if (numberOf(database, 'schema_version') === 0) return;
  const [application, format] = [numberOf(database, 'application_id'), numberOf(database, 'user_version')];
  if (application !== APPLICATION_ID)
    throw new ForebayError('coordinatorRefused', `${path} is a database of something else; name another file`);
  if (format > FORMAT)
    throw new ForebayError('formatTooNew', `${path} has format ${format}, and this version knows up to ${FORMAT}`);
}

function createSchema(database: DatabaseSync): void {
  if (numberOf(database, 'schema_version') > 0) return;
  database.exec('BEGIN IMMEDIATE');
  try {
    // Of several daemons that start at once, one makes it.
    if (numberOf(database, 'schema_version') === 0) {
      database.exec(SCHEMA);
      database.prepare('INSERT INTO state VALUES (1, ?, 1, 0, 0)').run(randomBytes(16));
      database.exec(`PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${FORMAT};`);
    }
    database.exec('COMMIT');
  } catch (error) {
    database.exec('ROLLBACK');
    throw error;
  }
}

function openError(error: unknown, path: string): ForebayError {
  const { code, errcode = 0, message } = error as Error & { code?: string; errcode?: number };
  const isPath = ['ENOENT', 'EACCES', 'EISDIR', 'ENOTDIR', 'EROFS', 'EPERM'].includes(code ?? '');
  if (isPath || [8, 14].includes(errcode & 0xff))
    return new ForebayError('coordinatorRefused', `${path} cannot be opened: ${message}`, { cause: error });
  return embeddedError(error, path, false);
}
