/**
 * Blocks of one remote value in order, pulled in runs so that a slow reader holds memory and no slot of the mover: at most `kvPullBlocksMax`
 * blocks are on their way or waiting for their reader.
 *
 * A holder that is busy, or lost a message, is asked again; one that does not say hello, or no longer has the bytes, ends it.
 */
import type { Cluster } from '../cluster/cluster.ts';
import { SETTLED } from '../core/abortable.ts';
import { assert } from '../core/assert.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { kvBusyMs, kvPullBlocksMax, kvRetryMs } from '../core/kv-limits.ts';

export interface BlockStreamOptions {
  readonly cluster: Cluster;
  readonly node: string;
  readonly content: ContentId;
  readonly sizeBytes: number;
  /** Blocks `[first, end)`. */
  readonly first: number;
  readonly end: number;
  /** Boottime until which the holder has promised the bytes. */
  readonly promisedMs: number;
}

/** How often a holder is asked again that promised nothing (any more), or sent wrong bytes. */
const TRIES_MAX = 3;

export class BlockStream {
  readonly #options: BlockStreamOptions;
  readonly #stop = new AbortController();
  readonly #ready: Uint8Array[] = [];
  /** The next block that is to come. */
  #at: number;
  #failure: unknown;
  #tries = 0;
  #wakeReader: () => void = () => undefined;
  #wakePuller: () => void = () => undefined;

  /** Begins at once. */
  constructor(options: BlockStreamOptions) {
    this.#options = options;
    this.#at = options.first;
    void this.#run();
  }

  /** Resolves when a block is here, or all have been taken; rejects with what ended it. */
  async ready(signal: AbortSignal): Promise<void> {
    while (this.#ready.length === 0) {
      signal.throwIfAborted();
      if (this.#failure !== undefined) throw this.#failure;
      if (this.#at >= this.#options.end) return;
      const woken = Promise.withResolvers<void>();
      this.#wakeReader = woken.resolve;
      signal.addEventListener('abort', this.#wakeReader, { once: true });
      await woken.promise;
      signal.removeEventListener('abort', this.#wakeReader);
    }
  }

  /** The next block; `undefined` after the last. */
  async next(signal: AbortSignal): Promise<Uint8Array | undefined> {
    await this.ready(signal);
    const bytes = this.#ready.shift();
    this.#wakePuller();
    return bytes;
  }

  close(): void {
    this.#failure ??= new ForebayError('peerTimeout', 'nobody reads this value any more');
    this.#ready.length = 0;
    this.#stop.abort(SETTLED);
    this.#wakePuller();
    this.#wakeReader();
  }

  async #run(): Promise<void> {
    const { end } = this.#options;
    while (this.#at < end && this.#failure === undefined) {
      const room = kvPullBlocksMax - this.#ready.length;
      if (room < Math.min(kvPullBlocksMax / 2, end - this.#at)) {
        const woken = Promise.withResolvers<void>();
        this.#wakePuller = woken.resolve;
        await woken.promise;
        continue;
      }
      try {
        await this.#pull(Math.min(room, end - this.#at));
      } catch (error) {
        await this.#failed(error);
      }
    }
    this.#wakeReader();
  }

  async #pull(count: number): Promise<void> {
    const { cluster, node, content, sizeBytes } = this.#options;
    const first = this.#at;
    const from = cluster.endpoint(node);
    const pull = (over: AbortSignal) =>
      cluster.mover.pull({
        from,
        content,
        sizeBytes,
        first,
        count,
        into: undefined,
        signal: AbortSignal.any([over, this.#stop.signal]),
        onBlock: (block, _checksum, bytes) => {
          assert(bytes !== undefined, 'a pull without a file hands over its bytes');
          if (block !== this.#at || this.#stop.signal.aborted) return;
          this.#at += 1;
          this.#tries = 0;
          this.#ready.push(bytes);
          this.#wakeReader();
        },
      });
    await cluster.hellos.unlessSilent(node, pull);
  }

  /** Goes on after a failure that may pass; else it is the end. */
  async #failed(error: unknown): Promise<void> {
    const { cluster, node, content, promisedMs } = this.#options;
    if (this.#stop.signal.aborted) return;
    const isPromised = cluster.clock.boottimeMs() < promisedMs;
    this.#tries += 1;
    const mayPass =
      isForebayError(error, 'overloaded', 'peerTimeout', 'peerUnreachable', 'peerCorrupt') &&
      cluster.member(node) !== undefined &&
      !cluster.hellos.isSilent(node);
    if (isForebayError(error, 'peerCorrupt')) cluster.tell(node, 'blocks.suspect', content);
    const isOver = this.#tries > TRIES_MAX && (!isPromised || !isForebayError(error, 'overloaded'));
    if (!mayPass || isOver || !(isForebayError(error, 'overloaded') || (await cluster.hellos.isThere(node)))) {
      this.#failure ??= error;
      return;
    }
    const waitMs = isForebayError(error, 'overloaded')
      ? Math.min(kvRetryMs, kvBusyMs * 2 ** (this.#tries - 1))
      : kvRetryMs;
    await cluster.clock.sleep(waitMs, this.#stop.signal).catch(() => undefined);
  }
}
