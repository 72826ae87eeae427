/** One node under simulation, as scenarios see it: started over simulated io, read, asked, closed. */

import type { Address } from '../src/core/address.ts';
import type { ContentId } from '../src/core/ids.ts';
import type { StoreStatus } from '../src/core/store-status.ts';
import type { Volume } from '../src/core/volume.ts';
import type { Coordinator } from '../src/io/coordinator.ts';
import type { Clock, Disk, Random } from '../src/io/io.ts';
import type { ListenPeers } from '../src/io/peers.ts';
import type { Kv } from '../src/kv/kv.ts';
import type { Emit } from '../src/observe/events.ts';
import type { Origin } from '../src/origin/origin.ts';
import type { Reader } from '../src/read/reader.ts';
import type { Checkpoints } from '../src/write/checkpoints.ts';
import type { Writer } from '../src/write/writer.ts';

/** Where a node of a cluster stands, and what it speaks through. */
export interface ClusterPlace {
  readonly cluster: string;
  readonly node: string;
  readonly zone: string;
  readonly address: Address;
  readonly coordinator: Coordinator;
  readonly listenPeers: ListenPeers;
  readonly secrets: () => readonly Uint8Array[];
}

export interface NodeStart {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly origin: Origin;
  readonly volume: Volume;
  /** Further volumes, each with its own origin. */
  readonly others?: readonly { readonly volume: Volume; readonly origin: Origin }[];
  readonly directory: string;
  readonly capacityBytes: number;
  readonly hotBytes: number;
  readonly scrubBytesPerS: number;
  readonly snapshotAfterBytes: number;
  readonly emit: Emit;
  /** Absent for a node alone. */
  readonly cluster?: ClusterPlace;
}

export interface SimNode {
  readonly reader: Reader;
  /** Writes through the node; absent: the client writes at the origin and tells the node by `written`. */
  readonly writer: Writer | undefined;
  /** Absent where no volume is staged. */
  readonly checkpoints?: Checkpoints | undefined;
  /** Gives records to what the nodes keep and the coordinator does not know: `forebay recover`. */
  readonly recover?: (volume: string) => Promise<unknown>;
  /** Absent where no kv volume is configured. */
  readonly kv?: Kv | undefined;
  /** A write to the key was acknowledged by the origin. */
  written(volume: string, key: string): Promise<void>;
  status(): StoreStatus;
  /** Whether a block of a content is here, as the node itself has it. */
  holds(content: ContentId, block: number): boolean;
  close(): Promise<void>;
}

export type StartNode = (start: NodeStart) => Promise<SimNode>;
