/**
 * What is to be told to other nodes without waiting for an answer. Per node and kind things are sent in order, one message
 * under way at a time, and what comes meanwhile travels together with the next: as many messages as the network needs, no
 * timers.
 *
 * What cannot be delivered is given to `onLost` once: whoever told it knows whether that matters.
 */
import type { Json } from '../io/peers.ts';

export interface OutboxOptions {
  /** Things in one message at most; more wait for the next. */
  readonly batchMax: number;
  send(node: string, type: string, items: readonly Json[]): Promise<unknown>;
  onLost(node: string, type: string, items: readonly Json[], error: unknown): void;
}

interface Queue {
  items: Json[];
  sending: boolean;
}

export class Outbox {
  readonly #options: OutboxOptions;
  readonly #queues = new Map<string, Queue>();

  constructor(options: OutboxOptions) {
    this.#options = options;
  }

  post(node: string, type: string, item: Json): void {
    const name = `${type} ${node}`;
    let queue = this.#queues.get(name);
    if (queue === undefined) {
      queue = { items: [], sending: false };
      this.#queues.set(name, queue);
    }
    queue.items.push(item);
    if (!queue.sending) void this.#drain(name, node, type, queue);
  }

  async #drain(name: string, node: string, type: string, queue: Queue): Promise<void> {
    queue.sending = true;
    // What the same turn still has to say goes with it.
    await Promise.resolve();
    while (queue.items.length > 0) {
      const items = queue.items.slice(0, this.#options.batchMax);
      queue.items = queue.items.slice(items.length);
      try {
        await this.#options.send(node, type, items);
      } catch (error) {
        this.#options.onLost(node, type, items, error);
      }
    }
    queue.sending = false;
    if (this.#queues.get(name) === queue) this.#queues.delete(name);
  }
}
