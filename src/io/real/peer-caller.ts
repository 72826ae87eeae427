/**
 * The caller's side of control messages: a pool of keep-alive connections per peer.
 *
 * Bounds:  peerCallsInFlightMax connections to a peer, and one for probes; peerCallsWaitingMax calls that wait for one.
 */

import * as http from 'node:http';
import type { Duplex } from 'node:stream';
import { SETTLED } from '../../core/abortable.ts';
import { formatAddress } from '../../core/address.ts';
import { abortReason, ForebayError } from '../../core/errors.ts';
import { peerCallsInFlightMax, peerCallsWaitingMax, peerMessageMaxBytes, peerPoolIdleMs } from '../../core/limits.ts';
import type { Clock } from '../io.ts';
import type { Json, PeerCallOptions, PeerEndpoint, PeerOptions } from '../peers.ts';
import { arrived, parseBounded, peerError, writeBounded } from './peer-json.ts';
import { connectionFailure, connectTls } from './peer-tls.ts';

interface Peer {
  readonly agent: http.Agent;
  readonly probes: http.Agent;
  calls: number;
}

/** The connection was closed by the peer while it was idle: the call never began. */
class IdleClosed extends Error {
  override name = 'IdleClosed';
}

export class PeerCaller {
  readonly #peer: Pick<PeerOptions, 'node' | 'cluster' | 'secrets'>;
  readonly #clock: Clock;
  readonly #peers = new Map<string, Peer>();
  readonly #closing = new AbortController();

  constructor(peer: Pick<PeerOptions, 'node' | 'cluster' | 'secrets'>, clock: Clock) {
    this.#peer = peer;
    this.#clock = clock;
  }

  /** As `PeerTransport.call`; `path` is `/v1/call` or `/v1/key`. */
  async call(to: PeerEndpoint, path: string, message: Json, options: PeerCallOptions): Promise<Json> {
    const { deadlineMs, signal, isProbe = false } = options;
    if (signal?.aborted) throw abortReason(signal);
    const body = writeBounded(message);
    const peer = this.#peerOf(to);
    if (!isProbe && peer.calls >= peerCallsInFlightMax + peerCallsWaitingMax)
      throw new ForebayError('overloaded', `${peer.calls} calls to ${to.node} are under way`);
    const over = new AbortController();
    const stop = (reason: Error) => over.abort(reason);
    const onAbort = () => stop(abortReason(signal as AbortSignal));
    const onClose = () => stop(new ForebayError('shuttingDown', 'this node is stopping'));
    signal?.addEventListener('abort', onAbort);
    this.#closing.signal.addEventListener('abort', onClose);
    if (this.#closing.signal.aborted) onClose();
    this.#clock.sleep(deadlineMs, over.signal).then(
      () => stop(new ForebayError('peerTimeout', `${to.node} did not answer within ${deadlineMs} ms`)),
      () => {},
    );
    peer.calls++;
    const agent = isProbe ? peer.probes : peer.agent;
    const ask = { to, path, body, deadlineMs, agent, signal: over.signal };
    try {
      return await this.#ask(ask).catch((error: unknown) => {
        // One more time, on a connection that nobody used before: messages are made to come twice.
        if (!(error instanceof IdleClosed) || over.signal.aborted) throw error;
        for (const sockets of Object.values(agent.freeSockets)) for (const idle of sockets ?? []) idle.destroy();
        return this.#ask(ask);
      });
    } catch (error) {
      if (over.signal.aborted) throw abortReason(over.signal);
      throw connectionFailure(to, error);
    } finally {
      peer.calls--;
      over.abort(SETTLED);
      signal?.removeEventListener('abort', onAbort);
      this.#closing.signal.removeEventListener('abort', onClose);
    }
  }

  #peerOf(to: PeerEndpoint): Peer {
    const name = `${to.node} ${formatAddress(to.address)}`;
    let peer = this.#peers.get(name);
    if (!peer) {
      peer = {
        agent: new PeerAgent(to, this.#peer, peerCallsInFlightMax),
        probes: new PeerAgent(to, this.#peer, 1),
        calls: 0,
      };
      this.#peers.set(name, peer);
    }
    return peer;
  }

  async #ask({ to, path, body, deadlineMs, agent, signal }: Ask): Promise<Json> {
    const { status, text } = await exchange(
      {
        agent,
        method: 'POST',
        path,
        host: to.address.host,
        port: to.address.port,
        headers: {
          'content-type': 'application/json',
          'content-length': body.length,
          'x-forebay-node': encodeURIComponent(this.#peer.node),
          'x-forebay-to': encodeURIComponent(to.node),
          'x-forebay-deadline-ms': Math.ceil(deadlineMs),
        },
      },
      body,
      signal,
    );
    const answer = readAnswer(to, text);
    if (status === 200 && 'result' in answer) return answer['result'] as Json;
    throw peerError(to.node, arrived(answer['error']));
  }

  /** Ends the connections to a peer; calls under way go on. */
  forget(node: string): void {
    for (const [name, peer] of this.#peers) {
      if (!name.startsWith(`${node} `)) continue;
      this.#peers.delete(name);
      for (const { freeSockets } of [peer.agent, peer.probes])
        for (const sockets of Object.values(freeSockets)) for (const idle of sockets ?? []) idle.destroy();
    }
  }

  close(): void {
    this.#closing.abort();
    for (const { agent, probes } of this.#peers.values()) {
      agent.destroy();
      probes.destroy();
    }
    this.#peers.clear();
  }
}

