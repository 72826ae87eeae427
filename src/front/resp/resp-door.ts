/**
 * The RESP door (DESIGN.md section 10): what Redis clients send, over kv volumes. `docs/resp.md` says which commands, and where
 * they differ from Redis's.
 *
 * Bounds: connectionsMax; per connection respPipelineMax requests and what `resp-connection.ts` says; in all respInputMaxBytes of requests
 * that are not complete and respBodiesMax values that arrive piece by piece. A client that owes nothing may stay for ever, at the cost of
 * a socket; one that owes bytes, or does not read, is cut off after clientIdleMs.
 */
import type { Server, Socket } from 'node:net';
import { createServer } from 'node:net';
import { respBodiesMax, respInputMaxBytes, respWholeBusyMaxBytes, respWholeMaxBytes } from '../../core/kv-limits.ts';
import { clientIdleMs, connectionsMax, doorCloseMs, sweepEveryMs } from '../../core/limits.ts';
import { clientGone } from '../http/client-gone.ts';
import { WriteBatch } from '../http/write-batch.ts';
import { checkCommand, findCommand } from './commands.ts';
import { RespConnection, type RespHost } from './resp-connection.ts';
import type { RespParts, RespShared } from './resp-parts.ts';
import { Scans } from './scans.ts';
import { Session } from './session.ts';

export interface RespDoor {
  /** Not yet listening. */
  readonly server: Server;
  /** Takes no more connections, closes the idle ones, lets requests under way finish for `doorCloseMs`, then cuts them off. */
  close(): Promise<void>;
}

/** Numbers for SELECT are looked for up to here. */
const NUMBERS_MAX = 1024;
const ABUSE = new Set(['post', 'host:']);

export function createRespDoor(parts: RespParts): RespDoor {
  const { clock, emit, kv } = parts;
  const connections = new Map<Socket, RespConnection>();
  const numbers = new Map<string, number>();
  for (let number = 0; number < NUMBERS_MAX && numbers.size < kv.volumes.size; number++) {
    const volume = kv.byNumber(number);
    if (volume !== undefined && !numbers.has(volume.name)) numbers.set(volume.name, number);
  }
  const shared: RespShared = {
    ...parts,
    scans: new Scans(),
    connections: () => connections.size,
    numberOf: (volume) => numbers.get(volume),
  };
  const host = createHost(parts);
  const stopped = new AbortController();
  let ids = 0;

  const server = createServer(
    { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: clientIdleMs },
    (socket) => {
      const address = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`;
      const session = new Session(shared, { id: ++ids, address });
      const connection = new RespConnection({ socket, host, session });
      connections.set(socket, connection);
      socket.on('error', () => socket.destroy());
      socket.on('close', () => {
        connections.delete(socket);
        connection.closed();
      });
      if (stopped.signal.aborted) socket.destroy();
    },
  );
  server.maxConnections = connectionsMax;
  server.on('drop', () => emit({ kind: 'door.refused', door: 'resp', reason: 'connectionsMax' }));

  const sweep = async () => {
    for (;;) {
      await clock.sleep(sweepEveryMs, stopped.signal);
      host.turn();
      for (const [socket, connection] of connections) if (connection.isExpired(host.nowMs())) socket.destroy();
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

/** What connections share: the batch, the counts against the door's bounds, and where events go. */
function createHost({ clock, emit }: RespParts): RespHost & { turn(): void } {
  let nowMs = clock.boottimeMs();
  let heldBytes = 0;
  let bodies = 0;
  const waiting = new Set<() => void>();
  return {
    batch: new WriteBatch(),
    nowMs: () => nowMs,
    turn() {
      nowMs = clock.boottimeMs();
    },
    find: findCommand,
    check(session, args, command, shape) {
      // A web page that has a browser send HTTP here must not have its body read as commands.
      if (command === undefined && ABUSE.has(String(args[0]).toLowerCase())) throw clientGone();
      checkCommand(session, args, command, shape);
    },
    takeBody(onFree) {
      if (bodies < respBodiesMax) {
        bodies++;
        return true;
      }
      waiting.add(onFree);
      return false;
    },
    freeBody() {
      bodies--;
      for (const onFree of waiting) {
        if (bodies >= respBodiesMax) return;
        waiting.delete(onFree);
        onFree();
      }
    },
    forget: (onFree) => void waiting.delete(onFree),
    hold(changeBytes) {
      heldBytes += changeBytes;
      return changeBytes <= 0 || heldBytes <= respInputMaxBytes;
    },
    wholeMaxBytes: () => (heldBytes > respInputMaxBytes / 2 ? respWholeBusyMaxBytes : respWholeMaxBytes),
    done({ command, answer, beganMs }) {
      const { status, sentBytes: bytes } = answer;
      const operation = command.name.toUpperCase();
      emit({ kind: 'door.request', door: 'resp', operation, status, bytes, ms: clock.boottimeMs() - beganMs });
    },
    refused: (reason) => emit({ kind: 'door.refused', door: 'resp', reason }),
    broken: (error) => emit({ kind: 'door.broken', door: 'resp', message: error.message }),
  };
}
