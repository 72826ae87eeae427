/**
 * TLS between peers: 1.3 with a pre-shared key and nothing else, so that both ends prove the cluster's secret and neither
 * needs certificates or a right clock (DESIGN.md section 6). No session tickets: a ticket would outlive the secret.
 */
import { constants } from 'node:crypto';
import * as tls from 'node:tls';
import { ForebayError } from '../../core/errors.ts';
import type { Connection } from '../io.ts';
import type { PeerEndpoint, PeerOptions } from '../peers.ts';
import { keyNamed, signingKey } from './peer-secret.ts';

/** What a TLS connection is for; control speaks HTTP. */
const DATA_PROTOCOL = 'forebay-data';
const CONTROL_PROTOCOL = 'http/1.1';

const COMMON = {
  minVersion: 'TLSv1.3',
  maxVersion: 'TLSv1.3',
  // the SHA-384 suites do not work with keys of 32 bytes
  ciphers: 'TLS_AES_128_GCM_SHA256',
  secureOptions: constants.SSL_OP_NO_TICKET,
} as const;

export interface PeerTlsServer {
  /** Takes a connection whose first byte is there to be read again. */
  accept(connection: Connection): void;
}

export interface TlsServerOptions {
  readonly peer: PeerOptions;
  readonly handshakeMs: number;
  readonly onControl: (connection: tls.TLSSocket, identity: string) => void;
  readonly onData: (connection: tls.TLSSocket) => void;
}

/** The server's half; connections come from the shared port. */
export function createTlsServer({ peer, handshakeMs, onControl, onData }: TlsServerOptions): PeerTlsServer {
  const identities = new WeakMap<tls.TLSSocket, string>();
  /** Connections whose refusal has been told. */
  const refused = new WeakSet<tls.TLSSocket>();
  const server = tls.createServer({
    ...COMMON,
    handshakeTimeout: handshakeMs,
    ALPNProtocols: [CONTROL_PROTOCOL, DATA_PROTOCOL],
    pskCallback(socket, identity) {
      const key = keyNamed(identity, peer.secrets(), peer.cluster);
      if (typeof key === 'string') {
        refused.add(socket as tls.TLSSocket);
        peer.onRefused(key);
        return null;
      }
      identities.set(socket as tls.TLSSocket, identity);
      return key.key;
    },
  });
  server.on('secureConnection', (socket) => {
    socket.on('error', () => {});
    const identity = identities.get(socket);
    // Without a certificate there is no other way in; whoever finds one is not let in by this.
    if (identity === undefined || !socket.isSessionReused()) {
      peer.onRefused('secret');
      socket.destroy();
    } else if (socket.alpnProtocol === DATA_PROTOCOL) onData(socket);
    else onControl(socket, identity);
  });
  server.on('tlsClientError', (error: NodeJS.ErrnoException, socket) => {
    const told = refused.has(socket) || error.code === 'ECONNRESET' || error.code === 'ERR_TLS_HANDSHAKE_TIMEOUT';
    if (!told) peer.onRefused(isKeyError(error) ? 'secret' : 'malformed');
    socket.destroy();
  });
  return { accept: (connection) => void server.emit('connection', connection) };
}

const KEY_ERRORS = /bad_record_mac|BINDER|NO_SHARED_CIPHER|NO_SUITABLE|DECRYPT|DIGEST_CHECK|UNSUPPORTED_PROTOCOL/i;

/** A client of another kind, or one that claims a key that it does not have. */
function isKeyError(error: NodeJS.ErrnoException): boolean {
  return KEY_ERRORS.test(`${error.code ?? ''} ${error.message}`);
}

/** Connects to a peer; errors come as `error` events. `secureConnect` says that the peer has the secret too. */
export function connectTls(
  to: PeerEndpoint,
  peer: Pick<PeerOptions, 'secrets' | 'cluster'>,
  use: 'control' | 'data',
): tls.TLSSocket {
  const { identity, key } = signingKey(peer.secrets(), peer.cluster);
  const options = {
    ...COMMON,
    host: to.address.host,
    port: to.address.port,
    ALPNProtocols: [use === 'data' ? DATA_PROTOCOL : CONTROL_PROTOCOL],
    pskCallback: () => ({ identity, psk: key }),
    checkServerIdentity: () => undefined,
  };
  const socket = tls.connect(options);
  socket.setNoDelay(true);
  socket.prependOnceListener('secureConnect', () => {
    if (!socket.isSessionReused()) socket.destroy(secretRefused(to.node));
  });
  return socket;
}

function secretRefused(node: string, cause?: unknown): ForebayError {
  return new ForebayError(
    'peerRefused',
    `${node} and this node do not agree: they have another cluster secret, or another cluster name`,
    cause === undefined ? {} : { cause },
  );
}

/** What an error of a connection to a peer means. */
export function connectionFailure(to: PeerEndpoint, error: unknown): Error {
  if (error instanceof ForebayError) return error;
  const { code = '', message } = error as NodeJS.ErrnoException;
  if (code.startsWith('ERR_SSL') || code === 'EPROTO') return secretRefused(to.node, error);
  const where = `${to.node} at ${to.address.host}:${to.address.port}`;
  return new ForebayError('peerUnreachable', `${where} cannot be reached: ${code || message}`, { cause: error });
}
