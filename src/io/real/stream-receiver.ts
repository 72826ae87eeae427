/**
 * The portable path: answers come through Node's streams, plain or over TLS, and blocks are written through `File`.
 *
 * Bounds:  `pullAheadMemoryBlocksMax` blocks in memory for each pull.
 */
import { connect } from 'node:net';
import { crc32 } from 'node:zlib';
import { assert } from '../../core/assert.ts';
import { BLOCK_SIZE_BYTES } from '../../core/chunk.ts';
import { abortReason, ForebayError } from '../../core/errors.ts';
import { peerHeadMaxBytes, pullAheadMemoryBlocksMax } from '../../core/limits.ts';
import type { Clock, Connection } from '../io.ts';
import type { PeerOptions, Pull } from '../peers.ts';
import { BlockReports } from './block-reports.ts';
import { type AnswerFailure, type AnswerNeed, AnswerReader } from './peer-answer.ts';
import { PeerPool, type Pooled } from './peer-pool.ts';
import { PeerReader } from './peer-reader.ts';
import { isPoolOf, poolName, type Receive, type Receiver, StaleConnection } from './peer-receiver.ts';
import { connectionFailure, connectTls } from './peer-tls.ts';

export interface StreamReceiverOptions {
  readonly peer: Pick<PeerOptions, 'secrets' | 'cluster'>;
  readonly clock: Clock;
}

class StreamConnection implements Pooled {
  readonly socket: Connection;
  readonly reader: PeerReader;
  used = false;
  /** Why it ended. */
  error: Error | undefined;

  constructor(socket: Connection, onClose: (connection: StreamConnection) => void) {
    this.socket = socket;
    socket.on('error', (error) => {
      this.error ??= error;
    });
    socket.once('close', () => onClose(this));
    this.reader = new PeerReader(socket);
  }

  close(): void {
    this.socket.destroy();
  }
}

export class StreamReceiver implements Receiver {
  readonly #options: StreamReceiverOptions;
  /** By whether they are encrypted. */
  readonly #pools: { readonly plain: PeerPool<StreamConnection>; readonly tls: PeerPool<StreamConnection> };

  constructor(options: StreamReceiverOptions) {
    this.#options = options;
    this.#pools = { plain: new PeerPool(options.clock), tls: new PeerPool(options.clock) };
  }

  async receive(receive: Receive & { readonly encrypted?: boolean }): Promise<AnswerFailure | undefined> {
    const { pull, head, key, fresh, encrypted = false } = receive;
    const pool = encrypted ? this.#pools.tls : this.#pools.plain;
    const name = poolName(pull.from);
    const connection = (fresh ? undefined : pool.take(name)) ?? this.#connect(pull, encrypted);
    const { socket } = connection;
    const stopped = new AbortController();
    const stop = (error: Error) => {
      stopped.abort(error);
      socket.destroy();
    };
    const onAbort = () => stop(abortReason(pull.signal));
    const onIdle = () => stop(idlePeer(pull));
    pull.signal.addEventListener('abort', onAbort);
    socket.setTimeout(pull.idleMs, onIdle);
    try {
      if (pull.signal.aborted) onAbort();
      const { failed, reusable } = await new Reception(receive, connection, stop).run(
        head,
        new AnswerReader(pull, key),
      );
      socket.setTimeout(0);
      connection.used = true;
      if (reusable && connection.reader.heldBytes === 0 && !socket.destroyed) pool.put(name, connection);
      else socket.destroy();
      return failed;
    } catch (error) {
      socket.destroy();
      if (stopped.signal.aborted) throw abortReason(stopped.signal);
      throw error;
    } finally {
      socket.off('timeout', onIdle);
      pull.signal.removeEventListener('abort', onAbort);
    }
  }

