/** What the parts of staged writing share. */
import type { Cluster } from '../cluster/cluster.ts';
import type { Volume, WritePolicy } from '../core/volume.ts';
import type { Clock, Random } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import type { Origin } from '../origin/origin.ts';
import type { CopyTraffic } from './copy-traffic.ts';
import type { DirtyKeeping } from './dirty-keeping.ts';
import type { OriginBase } from './origin-base.ts';
import type { PeerSlots } from './peer-slots.ts';
import type { Records } from './records.ts';
import type { Replication } from './replication.ts';
import type { StagingStore } from './staging-store.ts';

export interface StagedParts {
  readonly cluster: Cluster;
  readonly store: StagingStore;
  readonly records: Records;
  readonly keeping: DirtyKeeping;
  readonly base: OriginBase;
  readonly slots: PeerSlots;
  readonly traffic: CopyTraffic;
  /** Who is to take a copy of so many bytes, first choice first. */
  readonly groupFor: (sizeBytes: number) => readonly string[];
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
  /** Copies that are being made, to be told of changes among the members. */
  readonly underWay: Set<Replication>;
}

export interface StagedVolume {
  readonly volume: Volume;
  readonly policy: WritePolicy;
  readonly origin: Origin;
  readonly chunkSizeBytes: number;
}
