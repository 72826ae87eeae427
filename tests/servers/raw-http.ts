/**
 * An HTTP server that answers what a test writes, byte for byte: for the answers that no real store gives on demand. A
 * request's body is read and thrown away first, unless the answer says otherwise.
 */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';

export interface RawRequest {
  readonly method: string;
  readonly path: string;
  readonly headers: ReadonlyMap<string, string>;
  /** How many requests came before. */
  readonly count: number;
}

export type RawAnswer =
  /** Sends `head`, `body`, and keeps or closes the connection. */
  | {
      readonly head: readonly string[];
      readonly body?: Uint8Array;
      readonly after?: 'keep' | 'close' | 'reset' | 'hang';
    }
  /** Never answers. */
  | 'hang'
  /** Closes without an answer. */
  | 'close';

export interface RawHttp {
  readonly url: string;
  readonly requests: readonly RawRequest[];
  stop(): Promise<void>;
}

export async function startRawHttp(answer: (request: RawRequest) => RawAnswer): Promise<RawHttp> {
  const requests: RawRequest[] = [];
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.on('close', () => sockets.delete(socket));
    serve(socket, (head) => {
      const request = { ...head, count: requests.length };
      requests.push(request);
      return answer(request);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${address.port}`,
    requests,
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

function serve(socket: Socket, answer: (request: Omit<RawRequest, 'count'>) => RawAnswer): void {
  let came: Buffer = Buffer.alloc(0);
  let unread = 0;
  let pending: RawAnswer | undefined;
  socket.on('data', (data: Buffer) => {
    came = Buffer.concat([came, data]);
    for (;;) {
      const taken = Math.min(unread, came.length);
      unread -= taken;
      came = came.subarray(taken);
      if (unread > 0) return;
      if (pending !== undefined) send(socket, pending);
      pending = undefined;
      const end = came.indexOf('\r\n\r\n');
      if (end < 0) return;
      const [first = '', ...lines] = came.toString('latin1', 0, end).split('\r\n');
      came = came.subarray(end + 4);
      const [method = '', path = ''] = first.split(' ');
      const headers = new Map(lines.map((line) => split(line)));
      unread = Number(headers.get('content-length') ?? 0);
      pending = answer({ method, path, headers });
      if (unread === 0) continue;
    }
  });
}

function split(line: string): [string, string] {
  const at = line.indexOf(':');
  return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
}

function send(socket: Socket, answer: RawAnswer): void {
  if (answer === 'hang') return;
  if (answer === 'close') {
    socket.end();
    return;
  }
  socket.write(`HTTP/1.1 ${answer.head.join('\r\n')}\r\n\r\n`);
  if (answer.body !== undefined) socket.write(answer.body);
  if (answer.after === 'close') socket.end();
  if (answer.after === 'reset') socket.resetAndDestroy();
}
