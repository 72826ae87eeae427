/**
 * The patience of one origin request: it is aborted when no byte moves for `idleMs` while the origin has the word, when
 * the caller's signal aborts, or when its body fails. `error` says why.
 */
import { SETTLED } from '../core/abortable.ts';
import { abortReason, ForebayError } from '../core/errors.ts';
import type { Clock } from '../io/io.ts';

export class IdleWatch {
  readonly #clock: Clock;
  readonly #idleMs: number;
  readonly #what: string;
  readonly #caller: AbortSignal | undefined;
  readonly #request = new AbortController();
  readonly #sleeper = new AbortController();
  readonly #onCallerAbort = () => this.fail(abortReason(this.#caller as AbortSignal));
  #movedMs: number;
  #held = false;
  #isDone = false;
  #error: Error | undefined;

  constructor(options: { clock: Clock; idleMs: number; what: string; signal?: AbortSignal | undefined }) {
    this.#clock = options.clock;
    this.#idleMs = options.idleMs;
    this.#what = options.what;
    this.#caller = options.signal;
    this.#movedMs = options.clock.boottimeMs();
    options.signal?.throwIfAborted();
    options.signal?.addEventListener('abort', this.#onCallerAbort);
    void this.#watch();
  }

  /** Aborts the request. */
  get signal(): AbortSignal {
    return this.#request.signal;
  }

  /** Why the request was aborted; the request's own error is then only a consequence. */
  get error(): Error | undefined {
    return this.#error;
  }

  /** A byte moved, or the origin answered. */
  touch(): void {
    this.#movedMs = this.#clock.boottimeMs();
    this.#held = false;
  }

  /** The origin is waiting for us: its patience is not tried until `touch`. */
  hold(): void {
    this.#held = true;
  }

  fail(error: Error): void {
    if (this.#isDone) return;
    this.#error ??= error;
    this.done();
    this.#request.abort(this.#error);
  }

  /** The request has ended, either way. */
  done(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    this.#caller?.removeEventListener('abort', this.#onCallerAbort);
    this.#sleeper.abort(SETTLED);
  }

  async #watch(): Promise<void> {
    for (let waitMs = this.#idleMs; ; ) {
      try {
        await this.#clock.sleep(waitMs, this.#sleeper.signal);
      } catch {
        return;
      }
      const idleMs = this.#held ? 0 : this.#clock.boottimeMs() - this.#movedMs;
      if (idleMs >= this.#idleMs) {
        this.fail(
          new ForebayError('originUnavailable', `${this.#what}: the origin sent nothing for ${this.#idleMs} ms`),
        );
        return;
      }
      waitMs = this.#idleMs - idleMs;
    }
  }
}
