/**
 * The connections of a door's server: who they are, which of them stay, and how they end.
 *
 * One sweep every sweepEveryMs looks at all of them, so that an idle connection costs no timer.
 */
import type { Server, Socket } from 'node:net';
import { connectionsMax, doorCloseMs, sweepEveryMs } from '../../core/limits.ts';
import type { Clock } from '../../io/io.ts';

export interface Door {
  /** Not yet listening. */
  readonly server: Server;
  /** Takes no more connections, closes the idle ones, lets requests under way finish for `doorCloseMs`, then cuts them off. */
  close(): Promise<void>;
}

/** What the sweep and the closing need of a connection, whatever is spoken on it. */
export interface DoorConnection {
  /** Whether its client has owed something for too long: it is cut off. */
  isExpired(nowMs: number): boolean;
  /** Ends when what is under way is done; takes nothing more. */
  finish(): void;
  /** The socket is closed. */
  closed(): void;
}

export class Connections<C extends DoorConnection> {
  readonly #clock: Clock;
  readonly #bySocket = new Map<Socket, C>();
  readonly #closing = new AbortController();
  #nowMs: number;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#nowMs = clock.boottimeMs();
    this.#sweep().catch(() => {});
  }

  get size(): number {
    return this.#bySocket.size;
  }

  /** Boottime as of the last sweep: exact enough for what takes minutes, and costs nothing. */
  get nowMs(): number {
    return this.#nowMs;
  }

  get(socket: Socket): C | undefined {
    return this.#bySocket.get(socket);
  }

  /** Of a socket that the server has just accepted. */
  add(socket: Socket, connection: C): void {
    this.#bySocket.set(socket, connection);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      const last = this.#bySocket.get(socket);
      this.#bySocket.delete(socket);
      last?.closed();
    });
    if (this.#closing.signal.aborted) socket.destroy();
  }

  /** Another takes over a socket that was added. */
  replace(socket: Socket, connection: C): void {
    this.#bySocket.set(socket, connection);
  }

  /** `server` with these connections as a door; `onRefused` is told of each that is one too many. */
  door(server: Server, onRefused: (reason: string) => void): Door {
    server.maxConnections = connectionsMax;
    server.on('drop', () => onRefused('connectionsMax'));
    return { server, close: () => this.#close(server) };
  }

  async #sweep(): Promise<void> {
    for (;;) {
      await this.#clock.sleep(sweepEveryMs, this.#closing.signal);
      this.#nowMs = this.#clock.boottimeMs();
      for (const [socket, connection] of this.#bySocket) if (connection.isExpired(this.#nowMs)) socket.destroy();
    }
  }

  async #close(server: Server): Promise<void> {
    this.#closing.abort();
    const isClosed = new Promise<void>((resolve) => {
      if (server.listening) server.close(() => resolve());
      else resolve();
    });
    for (const connection of this.#bySocket.values()) connection.finish();
    const patience = new AbortController();
    const cut = this.#clock.sleep(doorCloseMs, patience.signal).then(
      () => {
        for (const socket of this.#bySocket.keys()) socket.destroy();
      },
      () => {},
    );
    await isClosed;
    patience.abort();
    await cut;
  }
}
