/**
 * What the thread of the embedded coordinator does. Requests that have arrived share one transaction of SQLite, each
 * with a revision of its own, so that a sync of the disk serves many; they are answered after it is on disk. Sessions
 * whose term is over are removed by whoever sees them, before anything else.
 */
import { statSync } from 'node:fs';
import type { DatabaseSync } from 'node:sqlite';
import { ForebayError } from '../../core/errors.ts';
import type { Clock } from '../io.ts';
import { writes } from '../transaction.ts';
import { type DatabaseState, EmbeddedDatabase } from './embedded-database.ts';
import type { EmbeddedAnswers, EmbeddedFailure, EmbeddedRequest, FromEmbeddedWorker } from './embedded-request.ts';
import { embeddedError, openEmbeddedFile } from './embedded-schema.ts';

type Answer = EmbeddedAnswers[keyof EmbeddedAnswers];

interface Call {
  readonly call: number;
  readonly request: EmbeddedRequest;
}

export interface EmbeddedThreadOptions {
  readonly path: string;
  readonly clock: Pick<Clock, 'boottimeMs'>;
  readonly bootId: string;
  readonly post: (message: FromEmbeddedWorker) => void;
}

function mayWrite(request: EmbeddedRequest): boolean {
  if (request.op === 'transaction') return writes(request.transaction);
  return request.op !== 'range' && request.op !== 'changes';
}

const failureOf = ({ code, message }: ForebayError): EmbeddedFailure => ({ code, message });

export class EmbeddedThread {
  readonly #options: EmbeddedThreadOptions;
  readonly #sql: DatabaseSync;
  readonly #database: EmbeddedDatabase;
  readonly #inode: bigint;
  readonly #identity: string;
  #queue: Call[] = [];
  #seenRevision: number;
  #dataVersion = 0;
  #nextExpiryMs = 0;
  #refusal: ForebayError | undefined;

  /** Throws as `openEmbeddedFile` does. */
  constructor(options: EmbeddedThreadOptions) {
    this.#options = options;
    const { database, inode } = openEmbeddedFile(options.path);
    this.#sql = database;
    this.#inode = inode;
    this.#database = new EmbeddedDatabase(database, options.bootId);
    const { identity, revision } = this.#database.state();
    this.#identity = identity;
    this.#seenRevision = revision;
  }

  take(call: Call): void {
    this.#queue.push(call);
    if (this.#queue.length === 1) setImmediate(() => this.flush());
  }

  /** Serves what waits. */
  flush(): void {
    const calls = this.#queue;
    this.#queue = [];
    if (calls.length === 0) return;
    const isWrite = calls.some(({ request }) => mayWrite(request));
    try {
      const answers = this.#within(isWrite, () => calls.map((call) => this.#serve(call)));
      for (const answer of answers) this.#options.post(answer);
    } catch (error) {
      for (const { call, request } of calls) {
        const failed = failureOf(embeddedError(error, this.#options.path, mayWrite(request)));
        this.#options.post({ call, failed });
      }
    }
  }

  /** Runs `act` in one transaction of SQLite, after removing sessions that are over. */
  #within<T>(isWrite: boolean, act: () => T): T {
    if (this.#refusal) throw this.#refusal;
    const { clock, post } = this.#options;
    const database = this.#database;
    const expires = clock.boottimeMs() >= database.nextExpiryMs();
    this.#begin(isWrite || expires);
    let result: T;
    let state: DatabaseState;
    try {
      this.#check(database.state());
      if (isWrite || expires) database.expire(clock.boottimeMs());
      result = act();
      state = database.state();
      this.#nextExpiryMs = database.nextExpiryMs();
      this.#sql.exec('COMMIT');
    } catch (error) {
      if (this.#sql.isTransaction) this.#sql.exec('ROLLBACK');
      throw error;
    }
    if (state.revision > this.#seenRevision) {
      this.#seenRevision = state.revision;
      post({ revision: state.revision });
    }
    return result;
  }

  /** Nothing has happened yet when this fails. */
  #begin(isWrite: boolean): void {
    try {
      this.#sql.exec(isWrite ? 'BEGIN IMMEDIATE' : 'BEGIN');
    } catch (error) {
      throw embeddedError(error, this.#options.path, false);
    }
  }

  #check({ identity, revision }: DatabaseState): void {
    const { path } = this.#options;
    const seen = this.#seenRevision;
    if (identity !== this.#identity) this.#refuse(`${path} was replaced while this node had it open`);
    if (revision < seen)
      this.#refuse(`${path} went back in time: it is at revision ${revision}, and this node has seen ${seen}`);
  }

  #refuse(message: string): never {
    this.#refusal = new ForebayError('coordinatorRefused', message);
    this.#options.post({ refused: failureOf(this.#refusal) });
    throw this.#refusal;
  }

  /** One request's answer. An error that concerns it alone has changed nothing. */
  #serve({ call, request }: Call): FromEmbeddedWorker {
    try {
      return { call, value: this.#answer(request) };
    } catch (error) {
      if (!(error instanceof ForebayError)) throw error;
      return { call, failed: failureOf(error) };
    }
  }

  #answer(request: EmbeddedRequest): Answer {
    const database = this.#database;
    switch (request.op) {
      case 'session': {
        const nowMs = this.#options.clock.boottimeMs();
        database.beginSession(request.id, { ttlMs: request.ttlMs, nowMs });
        return nowMs;
      }
      case 'end':
        database.endSession(request.id);
        return undefined;
      case 'range':
        return database.range(request.prefix, request);
      case 'transaction':
        return database.transaction(request.transaction);
      case 'changes':
        return database.changes(request.prefix, request.afterRevision);
      case 'compact':
        database.compact(database.state().revision);
        return undefined;
    }
  }

  /** Renews a session; `undefined` when the file cannot be had. */
  renew(id: string): boolean | undefined {
    try {
      return this.#within(true, () => this.#database.renewSession(id, this.#options.clock.boottimeMs()));
    } catch {
      return undefined;
    }
  }

  /** Looks whether others changed something, or a session is over. */
  poll(): void {
    if (this.#refusal) return;
    try {
      const version = this.#database.dataVersion();
      const isOver = this.#options.clock.boottimeMs() >= this.#nextExpiryMs;
      if (version === this.#dataVersion && !isOver) return;
      this.#within(false, () => undefined);
      this.#dataVersion = version;
    } catch {
      // The file may be free next time; a refusal has been told.
    }
  }

  /** A file that was removed or replaced is followed by nobody else: what is written to it would be lost. */
  checkFile(): void {
    if (this.#refusal) return;
    const { path } = this.#options;
    let inode: bigint | undefined;
    try {
      inode = statSync(path, { bigint: true }).ino;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') return;
    }
    try {
      if (inode !== this.#inode) this.#refuse(`${path} was removed or replaced while this node had it open`);
    } catch {
      // told
    }
  }

  close(): void {
    this.flush();
    this.#sql.close();
  }
}
