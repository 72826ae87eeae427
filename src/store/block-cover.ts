/**
 * What is known of one block while it comes in pieces: which of its bytes were written, and the CRC32 of those that came in
 * order from its start. Pieces that come out of order are summed later, by reading the block again.
 */
import { crc32 } from 'node:zlib';
import { combineCrc32 } from '../core/crc32-combine.ts';

export class BlockCover {
  /** Written, ascending, apart: start, end, start, end… */
  #spans: number[] = [];
  #summedBytes = 0;
  #checksum = 0;
  #isSummable = true;
  /** Writes to this block under way. */
  writing = 0;
  /** Counts what was begun, so that a sum of older bytes is not taken for the block's. */
  changes = 0;

  /** A block all of whose `lengthBytes` were written, and are to be summed anew. */
  static written(lengthBytes: number): BlockCover {
    const cover = new BlockCover();
    cover.#spans = lengthBytes > 0 ? [0, lengthBytes] : [];
    cover.#isSummable = false;
    return cover;
  }

  /** A piece is about to be written. */
  begin(start: number, bytes: Uint8Array): void {
    this.writing += 1;
    this.changes += 1;
    if (!this.#isSummable || start !== this.#summedBytes) {
      this.#isSummable = false;
      return;
    }
    this.#checksum = crc32(bytes, this.#checksum);
    this.#summedBytes += bytes.length;
  }

  /** All of the block is about to be written in one piece, and summed by whoever writes it. */
  beginWhole(): void {
    this.writing += 1;
    this.changes += 1;
    this.#isSummable = false;
  }

  /** A piece is about to be written, and summed by whoever writes it; `endSummed` follows, or `end` where it failed. */
  beginSummed(): void {
    this.writing += 1;
    this.changes += 1;
  }

  endSummed(start: number, lengthBytes: number, checksum: number): void {
    this.writing -= 1;
    this.#add(start, start + lengthBytes);
    if (!this.#isSummable || start !== this.#summedBytes) {
      this.#isSummable = false;
      return;
    }
    this.#checksum = combineCrc32(this.#checksum, checksum, lengthBytes);
    this.#summedBytes += lengthBytes;
  }

  /** A piece was written, or failed. */
  end(start: number, lengthBytes: number, isWritten: boolean): void {
    this.writing -= 1;
    if (isWritten) this.#add(start, start + lengthBytes);
    else this.#isSummable = false;
  }

  /** Bytes from the block's start on without a gap. */
  get wholeBytes(): number {
    return this.#spans[0] === 0 ? (this.#spans[1] as number) : 0;
  }

  /** The CRC32 of the first `lengthBytes`, where they came in order. */
  checksum(lengthBytes: number): number | undefined {
    return this.#isSummable && this.#summedBytes === lengthBytes ? this.#checksum : undefined;
  }

  /** Forgets what lies beyond a length. */
  cut(lengthBytes: number): void {
    const spans: number[] = [];
    for (let at = 0; at < this.#spans.length; at += 2) {
      const [start, end] = [this.#spans[at] as number, this.#spans[at + 1] as number];
      if (start < lengthBytes) spans.push(start, Math.min(end, lengthBytes));
    }
    this.#spans = spans;
    if (this.#summedBytes > lengthBytes) this.#isSummable = false;
  }

  #add(start: number, end: number): void {
    const spans: number[] = [];
    let [low, high] = [start, end];
    for (let at = 0; at < this.#spans.length; at += 2) {
      const [from, to] = [this.#spans[at] as number, this.#spans[at + 1] as number];
      if (to < low || from > high) {
        spans.push(from, to);
      } else {
        low = Math.min(low, from);
        high = Math.max(high, to);
      }
    }
    let at = 0;
    while (at < spans.length && (spans[at] as number) < low) at += 2;
    spans.splice(at, 0, low, high);
    this.#spans = spans;
  }
}

/** A set of block numbers, a bit each. */
export class BlockSet {
  #words = new Uint32Array(8);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  has(block: number): boolean {
    return (((this.#words[block >>> 5] ?? 0) >>> (block & 31)) & 1) === 1;
  }

  add(block: number): void {
    if (this.has(block)) return;
    const word = block >>> 5;
    if (word >= this.#words.length) {
      const longer = new Uint32Array(Math.max(word + 1, 2 * this.#words.length));
      longer.set(this.#words);
      this.#words = longer;
    }
    this.#words[word] = ((this.#words[word] as number) | (1 << (block & 31))) >>> 0;
    this.#count += 1;
  }

  delete(block: number): void {
    if (!this.has(block)) return;
    const word = block >>> 5;
    this.#words[word] = ((this.#words[word] as number) & ~(1 << (block & 31))) >>> 0;
    this.#count -= 1;
  }

  /** One more than the highest that may be in it. */
  get end(): number {
    return this.#words.length * 32;
  }
}
