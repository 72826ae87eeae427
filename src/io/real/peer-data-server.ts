/**
 * The holder's side of data requests: one connection, one request after the other. Runs of blocks leave as frames as soon
 * as the service has them: files by pumps, memory by writes. After any refusal the connection closes.
 */
import { blocksRange } from '../../core/chunk.ts';
import { ForebayError } from '../../core/errors.ts';
import { peerFrameBlocksMax, peerHeadMaxBytes } from '../../core/limits.ts';
import type { Range } from '../../core/range.ts';
import { type Clock, type Connection, DiskError, type Network } from '../io.ts';
import type { BlockRequest, BlockRun, PeerOptions } from '../peers.ts';
import {
  ANSWER_END,
  checksumsPayload,
  FRAME_BLOCKS,
  FRAME_END,
  FRAME_ERROR,
  type FrameKey,
  frameOf,
} from './peer-frame.ts';
import { type TravellingError, travelling } from './peer-json.ts';
import type { HandedKey, PeerKeyTable } from './peer-key-table.ts';
import { PeerReader } from './peer-reader.ts';
import { type DataRequest, isSignedWith, parseDataRequest } from './peer-request.ts';
import type { PeerTerms } from './peer-terms.ts';
import { flush } from './socket.ts';

export interface DataServerOptions {
  readonly peer: PeerOptions;
  readonly network: Network;
  readonly clock: Clock;
  readonly keys: PeerKeyTable;
  readonly terms: PeerTerms;
  readonly handshakeMs: number;
  readonly idleMs: number;
  /** An asker that reads nothing for this long is cut off. */
  readonly askerIdleMs: number;
}

const ANSWER_HEAD = Buffer.from(
  'HTTP/1.1 200 OK\r\nContent-Type: application/x-forebay-blocks\r\nTransfer-Encoding: chunked\r\n\r\n',
);

/** Serves a connection until it ends. `first`: what was read of it already; `encrypted`: it came over TLS. */
export async function serveData(
  connection: Connection,
  options: DataServerOptions,
  { first, encrypted }: { first?: Buffer; encrypted: boolean },
): Promise<void> {
  const reader = new PeerReader(connection, first);
  const gone = new AbortController();
  connection.once('close', () => gone.abort(new Error('the asker closed the connection')));
  const server = new DataServer(connection, options, gone.signal);
  let termMs = options.handshakeMs;
  try {
    for (;;) {
      options.terms.set(connection, termMs, () => connection.destroy());
      const head = await reader.head(peerHeadMaxBytes);
      options.terms.clear(connection);
      if (head === undefined || !(await server.answer(head, encrypted))) break;
      termMs = options.idleMs;
    }
  } finally {
    options.terms.clear(connection);
    connection.end();
    connection.resume();
    if (!connection.destroyed) options.terms.set(connection, options.handshakeMs, () => connection.destroy());
    connection.once('close', () => options.terms.clear(connection));
  }
}

class DataServer {
  readonly #connection: Connection;
  readonly #options: DataServerOptions;
  readonly #gone: AbortSignal;

  constructor(connection: Connection, options: DataServerOptions, gone: AbortSignal) {
    this.#connection = connection;
    this.#options = options;
    this.#gone = gone;
  }

  /** False when the connection cannot be used again. */
  async answer(head: string, encrypted: boolean): Promise<boolean> {
    const request = head === '' ? malformed('its head is too long') : parseDataRequest(head.slice(0, -4));
    if ('malformed' in request) {
      // Control messages that came without TLS are worth a word of their own.
      const plain = !encrypted && !request.isData && /^[A-Z]+ \/v1\//.test(head);
      return plain
        ? this.#refuse('plain', 'control messages travel over TLS', 426)
        : this.#refuse('malformed', request.malformed, 400);
    }
    const { peer } = this.#options;
    if (peer.transport === 'tls' && !encrypted) return this.#refuse('plain', 'data travels over TLS here', 426);
    const key = this.#check(request);
    if (typeof key === 'string') return this.#refuse(key, REFUSALS[key], 403);
    return await this.#serve(request, key);
  }

