/** The real peer transport (DESIGN.md section 6): control over TLS with a pre-shared key, data by pumps and pullers. */
import { clientIdleMs, peerConnectionIdleMs, peerHandshakeMs } from '../../core/limits.ts';
import type { Clock, Network, Random } from '../io.ts';
import type { ListenPeers, PeerOptions, PeerTransport } from '../peers.ts';
import { type FfiChoice, loadLibc } from './libc.ts';
import { loadSockets } from './libc-sockets.ts';
import { PeerCaller } from './peer-caller.ts';
import { PeerPort } from './peer-port.ts';
import { PeerPuller } from './peer-puller.ts';
import { signingKey } from './peer-secret.ts';
import { Pullers } from './pullers.ts';
import { StreamReceiver } from './stream-receiver.ts';

export interface RealPeersOptions {
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly ffi?: FfiChoice;
  /** Threads that receive for one disk at most; by default they follow the cores. They start as they are needed. */
  readonly pullers?: number;
  /** From a connection's start to its first request. */
  readonly handshakeMs?: number;
  /** How long this node keeps a connection on which a peer asks nothing. */
  readonly idleMs?: number;
  /** An asker that reads nothing for this long is cut off. (What leaves by `network` has its own term.) */
  readonly askerIdleMs?: number;
  /** A write of a puller that takes longer ejects its disk. */
  readonly diskDeadlineMs?: number;
}

export interface RealPeers {
  readonly listen: ListenPeers;
  /** How pulled bytes come: by threads of their own, or through Node's streams (always so over TLS). */
  readonly path: 'threads' | 'portable';
  /** Closes every transport and ends the threads. */
  close(): Promise<void>;
}

export function createRealPeers(options: RealPeersOptions): RealPeers {
  const { network, clock, random } = options;
  const open = new Set<PeerTransport>();
  const pullers = pullersOf(options);
  return {
    path: pullers ? 'threads' : 'portable',
    async listen(peer: PeerOptions): Promise<PeerTransport> {
      signingKey(peer.secrets(), peer.cluster);
      const port = new PeerPort({
        peer,
        network,
        clock,
        random,
        handshakeMs: options.handshakeMs ?? peerHandshakeMs,
        idleMs: options.idleMs ?? peerConnectionIdleMs,
        askerIdleMs: options.askerIdleMs ?? clientIdleMs,
      });
      const address = await port.listen();
      const caller = new PeerCaller(peer, clock);
      const streams = new StreamReceiver({ peer, clock });
      const puller = new PeerPuller({ peer, caller, streams, threads: pullers });
      const transport: PeerTransport = {
        address,
        call: (to, message, how) => caller.call(to, '/v1/call', message, how),
        pull: (pull) => puller.pull(pull),
        forget(node) {
          puller.forget(node);
          port.forget(node);
        },
        async close() {
          open.delete(transport);
          puller.close();
          caller.close();
          await streams.close();
          await port.close();
        },
      };
      open.add(transport);
      return transport;
    },
    async close() {
      await Promise.all([...open].map((transport) => transport.close()));
      await pullers?.close();
    },
  };
}

function pullersOf({ clock, ffi, pullers, diskDeadlineMs }: RealPeersOptions): Pullers | undefined {
  const libc = loadLibc(ffi);
  const sockets = libc.available ? loadSockets() : undefined;
  return libc.available && sockets ? new Pullers({ libc, sockets, clock, pullers, diskDeadlineMs }) : undefined;
}
