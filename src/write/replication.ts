/**
 * The copies of one version on its way from this node (DESIGN.md section 8): the nodes of its replica group pull blocks while
 * they are still being written, and seal the whole when it is whole. A replica that fails is replaced by the next of
 * the group. Nobody waits for it who does not want to; the writer's own bytes never wait.
 */
import type { Cluster } from '../cluster/cluster.ts';
import { isForebayError } from '../core/errors.ts';
import { MiB } from '../core/limits.ts';
import type { Compare } from '../io/coordinator.ts';
import type { DirtyNote } from '../store/staging.ts';
import type { CopyTraffic } from './copy-traffic.ts';
import type { PeerSlots } from './peer-slots.ts';
import { ReplicaFeeder } from './replica-feeder.ts';
import { dropToWire, type StagedContent, type StageSeal, writerTimeUs } from './stage-wire.ts';

export type Sealing = Omit<StageSeal, keyof StagedContent | 'atUs'>;

export interface ReplicationOptions {
  readonly cluster: Cluster;
  readonly slots: PeerSlots;
  readonly traffic: CopyTraffic;
  readonly what: Omit<StagedContent, 'session'>;
  /** The others of the replica group, first choice first. */
  readonly group: readonly string[];
  /** How many of them shall have it. */
  readonly wanted: number;
}

export interface SealedReplica {
  readonly node: string;
  readonly fence: Compare;
}

/** What a version counts as whose length is not known. */
const UNKNOWN_BYTES = 64 * MiB;

export class Replication {
  readonly #options: ReplicationOptions;
  readonly #blocks: number[] = [];
  readonly #feeders = new Set<ReplicaFeeder>();
  /** Ends what a node owes, once it has it whole or never will. */
  readonly #owed = new Map<ReplicaFeeder, () => void>();
  #left: string[];
  #sealing: Sealing | undefined;
  #settled = Promise.withResolvers<void>();
  #isOver = false;

  constructor(options: ReplicationOptions) {
    this.#options = options;
    this.#left = [...options.group];
    this.#fill();
  }

  /** Those that have it whole and synced. */
  get sealed(): readonly SealedReplica[] {
    return Array.from(this.#feeders).flatMap(({ node, fence }) => (fence === undefined ? [] : [{ node, fence }]));
  }

  get hasAll(): boolean {
    return this.sealed.length >= this.#options.wanted;
  }

  /** Resolves when as many as wanted have sealed it, or nobody is left who could. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  /** A block of this node's is whole. */
  whole(block: number): void {
    this.#blocks.push(block);
    for (const feeder of this.#feeders) feeder.pump();
  }

  /** The content is whole here, and this is what it shall be. */
  seal(sealing: Sealing): void {
    this.#sealing = sealing;
    for (const feeder of this.#feeders) feeder.seal(sealing);
    this.#look();
  }

  /** The members changed. */
  look(): void {
    for (const feeder of Array.from(this.#feeders)) feeder.look();
  }

  /** Tries these, also who failed before, after all had settled with too few. */
  again(group: readonly string[]): void {
    const has = new Set(Array.from(this.#feeders, ({ node }) => node));
    this.#left = group.filter((node) => !has.has(node));
    this.#settled = Promise.withResolvers();
    this.#fill();
  }

  /**
   * Asks those that sealed it whether they still keep it; those that do not answer are left out. `note`: as it is in this
   * life of the writer, for a copy whose note names another one is taken for left behind.
   */
  async renew(note?: DirtyNote): Promise<void> {
    if (this.#sealing === undefined) return;
    const sealing = note === undefined ? this.#sealing : { ...this.#sealing, note };
    this.#sealing = sealing;
    for (const feeder of this.#feeders) if (feeder.fence === undefined) feeder.seal(sealing);
    const asked = Array.from(this.#feeders).filter(({ fence }) => fence !== undefined);
    await Promise.all(
      asked.map(async (feeder) => {
        try {
          await feeder.renew(sealing);
        } catch (error) {
          if (!isForebayError(error)) throw error;
          feeder.fence = undefined;
          feeder.fail(error);
        }
      }),
    );
  }

  /** No more copies are made. `dropping`: those that were made are of no use. */
  stop(dropping: boolean): void {
    this.#isOver = true;
    for (const feeder of this.#feeders) {
      this.#paid(feeder);
      if (feeder.fence === undefined) feeder.stop();
      if (dropping || feeder.fence === undefined) this.#drop(feeder.node);
    }
    this.#settled.resolve();
  }

  #fill(): void {
    const { wanted } = this.#options;
    while (!this.#isOver && this.#feeders.size < wanted) {
      const node = this.#left.shift();
      if (node === undefined) break;
      const feeder = new ReplicaFeeder(node, {
        ...this.#options,
        blocks: this.#blocks,
        onSealed: (sealed) => {
          this.#paid(sealed);
          this.#look();
        },
        onFailed: (failed) => this.#failed(failed),
      });
      this.#feeders.add(feeder);
      const { traffic, what } = this.#options;
      this.#owed.set(feeder, traffic.owed(node, what.lengthBytes ?? UNKNOWN_BYTES));
      if (this.#sealing === undefined) feeder.pump();
      else feeder.seal(this.#sealing);
    }
    this.#look();
  }

  #paid(feeder: ReplicaFeeder): void {
    this.#owed.get(feeder)?.();
    this.#owed.delete(feeder);
  }

  #failed(feeder: ReplicaFeeder): void {
    this.#feeders.delete(feeder);
    this.#paid(feeder);
    this.#drop(feeder.node);
    this.#fill();
  }

  #look(): void {
    const { wanted } = this.#options;
    const isShort = this.#left.length === 0 && this.#feeders.size < wanted;
    const underWay = this.#feeders.size - this.sealed.length;
    if (this.hasAll || (isShort && underWay === 0)) this.#settled.resolve();
  }

  /** It may have begun, or even sealed it: nobody will count on that. */
  #drop(node: string): void {
    const { cluster, what } = this.#options;
    const { content } = what;
    const drop = dropToWire({ content, session: cluster.session, atUs: writerTimeUs(cluster.clock) });
    cluster.call(node, drop).catch(() => undefined);
  }
}