  #connect(pull: Pull, encrypted: boolean): StreamConnection {
    const { host, port } = pull.from.address;
    const socket = encrypted
      ? connectTls(pull.from, this.#options.peer, 'data')
      : connect({ host, port, noDelay: true, autoSelectFamily: true });
    const pool = encrypted ? this.#pools.tls : this.#pools.plain;
    return new StreamConnection(socket, (closed) => pool.remove(poolName(pull.from), closed));
  }

  forget(node: string): void {
    for (const pool of Object.values(this.#pools)) pool.forget((name) => isPoolOf(name, node));
  }

  async close(): Promise<void> {
    for (const pool of Object.values(this.#pools)) pool.close();
  }
}

export function idlePeer({ from, idleMs }: Pull): ForebayError {
  return new ForebayError('peerTimeout', `${from.node} sent nothing for ${idleMs} ms`);
}

/** One answer over one connection. */
class Reception {
  readonly #pull: Pull;
  readonly #connection: StreamConnection;
  readonly #reports: BlockReports;
  #room: (() => void) | undefined;

  constructor({ pull }: Receive, connection: StreamConnection, stop: (error: Error) => void) {
    this.#pull = pull;
    this.#connection = connection;
    this.#reports = new BlockReports(
      async ({ block, checksum, bytes }) => {
        const { into } = pull;
        if (into && bytes) await into.write(block * BLOCK_SIZE_BYTES, bytes);
        if (pull.signal.aborted) throw abortReason(pull.signal);
        await pull.onBlock(block, checksum, into ? undefined : bytes);
      },
      () => {
        if (this.#reports.failed) stop(this.#reports.failed.error as Error);
        this.#room?.();
      },
    );
  }

  async run(head: Buffer, answer: AnswerReader): Promise<{ failed: AnswerFailure | undefined; reusable: boolean }> {
    const { reader, socket } = this.#connection;
    socket.write(head);
    let received = false;
    try {
      for (let need = answer.need; need.kind !== 'done'; need = answer.need) {
        const came = await this.#take(answer, need, reader);
        if (!came) throw this.#ended(received);
        received = true;
      }
    } finally {
      // Blocks that came whole count, whatever came after them.
      await this.#reports.settled();
    }
    const { need } = answer;
    assert(need.kind === 'done', 'an answer is read to its end');
    return need;
  }

  /** Reads what is needed; false when the connection ended before. */
  async #take(answer: AnswerReader, need: Exclude<AnswerNeed, { kind: 'done' }>, reader: PeerReader): Promise<boolean> {
    if (need.kind === 'head') {
      const head = await reader.head(peerHeadMaxBytes);
      if (head !== undefined) answer.takeHead(head);
      return head !== undefined;
    }
    if (need.kind === 'bytes') {
      const bytes = await reader.exactly(need.length);
      if (bytes) answer.takeBytes(bytes);
      return bytes !== undefined;
    }
    await this.#whenRoom();
    const bytes = Buffer.allocUnsafeSlow(need.length);
    if (!(await reader.into(bytes))) return false;
    const checksum = crc32(bytes);
    if (answer.takeBlock(checksum)) this.#reports.add({ block: need.block, checksum, bytes });
    return true;
  }

  /** Waits while too many blocks are in memory. The peer is not to blame for that time. */
  async #whenRoom(): Promise<void> {
    const { socket } = this.#connection;
    if (this.#reports.pending < pullAheadMemoryBlocksMax) return;
    socket.setTimeout(0);
    while (this.#reports.pending >= pullAheadMemoryBlocksMax && !this.#reports.failed)
      await new Promise<void>((resolve) => {
        this.#room = resolve;
      });
    this.#room = undefined;
    socket.setTimeout(this.#pull.idleMs);
  }

  #ended(received: boolean): Error {
    const { used, error } = this.#connection;
    if (used && !received) return new StaleConnection('the peer closed the connection', { cause: error });
    return connectionFailure(this.#pull.from, error ?? Object.assign(new Error('closed'), { code: 'ECONNRESET' }));
  }
}
