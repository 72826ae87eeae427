/**
 * Bounds what an origin is asked for: bytes per second, both ways together, and requests at once. A request keeps its
 * place until its answer has been read to the end, stopped or aborted.
 */
import { Places } from '../core/places.ts';
import type { Clock } from '../io/io.ts';
import { type Call, type GetOptions, type Interceptor, intercept, TappedStream } from './intercept.ts';
import type { Body, Origin } from './origin.ts';

export interface ThrottleOptions {
  readonly clock: Clock;
  readonly bytesPerS?: number;
  readonly requestsMax?: number;
}

/** Bytes that may go at once after a pause: this long's worth of them. */
const BURST_MS = 50;
/** Waits shorter than a timer can measure are saved up. */
const WAIT_MIN_MS = 1;

export function throttle(origin: Origin, options: ThrottleOptions): Origin {
  if (options.bytesPerS === undefined && options.requestsMax === undefined) return origin;
  return intercept(origin, new Throttler(origin, options));
}

class Throttler implements Interceptor {
  readonly #origin: Origin;
  readonly #bandwidth: Bandwidth | undefined;
  readonly #places: Places;

  constructor(origin: Origin, options: ThrottleOptions) {
    this.#origin = origin;
    this.#bandwidth = options.bytesPerS === undefined ? undefined : new Bandwidth(options.clock, options.bytesPerS);
    this.#places = new Places(options.requestsMax ?? Number.POSITIVE_INFINITY);
  }

  async around<T>(call: Call, run: () => Promise<T>): Promise<T> {
    await this.#places.take(call.signal);
    try {
      return await run();
    } finally {
      this.#places.release();
    }
  }

  async get(call: Call, options: GetOptions): Promise<AsyncIterable<Uint8Array>> {
    await this.#places.take(call.signal);
    try {
      const answer = await this.#origin.get(call.key, options);
      const release = () => this.#places.release();
      return new TappedStream(this.#paced(answer, call.signal), { onEnd: release, signal: call.signal });
    } catch (error) {
      this.#places.release();
      throw error;
    }
  }

  body(call: Call, body: Body): Body {
    return this.#bandwidth === undefined ? body : { ...body, stream: () => this.#paced(body.stream(), call.signal) };
  }

  #paced(pieces: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): AsyncIterable<Uint8Array> {
    return this.#bandwidth === undefined ? pieces : paced(pieces, this.#bandwidth, signal);
  }
}

async function* paced(
  pieces: AsyncIterable<Uint8Array>,
  bandwidth: Bandwidth,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const piece of pieces) {
    await bandwidth.take(piece.length, signal);
    yield piece;
  }
}

/** A token bucket kept as the time at which the bytes promised so far will have been paid for. First come, first served. */
class Bandwidth {
  readonly #clock: Clock;
  readonly #bytesPerMs: number;
  #paidUntilMs = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock, bytesPerS: number) {
    this.#clock = clock;
    this.#bytesPerMs = bytesPerS / 1000;
  }

  async take(bytes: number, signal: AbortSignal | undefined): Promise<void> {
    const nowMs = this.#clock.boottimeMs();
    this.#paidUntilMs = Math.max(this.#paidUntilMs, nowMs - BURST_MS) + bytes / this.#bytesPerMs;
    const waitMs = this.#paidUntilMs - nowMs;
    if (waitMs >= WAIT_MIN_MS) await this.#clock.sleep(waitMs, signal);
  }
}