  #check(request: DataRequest): HandedKey | keyof typeof REFUSALS {
    const { peer, keys } = this.#options;
    if (request.cluster !== peer.cluster) return 'otherCluster';
    if (request.node !== peer.node) return 'otherNode';
    const key = keys.find(request.signed.keyId);
    if (!key || !isSignedWith(request, key.key)) return 'unkeyed';
    return key.window.use(request.signed.counter) ? key : 'replayed';
  }

  #refuse(refused: string, message: string, status: number): false {
    this.#options.peer.onRefused(refused);
    this.#answerError({ code: 'peerRefused', message, refused }, status);
    return false;
  }

  #answerError(error: TravellingError, status: number): void {
    const body = JSON.stringify({ error });
    const close = error.refused === undefined ? '' : 'Connection: close\r\n';
    const head = `HTTP/1.1 ${status} Refused\r\nContent-Type: application/json\r\nContent-Length: ${Buffer.byteLength(body)}\r\n${close}\r\n`;
    this.#connection.write(head + body);
  }

  async #serve(request: DataRequest, key: HandedKey): Promise<boolean> {
    const { peer } = this.#options;
    const answer = new Answer(this.#connection, this.#options, {
      request: request.blocks,
      key: { key: key.key, request: request.signed.mac },
      signal: this.#gone,
    });
    try {
      for await (const run of peer.service.blocks(key.node, request.blocks, this.#gone)) {
        await answer.send(run);
        if (answer.isWhole) break;
      }
      if (!answer.isWhole) throw new ForebayError('internal', 'the service gave fewer blocks than were asked for');
      return true;
    } catch (error) {
      // The asker has all that it asked for, whatever went wrong after that.
      if (answer.isWhole && !this.#connection.destroyed) return true;
      if (this.#connection.destroyed || !this.#connection.writable) return false;
      const told = travelling(error);
      if (!answer.isBegun) this.#answerError(told, error instanceof ForebayError ? error.row.status : 500);
      else await answer.fail(told).catch(() => this.#connection.destroy());
      return !this.#connection.destroyed;
    }
  }
}

const REFUSALS = {
  otherCluster: 'the request is for another cluster',
  otherNode: 'the request is for another node',
  unkeyed: 'the request is not signed with a key of this node',
  replayed: 'the request came before',
} as const;

function malformed(why: string) {
  return { malformed: why, isData: false };
}

/** One answer: its head with the first frame, its frames, its end. */
class Answer {
  readonly #connection: Connection;
  readonly #options: DataServerOptions;
  readonly #request: BlockRequest;
  readonly #key: FrameKey;
  readonly #signal: AbortSignal;
  #next: number;
  #frames = 0;

  constructor(
    connection: Connection,
    options: DataServerOptions,
    answer: { request: BlockRequest; key: FrameKey; signal: AbortSignal },
  ) {
    this.#connection = connection;
    this.#options = options;
    this.#request = answer.request;
    this.#key = answer.key;
    this.#signal = answer.signal;
    this.#next = answer.request.first;
  }

  get isBegun(): boolean {
    return this.#frames > 0;
  }

  get isWhole(): boolean {
    return this.#next === this.#request.first + this.#request.count;
  }

  /** Sends a run and releases it. A connection on which a frame was cut short is destroyed. */
  async send(run: BlockRun): Promise<void> {
    let damaged = false;
    try {
      const left = this.#request.first + this.#request.count - this.#next;
      if (run.first !== this.#next || run.checksums.length === 0 || run.checksums.length > left)
        throw new ForebayError('internal', 'the service gave blocks that were not asked for');
      for (let done = 0; done < run.checksums.length; done += peerFrameBlocksMax)
        await this.#sendFrame(run, run.checksums.slice(done, done + peerFrameBlocksMax));
    } catch (error) {
      damaged = error instanceof DiskError && error.code === 'EIO';
      throw error;
    } finally {
      run.release(damaged);
    }
  }

  async #sendFrame(run: BlockRun, checksums: readonly number[]): Promise<void> {
    const blocks = { first: this.#next, count: checksums.length };
    const range = blocksRange(blocks, this.#request.sizeBytes);
    const begun = this.#begin(FRAME_BLOCKS, blocks, checksumsPayload(checksums), range);
    this.#next += blocks.count;
    const end = this.isWhole ? this.#begin(FRAME_END, { first: this.#next, count: 0 }, NOTHING) : undefined;
    try {
      if (run.source.kind === 'bytes') {
        const { start } = blocksRange({ first: run.first, count: 0 }, this.#request.sizeBytes);
        await this.#write([
          ...begun,
          run.source.bytes.subarray(range.start - start, range.end - start),
          ...(end ?? []),
        ]);
        return;
      }
      this.#connection.write(Buffer.concat(begun));
      const { network } = this.#options;
      await network.sendFile({ connection: this.#connection, file: run.source.file, range, signal: this.#signal });
      if (end) await this.#write(end);
    } catch (error) {
      this.#connection.destroy();
      throw error;
    }
  }

  /** A frame, after the head or the end of the frame before; the last one with the end of the answer. */
  #begin(type: number, blocks: { first: number; count: number }, payload: Uint8Array, range?: Range): Uint8Array[] {
    const number = this.#frames++;
    const bytesAfter = range ? range.end - range.start : 0;
    const frame = frameOf(this.#key, { type, number, ...blocks }, payload, bytesAfter);
    const pieces: Uint8Array[] = [number === 0 ? ANSWER_HEAD : CHUNK_END_BYTES, frame];
    return range ? pieces : [...pieces, ANSWER_END_BYTES];
  }

  /** Says, between two frames, that no more blocks come. */
  async fail(error: TravellingError): Promise<void> {
    const payload = Buffer.from(JSON.stringify({ error }));
    await this.#write(this.#begin(FRAME_ERROR, { first: this.#next, count: payload.length }, payload));
  }

  async #write(pieces: readonly Uint8Array[]): Promise<void> {
    const { clock, askerIdleMs } = this.#options;
    const last = pieces.at(-1) as Uint8Array;
    this.#connection.cork();
    for (const piece of pieces.slice(0, -1)) this.#connection.write(piece);
    const sent = flush(this.#connection, { clock, clientIdleMs: askerIdleMs, signal: this.#signal }, last);
    this.#connection.uncork();
    await sent;
  }
}

const NOTHING = new Uint8Array(0);
const CHUNK_END_BYTES = Buffer.from('\r\n');
const ANSWER_END_BYTES = Buffer.from(ANSWER_END);
