/** An exchange on a connection that the fast path holds. */
import type { Socket } from 'node:net';
import { assert } from '../../core/assert.ts';
import { discardMaxBytes } from '../../core/limits.ts';
import type { Network } from '../../io/io.ts';
import type { Piece } from '../../read/reader.ts';
import { clientGone } from './client-gone.ts';
import type { Exchange } from './exchange.ts';
import { headerOf } from './exchange.ts';
import type { Head } from './head.ts';
import type { BodyPlace, RawBody } from './raw-body.ts';
import { isBodiless, responseHead } from './response-head.ts';
import { EMPTY, WRITE_MAX_BYTES, written } from './socket-write.ts';
import type { WriteBatch } from './write-batch.ts';

/** What the exchange needs of its connection. */
export interface RawHost {
  readonly socket: Socket;
  readonly batch: WriteBatch;
  wallMs(): number;
  /** Called once, when the answer is complete. */
  done(keepAlive: boolean): void;
}

export class RawExchange implements Exchange {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly string[];
  readonly bodyLengthBytes: number;
  /** The answer is out; what still comes of the body is thrown away. */
  isDiscarding = false;
  onDone: (() => void) | undefined = undefined;
  status = 0;
  sentBytes = 0;
  readonly #host: RawHost;
  readonly #body: RawBody | undefined;
  #keepAlive: boolean;
  /** `undefined`: the length is not known before, and the body goes out in chunks. */
  #declaredBytes: number | undefined = 0;
  #over = false;
  #gone = false;
  #abort: AbortController | undefined = undefined;

  constructor(host: RawHost, head: Head, body: RawBody | undefined) {
    this.#host = host;
    this.#body = body;
    this.bodyLengthBytes = head.bodyLengthBytes;
    this.method = head.method;
    this.target = head.target;
    this.headers = head.headers;
    this.#keepAlive = head.keepAlive;
  }

  header(name: string): string | undefined {
    return headerOf(this.headers, name);
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.#gone) this.#abort.abort(clientGone());
    }
    return this.#abort.signal;
  }

  get begun(): boolean {
    return this.status !== 0;
  }

  async *body(): AsyncIterable<Uint8Array> {
    if (this.#body !== undefined) yield* this.#body.stream();
  }

  get receiveBody(): Exchange['receiveBody'] {
    const body = this.#body;
    return body && ((network: Network, place: BodyPlace) => body.receiveInto(network, place));
  }

  /** Bytes of the body are waited for: if they do not come, it is the client who is idle. */
  get isAwaitingClient(): boolean {
    return this.#body?.isAwaitingClient ?? false;
  }

  answer(status: number, headers: readonly string[], body?: Uint8Array): void {
    const length = body === undefined ? 0 : body.length;
    this.#setHead(status, length);
    const text = this.#head(headers, isBodiless(status) ? undefined : length);
    const { socket, batch } = this.#host;
    if (body === undefined || this.method === 'HEAD') batch.add(socket, text);
    else {
      batch.add(socket, text, body);
      this.sentBytes = length;
    }
    this.#declaredBytes = this.sentBytes;
    this.end();
  }

  begin(status: number, headers: readonly string[], lengthBytes: number | undefined): void {
    assert(lengthBytes !== undefined || this.method !== 'HEAD', 'an answer to HEAD has a known length');
    this.#setHead(status, lengthBytes);
    const coding = lengthBytes === undefined ? ['Transfer-Encoding', 'chunked'] : [];
    this.#host.batch.add(this.#host.socket, this.#head([...headers, ...coding], lengthBytes));
  }

  async sendBytes(bytes: Uint8Array): Promise<void> {
    this.#host.batch.flush();
    for (let at = 0; at < bytes.length; at += WRITE_MAX_BYTES) {
      if (this.#gone) throw clientGone();
      const slice = bytes.subarray(at, at + WRITE_MAX_BYTES);
      await written(this.#host.socket, this.#declaredBytes === undefined ? chunkOf(slice) : slice);
      this.sentBytes += slice.length;
    }
  }

  async sendPiece(network: Network, piece: Piece): Promise<void> {
    if (piece.kind === 'bytes') return this.sendBytes(piece.bytes);
    assert(this.#declaredBytes !== undefined, 'pieces of files have a known length');
    if (this.#gone) throw clientGone();
    const { socket, batch } = this.#host;
    batch.flush();
    if (socket.writableLength !== 0) await written(socket, EMPTY);
    await network.sendFile({ connection: socket, file: piece.file, range: piece.range, signal: this.signal });
    this.sentBytes += piece.range.end - piece.range.start;
  }

  end(): void {
    if (this.#over) return;
    const isWhole = this.#declaredBytes === undefined || this.sentBytes === this.#declaredBytes;
    assert(this.method === 'HEAD' || isWhole, 'the answer has its declared length');
    this.#over = true;
    if (this.#declaredBytes === undefined) this.#host.batch.add(this.#host.socket, LAST_CHUNK);
    if (this.#body === undefined || this.#body.unreadBytes === 0 || this.#body.continueOwed)
      this.#host.done(this.#keepAlive);
    else void this.#discardThenDone(this.#body);
    this.onDone?.();
  }

  /** Closing a socket with unread bytes resets it, and the reset can overtake the answer. */
  async #discardThenDone(body: RawBody): Promise<void> {
    this.isDiscarding = true;
    await body.discard(discardMaxBytes);
    this.#host.done(this.#keepAlive && body.unreadBytes === 0);
  }

  abort(): void {
    this.#host.socket.destroy();
    this.gone();
  }

  /** The connection is closed, or the client has half-closed it while its request was under way. */
  gone(): void {
    if (this.#over) return;
    this.#over = true;
    this.#gone = true;
    this.#body?.fail(clientGone());
    this.#abort?.abort(clientGone());
    this.onDone?.();
  }

  #setHead(status: number, declaredBytes: number | undefined): void {
    assert(this.status === 0, 'an exchange is answered once');
    this.status = status;
    this.#declaredBytes = declaredBytes;
    if (this.#leavesMuchUnread()) this.#keepAlive = false;
  }

  /** The body is not worth reading to its end for the sake of the connection: the answer closes it. */
  #leavesMuchUnread(): boolean {
    if (this.#body === undefined || this.#body.unreadBytes === 0) return false;
    return this.#body.continueOwed || this.#body.unreadBytes > discardMaxBytes;
  }

  #head(headers: readonly string[], lengthBytes: number | undefined): string {
    return responseHead({
      status: this.status,
      headers,
      lengthBytes,
      wallMs: this.#host.wallMs(),
      keepAlive: this.#keepAlive,
    });
  }
}

const LAST_CHUNK = '0\r\n\r\n';

function chunkOf(bytes: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${bytes.length.toString(16)}\r\n`), bytes, Buffer.from('\r\n')]);
}
