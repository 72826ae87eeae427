/**
 * A body of a client inside a puller: so many bytes of a connection into a file. Bytes of a block are checksummed as they come,
 * while the processor still has them at hand. The socket is left as it was found: Node goes on with it.
 */
import { constants } from 'node:os';
import { createDigest, type Digest } from '../../core/digest.ts';
import type { NativeBuffer } from './libc-sockets.ts';
import type { BodyStart } from './puller-memory.ts';
import { type JobNext, type PullerTools, ThreadJob } from './thread-job.ts';

const { EAGAIN, EINTR } = constants.errno;

export class BodyJob extends ThreadJob<BodyStart> {
  readonly #digests: readonly Digest[];
  /** Bytes of the body that came. */
  #done = 0;
  /** Of the block at hand. */
  #got = 0;
  #checksum = 0;

  constructor(start: BodyStart, tools: PullerTools, nowMs: number) {
    super(start, tools, nowMs);
    this.#digests = start.digests.map(createDigest);
  }

  step(nowMs: number, blocksMax: number): JobNext {
    if (this.end) return this.#ended(this.end);
    if (this.isCancelled) return this.#ended({ kind: 'cancelled' });
    const stop = this.taken + blocksMax;
    while (this.#done < this.start.lengthBytes) {
      if (this.#got === 0) {
        if (!this.hasRoom) return 'room';
        if (!this.tools.writes.hasRoom) return 'disk';
      }
      this.block ??= this.tools.blocks.take();
      const length = this.#sliceEnd - this.#done;
      const came = this.#receive(this.block, length);
      if (came === 0) return this.close(0);
      if (came === -EAGAIN) {
        if (this.#got === 0) this.letGo();
        return this.wait(length);
      }
      if (came === -EINTR) continue;
      if (came < 0) return this.close(-came);
      this.activeMs = nowMs;
      this.#checksum = this.tools.sockets.checksum(this.block, this.#got, came, this.#checksum);
      this.#got += came;
      this.#done += came;
      if (came === length) this.#take(this.block);
      if (this.taken >= stop) return 'turn';
    }
    return this.#ended({ kind: 'received', digests: this.#digests.map((digest) => digest.digest()) });
  }

  close(errno: number): JobNext {
    return this.#ended({ kind: 'closed', errno, received: this.#done > 0 });
  }

  override idle(): JobNext {
    return this.#ended({ kind: 'idle' });
  }

  #ended(end: NonNullable<BodyJob['end']>): JobNext {
    this.tools.sockets.setLowWater(this.start.socketFd, 1);
    return this.over(end);
  }

  /** Where the block at hand ends, in the body. */
  get #sliceEnd(): number {
    const { position, sliceBytes, lengthBytes } = this.start;
    const inFile = (Math.floor((position + this.#done) / sliceBytes) + 1) * sliceBytes;
    return Math.min(inFile - position, lengthBytes);
  }

  #receive(into: NativeBuffer, length: number): number {
    const { first, socketFd } = this.start;
    const left = first.length - this.#done;
    if (left <= 0) return this.tools.sockets.receive(socketFd, into, this.#got, length);
    const count = Math.min(left, length);
    into.bytes.set(first.subarray(this.#done, this.#done + count), this.#got);
    return count;
  }

  #take(from: NativeBuffer): void {
    const [length, checksum] = [this.#got, this.#checksum];
    this.#got = 0;
    this.#checksum = 0;
    for (const digest of this.#digests) digest.update(from.bytes.subarray(0, length));
    this.write({ block: this.taken++, checksum, from, length, position: this.start.position + this.#done - length });
  }
}
