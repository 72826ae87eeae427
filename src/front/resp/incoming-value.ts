/**
 * A value that is put while it arrives. The connection gives it the bytes; the put takes them at its own pace, and sees the
 * end only after `allow`: options behind the value (SET key value NX) are known later than its bytes.
 */
import type { ValueBody } from '../../kv/kv.ts';

export class IncomingValue implements ValueBody {
  readonly lengthBytes: number;
  /** Bytes that wait to be taken. */
  queuedBytes = 0;
  readonly #onTaken: () => void;
  #queue: Buffer[] = [];
  #hasArrived = false;
  #isAllowed = false;
  #isUnwanted = false;
  #failure: Error | undefined = undefined;
  #wake: (() => void) | undefined = undefined;

  constructor(lengthBytes: number, onTaken: () => void) {
    this.lengthBytes = lengthBytes;
    this.#onTaken = onTaken;
  }

  push(bytes: Buffer): void {
    if (this.#isUnwanted) return;
    this.#queue.push(bytes);
    this.queuedBytes += bytes.length;
    this.#go();
  }

  /** All bytes have been pushed. */
  arrived(): void {
    this.#hasArrived = true;
    this.#go();
  }

  /** The value may be kept once it has arrived. */
  allow(): void {
    this.#isAllowed = true;
    this.#go();
  }

  /** Nothing of it may be kept. */
  fail(error: Error): void {
    this.#failure ??= error;
    this.#go();
  }

  /** Nobody takes what is still to come. */
  discard(): void {
    this.#isUnwanted = true;
    this.#queue = [];
    this.queuedBytes = 0;
    this.#onTaken();
  }

  async *stream(): AsyncIterable<Uint8Array> {
    for (;;) {
      if (this.#failure) throw this.#failure;
      const bytes = this.#queue.shift();
      if (bytes !== undefined) {
        this.queuedBytes -= bytes.length;
        this.#onTaken();
        yield bytes;
      } else if (this.#hasArrived && this.#isAllowed) return;
      else {
        const { promise, resolve } = Promise.withResolvers<void>();
        this.#wake = resolve;
        await promise;
      }
    }
  }

  #go(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

/** A value that is in hand whole. */
export class WholeValue implements ValueBody {
  readonly lengthBytes: number;
  readonly whole: Uint8Array;

  constructor(bytes: Uint8Array) {
    this.lengthBytes = bytes.length;
    this.whole = bytes;
  }

  async *stream(): AsyncIterable<Uint8Array> {
    if (this.whole.length > 0) yield this.whole;
  }
}
