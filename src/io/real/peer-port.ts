/**
 * The one port that peers connect to. A connection's first byte says what it is: a TLS handshake (control, or data where
 * data is encrypted), else a data request.
 */
import { createServer, type Server } from 'node:net';
import type { Address } from '../../core/address.ts';
import { peerConnectionsMax } from '../../core/limits.ts';
import type { Clock, Connection, Network, Random } from '../io.ts';
import type { PeerOptions } from '../peers.ts';
import { createControlServer } from './peer-control-server.ts';
import { serveData } from './peer-data-server.ts';
import { PeerKeyTable } from './peer-key-table.ts';
import { peerKeyOf } from './peer-secret.ts';
import { PeerTerms } from './peer-terms.ts';
import { createTlsServer } from './peer-tls.ts';

/** First byte of a TLS record with a handshake. */
const TLS_HANDSHAKE = 0x16;

export interface PeerPortOptions {
  readonly peer: PeerOptions;
  readonly network: Network;
  readonly clock: Clock;
  readonly random: Random;
  readonly handshakeMs: number;
  readonly idleMs: number;
  readonly askerIdleMs: number;
}

export class PeerPort {
  readonly #options: PeerPortOptions;
  readonly #keys: PeerKeyTable;
  readonly #terms: PeerTerms;
  readonly #connections = new Set<Connection>();
  readonly #server: Server;
  readonly #tls: ReturnType<typeof createTlsServer>;

  constructor(options: PeerPortOptions) {
    this.#options = options;
    this.#keys = new PeerKeyTable(options.random);
    this.#terms = new PeerTerms(options.clock);
    const shared = { ...options, keys: this.#keys, terms: this.#terms };
    const control = createControlServer(shared);
    this.#tls = createTlsServer({
      peer: options.peer,
      handshakeMs: options.handshakeMs,
      onControl: (connection, identity) => {
        this.#dropOldKeys();
        control.accept(connection, identity);
      },
      onData: (connection) => void serveData(connection, shared, { encrypted: true }),
    });
    this.#server = createServer({ noDelay: true }, (connection) => this.#accept(connection));
    this.#server.maxConnections = peerConnectionsMax;
  }

  /** Resolves with the address, port 0 resolved. Rejects with the system's error. */
  async listen(): Promise<Address> {
    const { address } = this.#options.peer;
    const port = await this.#options.network.listen(this.#server, address);
    return { host: address.host, port };
  }

  #accept(connection: Connection): void {
    this.#connections.add(connection);
    this.#terms.set(connection, this.#options.handshakeMs, () => connection.destroy());
    connection.on('error', () => {});
    connection.once('close', () => {
      this.#terms.clear(connection);
      this.#connections.delete(connection);
    });
    connection.once('data', (first: Buffer) => {
      this.#terms.clear(connection);
      connection.pause();
      if (first[0] === TLS_HANDSHAKE) {
        connection.unshift(first);
        this.#tls.accept(connection);
      } else {
        this.#dropOldKeys();
        const shared = { ...this.#options, keys: this.#keys, terms: this.#terms };
        void serveData(connection, shared, { first, encrypted: false });
      }
    });
  }

  /** Keys that were asked for under a secret that is gone go with it. */
  #dropOldKeys(): void {
    const { secrets, cluster } = this.#options.peer;
    this.#keys.keepOnly(new Set(secrets().map((secret) => peerKeyOf(secret, cluster).identity)));
  }

  forget(node: string): void {
    this.#keys.forget(node);
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => void this.#server.close(() => resolve()));
    for (const connection of this.#connections) connection.destroy();
    await closed;
  }
}
