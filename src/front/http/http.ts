/**
 * The HTTP server of doors: listens, and hands each request to one handler as an `Exchange`.
 *
 * Connections begin on the fast path (`raw-connection.ts`), which answers small GETs at twice node:http's rate; the
 * first request that is not a plain GET or HEAD moves its connection to node:http for good, whose parser is the one
 * that refuses. Node answers 400 and closes after any protocol error, among them Content-Length with Transfer-Encoding.
 *
 * Bounds: connectionsMax, requestHeadMaxBytes, clientIdleMs for clients that owe something (the rest of a head, bytes of a
 * body, reading an answer), keepAliveIdleMs between requests. One sweep a few times a minute looks for these, so an idle
 * connection costs no timer.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer as createHttpServer } from 'node:http';
import type { Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import { assert } from '../../core/assert.ts';
import { connectionsMax, doorCloseMs, requestHeadMaxBytes, sweepEveryMs } from '../../core/limits.ts';
import type { Clock } from '../../io/io.ts';
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

export interface HttpDoor {
  /** Not yet listening. */
  readonly server: Server;
  /** Takes no more connections, closes the idle ones, lets requests under way finish for `doorCloseMs`, then cuts them off. */
  close(): Promise<void>;
}

/** What the sweep and the closing need of a connection, whichever parser holds it. */
interface Tracked {
  readonly isBusy: boolean;
  isExpired(nowMs: number): boolean;
  finish(): void;
  closed(): void;
}

export function createHttpDoor(options: HttpDoorOptions): HttpDoor {
  const { clock, handler } = options;
  const connections = new Map<Socket, Tracked>();
  const stopped = new AbortController();
  const batch = new WriteBatch();
  let nowMs = clock.boottimeMs();

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
    connections.set(
      socket,
      new NodeConnection({
        socket,
        handler,
        nowMs: () => nowMs,
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
    const connection = new RawConnection({
      socket,
      batch,
      handler,
      wallMs: () => clock.wallMs(),
      nowMs: () => nowMs,
      handOver,
    });
    connections.set(socket, connection);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      connections.get(socket)?.closed();
      connections.delete(socket);
    });
    if (stopped.signal.aborted) socket.destroy();
  });
  server.maxConnections = connectionsMax;
  server.on('drop', () => options.onRefused('connectionsMax'));

  const sweep = async () => {
    for (;;) {
      await clock.sleep(sweepEveryMs, stopped.signal);
      nowMs = clock.boottimeMs();
      for (const [socket, connection] of connections) if (connection.isExpired(nowMs)) socket.destroy();
    }
  };
  sweep().catch(() => {});

  const close = async () => {
    stopped.abort();
    const isClosed = new Promise<void>((resolve) => {
      if (server.listening) server.close(() => resolve());
      else resolve();
    });
    for (const connection of connections.values()) connection.finish();
    const patience = new AbortController();
    const cut = clock.sleep(doorCloseMs, patience.signal).then(
      () => {
        for (const socket of connections.keys()) socket.destroy();
      },
      () => {},
    );
    await isClosed;
    patience.abort();
    await cut;
  };
  return { server, close };
}
