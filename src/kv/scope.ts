/** What the parts of one kv volume share. */
import type { Cluster } from '../cluster/cluster.ts';
import type { Slot } from '../cluster/slot.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import { kvPeerMs } from '../core/kv-limits.ts';
import type { Json, PeerMessage } from '../io/peers.ts';
import { slotOfKey } from './entry.ts';
import type { LocalValues } from './values.ts';

export interface ScopeOptions {
  readonly volume: string;
  readonly suffixes: readonly string[];
  readonly cluster: Cluster;
  readonly local: LocalValues;
  /** How long a peer may take for an answer about keys. */
  readonly peerMs?: number;
}

/** A kv volume on a node of a cluster. */
export class Scope {
  readonly volume: string;
  readonly suffixes: readonly string[];
  readonly cluster: Cluster;
  readonly local: LocalValues;
  readonly peerMs: number;

  constructor({ volume, suffixes, cluster, local, peerMs = kvPeerMs }: ScopeOptions) {
    this.volume = volume;
    this.suffixes = suffixes;
    this.cluster = cluster;
    this.local = local;
    this.peerMs = peerMs;
  }

  get nowMs(): number {
    return this.cluster.clock.boottimeMs();
  }

  slotOf(key: string): Slot {
    return slotOfKey(key, this.suffixes);
  }

  /** The node that knows who holds a key; `undefined` before anybody is in. */
  ownerOf(key: string): string | undefined {
    return this.cluster.placement.owner(this.slotOf(key))?.node;
  }

  isOurs(key: string): boolean {
    return this.ownerOf(key) === this.cluster.self;
  }

  /** The life of a member's daemon; `undefined` for who is none. */
  sessionOf(node: string): string | undefined {
    return this.cluster.member(node)?.session;
  }

  /** One question about keys. Who is known to be silent is not asked; who does not answer in time is asked for a hello. Rejects as `Cluster.call`. */
  async ask(
    node: string,
    message: PeerMessage,
    { deadlineMs = this.peerMs, signal }: { deadlineMs?: number; signal?: AbortSignal } = {},
  ): Promise<Json> {
    const { cluster, volume } = this;
    if (node !== cluster.self && cluster.hellos.isSilent(node))
      throw new ForebayError('peerTimeout', `${node} does not even say hello`);
    try {
      return await cluster.call(node, { volume, ...message }, { deadlineMs, ...(signal && { signal }) });
    } catch (error) {
      if (isForebayError(error, 'peerTimeout', 'peerUnreachable') && cluster.member(node) !== undefined)
        void cluster.hellos.isThere(node).catch(() => undefined);
      throw error;
    }
  }

  /** Waits for `work`, but no longer than `ms`; its failure is as good as its end. */
  async atMost(ms: number, work: Promise<unknown>): Promise<void> {
    const over = new AbortController();
    await Promise.race([work.catch(() => undefined), this.cluster.clock.sleep(ms, over.signal).catch(() => undefined)]);
    over.abort(OVER);
  }
}

const OVER = new Error('what was waited for has come');
