/**
 * Which values are leased, until when, and how many bytes they are. Pure. Leases end in the order of the second they end in, so that what ended
 * costs nothing to find.
 */
import type { ValueRow } from '../store/value-table.ts';

interface Lease {
  untilMs: number;
  readonly bytes: number;
  /** The bucket that it is looked at with. */
  bucket: number;
}

const BUCKET_MS = 1000;

export class LeaseBook {
  readonly #leases = new Map<ValueRow, Lease>();
  readonly #buckets = new Map<number, ValueRow[]>();
  /** The first bucket that was not looked at. */
  #first = Number.POSITIVE_INFINITY;
  #bytes = 0;

  /** Bytes under leases that last at `nowMs`, and of some that ended within the last second. */
  bytes(nowMs: number): number {
    this.#forget(nowMs);
    return this.#bytes;
  }

  isLeased(row: ValueRow, nowMs: number): boolean {
    const lease = this.#leases.get(row);
    return lease !== undefined && lease.untilMs > nowMs;
  }

  /** The later end wins. */
  grant(row: ValueRow, bytes: number, untilMs: number): void {
    const lease = this.#leases.get(row);
    if (lease !== undefined) {
      if (untilMs > lease.untilMs) lease.untilMs = untilMs;
      return;
    }
    const added: Lease = { untilMs, bytes, bucket: 0 };
    this.#leases.set(row, added);
    this.#bytes += bytes;
    this.#file(row, added);
  }

  /** A client gave the value less time than its lease has. */
  shorten(row: ValueRow, untilMs: number): void {
    const lease = this.#leases.get(row);
    if (lease !== undefined && untilMs < lease.untilMs) lease.untilMs = untilMs;
  }

  /** The value is not there any more, or is another. */
  remove(row: ValueRow): void {
    const lease = this.#leases.get(row);
    if (lease === undefined) return;
    this.#leases.delete(row);
    this.#bytes -= lease.bytes;
  }

  #file(row: ValueRow, lease: Lease): void {
    lease.bucket = Math.floor(lease.untilMs / BUCKET_MS);
    const bucket = this.#buckets.get(lease.bucket);
    if (bucket === undefined) this.#buckets.set(lease.bucket, [row]);
    else bucket.push(row);
    if (lease.bucket < this.#first) this.#first = lease.bucket;
  }

  #forget(nowMs: number): void {
    const now = Math.floor(nowMs / BUCKET_MS);
    if (this.#first >= now) return;
    const due = Array.from(this.#buckets.keys()).filter((bucket) => bucket < now);
    for (const number of due) {
      const rows = this.#buckets.get(number) ?? [];
      this.#buckets.delete(number);
      for (const row of rows) {
        const lease = this.#leases.get(row);
        // Another value's row, or another lease: it is filed elsewhere.
        if (lease === undefined || lease.bucket !== number) continue;
        if (lease.untilMs > nowMs) this.#file(row, lease);
        else this.remove(row);
      }
    }
    this.#first = Math.min(...this.#buckets.keys());
  }
}
