/** The bytes that this node holds: files, index, journal (DESIGN.md section 4). */

import type { Clock, Disk, Random } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';

export interface StoreOptions {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly random: Random;
  /** Absolute path of the cache directory; created with mode 0700. */
  readonly directory: string;
  readonly capacityBytes: number;
  /** Budget for small contents kept in memory. */
  readonly hotBytes: number;
  readonly emit: Emit;
}

export interface StoreStatus {
  readonly directory: string;
  readonly disk: 'ok' | 'ejected' | 'full';
  readonly capacityBytes: number;
  /** Space taken on the disk by contents, present or being removed. */
  readonly usedBytes: number;
  readonly reservedBytes: number;
  readonly presentBytes: number;
  readonly pinnedBytes: number;
  readonly contents: number;
  readonly smallContents: number;
  readonly facts: number;
  readonly orphans: number;
  readonly corruptBlocks: number;
  /** Memory of the index, in bytes. */
  readonly indexBytes: number;
}
