/**
 * Events for those who watch a node live. A listener that falls behind loses events and is told how many; it never
 * slows the node down.
 */
import { eventBacklogMax, eventListenersMax } from '../core/limits.ts';
import type { Event } from './events.ts';

export interface FedEvents {
  readonly events: readonly Event[];
  /** Events lost since the last batch, because the listener was behind. */
  readonly lost: number;
}

class Listener {
  readonly #kinds: ReadonlySet<string> | undefined;
  #events: Event[] = [];
  #lost = 0;
  #wake: (() => void) | undefined;

  constructor(kinds: ReadonlySet<string> | undefined) {
    this.#kinds = kinds;
  }

  push(event: Event): void {
    if (this.#kinds && !this.#kinds.has(event.kind)) return;
    if (this.#events.length < eventBacklogMax) this.#events.push(event);
    else this.#lost++;
    this.#wake?.();
  }

  take(): FedEvents {
    const batch = { events: this.#events, lost: this.#lost };
    this.#events = [];
    this.#lost = 0;
    return batch;
  }

  /** Resolves when there is something to take, or the signal aborts. */
  async ready(signal: AbortSignal): Promise<void> {
    if (this.#events.length > 0 || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const wake = () => resolve();
    this.#wake = wake;
    signal.addEventListener('abort', wake, { once: true });
    await promise;
    signal.removeEventListener('abort', wake);
    this.#wake = undefined;
  }
}

export class EventFeed {
  readonly #listeners = new Set<Listener>();

  emit(event: Event): void {
    for (const listener of this.#listeners) listener.push(event);
  }

  /**
   * Batches of events until the signal aborts; `undefined` when there are too many listeners already. `pause` resolves
   * when an empty batch (a heartbeat) is due.
   */
  listen(options: {
    kinds?: ReadonlySet<string>;
    signal: AbortSignal;
    pause: (signal: AbortSignal) => Promise<void>;
  }): AsyncIterable<FedEvents> | undefined {
    if (this.#listeners.size >= eventListenersMax) return undefined;
    const listener = new Listener(options.kinds);
    this.#listeners.add(listener);
    return this.#batches(listener, options);
  }

  async *#batches(
    listener: Listener,
    { signal, pause }: { signal: AbortSignal; pause: (signal: AbortSignal) => Promise<void> },
  ): AsyncIterable<FedEvents> {
    try {
      while (!signal.aborted) {
        const turn = new AbortController();
        const both = AbortSignal.any([signal, turn.signal]);
        await Promise.race([listener.ready(both), pause(both).catch(() => undefined)]);
        turn.abort();
        if (!signal.aborted) yield listener.take();
      }
    } finally {
      this.#listeners.delete(listener);
    }
  }
}
