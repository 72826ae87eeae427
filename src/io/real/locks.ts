/**
 * Locks that die with the process: an exclusive SQLite transaction on a file. Node has no flock; this is freed by
 * `kill -9` and understood on every platform. Held by the thread that took it.
 */
import type { DatabaseSync } from 'node:sqlite';

const SQLITE_BUSY = 5;

export interface Locks {
  /** A number for `release`, or `undefined` when someone else holds the path. Creates the file. */
  take(path: string): number | undefined;
  release(lock: number): void;
}

export function createLocks(): Locks {
  const held = new Map<number, DatabaseSync>();
  let next = 1;
  return {
    take(path) {
      // Loaded on use: most workers never hold a lock, and SQLite takes memory.
      const { DatabaseSync: Database } = process.getBuiltinModule('node:sqlite');
      let database: DatabaseSync | undefined;
      try {
        database = new Database(path, { timeout: 0 });
        database.exec('BEGIN EXCLUSIVE');
      } catch (error) {
        database?.close();
        if ((error as { errcode?: number }).errcode === SQLITE_BUSY) return undefined;
        throw lockError(error as Error & { errcode?: number }, path);
      }
      held.set(next, database);
      return next++;
    },
    release(lock) {
      held.get(lock)?.close();
      held.delete(lock);
    },
  };
}

/** SQLite's result codes that a wrong path or a bad disk give, as errno names. */
const ERRNO: Readonly<Record<number, string>> = { 8: 'EROFS', 10: 'EIO', 13: 'ENOSPC', 14: 'ENOENT', 26: 'EEXIST' };

function lockError(error: Error & { errcode?: number }, path: string): Error {
  const code = ERRNO[(error.errcode ?? 0) & 0xff] ?? 'EIO';
  return Object.assign(new Error(`lock ${path}: ${error.message}`), { code, syscall: `lock (${error.message})` });
}
