/**
 * The answer to one request. Requests of a connection may be under way together; answers leave in the order of the requests:
 * what is said before an answer's turn is kept, so only short things are (`reply`); longer ones await their `turn`.
 */
import type { Socket } from 'node:net';
import type { WriteBatch } from '../http/write-batch.ts';

export interface AnswerHost {
  readonly socket: Socket;
  readonly batch: WriteBatch;
  readonly isGone: boolean;
}

export class Answer {
  /** As HTTP would say it, for the metrics. */
  status = 200;
  sentBytes = 0;
  /** Something of it was sent or is about to be. */
  begun = false;
  /** The connection closes after it. */
  closes = false;
  /** The client's protocol when it asked. */
  readonly resp3: boolean;
  readonly host: AnswerHost;
  #hasTurn: boolean;
  #kept = '';
  #waiting: (() => void) | undefined = undefined;

  constructor(host: AnswerHost, options: { hasTurn: boolean; resp3: boolean }) {
    this.host = host;
    this.resp3 = options.resp3;
    this.#hasTurn = options.hasTurn;
  }

  get hasTurn(): boolean {
    return this.#hasTurn;
  }

  /** Something short, one character per byte. */
  reply(text: string): void {
    this.begun = true;
    this.sentBytes += text.length;
    if (this.#hasTurn) this.host.batch.add(this.host.socket, text);
    else this.#kept += text;
  }

  /** A bulk string in memory, in its turn. The bytes are copied, or belong to the socket. */
  bulk(bytes: Uint8Array): void {
    const { socket, batch } = this.host;
    this.begun = true;
    this.sentBytes += bytes.length;
    batch.add(socket, `$${bytes.length}\r\n`, bytes, '\r\n');
  }

  /** Resolves when all answers before this one have left. */
  turn(): Promise<void> {
    if (this.#hasTurn) return Promise.resolve();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting = resolve;
    return promise;
  }

  /** Of the connection: the answers before this one have left. */
  takeTurn(): void {
    this.#hasTurn = true;
    if (this.#kept !== '') this.host.batch.add(this.host.socket, this.#kept);
    this.#kept = '';
    this.#waiting?.();
    this.#waiting = undefined;
  }
}
