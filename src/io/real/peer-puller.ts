/**
 * The asker's side of data: connection keys, signatures, how many pulls receive at once, and a second try where the
 * holder has a new life or had closed a pooled connection.
 *
 * Bounds:  pullsActiveMax pulls receive, pullsWaitingMax wait.
 */
import { formatAddress } from '../../core/address.ts';
import { blockCount } from '../../core/chunk.ts';
import { abortReason, ForebayError } from '../../core/errors.ts';
import { pullsActiveMax, pullsWaitingMax } from '../../core/limits.ts';
import { Places } from '../../core/places.ts';
import type { PeerEndpoint, PeerOptions, Pull } from '../peers.ts';
import type { AnswerFailure } from './peer-answer.ts';
import type { PeerCaller } from './peer-caller.ts';
import { arrived, parseBounded, peerError, type TravellingError } from './peer-json.ts';
import { poolName, type Receiver, StaleConnection } from './peer-receiver.ts';
import { askOf, type ConnectionKey } from './peer-request.ts';
import type { StreamReceiver } from './stream-receiver.ts';

export interface PeerPullerOptions {
  readonly peer: PeerOptions;
  readonly caller: PeerCaller;
  readonly streams: StreamReceiver;
  /** Receives without Node where it can; `undefined` where there is no FFI. */
  readonly threads: (Receiver & { canReceive(pull: Pull): boolean }) | undefined;
}

interface HeldKey extends ConnectionKey {
  counter: number;
  /** Data goes over TLS: the holder takes nothing else. */
  readonly encrypted: boolean;
}

/** Tries of one pull: the first, one after a new key, one after a stale connection. */
const TRIES_MAX = 3;

export class PeerPuller {
  readonly #options: PeerPullerOptions;
  readonly #keys = new Map<string, Promise<HeldKey>>();
  readonly #places = new Places(pullsActiveMax, {
    max: pullsWaitingMax,
    full: `${pullsWaitingMax} pulls wait for others`,
  });
  readonly #closing = new AbortController();

  constructor(options: PeerPullerOptions) {
    this.#options = options;
  }

  /** As `PeerTransport.pull`. */
  async pull(asked: Pull): Promise<void> {
    const { first, count, sizeBytes } = asked;
    const signal = AbortSignal.any([asked.signal, this.#closing.signal]);
    const pull: Pull = { ...asked, signal, onBlock: (...block) => asked.onBlock(...block) };
    if (signal.aborted) throw abortReason(signal);
    if (!(count > 0 && first >= 0 && first + count <= blockCount(sizeBytes)))
      throw new ForebayError('invalidRequest', `a pull of blocks ${first}…${first + count} of ${sizeBytes} bytes`);
    await this.#places.take(signal);
    try {
      await this.#try(pull);
    } finally {
      this.#places.release();
    }
  }

  async #try(pull: Pull): Promise<void> {
    let fresh = false;
    for (let tries = 1; ; tries++) {
      const key = await this.#keyOf(pull);
      const failed = await this.#receive(pull, key, fresh).catch((error: unknown) => {
        if (!(error instanceof StaleConnection) || tries === TRIES_MAX) throw error;
        return 'stale' as const;
      });
      if (failed === undefined) return;
      fresh = true;
      if (failed === 'stale') continue;
      const error = failureOf(pull, failed);
      const again = error.refused === 'unkeyed' || error.refused === 'replayed';
      if (!again || tries === TRIES_MAX) throw peerError(pull.from.node, error);
      if (error.refused === 'unkeyed') this.#keys.delete(poolName(pull.from));
    }
  }

  async #receive(pull: Pull, key: HeldKey, fresh: boolean): Promise<AnswerFailure | undefined> {
    const { peer, streams, threads } = this.#options;
    const { head, mac } = askOf(pull, {
      key,
      counter: key.counter++,
      node: pull.from.node,
      cluster: peer.cluster,
      host: formatAddress(pull.from.address),
    });
    const receive = { pull, head, key: { key: key.key, request: mac }, fresh };
    const encrypted = key.encrypted || peer.transport === 'tls';
    if (!encrypted && threads?.canReceive(pull)) return await threads.receive(receive);
    return await streams.receive({ ...receive, encrypted });
  }

  /** The key that this node has from the holder; asked for once, however many pulls begin. */
  async #keyOf(pull: Pull): Promise<HeldKey> {
    const name = poolName(pull.from);
    let asked = this.#keys.get(name);
    if (!asked) {
      asked = this.#askKey(pull.from, pull.idleMs);
      this.#keys.set(name, asked);
      asked.catch(() => {
        if (this.#keys.get(name) === asked) this.#keys.delete(name);
      });
    }
    return await raceAbort(asked, pull.signal);
  }

  async #askKey(from: PeerEndpoint, deadlineMs: number): Promise<HeldKey> {
    const answer = await this.#options.caller.call(from, '/v1/key', {}, { deadlineMs });
    const { id, key, transport } = (answer ?? {}) as Record<string, unknown>;
    if (typeof id !== 'string' || !/^[0-9a-f]{32}$/.test(id) || typeof key !== 'string')
      throw new ForebayError('peerCorrupt', `${from.node} sent a connection key that is not one`);
    return { id, key: Buffer.from(key, 'base64'), counter: 0, encrypted: transport === 'tls' };
  }

  forget(node: string): void {
    const { streams, threads, caller } = this.#options;
    for (const name of this.#keys.keys()) if (name.startsWith(`${encodeURIComponent(node)} `)) this.#keys.delete(name);
    streams.forget(node);
    threads?.forget(node);
    caller.forget(node);
  }

  close(): void {
    this.#closing.abort(new ForebayError('shuttingDown', 'this node is stopping'));
  }
}

function failureOf({ from }: Pull, failed: AnswerFailure): TravellingError {
  if (failed.kind === 'corrupt') return { code: 'peerCorrupt', message: failed.message };
  try {
    return arrived((parseBounded(failed.text) as { error?: unknown } | null)?.error);
  } catch {
    return { code: 'peerCorrupt', message: `${from.node} sent an error that is not one` };
  }
}

function raceAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(abortReason(signal));
    signal.addEventListener('abort', onAbort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}
