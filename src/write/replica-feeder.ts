/**
 * One replica of one version, as its writer sees it: asked to pull blocks as they become whole, and in the end to sync and
 * keep them. It fails with the first message that fails, or when its node leaves; another then takes its place.
 */
import type { Cluster } from '../cluster/cluster.ts';
import { BLOCK_SIZE_BYTES } from '../core/chunk.ts';
import { ForebayError } from '../core/errors.ts';
import { MiB, stageCallMs, stageInlineMaxBytes, stagePullBlocksMax, stagePullsInFlightMax } from '../core/limits.ts';
import type { Compare } from '../io/coordinator.ts';
import type { PeerMessage } from '../io/peers.ts';
import type { CopyTraffic } from './copy-traffic.ts';
import type { PeerSlots } from './peer-slots.ts';
import {
  fenceFromWire,
  pullToWire,
  type StagedContent,
  type StageSeal,
  sealToWire,
  writerTimeUs,
} from './stage-wire.ts';

/** A replica may take this much longer to sync for every MiB: a disk that is slower counts as failed. */
const SYNC_MS_PER_MIB = 32;

type Sealing = Omit<StageSeal, keyof StagedContent | 'atUs'>;

export interface FeederParts {
  readonly cluster: Cluster;
  readonly slots: PeerSlots;
  readonly traffic: CopyTraffic;
  readonly what: Omit<StagedContent, 'session'>;
  /** Blocks that are whole, in the order in which they became so; grows. */
  readonly blocks: readonly number[];
  readonly onSealed: (feeder: ReplicaFeeder) => void;
  readonly onFailed: (feeder: ReplicaFeeder, error: unknown) => void;
}

export class ReplicaFeeder {
  readonly node: string;
  /** What a commit that names this replica compares; `undefined` until it is sealed. */
  fence: Compare | undefined;
  readonly #parts: FeederParts;
  readonly #session: string;
  readonly #over = new AbortController();
  #next = 0;
  #inFlight = 0;
  #sealing: Sealing | undefined;
  #isSealing = false;

  constructor(node: string, parts: FeederParts) {
    this.node = node;
    this.#parts = parts;
    this.#session = parts.cluster.member(node)?.session ?? '';
  }

  get hasFailed(): boolean {
    return this.#over.signal.aborted;
  }

  /** There are new blocks, or it is sealed now. */
  pump(): void {
    const { blocks, what } = this.#parts;
    if (this.hasFailed) return;
    while (this.#inFlight < stagePullsInFlightMax && this.#next < blocks.length) {
      const first = blocks[this.#next] as number;
      const chunkEnd = (Math.floor((first * BLOCK_SIZE_BYTES) / what.chunkSizeBytes) + 1) * what.chunkSizeBytes;
      const end = Math.min(first + stagePullBlocksMax, chunkEnd / BLOCK_SIZE_BYTES);
      let count = 0;
      while (first + count < end && blocks[this.#next + count] === first + count) count += 1;
      this.#next += count;
      this.#inFlight += 1;
      const { session } = this.#parts.cluster;
      void this.#call(pullToWire({ ...what, session, first, count }), stageCallMs).then(
        () => {
          this.#inFlight -= 1;
          this.pump();
        },
        (error: unknown) => this.fail(error),
      );
    }
    if (this.#sealing !== undefined && !this.#isSealing && this.#inFlight === 0) void this.#seal(this.#sealing);
  }

  seal(sealing: Sealing): void {
    this.#sealing = sealing;
    this.pump();
  }

  /** Asks again whether it keeps what it sealed, in its life and this node's of now. Rejects as the message does. */
  async renew(sealing: Sealing): Promise<void> {
    this.fence = await this.#askSeal(sealing);
  }

  /** The node left, or came back as another life. */
  look(): void {
    if (this.fence === undefined && this.#parts.cluster.member(this.node)?.session !== this.#session)
      this.fail(new ForebayError('peerUnreachable', `${this.node} is gone`));
  }

  fail(error: unknown): void {
    if (this.hasFailed) return;
    this.#over.abort(error);
    this.#parts.onFailed(this, error);
  }

  /** Ends it without a word. */
  stop(): void {
    this.#over.abort(new ForebayError('shuttingDown', 'the copy is not wanted any more'));
  }

  async #seal(sealing: Sealing): Promise<void> {
    this.#isSealing = true;
    try {
      this.fence = await this.#askSeal(sealing);
    } catch (error) {
      this.fail(error);
      return;
    }
    if (!this.hasFailed) this.#parts.onSealed(this);
  }

  async #askSeal(sealing: Sealing): Promise<Compare> {
    const { cluster, what } = this.#parts;
    const deadlineMs = stageCallMs + (sealing.sizeBytes / MiB) * SYNC_MS_PER_MIB;
    const message = sealToWire({
      ...what,
      ...sealing,
      session: cluster.session,
      atUs: writerTimeUs(cluster.clock),
    });
    return fenceFromWire(await this.#call(message, deadlineMs));
  }

  #call(message: PeerMessage, deadlineMs: number) {
    const { what, traffic } = this.#parts;
    const sent = this.#send(message, deadlineMs);
    const isLittle = what.lengthBytes !== undefined && what.lengthBytes <= stageInlineMaxBytes;
    return isLittle ? sent : traffic.during(sent);
  }

  async #send(message: PeerMessage, deadlineMs: number) {
    const { cluster, slots } = this.#parts;
    const { signal } = this.#over;
    const slot = await slots.take(this.node, signal);
    try {
      return await cluster.call(this.node, message, { deadlineMs, signal });
    } finally {
      slot.release();
    }
  }
}
