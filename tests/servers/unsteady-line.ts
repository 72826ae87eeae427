/** A line of TCP that can be cut, and on which what comes back can be lost. */
import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

export class UnsteadyLine {
  readonly port: number;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #isCut = false;
  #losesAnswers = false;

  private constructor(server: Server, targetPort: number) {
    this.#server = server;
    this.port = (server.address() as AddressInfo).port;
    server.on('connection', (client: Socket) => {
      if (this.#isCut) return void client.resetAndDestroy();
      const target = connect(targetPort, '127.0.0.1');
      for (const [socket, other] of [
        [client, target],
        [target, client],
      ] as const) {
        this.#sockets.add(socket);
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
      }
      client.on('data', (data) => target.write(data));
      target.on('data', (data) => {
        if (this.#losesAnswers) return;
        client.write(data);
      });
    });
  }

  static async to(port: number): Promise<UnsteadyLine> {
    const server = createServer({ allowHalfOpen: false });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return new UnsteadyLine(server, port);
  }

  #breakAll(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  cut(): void {
    this.#isCut = true;
    this.#breakAll();
  }

  /** What is asked arrives, what is answered does not. */
  loseAnswers(): void {
    this.#losesAnswers = true;
  }

  /** Connections that lost something are gone for good: what follows on them would make no sense. */
  heal(): void {
    if (this.#losesAnswers) this.#breakAll();
    this.#losesAnswers = false;
    this.#isCut = false;
  }

  async close(): Promise<void> {
    this.#breakAll();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
