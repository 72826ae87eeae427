/**
 * The bytes of one simulated file: what the kernel's page cache shows, and for every page changed since the last sync
 * what the disk itself had then. A power cut leaves each 512-byte sector changed since with either of the two, and the
 * size with either.
 */
import { crc32 } from 'node:zlib';
import type { SimRandom } from './sim-random.ts';

const PAGE_BYTES = 65_536;
/** The unit of allocation, as in ext4 and xfs. */
export const ALLOCATION_BYTES = 4096;
/** The unit that a disk writes whole or not at all. */
const SECTOR_BYTES = 512;

const ZEROS = new Uint8Array(PAGE_BYTES);
const ALLOCATIONS_ALL = 0xffff;

interface Page {
  readonly bytes: Uint8Array;
  /** Bit per allocation unit; a unit that is not allocated is zeros. */
  allocated: number;
}

/** Buffers of pages that nobody has any more, for the next ones: memory that is touched already is cheap. */
const POOL_PAGES_MAX = 2048;
const pool: Uint8Array[] = [];

function dirtyPage(): Page {
  return { bytes: pool.pop() ?? Buffer.allocUnsafeSlow(PAGE_BYTES), allocated: 0 };
}

function freshPage(): Page {
  const page = dirtyPage();
  page.bytes.fill(0);
  return page;
}

function copyOf(page: Page): Page {
  const copy = dirtyPage();
  copy.bytes.set(page.bytes);
  copy.allocated = page.allocated;
  return copy;
}

function recycle(page: Page | undefined): void {
  if (page && pool.length < POOL_PAGES_MAX) pool.push(page.bytes);
}

function bitCount(bits: number): number {
  let count = 0;
  for (let rest = bits; rest !== 0; rest &= rest - 1) count++;
  return count;
}

/** The allocation units that `[from, to)` within a page touches. */
function unitsTouched(from: number, to: number): number {
  const first = Math.floor(from / ALLOCATION_BYTES);
  const last = Math.ceil(to / ALLOCATION_BYTES);
  return ((1 << last) - 1) & ~((1 << first) - 1);
}

/** The allocation units that lie wholly in `[from, to)` within a page. */
function unitsWithin(from: number, to: number): number {
  const first = Math.ceil(from / ALLOCATION_BYTES);
  const last = Math.floor(to / ALLOCATION_BYTES);
  return last > first ? ((1 << last) - 1) & ~((1 << first) - 1) : 0;
}

export class SimInode {
  readonly number: bigint;
  readonly kind = 'file';
  #sizeBytes = 0;
  #syncedSizeBytes = 0;
  readonly #pages = new Map<number, Page>();
  /** Pages changed since the last sync, as the disk had them then; `undefined`: as a hole. */
  readonly #saved = new Map<number, Page | undefined>();
  #allocatedUnits = 0;
  /** Names and open handles: the space is free when there is neither. */
  links = 0;
  opens = 0;
  modifiedMs = 0;
  changedMs = 0;

  constructor(number: bigint) {
    this.number = number;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  get allocatedBytes(): number {
    return this.#allocatedUnits * ALLOCATION_BYTES;
  }

  /** What writing `[at, at + length)` would newly allocate. */
  growthBytes(at: number, length: number): number {
    let units = 0;
    this.#eachPage(at, at + length, (index, from, to) => {
      units += bitCount(unitsTouched(from, to) & ~(this.#pages.get(index)?.allocated ?? 0));
    });
    return units * ALLOCATION_BYTES;
  }

  #eachPage(start: number, end: number, visit: (index: number, from: number, to: number) => void): void {
    for (let at = start; at < end; ) {
      const index = Math.floor(at / PAGE_BYTES);
      const from = at - index * PAGE_BYTES;
      const to = Math.min(PAGE_BYTES, from + (end - at));
      visit(index, from, to);
      at += to - from;
    }
  }