interface Ask {
  readonly to: PeerEndpoint;
  readonly path: string;
  readonly body: Buffer;
  readonly deadlineMs: number;
  readonly agent: http.Agent;
  readonly signal: AbortSignal;
}

class PeerAgent extends http.Agent {
  readonly #to: PeerEndpoint;
  readonly #peer: Pick<PeerOptions, 'cluster' | 'secrets'>;

  constructor(to: PeerEndpoint, peer: Pick<PeerOptions, 'cluster' | 'secrets'>, maxSockets: number) {
    super({ keepAlive: true, maxSockets, timeout: peerPoolIdleMs, scheduling: 'lifo' });
    this.#to = to;
    this.#peer = peer;
  }

  override createConnection(): Duplex {
    return connectTls(this.#to, this.#peer, 'control');
  }
}

function exchange(
  options: http.RequestOptions,
  body: Buffer,
  signal: AbortSignal,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = http.request(options, (response) => {
      const pieces: Buffer[] = [];
      let length = 0;
      response.on('data', (piece: Buffer) => {
        length += piece.length;
        if (length > peerMessageMaxBytes) request.destroy(new Error('its answer is too long'));
        else pieces.push(piece);
      });
      response.on('error', reject);
      response.on('end', () => {
        signal.removeEventListener('abort', onAbort);
        resolve({ status: response.statusCode ?? 0, text: Buffer.concat(pieces).toString('utf8') });
      });
    });
    request.on('error', (error: NodeJS.ErrnoException) => {
      const idleClosed = request.reusedSocket && (error.code === 'ECONNRESET' || error.code === 'EPIPE');
      reject(idleClosed ? new IdleClosed('the connection was closed', { cause: error }) : error);
    });
    // Not by the request's own `signal`, which follows the stream to its end: that costs a fifth of a message.
    const onAbort = () => request.destroy(abortReason(signal));
    if (signal.aborted) onAbort();
    else signal.addEventListener('abort', onAbort, { once: true });
    // Of an idle connection only: deadlines are the callers'.
    request.setTimeout(0);
    request.end(body);
  });
}

function readAnswer(to: PeerEndpoint, text: string): Record<string, unknown> {
  try {
    const answer = parseBounded(text);
    if (typeof answer === 'object' && answer !== null && !Array.isArray(answer))
      return answer as Record<string, unknown>;
  } catch {
    // told below
  }
  throw new ForebayError('peerCorrupt', `${to.node} sent an answer that is not one`);
}
