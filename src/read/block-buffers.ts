/**
 * Memory of one block each for fills, used again. A buffer that a disk's thread has seen stays alive until that thread
 * collects its garbage, which it has little reason to do: a new one for each block took 4 GiB where these take a few MiB,
 * and the first touch of new memory costs more than the copy into it.
 *
 * Bounds:  `keptMax` blocks are kept; more may be out at a time.
 */
import { BLOCK_SIZE_BYTES } from '../core/chunk.ts';
import type { Disk } from '../io/io.ts';

export class BlockBuffers {
  readonly #disk: () => Pick<Disk, 'allocate'>;
  readonly #keptMax: number;
  readonly #kept: Uint8Array[] = [];

  constructor(disk: () => Pick<Disk, 'allocate'>, keptMax: number) {
    this.#disk = disk;
    this.#keptMax = keptMax;
  }

  /** A buffer for `lengthBytes`, at most a block, with any content. */
  take(lengthBytes: number): Buffer {
    const whole = this.#kept.pop() ?? this.#disk().allocate(BLOCK_SIZE_BYTES);
    return Buffer.from(whole.buffer, whole.byteOffset, lengthBytes);
  }

  /** Takes a buffer back that nobody reads or writes any more; one that a failed or late write may still read is left to the garbage. */
  give(buffer: Buffer): void {
    if (this.#kept.length < this.#keptMax)
      this.#kept.push(new Uint8Array(buffer.buffer, buffer.byteOffset, BLOCK_SIZE_BYTES));
  }
}