  /** The page to change: its synced image is kept first. */
  #own(index: number, wholly: boolean): Page {
    const page = this.#pages.get(index);
    if (this.#saved.has(index)) {
      if (page) return page;
    } else {
      this.#saved.set(index, page);
      if (page && !wholly) {
        const copy = copyOf(page);
        this.#pages.set(index, copy);
        return copy;
      }
    }
    const fresh = wholly ? dirtyPage() : freshPage();
    if (wholly && page) fresh.allocated = page.allocated;
    this.#pages.set(index, fresh);
    return fresh;
  }

  read(at: number, lengthBytes: number): Uint8Array {
    const end = Math.min(at + lengthBytes, this.#sizeBytes);
    if (end <= at) return new Uint8Array(0);
    const bytes = Buffer.allocUnsafeSlow(end - at);
    this.#eachPage(at, end, (index, from, to) => {
      const source = this.#pages.get(index)?.bytes ?? ZEROS;
      bytes.set(from === 0 && to === PAGE_BYTES ? source : source.subarray(from, to), index * PAGE_BYTES + from - at);
    });
    return bytes;
  }

  checksum(start: number, end: number): number {
    let sum = 0;
    this.#eachPage(start, end, (index, from, to) => {
      sum = crc32((this.#pages.get(index)?.bytes ?? ZEROS).subarray(from, to), sum);
    });
    return sum;
  }

  /** The allocated bytes, page by page, whole allocation units. */
  eachAllocated(visit: (at: number, bytes: Uint8Array) => void): void {
    for (const [index, page] of this.#pages) {
      for (let unit = 0; unit < 16; unit++) {
        const at = unit * ALLOCATION_BYTES;
        if (page.allocated & (1 << unit))
          visit(index * PAGE_BYTES + at, page.bytes.subarray(at, at + ALLOCATION_BYTES));
      }
    }
  }

  write(at: number, bytes: Uint8Array): void {
    this.#eachPage(at, at + bytes.length, (index, from, to) => {
      const page = this.#own(index, from === 0 && to === PAGE_BYTES);
      const offset = index * PAGE_BYTES + from - at;
      page.bytes.set(bytes.subarray(offset, offset + to - from), from);
      const added = unitsTouched(from, to) & ~page.allocated;
      page.allocated |= added;
      this.#allocatedUnits += bitCount(added);
    });
    this.#sizeBytes = Math.max(this.#sizeBytes, at + bytes.length);
  }

  /** Zeros `[start, end)` and frees the allocation units that lie wholly in it; the size stays. */
  punch(start: number, end: number): void {
    this.#eachPage(start, end, (index, from, to) => {
      const present = this.#pages.get(index);
      if (!present) return;
      const page = this.#own(index, false);
      page.bytes.fill(0, from, to);
      const freed = page.allocated & unitsWithin(from, to);
      page.allocated &= ~freed;
      this.#allocatedUnits -= bitCount(freed);
      if (page.allocated > 0) return;
      this.#pages.delete(index);
      recycle(page);
    });
  }

  truncate(sizeBytes: number): void {
    if (sizeBytes < this.#sizeBytes) {
      const end = Math.ceil(this.#sizeBytes / PAGE_BYTES) * PAGE_BYTES;
      this.punch(sizeBytes, end);
    }
    this.#sizeBytes = sizeBytes;
  }

  sync(): void {
    for (const page of this.#saved.values()) recycle(page);
    this.#saved.clear();
    this.#syncedSizeBytes = this.#sizeBytes;
  }

  /** Forgets what was never synced: one of the outcomes that a power cut may have. */
  forgetUnsynced(): void {
    for (const [index, page] of this.#saved) {
      const now = this.#pages.get(index);
      this.#allocatedUnits += bitCount(page?.allocated ?? 0) - bitCount(now?.allocated ?? 0);
      recycle(now);
      if (page) this.#pages.set(index, page);
      else this.#pages.delete(index);
    }
    this.#saved.clear();
    this.#sizeBytes = this.#syncedSizeBytes;
  }

  /** Gives all memory back; the inode is not used again. */
  dispose(): void {
    this.forgetUnsynced();
    for (const page of this.#pages.values()) recycle(page);
    this.#pages.clear();
  }

  /**
   * The power is cut: every sector changed since the last sync keeps its new bytes with probability `keep`, else it has
   * the synced ones again; so does the size. What is left is then what the disk has.
   */
  crash(random: SimRandom, keep: number): void {
    for (const [index, old] of [...this.#saved].sort((a, b) => a[0] - b[0])) {
      this.#crashPage(index, old, random, keep);
      recycle(old);
    }
    this.#saved.clear();
    if (this.#sizeBytes !== this.#syncedSizeBytes && !random.chance(keep)) {
      const between = random.chance(0.3);
      const low = Math.min(this.#sizeBytes, this.#syncedSizeBytes);
      const high = Math.max(this.#sizeBytes, this.#syncedSizeBytes);
      this.truncate(between ? random.between(low, high) : this.#syncedSizeBytes);
    }
    this.sync();
  }

  #crashPage(index: number, old: Page | undefined, random: SimRandom, keep: number): void {
    const page = this.#pages.get(index) ?? freshPage();
    const before = bitCount(page.allocated);
    const oldBytes = old?.bytes ?? ZEROS;
    for (let at = 0; at < PAGE_BYTES; at += SECTOR_BYTES) {
      if (random.chance(keep)) continue;
      const sector = oldBytes.subarray(at, at + SECTOR_BYTES);
      page.bytes.set(sector, at);
    }
    page.allocated |= old?.allocated ?? 0;
    for (let unit = 0; unit < 16; unit++) {
      const at = unit * ALLOCATION_BYTES;
      const zeros = ZEROS.subarray(at, at + ALLOCATION_BYTES);
      const isZero = Buffer.compare(page.bytes.subarray(at, at + ALLOCATION_BYTES), zeros) === 0;
      if (isZero && ((old?.allocated ?? 0) & (1 << unit)) === 0) page.allocated &= ALLOCATIONS_ALL & ~(1 << unit);
      if (!isZero) page.allocated |= 1 << unit;
    }
    this.#allocatedUnits += bitCount(page.allocated) - before;
    if (page.allocated > 0) {
      this.#pages.set(index, page);
      return;
    }
    this.#pages.delete(index);
    recycle(page);
  }

  /** Flips one bit of stored data, in the cache and on the disk alike; false where there is a hole. */
  flip(at: number, bit: number): boolean {
    const index = Math.floor(at / PAGE_BYTES);
    const page = this.#pages.get(index);
    if (!page || at >= this.#sizeBytes) return false;
    const offset = at - index * PAGE_BYTES;
    const mask = 1 << (bit & 7);
    page.bytes[offset] = (page.bytes[offset] as number) ^ mask;
    const saved = this.#saved.get(index);
    if (saved && saved !== page) saved.bytes[offset] = (saved.bytes[offset] as number) ^ mask;
    return true;
  }
}
