/**
 * The body of a request on the fast path: so many bytes after its head. What Node had read with the head is kept; then the
 * socket is paused until somebody asks for the rest, which comes through Node (`stream`) or goes around it (`receiveInto`).
 *
 * Bounds: BUFFERED_MAX_BYTES and what one read of the socket gives.
 */
import type { Socket } from 'node:net';
import { assert } from '../../core/assert.ts';
import { ForebayError } from '../../core/errors.ts';
import type { Network, ReceiveInto } from '../../io/io.ts';

/** Kept of a body whose consumer is slower than its sender. */
const BUFFERED_MAX_BYTES = 256 * 1024;

export type BodyPlace = Omit<ReceiveInto, 'connection' | 'first' | 'lengthBytes'>;

/** What the body needs of its connection. */
export interface BodyHost {
  readonly socket: Socket;
  /** Says `100 Continue`. */
  sayContinue(): void;
  /** While the network has the socket, its bytes are not the connection's. */
  listen(): void;
  leave(): void;
}

export class RawBody {
  readonly lengthBytes: number;
  /** Waiting for the client: if nothing comes, it is idle. */
  isAwaitingClient = false;
  /** 100 Continue is still owed. */
  continueOwed: boolean;
  readonly #host: BodyHost;
  readonly #pieces: Buffer[] = [];
  #buffered = 0;
  /** Bytes that have not come. */
  #missing: number;
  #failed: Error | undefined;
  #wake: (() => void) | undefined;
  /** A receiver failed: how much is left nobody knows. */
  #isTorn = false;
  #isAsked = false;

  constructor(host: BodyHost, lengthBytes: number, expectsContinue: boolean) {
    this.#host = host;
    this.lengthBytes = lengthBytes;
    this.#missing = lengthBytes;
    this.continueOwed = expectsContinue && lengthBytes > 0;
  }

  /** Bytes of the body that nobody has taken, as far as that is known. */
  get unreadBytes(): number {
    return this.#isTorn ? Number.POSITIVE_INFINITY : this.#missing + this.#buffered;
  }

  /** All of it has come. */
  get isWhole(): boolean {
    return this.#missing === 0 && !this.#isTorn;
  }

  /** How many of these bytes, the next of the connection, belong to the body. */
  add(bytes: Buffer): number {
    const count = Math.min(bytes.length, this.#missing);
    if (count === 0) return 0;
    this.#missing -= count;
    this.#buffered += count;
    this.#pieces.push(bytes.subarray(0, count));
    if (this.#missing > 0 && (this.#buffered > BUFFERED_MAX_BYTES || !this.#isAsked)) this.#host.socket.pause();
    this.#wake?.();
    return count;
  }

  /** No more will come. */
  fail(error: Error): void {
    this.#failed ??= error;
    this.#wake?.();
  }

  /** As `Exchange.body`. */
  async *stream(): AsyncGenerator<Uint8Array> {
    this.#begin();
    while (this.unreadBytes > 0) yield await this.#next();
  }

  async #next(): Promise<Uint8Array> {
    for (;;) {
      const piece = this.#pieces.shift();
      if (piece !== undefined) {
        this.#buffered -= piece.length;
        return piece;
      }
      if (this.#failed) throw this.#failed;
      this.isAwaitingClient = true;
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
        if (this.#host.socket.isPaused()) this.#host.socket.resume();
      });
      this.#wake = undefined;
      this.isAwaitingClient = false;
    }
  }

  /** As `Network.receiveInto`, for all of the body. */
  async receiveInto(network: Network, place: BodyPlace): Promise<readonly Uint8Array[]> {
    this.#begin();
    const { socket } = this.#host;
    const first = Buffer.concat(this.#pieces.splice(0));
    this.#buffered = 0;
    socket.pause();
    this.#host.leave();
    this.#isTorn = true;
    try {
      const { lengthBytes } = this;
      const digests = await network.receiveInto({ ...place, connection: socket, first, lengthBytes });
      this.#isTorn = false;
      this.#missing = 0;
      return digests;
    } finally {
      this.#host.listen();
    }
  }

  #begin(): void {
    assert(!this.#isAsked, 'a body is read once');
    this.#isAsked = true;
    if (this.#failed) throw this.#failed;
    if (!this.continueOwed) return;
    this.continueOwed = false;
    this.#host.sayContinue();
  }

  /** What still comes is thrown away, up to `maxBytes`; resolves when that is enough, or nothing comes any more. */
  async discard(maxBytes: number): Promise<void> {
    let discarded = 0;
    this.#isAsked = true;
    try {
      while (this.unreadBytes > 0 && discarded <= maxBytes) discarded += (await this.#next()).length;
    } catch {
      // the connection ended
    }
  }
}

export function cutShort(): ForebayError {
  return new ForebayError('incompleteBody', 'the connection closed within the body');
}
