/**
 * Keys as bytes, one after the other in segments of 1 MiB, each with the row that owns it. A segment that is more than half dead is
 * emptied by moving what lives; its number is used again.
 */
const SEGMENT_BYTES = 1 << 20;
const SEGMENTS_MAX = 4096;
const HEAD_BYTES = 6;

interface Segment {
  readonly bytes: Buffer;
  used: number;
  dead: number;
}

export class KeyArena {
  readonly #segments: (Segment | undefined)[] = [];
  readonly #free: number[] = [];
  /** Told when a key moves. */
  readonly #moved: (row: number, place: number) => void;
  #tail: number;

  constructor(moved: (row: number, place: number) => void) {
    this.#moved = moved;
    this.#tail = this.#begin();
  }

  /** Memory in bytes. */
  get bytes(): number {
    return (this.#segments.length - this.#free.length) * SEGMENT_BYTES;
  }

  /** Stores the key (one character per byte, at most 65,535); returns its place. */
  add(row: number, key: string): number {
    const length = HEAD_BYTES + key.length;
    let segment = this.#segments[this.#tail] as Segment;
    if (segment.used + length > SEGMENT_BYTES) {
      this.#tail = this.#begin();
      segment = this.#segments[this.#tail] as Segment;
    }
    const { bytes, used } = segment;
    bytes.writeUInt32LE(row, used);
    bytes.writeUInt16LE(key.length, used + 4);
    bytes.write(key, used + HEAD_BYTES, 'latin1');
    segment.used += length;
    return this.#tail * SEGMENT_BYTES + used;
  }

  /** The key at `place` is not needed any more. */
  remove(place: number): void {
    const number = Math.floor(place / SEGMENT_BYTES);
    const segment = this.#segments[number] as Segment;
    const at = place % SEGMENT_BYTES;
    segment.dead += HEAD_BYTES + segment.bytes.readUInt16LE(at + 4);
    segment.bytes.writeUInt32LE(0, at);
    if (number !== this.#tail && segment.dead * 2 > segment.used) this.#empty(number, segment);
  }

  key(place: number): string {
    const { bytes } = this.#segments[Math.floor(place / SEGMENT_BYTES)] as Segment;
    const at = place % SEGMENT_BYTES;
    return bytes.toString('latin1', at + HEAD_BYTES, at + HEAD_BYTES + bytes.readUInt16LE(at + 4));
  }

  is(place: number, key: string): boolean {
    const { bytes } = this.#segments[Math.floor(place / SEGMENT_BYTES)] as Segment;
    const at = (place % SEGMENT_BYTES) + 4;
    if (((bytes[at] as number) | ((bytes[at + 1] as number) << 8)) !== key.length) return false;
    // From the end: keys of one model share their beginnings.
    for (let index = key.length - 1; index >= 0; index -= 1)
      if (bytes[at + 2 + index] !== key.charCodeAt(index)) return false;
    return true;
  }

  #begin(): number {
    const number = this.#free.pop() ?? this.#segments.length;
    if (number >= SEGMENTS_MAX) throw new RangeError('keys of more than 4 GiB');
    this.#segments[number] = { bytes: Buffer.alloc(SEGMENT_BYTES), used: 0, dead: 0 };
    return number;
  }

  #empty(number: number, segment: Segment): void {
    const { bytes, used } = segment;
    for (let at = 0; at < used; ) {
      const row = bytes.readUInt32LE(at);
      const end = at + HEAD_BYTES + bytes.readUInt16LE(at + 4);
      if (row !== 0) this.#moved(row, this.add(row, bytes.toString('latin1', at + HEAD_BYTES, end)));
      at = end;
    }
    this.#segments[number] = undefined;
    this.#free.push(number);
  }
}
