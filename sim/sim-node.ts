/** One node under simulation, as scenarios see it: started over simulated io, read, asked, closed. */

import type { StoreStatus } from '../src/core/store-status.ts';
import type { Volume } from '../src/core/volume.ts';
import type { Clock, Disk, Random } from '../src/io/io.ts';
import type { Emit } from '../src/observe/events.ts';
import type { Origin } from '../src/origin/origin.ts';
import type { Reader } from '../src/read/reader.ts';

export interface NodeStart {
  readonly clock: Clock;
  readonly random: Random;
  readonly disk: Disk;
  readonly origin: Origin;
  readonly volume: Volume;
  readonly directory: string;
  readonly capacityBytes: number;
  readonly hotBytes: number;
  readonly scrubBytesPerS: number;
  readonly snapshotAfterBytes: number;
  readonly emit: Emit;
}

export interface SimNode {
  /** `written` is to be called when a write to the key was acknowledged by the origin. */
  readonly reader: Reader & { written(volume: string, key: string): Promise<void> };
  status(): StoreStatus;
  close(): Promise<void>;
}

export type StartNode = (start: NodeStart) => Promise<SimNode>;
