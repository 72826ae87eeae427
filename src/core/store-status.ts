/** What a node's store says of itself: made by the store, shown by the admin door. */
export interface StoreStatus {
  readonly directory: string;
  readonly disk: 'ok' | 'ejected' | 'full';
  readonly capacityBytes: number;
  /** Space taken on the disk by contents, present or being removed. */
  readonly usedBytes: number;
  readonly reservedBytes: number;
  readonly presentBytes: number;
  readonly pinnedBytes: number;
  /** Being written, and written but not in the origin. */
  readonly stagedBytes: number;
  readonly dirtyBytes: number;
  readonly contents: number;
  readonly smallContents: number;
  readonly facts: number;
  readonly orphans: number;
  readonly corruptBlocks: number;
  /** Memory of the index, in bytes. */
  readonly indexBytes: number;
}
