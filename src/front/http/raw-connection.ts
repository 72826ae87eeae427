/**
 * A connection as the fast path holds it: heads are parsed here and answered in order, one at a time. The first head
 * that `parseHead` finds odd makes it hand over the connection, with every byte not yet used, for good.
 *
 * Bounds: `requestHeadMaxBytes` of input are kept while a request is under way, then reading stops; no further request
 * is begun while the client does not take the answers it has.
 */
import type { Socket } from 'node:net';
import { clientIdleMs, keepAliveIdleMs, lingerMs, requestHeadMaxBytes } from '../../core/limits.ts';
import type { Handler } from './exchange.ts';
import { type Head, isClean, parseHead } from './head.ts';
import { cutShort, RawBody } from './raw-body.ts';
import type { RawHost } from './raw-exchange.ts';
import { RawExchange } from './raw-exchange.ts';
import type { WriteBatch } from './write-batch.ts';

export interface RawConnectionOptions {
  readonly socket: Socket;
  readonly batch: WriteBatch;
  readonly handler: Handler;
  wallMs(): number;
  /** The door's coarse clock. */
  nowMs(): number;
  handOver(socket: Socket, unused: Buffer): void;
}

export class RawConnection implements RawHost {
  readonly socket: Socket;
  readonly batch: WriteBatch;
  readonly #options: RawConnectionOptions;
  #input = '';
  #at = 0;
  #isClean = true;
  #exchange: RawExchange | undefined = undefined;
  #body: RawBody | undefined = undefined;
  #working = false;
  #closing = false;
  /** When the connection last became idle, began a head, or made progress, on the door's coarse clock. */
  #sinceMs: number;
  #moved = 0;

  constructor(options: RawConnectionOptions) {
    this.#options = options;
    this.socket = options.socket;
    this.batch = options.batch;
    this.#sinceMs = options.nowMs();
    this.socket.on('data', this.#onData);
    this.socket.on('end', this.#onEnd);
    this.socket.on('drain', this.#onDrain);
  }

  wallMs(): number {
    return this.#options.wallMs();
  }

  get isBusy(): boolean {
    return this.#exchange !== undefined;
  }

  /** No further request is taken; an idle connection closes now, a busy one after its answer. */
  finish(): void {
    this.#closing = true;
    if (this.#exchange !== undefined) return;
    this.batch.flush();
    this.socket.destroySoon();
  }

  /** Whether the client has done nothing for too long: an idle connection, a head that does not end, an answer not read. */
  isExpired(nowMs: number): boolean {
    const { socket } = this;
    const exchange = this.#exchange;
    // Between requests only whole heads count as a sign of life: one that trickles in is as good as none.
    const moved = socket.bytesWritten + (exchange === undefined ? 0 : socket.bytesRead);
    if (moved !== this.#moved) {
      if (moved > this.#moved) this.#sinceMs = nowMs;
      this.#moved = moved;
    }
    if (exchange?.isDiscarding === true) return nowMs - this.#sinceMs > lingerMs;
    if (exchange !== undefined && socket.writableLength === 0 && !exchange.isAwaitingClient) {
      this.#sinceMs = nowMs;
      return false;
    }
    const isIdle = exchange === undefined && this.#input === '';
    return nowMs - this.#sinceMs > (isIdle ? keepAliveIdleMs : clientIdleMs);
  }

  done(keepAlive: boolean): void {
    this.#exchange = undefined;
    this.#body = undefined;
    this.#sinceMs = this.#options.nowMs();
    if (!keepAlive || this.#closing) {
      this.#closing = true;
      this.#input = '';
      this.batch.flush();
      this.socket.end();
      // What still comes is nobody's; its end is looked for.
      this.socket.resume();
    } else if (!this.#working) this.#work();
  }

  /** The socket is closed. */
  closed(): void {
    this.#closing = true;
    const exchange = this.#exchange;
    this.#exchange = undefined;
    exchange?.gone();
  }

  readonly #onData = (bytes: Buffer): void => {
    const ofBody = this.#body?.add(bytes) ?? 0;
    if (this.#closing || ofBody === bytes.length) return;
    const data = bytes.subarray(ofBody);
    if (this.#input === '') this.#sinceMs = this.#options.nowMs();
    const text = data.toString('latin1');
    this.#isClean = (this.#input === '' || this.#isClean) && isClean(data);
    this.#input = this.#input === '' ? text : this.#input + text;
    if (this.#exchange !== undefined || this.socket.writableNeedDrain) {
      if (this.#input.length - this.#at > requestHeadMaxBytes) this.socket.pause();
    } else this.#work();
  };

  readonly #onDrain = (): void => {
    if (!this.#working) this.#work();
  };

  /** A client that half-closes with a request under way counts as gone, as node:http has it. */
  readonly #onEnd = (): void => {
    if (this.#body?.isWhole === false) this.#body.fail(cutShort());
    else if (this.#exchange !== undefined && !this.#closing) this.socket.destroy();
    else {
      this.batch.flush();
      this.socket.end();
    }
  };

  #work(): void {
    this.#working = true;
    while (this.#exchange === undefined && !this.#closing && this.#at < this.#input.length) {
      if (this.socket.writableNeedDrain) break;
      const head = parseHead(this.#input, this.#at, this.#isClean);
      if (head === 'incomplete') break;
      if (head === 'odd') {
        this.#handOver();
        return;
      }
      this.#take(head.end);
      this.#body = head.bodyLengthBytes > 0 ? this.#bodyOf(head) : undefined;
      const exchange = new RawExchange(this, head, this.#body);
      this.#exchange = exchange;
      this.#options.handler(exchange);
    }
    this.#working = false;
    if (this.#at > 0) {
      this.#input = this.#input.slice(this.#at);
      this.#at = 0;
    }
    const holdsBody = this.#body?.isWhole === false;
    if (!holdsBody && this.#input.length <= requestHeadMaxBytes && this.socket.isPaused()) this.socket.resume();
  }

  /** Of the input all up to `end` is used. */
  #take(end: number): void {
    this.#at = end;
    if (this.#at < this.#input.length) return;
    this.#input = '';
    this.#at = 0;
  }

  /** The body begins with what came with its head. */
  #bodyOf({ bodyLengthBytes, expectsContinue }: Head): RawBody {
    const { socket, batch } = this;
    const host = {
      socket,
      sayContinue: () => {
        batch.flush();
        socket.write('HTTP/1.1 100 Continue\r\n\r\n');
      },
      leave: () => socket.off('data', this.#onData),
      listen: () => {
        socket.on('data', this.#onData);
        socket.resume();
      },
    };
    const body = new RawBody(host, bodyLengthBytes, expectsContinue);
    const first = Buffer.from(this.#input.slice(this.#at, this.#at + bodyLengthBytes), 'latin1');
    if (first.length < bodyLengthBytes) socket.pause();
    body.add(first);
    this.#take(this.#at + first.length);
    return body;
  }

  #handOver(): void {
    const { socket } = this;
    this.batch.flush();
    const unused = Buffer.from(this.#input.slice(this.#at), 'latin1');
    this.#input = '';
    this.#closing = true;
    socket.off('data', this.#onData);
    socket.off('end', this.#onEnd);
    socket.off('drain', this.#onDrain);
    this.#options.handOver(socket, unused);
  }
}
