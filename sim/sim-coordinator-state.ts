/** What a simulated coordinator holds: keys with their revisions, sessions, and all of its history, so that it can be set back. */
import { ForebayError } from '../src/core/errors.ts';
import { compareKeys } from '../src/core/key-order.ts';
import type { Change, KeyValue, Transaction, TransactionResult } from '../src/io/coordinator.ts';
import { holds } from '../src/io/transaction.ts';

interface Entry extends KeyValue {
  readonly session: string | undefined;
}

interface Step {
  readonly revision: number;
  readonly changes: readonly Change[];
  /** What the changed keys were before. */
  readonly before: readonly (readonly [string, Entry | undefined])[];
}

interface HeldSession {
  readonly ttlMs: number;
  /** The revision at which it began. */
  readonly since: number;
  expiresMs: number;
}

export class CoordinatorState {
  revision = 1;
  /** Changes up to this revision are forgotten by watches. */
  compacted = 0;
  readonly sessions = new Map<string, HeldSession>();
  /** Told of every change, at its instant. */
  onChange: ((changes: readonly Change[]) => void) | undefined;
  /** For the canary: compares are not looked at. */
  ignoresCompares = false;
  /** For the canary: keys that readers do not see. */
  hides: (key: string) => boolean = () => false;
  readonly #entries = new Map<string, Entry>();
  readonly #steps: Step[] = [];

  /** Ends sessions whose term is over; true when there were any. */
  expire(nowMs: number): boolean {
    const over = [...this.sessions].filter(([, session]) => session.expiresMs <= nowMs);
    for (const [id] of over) this.end(id);
    return over.length > 0;
  }

  begin(id: string, { ttlMs, nowMs }: { ttlMs: number; nowMs: number }): void {
    this.sessions.set(id, { ttlMs, since: this.revision, expiresMs: nowMs + ttlMs });
  }

  renew(id: string, nowMs: number): boolean {
    const session = this.sessions.get(id);
    if (session) session.expiresMs = nowMs + session.ttlMs;
    return session !== undefined;
  }

  /** Ends a session: its keys go in one revision. */
  end(id: string): void {
    if (!this.sessions.delete(id)) return;
    const keys = [...this.#entries.values()].filter((entry) => entry.session === id).map(({ key }) => key);
    this.#change(keys.sort(compareKeys).map((key) => [key, undefined]));
  }

  #change(next: readonly (readonly [string, Omit<Entry, 'createRevision' | 'modifyRevision'> | undefined])[]): void {
    const effective = next.filter(([key, entry]) => entry !== undefined || this.#entries.has(key));
    if (effective.length === 0) return;
    const revision = ++this.revision;
    const before = effective.map(([key]) => [key, this.#entries.get(key)] as const);
    const changes = effective.map(([key, entry]): Change => {
      const createRevision = this.#entries.get(key)?.createRevision ?? revision;
      if (entry === undefined) {
        this.#entries.delete(key);
        return { key, deleted: true };
      }
      const put = { ...entry, createRevision, modifyRevision: revision };
      this.#entries.set(key, put);
      return plain(put);
    });
    this.#steps.push({ revision, changes, before });
    this.onChange?.(changes);
  }

  range(prefix: string, after?: string): KeyValue[] {
    return [...this.#entries.values()]
      .filter(
        ({ key }) => key.startsWith(prefix) && !this.hides(key) && (after === undefined || compareKeys(key, after) > 0),
      )
      .sort((a, b) => compareKeys(a.key, b.key))
      .map(plain);
  }

  transaction({ compares, apply, otherwise = [] }: Transaction): TransactionResult {
    const succeeded =
      this.ignoresCompares || compares.every((compare) => holds(compare, this.#entries.get(compare.key)));
    const reads: KeyValue[] = [];
    const next: [string, Omit<Entry, 'createRevision' | 'modifyRevision'> | undefined][] = [];
    for (const operation of succeeded ? apply : otherwise) {
      if ('read' in operation) {
        const entry = this.#entries.get(operation.read);
        if (entry && !this.hides(entry.key)) reads.push(plain(entry));
      } else if ('delete' in operation) {
        next.push([operation.delete, undefined]);
      } else {
        const { put: key, value, session } = operation;
        if (session !== undefined && !this.sessions.has(session))
          throw new ForebayError('sessionLost', `session ${session} has ended`);
        next.push([key, { key, value: value.slice(), session }]);
      }
    }
    this.#change(next);
    return { succeeded, revision: this.revision, reads };
  }

  /** The first step beyond a revision that has changes below the prefix; `undefined` when there is none. */
  changesAfter(revision: number, prefix: string): { revision: number; changes: readonly Change[] } | undefined {
    // Revisions of steps ascend by one: the place follows from the number.
    const first = this.#steps[0]?.revision ?? 0;
    for (let at = Math.max(0, revision + 1 - first); at < this.#steps.length; at++) {
      const step = this.#steps[at] as Step;
      const changes = step.changes.filter(({ key }) => key.startsWith(prefix));
      if (changes.length > 0) return { revision: step.revision, changes };
    }
    return undefined;
  }

  /** A state of its own with all of this one's keys, history and sessions. Nobody is told of its changes. */
  copy(): CoordinatorState {
    const copy = new CoordinatorState();
    copy.revision = this.revision;
    copy.compacted = this.compacted;
    for (const [id, session] of this.sessions) copy.sessions.set(id, { ...session });
    for (const [key, entry] of this.#entries) copy.#entries.set(key, entry);
    copy.#steps.push(...this.#steps);
    return copy;
  }

  /** As after a restore from a backup taken `revisions` ago: later sessions are unknown, earlier ones begin a new term. */
  setBack(revisions: number, { nowMs, ttlMs }: { nowMs: number; ttlMs: number }): void {
    for (let count = 0; count < revisions; count++) {
      const step = this.#steps.pop();
      if (!step) break;
      this.revision = step.revision - 1;
      for (const [key, entry] of step.before) {
        if (entry) this.#entries.set(key, entry);
        else this.#entries.delete(key);
      }
    }
    this.compacted = Math.min(this.compacted, this.revision);
    for (const [id, { since }] of this.sessions) if (since > this.revision) this.sessions.delete(id);
    for (const { session } of this.#entries.values()) if (session !== undefined) this.begin(session, { ttlMs, nowMs });
  }
}

function plain({ key, value, createRevision, modifyRevision }: Entry): KeyValue {
  return { key, value: value.slice(), createRevision, modifyRevision };
}
