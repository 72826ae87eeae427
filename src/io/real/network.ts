/** The real network: pumps and receiving threads where FFI is there and the socket has a descriptor, Node's streams otherwise. */
import { clientIdleMs as clientIdleDefaultMs, diskDeadlineMs as diskDeadlineDefaultMs } from '../../core/limits.ts';
import type { Clock, Network } from '../io.ts';
import { unwrapFile } from '../wrapped-file.ts';
import { Bodies } from './bodies.ts';
import { type FfiChoice, loadLibc } from './libc.ts';
import { loadSockets } from './libc-sockets.ts';
import { listen } from './listen.ts';
import { Pumps } from './pumps.ts';
import { RealFile } from './real-file.ts';
import { receiveByStreams } from './receive-by-streams.ts';
import { assertUsable, socketFd } from './socket.ts';
import { sendByStreams } from './streams-network.ts';

export interface RealNetworkOptions {
  readonly clock: Clock;
  readonly ffi?: FfiChoice;
  /** Pumps at most; by default they follow the cores. They start as they are needed. */
  readonly pumps?: number;
  /** Threads that receive bodies for one disk at most; by default they follow the cores. */
  readonly receivers?: number;
  readonly clientIdleMs?: number;
  readonly diskDeadlineMs?: number;
}

export interface RealNetwork extends Network {
  /** Fails what is being sent or received and ends the threads. */
  close(): Promise<void>;
}

export function createRealNetwork(options: RealNetworkOptions): RealNetwork {
  const { clock, ffi = 'auto', pumps: pumpsMax } = options;
  const { clientIdleMs = clientIdleDefaultMs, diskDeadlineMs = diskDeadlineDefaultMs } = options;
  const libc = loadLibc(ffi);
  const pumps = libc.available ? new Pumps({ libc, clock, clientIdleMs, diskDeadlineMs, pumps: pumpsMax }) : undefined;
  const bodies =
    libc.available && loadSockets()
      ? new Bodies({ libc, clock, clientIdleMs, diskDeadlineMs, threads: options.receivers })
      : undefined;
  return {
    path: pumps ? 'sendfile' : 'portable',
    async sendFile(send) {
      try {
        assertUsable(send.connection);
        if (pumps && socketFd(send.connection) !== undefined && unwrapFile(send.file) instanceof RealFile)
          await pumps.send(send);
        else await sendByStreams(send, { clock, clientIdleMs, diskDeadlineMs });
      } catch (error) {
        send.connection.destroy();
        throw error;
      }
    },
    async receiveInto(receive) {
      const { connection, file } = receive;
      if (bodies && socketFd(connection) !== undefined && unwrapFile(file) instanceof RealFile)
        return await bodies.receive(receive);
      return await receiveByStreams(receive, { clock, clientIdleMs });
    },
    listen: (server, address) => listen(server, address, libc),
    async close() {
      await Promise.all([pumps?.close(), bodies?.close()]);
    },
  };
}
