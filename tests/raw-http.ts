/** A client that sends bytes as they are, for what no well-behaved client would send. */
import { once } from 'node:events';
import type { Socket } from 'node:net';
import { connect } from 'node:net';

export class RawClient implements Disposable {
  readonly socket: Socket;
  readonly #parts: Buffer[] = [];
  #isClosed = false;
  #wake: () => void = () => {};

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (data: Buffer) => {
      this.#parts.push(data);
      this.#wake();
    });
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#isClosed = true;
      this.#wake();
    });
  }

  static async connect(port: number, options: { allowHalfOpen?: boolean } = {}): Promise<RawClient> {
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, ...options });
    await once(socket, 'connect');
    return new RawClient(socket);
  }

  send(bytes: string | Uint8Array): void {
    this.socket.write(typeof bytes === 'string' ? Buffer.from(bytes, 'latin1') : bytes);
  }

  get received(): string {
    if (this.#parts.length > 1) this.#parts.splice(0, this.#parts.length, Buffer.concat(this.#parts));
    return this.#parts[0]?.toString('latin1') ?? '';
  }

  /** Waits until what was received satisfies `is`. Rejects when the connection closes first. */
  async until(is: (received: string) => boolean): Promise<string> {
    while (!is(this.received)) {
      if (this.#isClosed) throw new Error(`closed after ${JSON.stringify(this.received.slice(0, 500))}`);
      await this.#change();
    }
    return this.received;
  }

  /** All that was received until the other side closed. */
  async closed(): Promise<string> {
    while (!this.#isClosed) await this.#change();
    return this.received;
  }

  async #change(): Promise<void> {
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
  }

  [Symbol.dispose](): void {
    this.socket.destroy();
  }
}

/** Sends `bytes` on a connection of their own and returns all that comes back until the other side closes. */
export async function exchangeRaw(port: number, bytes: string | Uint8Array): Promise<string> {
  using client = await RawClient.connect(port);
  client.send(bytes);
  return await client.closed();
}

export interface Answer {
  readonly status: number;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: string;
}

/** The answers in `text`, each with a Content-Length or none of body; `heads`: how many of them are to HEAD. */
export function answersIn(text: string, heads: readonly boolean[] = []): Answer[] {
  const answers: Answer[] = [];
  let at = 0;
  while (at < text.length) {
    const end = text.indexOf('\r\n\r\n', at);
    if (end < 0) break;
    const [statusLine = '', ...lines] = text.slice(at, end).split('\r\n');
    const headers = new Map(
      lines.map((line): [string, string] => {
        const colon = line.indexOf(':');
        return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
      }),
    );
    const length = heads[answers.length] === true ? 0 : Number(headers.get('content-length') ?? 0);
    answers.push({ status: Number(statusLine.split(' ')[1]), headers, body: text.slice(end + 4, end + 4 + length) });
    at = end + 4 + length;
  }
  return answers;
}
