/**
 * Idle connections, by the peer that they lead to; the last one used goes first. Whoever takes one may find that the
 * peer has closed it.
 *
 * Bounds:  peerPoolPerPeerMax to one peer, peerPoolMax in all, peerPoolIdleMs.
 */
import { peerPoolIdleMs, peerPoolMax, peerPoolPerPeerMax } from '../../core/limits.ts';
import type { Clock } from '../io.ts';
import { PeerTerms } from './peer-terms.ts';

export interface Pooled {
  /** Frees it; further calls do nothing. */
  close(): void;
}

export class PeerPool<T extends Pooled> {
  readonly #idle = new Map<string, T[]>();
  readonly #terms: PeerTerms;
  #size = 0;
  #closed = false;

  constructor(clock: Clock) {
    this.#terms = new PeerTerms(clock);
  }

  take(peer: string): T | undefined {
    const connection = this.#idle.get(peer)?.at(-1);
    if (connection) this.remove(peer, connection);
    return connection;
  }

  put(peer: string, connection: T): void {
    const idle = this.#idle.get(peer) ?? [];
    if (this.#closed || idle.length >= peerPoolPerPeerMax || this.#size >= peerPoolMax) {
      connection.close();
      return;
    }
    idle.push(connection);
    this.#size++;
    this.#idle.set(peer, idle);
    this.#terms.set(connection, peerPoolIdleMs, () => {
      this.remove(peer, connection);
      connection.close();
    });
  }

  /** Takes an idle connection out; nothing where it is not idle. */
  remove(peer: string, connection: T): void {
    const idle = this.#idle.get(peer);
    const at = idle?.indexOf(connection) ?? -1;
    if (!idle || at < 0) return;
    idle.splice(at, 1);
    this.#size--;
    this.#terms.clear(connection);
    if (idle.length === 0) this.#idle.delete(peer);
  }

  /** Closes the idle connections to peers whose name satisfies `is`. */
  forget(is: (peer: string) => boolean): void {
    for (const [peer, idle] of this.#idle) {
      if (!is(peer)) continue;
      for (let connection = idle.at(-1); connection; connection = idle.at(-1)) {
        this.remove(peer, connection);
        connection.close();
      }
    }
  }

  close(): void {
    this.#closed = true;
    this.forget(() => true);
  }
}
