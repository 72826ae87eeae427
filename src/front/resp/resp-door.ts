/**
 * The RESP door (DESIGN.md section 10): what Redis clients send, over kv volumes. `docs/resp.md` says which commands, and where
 * they differ from Redis's.
 *
 * Bounds: connectionsMax; per connection respPipelineMax requests and what `resp-connection.ts` says; in all respInputMaxBytes of requests
 * that are not complete and respBodiesMax values that arrive piece by piece. A client that owes nothing may stay for ever, at the cost of
 * a socket; one that owes bytes, or does not read, is cut off after clientIdleMs.
 */
import { createServer } from 'node:net';
import { respBodiesMax, respInputMaxBytes, respWholeBusyMaxBytes, respWholeMaxBytes } from '../../core/kv-limits.ts';
import { clientIdleMs } from '../../core/limits.ts';
import { clientGone } from '../http/client-gone.ts';
import { Connections, type Door } from '../http/connections.ts';
import { WriteBatch } from '../http/write-batch.ts';
import { checkCommand, findCommand } from './commands.ts';
import { RespConnection, type RespHost } from './resp-connection.ts';
import type { RespParts, RespShared } from './resp-parts.ts';
import { Scans } from './scans.ts';
import { Session } from './session.ts';

/** Numbers for SELECT are looked for up to here. */
const NUMBERS_MAX = 1024;
const ABUSE = new Set(['post', 'host:']);

export function createRespDoor(parts: RespParts): Door {
  const { clock, kv } = parts;
  const connections = new Connections<RespConnection>(clock);
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
  const host = createHost(parts, () => connections.nowMs);
  let ids = 0;

  const server = createServer(
    { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: clientIdleMs },
    (socket) => {
      const address = `${socket.remoteAddress ?? ''}:${socket.remotePort ?? 0}`;
      const session = new Session(shared, { id: ++ids, address });
      connections.add(socket, new RespConnection({ socket, host, session }));
    },
  );
  return connections.door(server, (reason) => host.refused(reason));
}

/** What connections share: the batch, the counts against the door's bounds, and where events go. */
function createHost({ clock, emit }: RespParts, nowMs: () => number): RespHost {
  let heldBytes = 0;
  let bodies = 0;
  const waiting = new Set<() => void>();
  return {
    batch: new WriteBatch(),
    nowMs,
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
