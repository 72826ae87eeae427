/** One connection to a RESP server, for what is not a question of the client's own speed. Commands may be pipelined. */
import { connect, type Socket } from 'node:net';
import { type BulkSink, type Reply, ReplyReader, RespError } from './replies.ts';

interface Pending {
  readonly sink: BulkSink | undefined;
  resolve(reply: Reply): void;
  reject(error: Error): void;
}

const BUFFER_BYTES = 1 << 20;

export type Argument = string | Uint8Array;

function* commandParts(args: readonly Argument[]): Generator<Argument> {
  yield `*${args.length}\r\n`;
  for (const argument of args) {
    yield `$${typeof argument === 'string' ? Buffer.byteLength(argument) : argument.length}\r\n`;
    yield argument;
    yield '\r\n';
  }
}

export class RespClient {
  readonly host: string;
  readonly #socket: Socket;
  readonly #pending: Pending[] = [];
  #ended: Error | undefined;

  private constructor(host: string, timeoutMs: number) {
    this.host = host;
    const [address, port] = host.split(':') as [string, string];
    const replies = new ReplyReader(
      (reply) => this.#answered(reply),
      () => this.#pending[0]?.sink,
    );
    const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES);
    this.#socket = connect({
      host: address,
      port: Number(port),
      noDelay: true,
      onread: {
        buffer,
        callback: (length) => {
          try {
            replies.feed(buffer.subarray(0, length));
          } catch (error) {
            this.#end(error as Error);
          }
          return true;
        },
      },
    });
    this.#socket.setTimeout(timeoutMs, () => {
      if (this.#pending.length > 0) this.#end(new Error(`${host} does not answer for ${timeoutMs} ms`));
    });
    this.#socket.on('error', (error) => this.#end(error));
    this.#socket.on('close', () => this.#end(new Error(`${host} closed the connection`)));
  }

  /** Rejects when nobody listens there. */
  static async connect(host: string, timeoutMs = 30_000): Promise<RespClient> {
    const client = new RespClient(host, timeoutMs);
    await new Promise<void>((resolve, reject) => {
      client.#socket.once('connect', resolve).once('error', reject);
    });
    return client;
  }

  /** Resolves with the reply; rejects with RespError, or because the connection is lost. With `sink` bulks go there. */
  do(args: readonly Argument[], sink?: BulkSink): Promise<Reply> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) {
        reject(this.#ended);
        return;
      }
      this.#pending.push({ sink, resolve, reject });
      this.#socket.cork();
      for (const part of commandParts(args)) this.#socket.write(part);
      this.#socket.uncork();
    });
  }

  #answered(reply: Reply | RespError): void {
    const pending = this.#pending.shift();
    if (pending === undefined) throw new Error(`${this.host} answers what nobody asked`);
    if (reply instanceof RespError) pending.reject(reply);
    else pending.resolve(reply);
  }

  #end(error: Error): void {
    this.#ended ??= error;
    this.#socket.destroy();
    for (const pending of this.#pending.splice(0)) pending.reject(error);
  }

  close(): void {
    this.#end(new Error('closed'));
  }
}
