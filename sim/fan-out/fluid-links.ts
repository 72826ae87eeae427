/**
 * Transfers as fluids with max-min fair shares, as many TCP streams come to have: each end has a level, a transfer runs at
 * the lower of the levels of its two ends, and what transfers that are held up elsewhere leave unused goes to the
 * others. A change is followed from end to end until levels move by less than `tolerance`.
 *
 * Ends are numbers; each has a bandwidth up and one down, in bytes per millisecond. Rows of transfers are used again.
 */
import { TimeHeap } from './time-heap.ts';

export type TransferId = number;

/** Relative change of a level that is not followed any further, and ends looked at per change at most. */
const tolerance = 0.01;

export class FluidLinks {
  readonly #nodes: number;
  readonly #followed: number;
  /** Of end e: up at e, down at e + nodes. */
  readonly #bandwidth: Float64Array;
  readonly #level: Float64Array;
  readonly #transfers: TransferId[][];
  #source = new Int32Array(1024);
  #reader = new Int32Array(1024);
  /** Places in the lists of the two ends. */
  #sourceAt = new Int32Array(1024);
  #readerAt = new Int32Array(1024);
  #size = new Float64Array(1024);
  #left = new Float64Array(1024);
  #rate = new Float64Array(1024);
  #since = new Float64Array(1024);
  readonly #free: TransferId[] = [];
  #rows = 0;
  readonly #ends = new TimeHeap();
  #scratch = new Float64Array(64);

  /** `followed`: ends that one change is followed to at most. */
  constructor(ends: readonly { up: number; down: number }[], followed: number) {
    this.#nodes = ends.length;
    this.#followed = followed;
    this.#bandwidth = Float64Array.from([...ends.map(({ up }) => up), ...ends.map(({ down }) => down)]);
    this.#level = Float64Array.from(this.#bandwidth);
    this.#transfers = Array.from({ length: ends.length * 2 }, () => []);
  }

  /** When the next transfer ends, if nothing changes. */
  get nextMs(): number {
    return this.#ends.time;
  }

  /** The transfer that ends then. */
  get nextId(): TransferId {
    return this.#ends.item;
  }

  begin(nowMs: number, transfer: { source: number; reader: number; bytes: number }): TransferId {
    const id = this.#free.pop() ?? this.#rows++;
    if (id >= this.#source.length) this.#grow();
    const { source } = transfer;
    const reader = transfer.reader + this.#nodes;
    this.#source[id] = source;
    this.#reader[id] = reader;
    this.#size[id] = this.#left[id] = transfer.bytes;
    this.#rate[id] = 0;
    this.#since[id] = nowMs;
    this.#sourceAt[id] = (this.#transfers[source] as TransferId[]).push(id) - 1;
    this.#readerAt[id] = (this.#transfers[reader] as TransferId[]).push(id) - 1;
    this.#share(nowMs, source, reader);
    return id;
  }

  /** Ends a transfer, whole or not; returns the bytes that came. Its row may be used again by the next `begin`. */
  end(nowMs: number, id: TransferId): number {
    const came = this.came(nowMs, id);
    const source = this.#source[id] as number;
    const reader = this.#reader[id] as number;
    this.#takeOut(source, this.#sourceAt, id);
    this.#takeOut(reader, this.#readerAt, id);
    this.#ends.remove(id);
    this.#free.push(id);
    this.#share(nowMs, source, reader);
    return came;
  }

  /** Bytes that have come by now. */
  came(nowMs: number, id: TransferId): number {
    const left = (this.#left[id] as number) - (this.#rate[id] as number) * (nowMs - (this.#since[id] as number));
    return (this.#size[id] as number) - Math.max(0, left);
  }

  sendingOf(end: number): readonly TransferId[] {
    return this.#transfers[end] as TransferId[];
  }

  receivingOf(end: number): readonly TransferId[] {
    return this.#transfers[end + this.#nodes] as TransferId[];
  }

  #takeOut(end: number, places: Int32Array, id: TransferId): void {
    const list = this.#transfers[end] as TransferId[];
    const last = list.pop() as TransferId;
    if (last === id) return;
    const at = places[id] as number;
    list[at] = last;
    places[last] = at;
  }

  #share(nowMs: number, source: number, reader: number): void {
    const queue = [source, reader];
    for (let i = 0; i < queue.length; i++) {
      const end = queue[i] as number;
      const before = this.#level[end] as number;
      const level = this.#fill(end);
      this.#level[end] = level;
      const follow = Math.abs(level - before) > tolerance * before && queue.length < this.#followed;
      for (const id of this.#transfers[end] as TransferId[]) {
        const other = end < this.#nodes ? (this.#reader[id] as number) : (this.#source[id] as number);
        const limit = this.#level[other] as number;
        this.#setRate(nowMs, id, Math.min(level, limit));
        // Only an end that is held up here has more or less to give to its others now.
        if (follow && limit > Math.min(before, level) && !queue.includes(other, i + 1)) queue.push(other);
      }
    }
  }

  /** The level at which an end's bandwidth is used up, or infinity when its transfers are all held up elsewhere. */
  #fill(end: number): number {
    const list = this.#transfers[end] as TransferId[];
    const bandwidth = this.#bandwidth[end] as number;
    const count = list.length;
    if (count === 0) return bandwidth;
    if (count > this.#scratch.length) this.#scratch = new Float64Array(count * 2);
    const limits = this.#scratch;
    const isSource = end < this.#nodes;
    for (let i = 0; i < count; i++) {
      const id = list[i] as TransferId;
      const limit = this.#level[isSource ? (this.#reader[id] as number) : (this.#source[id] as number)] as number;
      let at = i;
      while (at > 0 && (limits[at - 1] as number) > limit) {
        limits[at] = limits[at - 1] as number;
        at -= 1;
      }
      limits[at] = limit;
    }
    let left = bandwidth;
    for (let i = 0; i < count; i++) {
      const share = left / (count - i);
      if ((limits[i] as number) >= share) return share;
      left -= limits[i] as number;
    }
    return bandwidth;
  }

  #setRate(nowMs: number, id: TransferId, rate: number): void {
    const before = this.#rate[id] as number;
    if (rate === before) return;
    const left = (this.#left[id] as number) - before * (nowMs - (this.#since[id] as number));
    this.#left[id] = Math.max(left, 0);
    this.#since[id] = nowMs;
    this.#rate[id] = rate;
    this.#ends.set(id, nowMs + (this.#left[id] as number) / rate);
  }

  #grow(): void {
    const grownTo = this.#source.length * 2;
    const grow = <A extends Int32Array | Float64Array>(array: A): A => {
      const grown = new (array.constructor as new (length: number) => A)(grownTo);
      grown.set(array as never);
      return grown;
    };
    this.#source = grow(this.#source);
    this.#reader = grow(this.#reader);
    this.#sourceAt = grow(this.#sourceAt);
    this.#readerAt = grow(this.#readerAt);
    this.#size = grow(this.#size);
    this.#left = grow(this.#left);
    this.#rate = grow(this.#rate);
    this.#since = grow(this.#since);
  }
}
