/** An exchange that node:http has parsed: everything that the fast path does not take. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { assert } from '../../core/assert.ts';
import { ForebayError } from '../../core/errors.ts';
import { discardMaxBytes } from '../../core/limits.ts';
import type { Network } from '../../io/io.ts';
import type { Piece } from '../../read/reader.ts';
import { clientGone } from './client-gone.ts';
import type { Exchange } from './exchange.ts';
import { headerOf, trimBlanks } from './exchange.ts';
import { isBodiless } from './response-head.ts';
import { EMPTY, WRITE_MAX_BYTES, written } from './socket-write.ts';

export class NodeExchange implements Exchange {
  readonly method: string;
  readonly target: string;
  readonly headers: readonly string[];
  readonly bodyLengthBytes: number | undefined;
  onDone: (() => void) | undefined = undefined;
  status = 0;
  sentBytes = 0;
  /** The door's own duty at the end, before the handler's. */
  onOver: (() => void) | undefined = undefined;
  /** Waiting for bytes of the body: if they do not come, it is the client who is idle. */
  isAwaitingClient = false;
  /** The answer is out; what still comes of the body is thrown away. */
  isDiscarding = false;
  readonly #request: IncomingMessage;
  readonly #response: ServerResponse;
  readonly #abort = new AbortController();
  /** 100 Continue is still owed. */
  #continueOwed: boolean;
  #declaredBytes: number | undefined = 0;
  #over = false;

  constructor(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) {
    this.#request = request;
    this.#response = response;
    this.#continueOwed = expectsContinue;
    this.method = request.method ?? '';
    this.target = request.url ?? '';
    this.headers = request.rawHeaders.map((text, index) => (index % 2 === 0 ? text.toLowerCase() : trimBlanks(text)));
    const length = request.headers['content-length'];
    if (request.headers['transfer-encoding'] !== undefined) this.bodyLengthBytes = undefined;
    else this.bodyLengthBytes = length === undefined ? 0 : Number(length);
    response.on('close', () => this.#finish());
    response.on('error', () => this.#finish());
    request.on('error', () => {});
  }

  /** HTTP/1.0 or 1.1 with one host: node:http lets more through. */
  get isProper(): boolean {
    const { httpVersion } = this.#request;
    const hosts = this.headers.filter((name, index) => index % 2 === 0 && name === 'host').length;
    return httpVersion === '1.1' ? hosts === 1 : httpVersion === '1.0' && hosts <= 1;
  }

  /** The body has come to its end. */
  get isWhole(): boolean {
    return this.#request.complete;
  }

  header(name: string): string | undefined {
    return headerOf(this.headers, name);
  }

  get signal(): AbortSignal {
    return this.#abort.signal;
  }

  get begun(): boolean {
    return this.status !== 0;
  }

  async *body(): AsyncIterable<Uint8Array> {
    if (this.#continueOwed) {
      this.#continueOwed = false;
      this.#response.writeContinue();
    }
    const chunks = this.#request.iterator({ destroyOnReturn: false });
    try {
      for (;;) {
        this.isAwaitingClient = true;
        const chunk = await chunks.next().finally(() => {
          this.isAwaitingClient = false;
        });
        if (chunk.done) break;
        yield chunk.value as Uint8Array;
      }
    } catch (error) {
      throw new ForebayError('incompleteBody', 'the connection closed within the body', { cause: error });
    } finally {
      await chunks.return?.();
    }
    if (!this.#request.complete) throw new ForebayError('incompleteBody', 'the body ended before its declared length');
  }

  answer(status: number, headers: readonly string[], body?: Uint8Array): void {
    this.begin(status, headers, body === undefined ? 0 : body.length);
    if (body !== undefined && this.method !== 'HEAD') {
      this.#response.write(body);
      this.sentBytes = body.length;
    }
    this.end();
  }

  begin(status: number, headers: readonly string[], lengthBytes: number | undefined): void {
    assert(this.status === 0, 'an exchange is answered once');
    this.status = status;
    this.#declaredBytes = this.method === 'HEAD' || isBodiless(status) ? 0 : lengthBytes;
    const all = [...headers];
    if (lengthBytes !== undefined && !isBodiless(status)) all.push('Content-Length', String(lengthBytes));
    if (this.#leavesMuchUnread()) all.push('Connection', 'close');
    this.#response.writeHead(status, all);
  }

  async sendBytes(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length; at += WRITE_MAX_BYTES) {
      this.#signalGone();
      const slice = bytes.subarray(at, at + WRITE_MAX_BYTES);
      await written(this.#response, slice);
      this.sentBytes += slice.length;
    }
  }

  async sendPiece(network: Network, piece: Piece): Promise<void> {
    if (piece.kind === 'bytes') return this.sendBytes(piece.bytes);
    this.#signalGone();
    const socket = this.#response.socket as Socket;
    this.#response.flushHeaders();
    if (socket.writableLength !== 0) await written(socket, EMPTY);
    this.#signalGone();
    await network.sendFile({ connection: socket, file: piece.file, range: piece.range, signal: this.signal });
    this.sentBytes += piece.range.end - piece.range.start;
  }

  end(): void {
    assert(
      this.#declaredBytes === undefined || this.sentBytes === this.#declaredBytes,
      'the answer has its declared length',
    );
    if (this.#leavesMuchUnread() && !this.#continueOwed) this.#discardThenEnd();
    else this.#response.end();
  }

  abort(): void {
    this.#request.destroy();
    this.#response.destroy();
    this.#finish();
  }

  /** The body is not worth reading to its end for the sake of the connection: the answer closes it. */
  #leavesMuchUnread(): boolean {
    if (this.#request.complete) return false;
    return this.#continueOwed || this.bodyLengthBytes === undefined || this.bodyLengthBytes > discardMaxBytes;
  }

  /**
   * Closing a socket with unread bytes resets it, and the reset can overtake the answer. So the answer is flushed, and
   * what still comes is thrown away for a bounded while before the connection closes.
   */
  #discardThenEnd(): void {
    const request = this.#request;
    const end = () => this.#response.end();
    let discarded = 0;
    this.isAwaitingClient = true;
    this.isDiscarding = true;
    this.#response.write('');
    request.on('data', (chunk: Buffer) => {
      discarded += chunk.length;
      if (discarded > discardMaxBytes) {
        request.pause();
        end();
      }
    });
    request.on('end', end);
    request.on('close', end);
    request.resume();
  }

  #signalGone(): void {
    if (this.#over) throw clientGone();
  }

  #finish(): void {
    if (this.#over) return;
    this.#over = true;
    if (!this.#response.writableFinished) this.#abort.abort(clientGone());
    this.onOver?.();
    this.onDone?.();
  }
}
