/**
 * Everything that brings what was written here to the origins: for each volume that is staged, this node stands for keeper, sends parts of
 * what it holds when a keeper asks, and answers how far it is.
 */

import { fieldsOf, textOf } from '../cluster/chunk-wire.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import type { Volume, WritePolicy } from '../core/volume.ts';
import type { Coordinator } from '../io/coordinator.ts';
import type { Clock, Random } from '../io/io.ts';
import type { Json } from '../io/peers.ts';
import type { Budget } from '../mover/budget.ts';
import type { Emit } from '../observe/events.ts';
import type { Origin } from '../origin/origin.ts';
import type { Store } from '../store/store.ts';
import type { CopyTraffic } from '../write/copy-traffic.ts';
import type { RecordLineage } from '../write/record-lineage.ts';
import type { Records } from '../write/records.ts';
import { type Conflict, Conflicts, type Resolution } from './conflicts.ts';
import { type KeeperLease, keeperOf, runKeeper } from './keeper.ts';
import { type KeptContents, type LeaveProgress, onlyHere, untilNothingIsOnlyHere } from './leave.ts';
import { PartSender } from './part-sender.ts';
import { PartUploads } from './part-uploads.ts';
import { type RecoverReport, recover, serveRecovery } from './recover.ts';
import { type DrainProgress, VolumeDrain } from './volume-drain.ts';

export type DrainCluster = Pick<
  Cluster,
  'self' | 'session' | 'members' | 'member' | 'mayAct' | 'fence' | 'call' | 'handle' | 'onMembers'
>;

export interface DrainOptions {
  readonly cluster: DrainCluster;
  readonly coordinator: Coordinator;
  readonly records: Records;
  readonly lineage: Pick<RecordLineage, 'read'>;
  readonly store: Pick<Store, 'holdKnown' | 'acquire'>;
  readonly volumes: ReadonlyMap<string, { readonly volume: Volume; readonly origin: Origin }>;
  /** What this node keeps that the origin does not have. */
  readonly keeping: KeptContents;
  /** What may be sent to origins. */
  readonly budget: Budget;
  /** What leaves from here before what only drains. */
  readonly traffic: Pick<CopyTraffic, 'turn'>;
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
  /** Tells the owner of the key's metadata that the origin has something new. */
  readonly onWritten: (volume: string, key: string) => Promise<void>;
}

/** The drain of a volume, as its keeper tells it; `keeper` is empty while there is none. */
export interface VolumeProgress extends DrainProgress {
  readonly keeper: string;
}

export class Drain {
  readonly #options: DrainOptions;
  readonly #stop = new AbortController();
  readonly #uploads: PartUploads;
  /** Of the volumes that this node keeps. */
  readonly #kept = new Map<string, VolumeDrain>();
  readonly #keepers: Promise<void>[] = [];
  readonly #conflicts: Conflicts;

  /** Before the cluster is joined: it registers what peers may ask. */
  constructor(options: DrainOptions) {
    this.#options = options;
    const { cluster, store, volumes, budget, traffic } = options;
    this.#uploads = new PartUploads(cluster);
    this.#conflicts = new Conflicts(options);
    new PartSender({ cluster, store, budget, traffic, originOf: (volume) => volumes.get(volume)?.origin });
    serveRecovery(options);
    cluster.handle('drain.progress', (_from, message) => {
      const kept = this.#kept.get(textOf(message['volume']));
      if (kept !== undefined && message['hurry'] === true) kept.hurry();
      return kept === undefined ? null : ({ ...kept.progress } as Json);
    });
  }

  /** Once the node is in its cluster. */
  start(): void {
    for (const [name, { volume, origin }] of this.#options.volumes) {
      const { writes: policy } = volume;
      if (policy === undefined) continue;
      const keep = (lease: KeeperLease) => this.#keep(lease, { volume, policy, origin });
      const { cluster: self, coordinator, clock, emit } = this.#options;
      this.#keepers.push(runKeeper({ volume: name, self, coordinator, clock, emit, signal: this.#stop.signal, keep }));
    }
  }

