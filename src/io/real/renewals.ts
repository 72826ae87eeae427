/**
 * Keeps sessions alive from a thread of its own, so that a busy moment of the main loop costs none; but only while the
 * main loop turns, so that a node that hangs loses its rights. The main loop beats: it adds to a shared counter; a
 * renewal is sent only when the counter moved since the one before.
 */
import type { Clock } from '../io.ts';

/** A term is renewed this often, and looked at this often. */
const RENEWALS_PER_TERM = 4;
const LOOKS_PER_TERM = 20;

/** Beats at the shared counter until the returned function is called. Does not keep the process alive. */
export function beat(pulse: SharedArrayBuffer, ttlMs: number): () => void {
  const counter = new Int32Array(pulse);
  const timer = setInterval(() => Atomics.add(counter, 0, 1), ttlMs / LOOKS_PER_TERM);
  timer.unref();
  return () => clearInterval(timer);
}

interface Kept {
  readonly ttlMs: number;
  sentMs: number;
  pulse: number;
  isTrying: boolean;
  readonly timer: NodeJS.Timeout;
}

export type RenewalReport =
  | { readonly renewed: string; readonly sentMs: number }
  | { readonly lost: string; readonly why: string };

export interface RenewalsOptions {
  readonly pulse: SharedArrayBuffer;
  readonly clock: Pick<Clock, 'boottimeMs'>;
  /** True when renewed, false when the session is gone, `undefined` when nobody answered. */
  readonly renew: (id: string) => Promise<boolean | undefined> | boolean | undefined;
  readonly report: (report: RenewalReport) => void;
}

export class Renewals {
  readonly #options: RenewalsOptions;
  readonly #counter: Int32Array;
  readonly #kept = new Map<string, Kept>();

  constructor(options: RenewalsOptions) {
    this.#options = options;
    this.#counter = new Int32Array(options.pulse);
  }

  keep({ id, ttlMs, sentMs }: { id: string; ttlMs: number; sentMs: number }): void {
    const timer = setInterval(() => void this.#look(id), ttlMs / LOOKS_PER_TERM);
    const pulse = Atomics.load(this.#counter, 0);
    this.#kept.set(id, { ttlMs, sentMs, pulse, isTrying: false, timer });
  }

  forget(id: string): void {
    clearInterval(this.#kept.get(id)?.timer);
    this.#kept.delete(id);
  }

  #lose(id: string, why: string): void {
    this.forget(id);
    this.#options.report({ lost: id, why });
  }

  async #look(id: string): Promise<void> {
    const kept = this.#kept.get(id);
    if (!kept || kept.isTrying) return;
    const { clock, renew, report } = this.#options;
    const nowMs = clock.boottimeMs();
    if (nowMs >= kept.sentMs + kept.ttlMs) return this.#lose(id, `it was not renewed for ${kept.ttlMs} ms`);
    const isDue = nowMs >= kept.sentMs + kept.ttlMs / RENEWALS_PER_TERM;
    const pulse = Atomics.load(this.#counter, 0);
    if (!isDue || pulse === kept.pulse) return;
    kept.pulse = pulse;
    kept.isTrying = true;
    let renewed: boolean | undefined;
    try {
      renewed = await renew(id);
    } catch {
      renewed = undefined;
    }
    kept.isTrying = false;
    if (this.#kept.get(id) !== kept) return;
    if (renewed === false) return this.#lose(id, 'the coordinator ended it');
    if (renewed === undefined) return;
    kept.sentMs = nowMs;
    report({ renewed: id, sentMs: nowMs });
  }

  close(): void {
    for (const id of Array.from(this.#kept.keys())) this.forget(id);
  }
}
