/** The holder's side of control messages: HTTP/1.1 with JSON, over connections that have proven the secret. */

import * as http from 'node:http';
import type { TLSSocket } from 'node:tls';
import { SETTLED } from '../../core/abortable.ts';
import { ForebayError } from '../../core/errors.ts';
import { peerMessageMaxBytes } from '../../core/limits.ts';
import type { Clock } from '../io.ts';
import type { Json, PeerMessage, PeerOptions } from '../peers.ts';
import { parseBounded, type TravellingError, travelling, writeBounded } from './peer-json.ts';
import type { PeerKeyTable } from './peer-key-table.ts';
import { keyNamed } from './peer-secret.ts';
import type { PeerTerms } from './peer-terms.ts';

export interface ControlServerOptions {
  readonly peer: PeerOptions;
  readonly clock: Clock;
  readonly keys: PeerKeyTable;
  readonly terms: PeerTerms;
  readonly handshakeMs: number;
  readonly idleMs: number;
}

/** The longest deadline that a caller may name. */
const DEADLINE_MAX_MS = 3600_000;

export interface ControlServer {
  /** `identity` names the secret's key that the connection uses. */
  accept(connection: TLSSocket, identity: string): void;
}

export function createControlServer(options: ControlServerOptions): ControlServer {
  const { terms, handshakeMs, idleMs } = options;
  const identities = new WeakMap<object, string>();
  const server = http.createServer({ keepAliveTimeout: idleMs, noDelay: true }, (request, response) => {
    const { socket } = request;
    terms.set(socket, handshakeMs, () => socket.destroy());
    response.once('close', () => {
      if (!socket.destroyed) terms.set(socket, idleMs, () => socket.destroy());
    });
    // The secret that opened the connection is gone: the caller tries again on another, with the one that it has now.
    const identity = identities.get(socket) ?? '';
    if (typeof keyNamed(identity, options.peer.secrets(), options.peer.cluster) === 'string') {
      socket.destroy();
      return;
    }
    void new Exchange(request, response, options, identity).answer();
  });
  server.on('clientError', (_error, socket) => {
    if (!socket.destroyed) options.peer.onRefused('malformed');
    socket.destroy();
  });
  return {
    accept(connection, identity) {
      identities.set(connection, identity);
      terms.set(connection, handshakeMs, () => connection.destroy());
      connection.once('close', () => terms.clear(connection));
      server.emit('connection', connection);
    },
  };
}

class Exchange {
  readonly #request: http.IncomingMessage;
  readonly #response: http.ServerResponse;
  readonly #options: ControlServerOptions;
  readonly #identity: string;

  constructor(
    request: http.IncomingMessage,
    response: http.ServerResponse,
    options: ControlServerOptions,
    identity: string,
  ) {
    this.#request = request;
    this.#response = response;
    this.#options = options;
    this.#identity = identity;
  }

  async answer(): Promise<void> {
    try {
      const refused = this.#refusal();
      if (refused) {
        this.#options.peer.onRefused(refused.refused);
        this.#send(403, { error: refused });
        return;
      }
      const text = await this.#body();
      if (text === undefined) return;
      this.#options.terms.clear(this.#request.socket);
      this.#send(200, { result: await this.#result(text) });
    } catch (error) {
      const status = error instanceof ForebayError ? error.row.status : 500;
      this.#send(status, { error: travelling(error) });
    }
  }

  #header(name: string): string | undefined {
    const value = this.#request.headers[name];
    try {
      return typeof value === 'string' ? decodeURIComponent(value) : undefined;
    } catch {
      return undefined;
    }
  }

  #refusal(): (TravellingError & { readonly refused: string }) | undefined {
    const refuse = (refused: string, message: string) => ({ code: 'peerRefused', message, refused }) as const;
    const { method, url } = this.#request;
    const known = url === '/v1/call' || url === '/v1/key';
    if (method !== 'POST' || !known || !this.#header('x-forebay-node'))
      return refuse('malformed', 'control messages are POSTs to /v1/call or /v1/key that name their node');
    if (this.#header('x-forebay-to') !== this.#options.peer.node)
      return refuse('otherNode', `this is ${this.#options.peer.node}`);
    return undefined;
  }

  /** The whole body; `undefined` when the caller is gone. */
  #body(): Promise<string | undefined> {
    const { promise, resolve, reject } = Promise.withResolvers<string | undefined>();
    const pieces: Buffer[] = [];
    let length = 0;
    // By its events: iterating a stream costs as much as all the rest of a message.
    this.#request
      .on('data', (piece: Buffer) => {
        length += piece.length;
        if (length <= peerMessageMaxBytes) pieces.push(piece);
        else {
          this.#request.pause();
          reject(new ForebayError('invalidRequest', `a message of more than ${peerMessageMaxBytes} bytes`));
        }
      })
      .on('end', () => resolve(Buffer.concat(pieces).toString('utf8')))
      .on('error', () => resolve(undefined))
      .on('close', () => resolve(undefined));
    return promise;
  }

  async #result(text: string): Promise<Json> {
    const { peer, keys } = this.#options;
    const from = this.#header('x-forebay-node') as string;
    const message = parseBounded(text);
    if (this.#request.url === '/v1/key') {
      const { id, key } = keys.hand(from, this.#identity);
      return { id, key: key.toString('base64'), transport: peer.transport };
    }
    if (!isMessage(message)) throw new ForebayError('invalidRequest', 'a message is an object with a type');
    return (await this.#call(from, message)) ?? null;
  }

  /** Ends the service's work when nobody waits for its answer any more. */
  async #call(from: string, message: PeerMessage): Promise<Json> {
    const named = Number(this.#request.headers['x-forebay-deadline-ms']);
    const deadlineMs = Math.min(named > 0 ? named : DEADLINE_MAX_MS, DEADLINE_MAX_MS);
    const over = new AbortController();
    const answered = new AbortController();
    this.#response.once('close', () => over.abort(new Error('the caller is gone')));
    this.#options.clock.sleep(deadlineMs, answered.signal).then(
      () => over.abort(new ForebayError('peerTimeout', 'the deadline has passed')),
      () => {},
    );
    try {
      return await this.#options.peer.service.call(from, message, over.signal);
    } finally {
      answered.abort(SETTLED);
    }
  }

  #send(status: number, answer: { result: Json } | { error: TravellingError }): void {
    if (this.#response.destroyed) return;
    let body: Buffer;
    try {
      body = writeBounded(answer as Json);
    } catch (error) {
      this.#send(500, { error: travelling(error) });
      return;
    }
    // What is left of a body that nobody reads would be taken for the next request.
    const whole = this.#request.complete ? {} : { connection: 'close' };
    this.#response.writeHead(status, { 'content-type': 'application/json', 'content-length': body.length, ...whole });
    this.#response.end(body);
  }
}

function isMessage(message: Json): message is PeerMessage {
  return typeof message === 'object' && message !== null && !Array.isArray(message) && 'type' in message
    ? typeof message.type === 'string'
    : false;
}
