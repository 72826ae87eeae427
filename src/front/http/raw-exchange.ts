/** An exchange on a connection that the fast path holds: a GET or HEAD without a body. */
import type { Socket } from 'node:net';
import { assert } from '../../core/assert.ts';
import type { Network } from '../../io/io.ts';
import type { Piece } from '../../read/reader.ts';
import { clientGone } from './client-gone.ts';
import type { Exchange } from './exchange.ts';
import { headerOf } from './exchange.ts';
import type { Head } from './head.ts';
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
  readonly bodyLengthBytes = 0;
  onDone: (() => void) | undefined = undefined;
  status = 0;
  sentBytes = 0;
  readonly #host: RawHost;
  #keepAlive: boolean;
  #declaredBytes = 0;
  #over = false;
  #gone = false;
  #abort: AbortController | undefined = undefined;

  constructor(host: RawHost, head: Head) {
    this.#host = host;
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

  async *body(): AsyncIterable<Uint8Array> {}

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
    assert(lengthBytes !== undefined, 'answers on the fast path have a known length');
    this.#setHead(status, lengthBytes);
    this.#host.batch.add(this.#host.socket, this.#head(headers, lengthBytes));
  }

  async sendBytes(bytes: Uint8Array): Promise<void> {
    this.#host.batch.flush();
    for (let at = 0; at < bytes.length; at += WRITE_MAX_BYTES) {
      if (this.#gone) throw clientGone();
      const slice = bytes.subarray(at, at + WRITE_MAX_BYTES);
      await written(this.#host.socket, slice);
      this.sentBytes += slice.length;
    }
  }

  async sendPiece(network: Network, piece: Piece): Promise<void> {
    if (piece.kind === 'bytes') return this.sendBytes(piece.bytes);
    if (this.#gone) throw clientGone();
    const { socket, batch } = this.#host;
    batch.flush();
    if (socket.writableLength !== 0) await written(socket, EMPTY);
    await network.sendFile({ connection: socket, file: piece.file, range: piece.range, signal: this.signal });
    this.sentBytes += piece.range.end - piece.range.start;
  }

  end(): void {
    if (this.#over) return;
    assert(this.method === 'HEAD' || this.sentBytes === this.#declaredBytes, 'the answer has its declared length');
    this.#over = true;
    this.#host.done(this.#keepAlive);
    this.onDone?.();
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
    this.#abort?.abort(clientGone());
    this.onDone?.();
  }

  #setHead(status: number, declaredBytes: number): void {
    assert(this.status === 0, 'an exchange is answered once');
    this.status = status;
    this.#declaredBytes = declaredBytes;
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
