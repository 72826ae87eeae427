/**
 * Links shaped without root: every host is on loopback, and what a host publishes is reached through a proxy that passes
 * each piece through the token buckets of the sending and the receiving host. Who connects is found out by the process
 * that has the other end of the connection; a stranger (the bench itself) is shaped on the publisher's side only.
 */

import { once } from 'node:events';
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { processTree } from '../process-usage.ts';
import type { LinkedHost, LinkedHostOptions, Links, Shaping } from './links.ts';
import { TokenBucket } from './token-bucket.ts';

/** Timers fire a millisecond or more late; the buckets let that much be caught up. */
const BURST_MS = 4;
/** Shorter waits are left to be made up by later ones. */
const WAIT_MIN_MS = 1;
/** Small enough that connections which share a link take turns. */
const PIECE_BYTES = 64 * 1024;
/** Of the machine: without root it cannot be chosen. */
const CONGESTION_FILE = '/proc/sys/net/ipv4/tcp_congestion_control';

const bytesPerS = (mbitPerS: number) => (mbitPerS * 1e6) / 8;

class LoopbackHost implements LinkedHost {
  readonly name: string;
  readonly address = '127.0.0.1';
  readonly up: TokenBucket;
  readonly down: TokenBucket;
  readonly #links: UserLinks;
  readonly #pids = new Set<number>();

  constructor(links: UserLinks, { name, mbitPerS }: LinkedHostOptions) {
    this.#links = links;
    this.name = name;
    this.up = new TokenBucket(bytesPerS(mbitPerS), { burstMs: BURST_MS });
    this.down = new TokenBucket(bytesPerS(mbitPerS), { burstMs: BURST_MS });
  }

  commandLine(command: string, args: readonly string[]): readonly [string, readonly string[]] {
    return [command, args];
  }

  adopt(pid: number): void {
    this.#pids.add(pid);
  }

  publish(port: number): Promise<string> {
    return this.#links.publish(this, port);
  }

  setRate(mbitPerS: number): Promise<void> {
    this.up.setRate(bytesPerS(mbitPerS));
    this.down.setRate(bytesPerS(mbitPerS));
    return Promise.resolve();
  }

  hasSocket(link: string): boolean {
    return [...this.#pids].flatMap(processTree).some((pid) => descriptors(pid).includes(link));
  }
}

function descriptors(pid: number): readonly string[] {
  try {
    return readdirSync(`/proc/${pid}/fd`).map((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`);
      } catch {
        return ''; // closed meanwhile
      }
    });
  } catch {
    return []; // ended meanwhile
  }
}

/** `socket:[inode]` of the connection from a loopback port to another; undefined once it is closed. */
function socketLink(fromPort: number, toPort: number): string | undefined {
  const hex = (port: number) => port.toString(16).toUpperCase().padStart(4, '0');
  for (const table of ['/proc/net/tcp', '/proc/net/tcp6']) {
    for (const line of readFileSync(table, 'latin1').split('\n')) {
      const [, local, remote, , , , , , , inode] = line.trim().split(/\s+/);
      if (local?.endsWith(`:${hex(fromPort)}`) && remote?.endsWith(`:${hex(toPort)}`)) return `socket:[${inode}]`;
    }
  }
  return undefined;
}

export class UserLinks implements Links {
  readonly shaping: Shaping = 'user space (proxies with token buckets)';
  readonly congestionControl = readFileSync(CONGESTION_FILE, 'utf8').trim();
  readonly hosts: readonly LoopbackHost[];
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  private constructor(options: readonly LinkedHostOptions[]) {
    this.hosts = options.map((host) => new LoopbackHost(this, host));
  }

  static open(options: readonly LinkedHostOptions[]): Promise<UserLinks> {
    return Promise.resolve(new UserLinks(options));
  }

  async publish(publisher: LoopbackHost, port: number): Promise<string> {
    const server = createServer({ noDelay: true, allowHalfOpen: true, pauseOnConnect: true }, (incoming) => {
      const client = this.#clientOf(incoming);
      const outgoing = connect({ host: publisher.address, port, noDelay: true, allowHalfOpen: true });
      for (const socket of [incoming, outgoing]) {
        this.#sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => this.#sockets.delete(socket));
      }
      void carry(outgoing, incoming, [publisher.up, ...(client ? [client.down] : [])]);
      void carry(incoming, outgoing, [publisher.down, ...(client ? [client.up] : [])]);
    });
    server.listen(0, publisher.address);
    await once(server, 'listening');
    this.#servers.push(server);
    return `${publisher.address}:${(server.address() as AddressInfo).port}`;
  }

  #clientOf(incoming: Socket): LoopbackHost | undefined {
    const link = socketLink(incoming.remotePort ?? 0, incoming.localPort ?? 0);
    return link === undefined ? undefined : this.hosts.find((host) => host.hasSocket(link));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(this.#servers.map((server) => new Promise<void>((resolve) => server.close(() => resolve()))));
  }
}

/** Carries one direction at the rate of the slowest bucket, and ends both ends where one ends. */
async function carry(from: Socket, to: Socket, buckets: readonly TokenBucket[]): Promise<void> {
  try {
    for await (const data of from as AsyncIterable<Buffer>) {
      for (let at = 0; at < data.length; at += PIECE_BYTES) {
        const piece = data.subarray(at, at + PIECE_BYTES);
        const nowMs = performance.now();
        const waitMs = Math.max(...buckets.map((bucket) => bucket.take(piece.length, nowMs)));
        if (waitMs >= WAIT_MIN_MS) await sleep(waitMs);
        if (!to.write(piece)) await drained(to);
      }
    }
    to.end();
  } catch {
    to.destroy();
    from.destroy();
  }
}

/** Rejects when the receiver is gone. */
function drained(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    const settle = (done: () => void) => () => {
      socket.off('drain', onDrain).off('close', onClose);
      done();
    };
    const onDrain = settle(resolve);
    const onClose = settle(() => reject(new Error('closed')));
    socket.on('drain', onDrain).on('close', onClose);
  });
}
