/** A connection that node:http holds. Pipelined requests are handled one at a time, so that each owns the socket. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { clientIdleMs, keepAliveIdleMs, lingerMs } from '../../core/limits.ts';
import type { Handler } from './exchange.ts';
import { NodeExchange } from './node-exchange.ts';
import { responseHead } from './response-head.ts';

/** A whole answer to what was no proper request. */
export interface Refusal {
  readonly status: number;
  readonly headers: readonly string[];
  readonly body: Uint8Array;
}

export interface NodeConnectionOptions {
  readonly socket: Socket;
  readonly handler: Handler;
  nowMs(): number;
  wallMs(): number;
  /** The answer to a request that node:http lets through and the door does not. */
  malformed(): Refusal;
}

export class NodeConnection {
  readonly #options: NodeConnectionOptions;
  readonly #waiting: NodeExchange[] = [];
  #exchange: NodeExchange | undefined = undefined;
  #closing = false;
  /** To be said after the answers that are still owed. */
  #refusal: Refusal | undefined = undefined;
  #sinceMs: number;
  #moved = 0;

  constructor(options: NodeConnectionOptions) {
    this.#options = options;
    this.#sinceMs = options.nowMs();
  }

  get isBusy(): boolean {
    return this.#exchange !== undefined;
  }

  take(request: IncomingMessage, response: ServerResponse, expectsContinue: boolean): void {
    const exchange = new NodeExchange(request, response, expectsContinue);
    exchange.onOver = () => this.#over(exchange);
    if (!exchange.isProper) this.#closing = true;
    if (this.#closing) response.shouldKeepAlive = false;
    if (this.#exchange === undefined) this.#handle(exchange);
    else this.#waiting.push(exchange);
  }

  /** As `RawConnection.finish`. */
  finish(): void {
    this.#closing = true;
    if (this.#exchange === undefined) this.#options.socket.destroySoon();
  }

  /** As `RawConnection.isExpired`. */
  isExpired(nowMs: number): boolean {
    const { socket } = this.#options;
    const moved = socket.bytesRead + socket.bytesWritten;
    const isClientsTurn =
      this.#exchange === undefined || this.#exchange.isAwaitingClient || socket.writableLength !== 0;
    if (moved !== this.#moved || !isClientsTurn) {
      // Between requests only whole heads count as a sign of life: one that trickles in is as good as none.
      if (this.#exchange !== undefined) this.#sinceMs = nowMs;
      this.#moved = moved;
    }
    const limitMs = this.#exchange?.isDiscarding === true ? lingerMs : clientIdleMs;
    return nowMs - this.#sinceMs > (this.#exchange === undefined ? keepAliveIdleMs : limitMs);
  }

  closed(): void {
    this.#closing = true;
  }

  /**
   * Bytes came that are no request: says so and closes, after the answers to what came before. A request whose own body
   * they were gets this instead of its answer.
   */
  refuse(refusal: Refusal): void {
    this.#closing = true;
    const last = this.#waiting.at(-1) ?? this.#exchange;
    if (last === undefined || (last === this.#exchange && !last.isWhole && !last.begun)) this.#sayAndClose(refusal);
    else if (last.isWhole) this.#refusal = refusal;
    else this.#options.socket.destroy();
  }

  #sayAndClose({ status, headers, body }: Refusal): void {
    const { socket } = this.#options;
    if (!socket.writable) {
      socket.destroy();
      return;
    }
    const wallMs = this.#options.wallMs();
    const head = responseHead({ status, headers, lengthBytes: body.length, wallMs, keepAlive: false });
    socket.write(Buffer.concat([Buffer.from(head, 'latin1'), body]));
    socket.destroySoon();
  }

  #over(exchange: NodeExchange): void {
    this.#sinceMs = this.#options.nowMs();
    if (exchange !== this.#exchange) {
      this.#waiting.splice(this.#waiting.indexOf(exchange), 1);
      return;
    }
    this.#exchange = undefined;
    if (this.#options.socket.destroyed) {
      // Nobody waits for what was sent after a request that failed.
      this.#waiting.length = 0;
      return;
    }
    const next = this.#waiting.shift();
    if (next !== undefined) this.#handle(next);
    else if (this.#refusal !== undefined) this.#sayAndClose(this.#refusal);
    else if (this.#closing) this.#options.socket.destroySoon();
  }

  #handle(exchange: NodeExchange): void {
    this.#exchange = exchange;
    this.#sinceMs = this.#options.nowMs();
    if (exchange.isProper) this.#options.handler(exchange);
    else {
      const { status, headers, body } = this.#options.malformed();
      exchange.answer(status, headers, body);
    }
  }
}
