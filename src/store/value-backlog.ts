/**
 * Small values on their way to the disk. A put is over when its bytes are in memory and visible: they are written soon after, many together,
 * into the packs of their volume. What a killed daemon had not written is a miss after the restart, as if it had been evicted.
 *
 * Bounds:  `valueBacklogMaxBytes` wait; beyond that puts wait for the disk.
 */
import type { ContentId } from '../core/ids.ts';
import { valueBacklogMaxBytes } from '../core/kv-limits.ts';
import { MiB } from '../core/limits.ts';
import type { Disk } from '../io/io.ts';
import type { ContentRow } from './content-table.ts';
import { type PackPlace, type Packs, writePackHeader } from './packs.ts';
import { PACK_HEADER_BYTES, smallFootprintBytes } from './store-index.ts';
import type { ValueBytes } from './value-bytes.ts';
import type { ValueRow } from './value-table.ts';

/** Bytes written at once, at most. */
export const valueBatchMaxBytes = MiB;

export interface UnwrittenValue {
  readonly content: ContentRow;
  readonly id: ContentId;
  readonly bytes: Uint8Array;
  readonly checksum: number;
  /** The key's row, where it still names the content. */
  readonly row: ValueRow;
}

/** Whose the values are. */
export interface ValueLane {
  readonly name: string;
  /** Bytes written at once, at most. */
  readonly batchMaxBytes: number;
  /** `place` is absent where it was not written; `wanted`: nobody removed it meanwhile. */
  settled(value: UnwrittenValue, end: { readonly place: PackPlace | undefined; readonly wanted: boolean }): void;
}

interface Queue {
  waiting: UnwrittenValue[];
  running: Promise<void> | undefined;
  buffer: Buffer | undefined;
}

export interface ValueBacklogOptions {
  readonly disk: Pick<Disk, 'allocate'>;
  readonly packs: Packs;
  readonly bytes: ValueBytes;
  /** Runs a disk operation, as `DiskHealth.run`. */
  readonly run: <T>(operation: () => Promise<T>) => Promise<T>;
}

export class ValueBacklog {
  readonly #options: ValueBacklogOptions;
  readonly #queues = new Map<ValueLane, Queue>();
  #bytes = 0;
  /** Why the last write failed; until one succeeds. */
  failure: unknown;

  constructor(options: ValueBacklogOptions) {
    this.#options = options;
  }

  /** Bytes that wait, headers counted. */
  get bytes(): number {
    return this.#bytes;
  }

  get isFull(): boolean {
    return this.#bytes > valueBacklogMaxBytes;
  }

  add(lane: ValueLane, value: UnwrittenValue): void {
    let queue = this.#queues.get(lane);
    if (queue === undefined) this.#queues.set(lane, (queue = { waiting: [], running: undefined, buffer: undefined }));
    queue.waiting.push(value);
    this.#bytes += smallFootprintBytes(value.bytes.length);
    queue.running ??= this.#run(lane, queue);
  }

  /** Resolves when what waits now was written, or lost. */
  async written(): Promise<void> {
    await Promise.all(Array.from(this.#queues.values(), (queue) => queue.running ?? Promise.resolve()));
  }

  async #run(lane: ValueLane, queue: Queue): Promise<void> {
    // Everything of one turn of the loop goes together.
    await Promise.resolve();
    while (queue.waiting.length > 0) {
      const { taken, values, joined } = this.#join(lane, queue);
      try {
        if (values.length > 0) await this.#write(lane, values, joined);
      } catch (error) {
        // A write that failed late may still read it.
        queue.buffer = undefined;
        this.failure = error;
        for (const value of values) this.#settle(lane, value, undefined);
      }
      this.#bytes -= taken;
    }
    queue.running = undefined;
  }

  #settle(lane: ValueLane, value: UnwrittenValue, place: PackPlace | undefined): void {
    lane.settled(value, { place, wanted: this.#options.bytes.written(value.content, value.bytes) });
  }

  async #write(lane: ValueLane, values: readonly UnwrittenValue[], joined: Uint8Array): Promise<void> {
    const { packs, run } = this.#options;
    const place = await run(() => packs.appendJoined(joined, lane.name));
    this.failure = undefined;
    let { offset } = place;
    for (const value of values) {
      this.#settle(lane, value, { pack: place.pack, offset });
      offset += smallFootprintBytes(value.bytes.length);
    }
    place.settle();
  }

  /** What still is wanted of the next values, as it will lie in the pack. */
  #join(lane: ValueLane, queue: Queue): { taken: number; values: UnwrittenValue[]; joined: Uint8Array } {
    queue.buffer ??= bufferOf(this.#options.disk.allocate(valueBatchMaxBytes));
    const values: UnwrittenValue[] = [];
    let taken = 0;
    let length = 0;
    let count = 0;
    for (const value of queue.waiting) {
      const footprint = smallFootprintBytes(value.bytes.length);
      if (length + footprint > lane.batchMaxBytes && length > 0) break;
      count += 1;
      taken += footprint;
      if (!this.#options.bytes.isWaiting(value.content, value.bytes)) {
        this.#settle(lane, value, undefined);
        continue;
      }
      writePackHeader(queue.buffer, length, {
        id: value.id,
        sizeBytes: value.bytes.length,
        checksum: value.checksum,
      });
      // Into shared memory `set` copies word by word.
      bufferOf(value.bytes).copy(queue.buffer, length + PACK_HEADER_BYTES);
      length += footprint;
      values.push(value);
    }
    queue.waiting.splice(0, count);
    return { taken, values, joined: queue.buffer.subarray(0, length) };
  }
}

function bufferOf(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
