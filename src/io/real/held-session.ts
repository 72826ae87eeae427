/**
 * A session as its holder sees it, whichever coordinator keeps it. It is lost when the coordinator says so, and in any
 * case one term after the last confirmed renewal was sent: by then the coordinator may have given the right to another.
 */
import { ForebayError } from '../../core/errors.ts';
import { sessionActShare } from '../../core/limits.ts';
import type { Session } from '../coordinator.ts';
import type { Clock } from '../io.ts';

export interface SessionStart {
  readonly id: string;
  readonly ttlMs: number;
  /** CLOCK_BOOTTIME when what the coordinator confirmed was sent. */
  readonly sentMs: number;
}

export class HeldSession implements Session {
  readonly id: string;
  readonly ttlMs: number;
  readonly #clock: Clock;
  readonly #onClose: (session: HeldSession) => Promise<void>;
  readonly #lost = new AbortController();
  #sentMs: number;

  constructor(start: SessionStart, options: { clock: Clock; onClose: (session: HeldSession) => Promise<void> }) {
    this.id = start.id;
    this.ttlMs = start.ttlMs;
    this.#sentMs = start.sentMs;
    this.#clock = options.clock;
    this.#onClose = options.onClose;
    void this.#lapse().catch(() => undefined);
  }

  async #lapse(): Promise<void> {
    while (!this.lost.aborted) {
      const leftMs = this.#sentMs + this.ttlMs - this.#clock.boottimeMs();
      if (leftMs <= 0) this.end(`it was not renewed for ${this.ttlMs} ms`);
      else await this.#clock.sleep(leftMs, this.lost);
    }
  }

  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  get actUntilMs(): number {
    return this.lost.aborted ? Number.NEGATIVE_INFINITY : this.#sentMs + this.ttlMs * sessionActShare;
  }

  /** A renewal sent at `sentMs` was confirmed. One that was confirmed after the term brings nothing back. */
  confirm(sentMs: number): void {
    if (this.#clock.boottimeMs() >= this.#sentMs + this.ttlMs) this.end(`it was not renewed for ${this.ttlMs} ms`);
    else this.#sentMs = Math.max(this.#sentMs, sentMs);
  }

  end(why: string): void {
    if (!this.lost.aborted) this.#lost.abort(new ForebayError('sessionLost', `session ${this.id} ended: ${why}`));
  }

  async close(): Promise<void> {
    if (this.lost.aborted) return;
    this.end('it was closed');
    await this.#onClose(this);
  }
}
