/**
 * The HTTP server of doors: listens, and hands each request to one handler as an `Exchange`.
 *
 * Connections begin on the fast path (`raw-connection.ts`), which answers small GETs at twice node:http's rate; the
 * first request that is not a plain GET or HEAD moves its connection to node:http for good, whose parser is the one
 * that refuses. Node answers 400 and closes after any protocol error, among them Content-Length with Transfer-Encoding.
 *
 * Bounds: connectionsMax, requestHeadMaxBytes, clientIdleMs for clients that owe something (the rest of a head, bytes of a
 * body, reading an answer), keepAliveIdleMs between requests.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createHttpServer } from 'node:http';
import type { Socket } from 'node:net';
import { createServer } from 'node:net';
import { assert } from '../../core/assert.ts';
import { requestHeadMaxBytes } from '../../core/limits.ts';
import type { Clock } from '../../io/io.ts';
import { Connections, type Door, type DoorConnection } from './connections.ts';
import type { Handler } from './exchange.ts';
import type { Refusal } from './node-connection.ts';
import { NodeConnection } from './node-connection.ts';
import { RawConnection } from './raw-connection.ts';
import { WriteBatch } from './write-batch.ts';

export interface HttpDoorOptions {
  readonly handler: Handler;
  readonly clock: Clock;
  /** A request could not be parsed, or a connection was turned away. */
  onRefused(reason: string): void;
  /** The answer to a request that could not be parsed, whole; the connection closes after it. */
  refusal(reason: 'malformed' | 'headersTooLarge' | 'incompleteBody'): Refusal;
}

/** Whichever parser holds it. */
interface HttpConnection extends DoorConnection {
  readonly isBusy: boolean;
}

export function createHttpDoor(options: HttpDoorOptions): Door {
  const { clock, handler } = options;
  const connections = new Connections<HttpConnection>(clock);
  const batch = new WriteBatch();
  const nowMs = () => connections.nowMs;

  const http = createHttpServer({
    maxHeaderSize: requestHeadMaxBytes,
    keepAliveTimeout: 0,
    headersTimeout: 0,
    requestTimeout: 0,
    insecureHTTPParser: false,
    requireHostHeader: false,
  });
  // Node would drop headers past a count without a word; their size is bounded instead.
  http.maxHeadersCount = 0;

  const take = (request: IncomingMessage, response: ServerResponse, expectsContinue: boolean) => {
    const connection = connections.get(request.socket);
    assert(connection instanceof NodeConnection, 'requests come from connections that were handed over');
    connection.take(request, response, expectsContinue);
  };
  http.on('request', (request, response) => take(request, response, false));
  http.on('checkContinue', (request, response) => take(request, response, true));
  http.on('clientError', (error: NodeJS.ErrnoException, socket: Socket) => {
    const connection = connections.get(socket);
    const reason =
      error.code === 'HPE_HEADER_OVERFLOW'
        ? 'headersTooLarge'
        : error.code === 'HPE_INVALID_EOF_STATE' && connection?.isBusy
          ? 'incompleteBody'
          : 'malformed';
    options.onRefused(error.code ?? reason);
    if (connection instanceof NodeConnection) connection.refuse(options.refusal(reason));
    else socket.destroy();
  });

  const handOver = (socket: Socket, unused: Buffer) => {
    connections.replace(
      socket,
      new NodeConnection({
        socket,
        handler,
        nowMs,
        wallMs: () => clock.wallMs(),
        malformed: () => {
          options.onRefused('malformed');
          return options.refusal('malformed');
        },
      }),
    );
    socket.pause();
    socket.unshift(unused);
    http.emit('connection', socket);
    process.nextTick(() => socket.resume());
  };

  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    connections.add(
      socket,
      new RawConnection({ socket, batch, handler, wallMs: () => clock.wallMs(), nowMs, handOver }),
    );
  });
  return connections.door(server, (reason) => options.onRefused(reason));
}
