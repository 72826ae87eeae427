/**
 * Room for bytes that are being written: first come first served by the age of the write, and a share of the disk that only
 * the oldest may take, so that many writes on a disk too small for all of them do not all fail.
 */
import { ForebayError } from '../core/errors.ts';
import { stagedOldestShare, stagedRetryMs } from '../core/limits.ts';
import type { Clock } from '../io/io.ts';
import type { Reservation, Space } from './space.ts';

export interface StagedSpaceOptions {
  readonly space: Space;
  readonly clock: Clock;
  /** As `Store.reserve`: makes room where it may. */
  readonly reserve: (bytes: number) => Promise<Reservation | undefined>;
  /** Bytes that nothing can be evicted for: staged and dirty ones, and those promised. */
  readonly keptBytes: () => number;
}

export interface SpaceClaim {
  /** Of the write: lower is older. */
  readonly age: number;
  readonly waitMs: number;
  /** The length is known: one claim is for all of it. */
  readonly isWhole: boolean;
  readonly signal?: AbortSignal | undefined;
}

interface Waiter extends SpaceClaim {
  readonly leastBytes: number;
  readonly wishBytes: number;
  readonly dueMs: number;
  readonly settle: (result: Reservation | Error) => void;
  isSettled: boolean;
}

export class StagedSpace {
  readonly #options: StagedSpaceOptions;
  /** Ages of the writes under way. */
  readonly #live = new Set<number>();
  #waiters: Waiter[] = [];
  #pumping = false;
  #changed = Promise.withResolvers<void>();

  constructor(options: StagedSpaceOptions) {
    this.#options = options;
  }

  begin(age: number): void {
    this.#live.add(age);
  }

  end(age: number): void {
    this.#live.delete(age);
    this.wake();
  }

  /** Something was freed, or may be evicted now. */
  wake(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }

  /** Promises `wishBytes`, or else `leastBytes`. Rejects with diskFull after `waitMs`, or the signal's reason. */
  take(claim: SpaceClaim, leastBytes: number, wishBytes: number): Promise<Reservation> {
    return new Promise<Reservation>((resolve, reject) => {
      const waiter: Waiter = {
        ...claim,
        leastBytes,
        wishBytes: Math.max(leastBytes, wishBytes),
        dueMs: this.#options.clock.boottimeMs() + claim.waitMs,
        isSettled: false,
        settle: (result) => {
          if (waiter.isSettled) {
            if (!(result instanceof Error)) result.release();
            return;
          }
          waiter.isSettled = true;
          claim.signal?.removeEventListener('abort', leave);
          this.#waiters = this.#waiters.filter((each) => each !== waiter);
          if (result instanceof Error) reject(result);
          else resolve(result);
        },
      };
      const leave = () => {
        const reason: unknown = claim.signal?.reason;
        waiter.settle(reason instanceof Error ? reason : new Error('aborted', { cause: reason }));
        this.wake();
      };
      this.#waiters.push(waiter);
      claim.signal?.addEventListener('abort', leave, { once: true });
      if (claim.signal?.aborted) leave();
      this.#pump();
    });
  }

  #pump(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    void this.#run().finally(() => {
      this.#pumping = false;
      if (this.#waiters.length > 0) this.#pump();
    });
  }

  async #run(): Promise<void> {
    const { clock } = this.#options;
    for (let first = this.#first(); first !== undefined; first = this.#first()) {
      const changed = this.#changed.promise;
      const reservation = await this.#grant(first).catch((error: unknown) => error as Error);
      if (reservation !== undefined) {
        first.settle(reservation);
        continue;
      }
      this.#expire();
      if (this.#waiters.length > 0) await Promise.race([changed, clock.sleep(stagedRetryMs)]);
    }
  }

  #first(): Waiter | undefined {
    let first: Waiter | undefined;
    for (const waiter of this.#waiters) if (first === undefined || waiter.age < first.age) first = waiter;
    return first;
  }

  async #grant(waiter: Waiter): Promise<Reservation | undefined> {
    const { space, reserve, keptBytes } = this.#options;
    // On a disk that is half empty nobody has to be counted.
    const fits = (bytes: number) =>
      space.usedBytes + space.reservedBytes + bytes <= space.capacityBytes / 2 ||
      keptBytes() + bytes <= space.capacityBytes * this.#share(waiter);
    if (waiter.wishBytes > waiter.leastBytes && fits(waiter.wishBytes)) {
      const reservation = await reserve(waiter.wishBytes);
      if (reservation !== undefined) return reservation;
    }
    return fits(waiter.leastBytes) ? reserve(waiter.leastBytes) : undefined;
  }

  /** Who comes back for more leaves room for all who are older, or none of them would end; who takes all at once leaves a little. */
  #share({ age, isWhole }: Waiter): number {
    let older = 0;
    for (const other of this.#live) if (other < age) older += 1;
    if (older === 0) return 1;
    return isWhole ? 1 - stagedOldestShare : 1 - older / this.#live.size / 2;
  }

  #expire(): void {
    const nowMs = this.#options.clock.boottimeMs();
    for (const waiter of this.#waiters) {
      if (waiter.dueMs > nowMs) continue;
      const text = `no room for ${waiter.leastBytes} bytes that are being written, after ${waiter.waitMs} ms`;
      waiter.settle(new ForebayError('diskFull', text));
    }
  }
}
