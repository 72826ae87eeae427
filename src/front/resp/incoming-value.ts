/**
 * A value that is put while it arrives. The connection gives it the bytes; the put takes them at its own pace, and sees the
 * end only after `allow`: options behind the value (SET key value NX) are known later than its bytes.
 */
import { receiveIntoMinBytes } from '../../core/limits.ts';
import type { File } from '../../io/io.ts';
import type { ValueBody } from '../../kv/kv.ts';

/** Of the connection: puts the rest of the value into a file, by itself. */
export type ReceiveRest = (file: File, onBlock: (block: number, checksum: number) => void) => Promise<void>;

export class IncomingValue implements ValueBody {
  readonly lengthBytes: number;
  /** Bytes that wait to be taken. */
  queuedBytes = 0;
  /** Somebody takes its bytes: until then they stay with the client. */
  isWanted: boolean;
  /** As `ValueBody.receive`; absent where the value is too small to be worth it. */
  receive?: NonNullable<ValueBody['receive']>;
  readonly #onTaken: () => void;
  readonly #begun = Promise.withResolvers<void>();
  #queue: Buffer[] = [];
  #hasArrived = false;
  #isAllowed = false;
  #isUnwanted = false;
  #failure: Error | undefined = undefined;
  #wake: (() => void) | undefined = undefined;

  constructor(lengthBytes: number, connection: { onTaken: () => void; receiveRest: ReceiveRest }) {
    this.lengthBytes = lengthBytes;
    this.#onTaken = connection.onTaken;
    this.isWanted = lengthBytes < receiveIntoMinBytes;
    if (this.isWanted) return;
    this.receive = async (file, onBlock) => {
      await this.#begun.promise;
      if (this.#failure) throw this.#failure;
      this.isWanted = true;
      await connection.receiveRest(file, onBlock);
      while (!this.#hasArrived || !this.#isAllowed) {
        if (this.#failure) throw this.#failure;
        await this.#change();
      }
    };
  }

  /** Its bytes are the next of the connection. */
  begin(): void {
    this.#begun.resolve();
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
    this.#begun.resolve();
    this.#go();
  }

  /** Nobody takes what is still to come. */
  discard(): void {
    this.#isUnwanted = true;
    this.isWanted = true;
    this.#queue = [];
    this.queuedBytes = 0;
    this.#onTaken();
  }

  async *stream(): AsyncIterable<Uint8Array> {
    this.isWanted = true;
    this.#onTaken();
    for (;;) {
      if (this.#failure) throw this.#failure;
      const bytes = this.#queue.shift();
      if (bytes !== undefined) {
        this.queuedBytes -= bytes.length;
        this.#onTaken();
        yield bytes;
      } else if (this.#hasArrived && this.#isAllowed) return;
      else await this.#change();
    }
  }

  #change(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    return promise;
  }

  #go(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }
}

/** Of the memory that is kept with a value. */
const KEPT_SHARE_MIN = 0.75;

/** A value that is in hand whole. */
export class WholeValue implements ValueBody {
  readonly lengthBytes: number;
  readonly whole: Uint8Array;
  /** The parser writes behind what it has given out, never over it. */
  readonly mayKeep: boolean;

  constructor(bytes: Uint8Array) {
    this.lengthBytes = bytes.length;
    this.whole = bytes;
    this.mayKeep = bytes.length >= KEPT_SHARE_MIN * bytes.buffer.byteLength;
  }

  async *stream(): AsyncIterable<Uint8Array> {
    if (this.whole.length > 0) yield this.whole;
  }
}
