/**
 * The body of an origin's answer as an iteration, held to the length that was asked for. Chunks are passed on as the
 * socket gave them: nothing is copied or joined.
 */
import type { Readable } from 'node:stream';
import { ForebayError } from '../core/errors.ts';
import { receiveBufferMaxBytes } from '../core/limits.ts';
import type { IdleWatch } from './idle-watch.ts';

interface Incoming {
  readonly source: Readable;
  readonly lengthBytes: number;
  readonly watch: IdleWatch;
  readonly what: string;
}

/**
 * Takes over `source` and `watch`: both are ended with the iteration. originTruncated when more or fewer bytes come
 * than `lengthBytes` or the connection fails midway, the watch's error when it lost patience.
 */
export function receive(incoming: Incoming): AsyncIterableIterator<Uint8Array> {
  return new Receiver(incoming);
}

class Receiver implements AsyncIterableIterator<Uint8Array> {
  readonly #in: Incoming;
  readonly #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #cameBytes = 0;
  #isPaused = false;
  #isOver = false;
  #error: Error | undefined;
  #wake: (() => void) | undefined;

  constructor(incoming: Incoming) {
    this.#in = incoming;
    const { source, watch } = incoming;
    watch.touch();
    source.on('data', (chunk: Uint8Array) => this.#onData(chunk));
    source.on('end', () => this.#end(this.#lengthError('the answer ended after')));
    source.on('error', (error: Error) => this.#end(this.#connectionError(error)));
    source.on('close', () => this.#end(this.#lengthError('the connection closed after')));
    watch.signal.addEventListener('abort', () => this.#end(watch.error), { once: true });
    if (watch.error !== undefined) this.#end(watch.error);
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    for (;;) {
      // bytes that came before a failure of the connection are still good; a caller who aborted wants none
      const chunk = this.#in.watch.error === undefined ? this.#queue.shift() : undefined;
      if (chunk !== undefined) {
        this.#queuedBytes -= chunk.length;
        if (this.#isPaused && this.#queuedBytes < receiveBufferMaxBytes / 2) this.#resume();
        return { value: chunk, done: false };
      }
      if (this.#error !== undefined) throw this.#error;
      if (this.#isOver) return { value: undefined, done: true };
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    this.#queue.length = 0;
    // all bytes are here, so the connection can be used again once its end has been read
    if (this.#isPaused && this.#cameBytes === this.#in.lengthBytes) this.#in.source.resume();
    this.#end(undefined);
    return { value: undefined, done: true };
  }

  #onData(chunk: Uint8Array): void {
    if (this.#isOver) return;
    const { watch, lengthBytes, source } = this.#in;
    watch.touch();
    this.#cameBytes += chunk.length;
    if (this.#cameBytes > lengthBytes) {
      this.#end(this.#lengthError('the origin sent at least'));
      return;
    }
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.length;
    if (this.#queuedBytes >= receiveBufferMaxBytes) {
      this.#isPaused = true;
      source.pause();
      watch.hold();
    }
    this.#wakeUp();
  }

  #resume(): void {
    this.#isPaused = false;
    this.#in.watch.touch();
    this.#in.source.resume();
  }

  #end(error: Error | undefined): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#error = error;
    this.#in.watch.done();
    if (!this.#in.source.destroyed && (error !== undefined || this.#cameBytes < this.#in.lengthBytes))
      this.#in.source.destroy();
    this.#wakeUp();
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #lengthError(text: string): Error | undefined {
    const { lengthBytes, what } = this.#in;
    if (this.#cameBytes === lengthBytes) return undefined;
    return new ForebayError('originTruncated', `${what}: ${text} ${this.#cameBytes} of ${lengthBytes} bytes`);
  }

  #connectionError(error: Error): Error {
    if (this.#in.watch.error !== undefined) return this.#in.watch.error;
    const text = `${this.#in.what}: the connection failed after ${this.#cameBytes} of ${this.#in.lengthBytes} bytes: ${error.message}`;
    return new ForebayError('originTruncated', text, { cause: error });
  }
}
