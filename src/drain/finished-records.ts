/**
 * Records of what the origin has: stubs and drained tombstones, which stay for a while, and then go (DESIGN.md section 8). While a tombstone stays, a
 * request of ours that nobody waits for any more may still bring an older version back at the origin: it is looked for, and deleted.
 */
import { originLateMs, recordStubMs } from '../core/limits.ts';
import type { ObjectRecord, Stub, Tombstone } from '../write/object-record.ts';
import type { RecordChange } from '../write/records.ts';

export interface Finished {
  readonly key: string;
  readonly record: ObjectRecord;
  readonly current: Stub | Tombstone;
  readonly revision: number;
  readonly knownMs: number;
}

interface Held extends Finished {
  looks: number;
}

/** When it is looked whether a deleted object came back, since its delete. */
const LOOKS_MS = [10_000, 60_000, 300_000, originLateMs];

export class FinishedRecords {
  readonly #held = new Map<string, Held>();

  apply(change: RecordChange, nowMs: number): void {
    if (change.kind === 'change') {
      this.#set(change.key, change, nowMs);
      return;
    }
    const named = new Set(change.records.map(({ key }) => key));
    for (const key of Array.from(this.#held.keys())) if (!named.has(key)) this.#held.delete(key);
    for (const recorded of change.records) this.#set(recorded.key, recorded, nowMs);
  }

  /** Those whose time is over. */
  over(nowMs: number): Finished[] {
    return Array.from(this.#held.values()).filter(({ knownMs }) => nowMs - knownMs >= recordStubMs);
  }

  /** Deleted keys to be looked at now; each is given out once per look. */
  toLookAt(nowMs: number): (Finished & { readonly current: Tombstone })[] {
    const due: (Finished & { readonly current: Tombstone })[] = [];
    for (const held of this.#held.values()) {
      const { current, knownMs } = held;
      if (current.kind !== 'tombstone' || (current.base.own.length === 0 && current.base.late === undefined)) continue;
      const next = LOOKS_MS[held.looks];
      if (next === undefined || nowMs - knownMs < next) continue;
      held.looks++;
      due.push({ ...held, current });
    }
    return due;
  }

  #set(key: string, { record, revision }: { record: ObjectRecord | undefined; revision: number }, nowMs: number): void {
    const before = this.#held.get(key);
    const current = record?.current;
    if (record === undefined || !(current?.kind === 'stub' || (current?.kind === 'tombstone' && current.drained))) {
      this.#held.delete(key);
      return;
    }
    if (before?.revision === revision) return;
    this.#held.set(key, { key, record, current, revision, knownMs: nowMs, looks: 0 });
  }
}
