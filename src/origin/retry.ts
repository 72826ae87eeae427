/**
 * Tries origin requests again where that is safe and can help: after throttling, failures of the origin and broken
 * answers, at most `originAttemptsMax` times, with full-jitter backoff (Brooker, "Exponential Backoff And Jitter", AWS 2015)
 * that never undercuts what the origin asked for.
 *
 * Safe: reads, and writes whose body can be sent again. A conditional write whose fate is unknown is not tried again: its first try may
 * have taken effect, and then the second would be told that the condition fails. A `get` that breaks off goes on from
 * where it stopped, in the same version: no byte is fetched twice.
 */
import { type ForebayError, isForebayError } from '../core/errors.ts';
import { MiB, originAttemptsMax, originBackoffBaseMs, originBackoffMaxMs } from '../core/limits.ts';
import type { Clock, Random } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import { type Call, type GetOptions, type Interceptor, intercept } from './intercept.ts';
import type { Origin } from './origin.ts';

export interface RetryOptions {
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
  readonly attemptsMax?: number;
}

/** An origin that asks for a longer pause than this is told to the caller instead of waited for. */
const RETRY_AFTER_MAX_MS = 3 * originBackoffMaxMs;
/** A `get` that brought this much since it last broke off has all its attempts again. */
const PROGRESS_BYTES = MiB;

export function retry(origin: Origin, options: RetryOptions): Origin {
  return intercept(origin, new Retrier(origin, options));
}

class Retrier implements Interceptor {
  readonly #origin: Origin;
  readonly #options: RetryOptions;

  constructor(origin: Origin, options: RetryOptions) {
    this.#origin = origin;
    this.#options = options;
  }

  async around<T>(call: Call, run: () => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await run();
      } catch (error) {
        await this.recover(call, error, attempt);
      }
    }
  }

  async get(call: Call, options: GetOptions): Promise<AsyncIterable<Uint8Array>> {
    const open = (start: number) =>
      this.#origin.get(call.key, { ...options, range: { start, end: options.range.end } });
    const first = await this.around(call, () => open(options.range.start));
    return new ResumedStream(first, { call, open, retrier: this, at: options.range.start });
  }

  /** Waits until `attempt` + 1 may begin; throws `error` when it must not. */
  async recover(call: Call, error: unknown, attempt: number): Promise<void> {
    const { clock, random, emit, attemptsMax = originAttemptsMax } = this.#options;
    if (attempt >= attemptsMax || !mayTryAgain(call, error)) throw error;
    const ceilingMs = Math.min(originBackoffMaxMs, originBackoffBaseMs * 2 ** (attempt - 1));
    const waitMs = (error.retryAfterMs ?? 0) + random.fraction() * ceilingMs;
    const { operation } = call;
    emit({ kind: 'origin.retry', origin: this.#origin.url, operation, attempt: attempt + 1, code: error.code });
    await clock.sleep(waitMs, call.signal);
  }
}

function mayTryAgain(call: Call, error: unknown): error is ForebayError {
  if (call.signal?.aborted || !call.replayable) return false;
  if (!isForebayError(error, 'originThrottled', 'originUnavailable', 'originTruncated')) return false;
  if ((error.retryAfterMs ?? 0) > RETRY_AFTER_MAX_MS) return false;
  return !call.conditional || error.code === 'originThrottled';
}

class ResumedStream implements AsyncIterableIterator<Uint8Array> {
  readonly #call: Call;
  readonly #open: (start: number) => Promise<AsyncIterable<Uint8Array>>;
  readonly #retrier: Retrier;
  #inner: AsyncIterator<Uint8Array>;
  #at: number;
  #attempt = 1;
  #sinceBytes = 0;

  constructor(
    first: AsyncIterable<Uint8Array>,
    from: { call: Call; open: (start: number) => Promise<AsyncIterable<Uint8Array>>; retrier: Retrier; at: number },
  ) {
    this.#inner = first[Symbol.asyncIterator]();
    this.#call = from.call;
    this.#open = from.open;
    this.#retrier = from.retrier;
    this.#at = from.at;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      try {
        const result = await this.#inner.next();
        if (!result.done) this.#progress(result.value.length);
        return result;
      } catch (error) {
        await this.#resume(error);
      }
    }
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    await this.#inner.return?.();
    return { value: undefined, done: true };
  }

  #progress(bytes: number): void {
    this.#at += bytes;
    this.#sinceBytes += bytes;
    if (this.#sinceBytes >= PROGRESS_BYTES) this.#attempt = 1;
  }

  async #resume(error: unknown): Promise<void> {
    for (let reason = error; ; ) {
      await this.#retrier.recover(this.#call, reason, this.#attempt++);
      this.#sinceBytes = 0;
      try {
        this.#inner = (await this.#open(this.#at))[Symbol.asyncIterator]();
        return;
      } catch (again) {
        reason = again;
      }
    }
  }
}