  async close(): Promise<void> {
    this.#stop.abort(new ForebayError('shuttingDown', 'the node is stopping'));
    await Promise.allSettled(this.#keepers);
  }

  /** What this node keeps. */
  get kept(): readonly DrainProgress[] {
    return Array.from(this.#kept.values(), (kept) => kept.progress);
  }

  /** Of the volume's keeper, wherever it is. `hurry`: everything that waits there is urgent. */
  async progress(volume: string, { hurry = false } = {}): Promise<VolumeProgress> {
    this.#staged(volume);
    const { cluster, coordinator } = this.#options;
    const keeper = await keeperOf(coordinator, volume);
    if (keeper === undefined) return unkept(volume);
    try {
      const answer = await cluster.call(keeper, { type: 'drain.progress', volume, hurry });
      if (answer !== null) return { ...(fieldsOf(answer) as unknown as DrainProgress), keeper };
    } catch (error) {
      // It is on its way out, and another takes over.
      if (!isForebayError(error, 'peerUnreachable', 'peerTimeout')) throw error;
    }
    return unkept(volume);
  }

  /**
   * Waits, where `wait` says so, until nothing is only here. Throws `conflict` where something is and one does not wait. The caller ends the
   * node then.
   */
  async *leave(options: { wait: boolean; signal: AbortSignal }): AsyncGenerator<LeaveProgress> {
    const { keeping } = this.#options;
    const takeAgain = keeping.takeNoMore();
    let isLeft = false;
    try {
      yield* this.#leave(options);
      isLeft = true;
    } finally {
      if (!isLeft) takeAgain();
    }
  }

  async *#leave(options: { wait: boolean; signal: AbortSignal }): AsyncGenerator<LeaveProgress> {
    const { cluster, keeping, clock } = this.#options;
    const hurry = () => Promise.all(this.volumes.map((volume) => this.progress(volume, { hurry: true })));
    if (options.wait) {
      yield* untilNothingIsOnlyHere({ cluster, keeping, clock, hurry, signal: options.signal });
      return;
    }
    const progress = onlyHere({ cluster, keeping });
    if (progress.objects > 0)
      throw new ForebayError(
        'conflict',
        `${progress.objects} objects are only here, such as ${progress.example}; wait for them with forebay leave --wait`,
      );
    yield progress;
  }

  /** Gives records to what the nodes keep and the coordinator does not know. `force`: also where it seems to have lost nothing. */
  async recover(volume: string, { force, signal }: { force: boolean; signal: AbortSignal }): Promise<RecoverReport> {
    this.#staged(volume);
    const replicasOf = (name: string) => this.#options.volumes.get(name)?.volume.writes?.replicas ?? 1;
    return await recover(volume, { ...this.#options, replicasOf, force }, signal);
  }

  /** Volumes whose writes are staged. */
  get volumes(): readonly string[] {
    return Array.from(this.#options.volumes.values())
      .filter(({ volume }) => volume.writes !== undefined)
      .map(({ volume }) => volume.name);
  }

  async conflicts(volume: string): Promise<readonly Conflict[]> {
    this.#staged(volume);
    return await this.#conflicts.list(volume);
  }

  /** Throws noSuchKey where nothing is in trouble under the key. */
  async resolve(resolution: Resolution): Promise<void> {
    this.#staged(resolution.volume);
    await this.#conflicts.resolve(resolution);
    await this.progress(resolution.volume, { hurry: true });
  }

  #staged(volume: string): void {
    const found = this.#options.volumes.get(volume);
    if (found === undefined) throw new ForebayError('noSuchBucket', `there is no volume ${volume}`);
    if (found.volume.writes === undefined)
      throw new ForebayError('invalidArgument', `every write to ${volume} waits for the origin: nothing of it drains`);
  }

  async #keep(
    lease: KeeperLease,
    what: { readonly volume: Volume; readonly policy: WritePolicy; readonly origin: Origin },
  ): Promise<void> {
    const { cluster } = this.#options;
    const copiesToBeHad = () => Math.min(what.policy.replicas, cluster.members.members.length);
    const drain = new VolumeDrain({ ...this.#options, ...what, lease, uploads: this.#uploads, copiesToBeHad });
    this.#kept.set(lease.volume, drain);
    await drain.run().finally(() => this.#kept.delete(lease.volume));
  }
}

function unkept(volume: string): VolumeProgress {
  const nothing = { pendingObjects: 0, pendingBytes: 0, oldestMs: 0, sentBytes: 0, underWay: 0, troubledObjects: 0 };
  return { volume, keeper: '', ...nothing, isStuck: false, message: 'no node is keeper of the volume yet' };
}
