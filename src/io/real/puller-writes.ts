/** Blocks that a puller has given to its writer. */
import type { NativeBuffer } from './libc-sockets.ts';
import type { ThreadJob } from './thread-job.ts';
import { WRITES_MAX, type WriteRing } from './write-ring.ts';

export interface BlockWrite {
  readonly block: number;
  readonly checksum: number;
  readonly from: NativeBuffer;
  readonly length: number;
  readonly position: number;
}

export class BlockWrites {
  readonly #ring: WriteRing;
  /** In the order given. */
  readonly #given: { readonly job: ThreadJob; readonly write: BlockWrite }[] = [];

  constructor(ring: WriteRing) {
    this.#ring = ring;
  }

  get size(): number {
    return this.#given.length;
  }

  /** Whether a pull may begin another block. */
  get hasRoom(): boolean {
    return this.#given.length < WRITES_MAX;
  }

  give(job: ThreadJob, write: BlockWrite): void {
    const { slot, fileFd } = job.start;
    const { from, length, position } = write;
    this.#given.push({ job, write });
    this.#ring.give({ slot, fileFd, pointer: from.pointer, length, position });
  }

  /** Tells the pulls of the blocks that are done; whether there were any. */
  collect(): boolean {
    let any = false;
    for (let result = this.#ring.collect(); result !== undefined; result = this.#ring.collect()) {
      const done = this.#given.shift();
      done?.job.written(done.write, result);
      any = true;
    }
    return any;
  }

  /** Asks to be woken when a write is done, or no more; false when one is done already. */
  await(waits: boolean): boolean {
    return this.#ring.await(waits);
  }
}
