/**
 * What is known of keys, compactly: encoded facts one after the other in segments of 1 MiB, and a hash table of their
 * places; about 120 bytes and the key's own for each. A segment that is more than half dead is emptied by moving what
 * lives. Bounded: over `bytesMax` the oldest segment goes, and of it only facts whose content is here are kept.
 *
 * Facts asked for lately are also kept as objects (`recentMax`), because the doors' fast path needs them at once.
 */
import { crc32 } from 'node:zlib';
import type { ContentId } from '../core/ids.ts';
import { MiB } from '../core/limits.ts';
import type { ObjectFact } from '../core/object.ts';
import {
  decodeFact,
  encodeFact,
  factContent,
  factKeyBytes,
  factLength,
  isFactOf,
  setFactChecked,
} from './fact-record.ts';

const SEGMENT_BYTES = MiB;
const RECENT_MAX = 8192;
const EMPTY = -1;
const REMOVED = -2;

interface Segment {
  readonly bytes: Buffer;
  used: number;
  dead: number;
}

export class FactTable {
  readonly #bytesMax: number;
  readonly #isHere: (content: ContentId) => boolean;
  readonly #segments = new Map<number, Segment>();
  #tail = 0;
  /** Place of a fact: segment number × 2^20 + offset. */
  #places = new Float64Array(1024).fill(EMPTY);
  /** The hash of the key at each slot: most others are told apart without looking at their bytes. */
  #hashes = new Uint32Array(1024);
  #count = 0;
  #removed = 0;
  readonly #recent = new Map<string, Map<string, ObjectFact>>();
  #recentCount = 0;

  constructor(options: { bytesMax: number; isHere: (content: ContentId) => boolean }) {
    this.#bytesMax = options.bytesMax;
    this.#isHere = options.isHere;
    this.#segments.set(0, { bytes: Buffer.alloc(SEGMENT_BYTES), used: 0, dead: 0 });
  }

  get count(): number {
    return this.#count;
  }

  get bytes(): number {
    return this.#segments.size * SEGMENT_BYTES + this.#places.byteLength + this.#hashes.byteLength;
  }

  get(volume: string, key: string): ObjectFact | undefined {
    const recent = this.#recent.get(volume)?.get(key);
    if (recent !== undefined) return recent;
    const slot = this.#find(keyBytes(volume, key));
    if (slot === undefined) return undefined;
    const { segment, offset } = this.#at(this.#places[slot] as number);
    const fact = decodeFact(segment.bytes, offset);
    this.#remember(fact);
    return fact;
  }

  /** Puts a fact, replacing what was known of its key. Returns its encoding, valid until the next change. */
  set(fact: ObjectFact): Buffer {
    const encoded = encodeFact(fact);
    this.setEncoded(encoded);
    this.#remember(fact);
    return encoded;
  }

  /** As `set`, from a journal. */
  setEncoded(encoded: Buffer): void {
    const key = factKeyBytes(encoded, 0);
    const hash = hashOf(key);
    const slot = this.#find(key, hash);
    if (slot !== undefined) this.#bury(this.#places[slot] as number);
    const place = this.#append(encoded);
    if (slot !== undefined) this.#places[slot] = place;
    else this.#insert(hash, place);
    this.#bound();
  }

  /** Notes that the origin was asked again and the version is the same. */
  touch(fact: ObjectFact, checkedMs: number): ObjectFact {
    const slot = this.#find(keyBytes(fact.volume, fact.key));
    const touched = { ...fact, checkedMs };
    if (slot === undefined) return touched;
    const { segment, offset } = this.#at(this.#places[slot] as number);
    setFactChecked(segment.bytes, offset, checkedMs);
    this.#remember(touched);
    return touched;
  }

  delete(volume: string, key: string): boolean {
    if (this.#recent.get(volume)?.delete(key)) this.#recentCount -= 1;
    const slot = this.#find(keyBytes(volume, key));
    if (slot === undefined) return false;
    this.#bury(this.#places[slot] as number);
    this.#places[slot] = REMOVED;
    this.#count -= 1;
    this.#removed += 1;
    return true;
  }

  /**
   * Encoded facts, each a view that is valid until the next change. May be asked slowly: a fact that moves meanwhile moves
   * to a later segment, so it is seen twice rather than not at all.
   */
  *encoded(): Generator<Buffer> {
    for (let number = 0; number <= this.#tail; number += 1) {
      const segment = this.#segments.get(number);
      if (segment === undefined) continue;
      for (let offset = 0; offset < segment.used; ) {
        const length = factLength(segment.bytes, offset);
        if (this.#isLive(number, segment, offset)) yield segment.bytes.subarray(offset, offset + length);
        offset += length;
      }
    }
  }

  *all(): Generator<ObjectFact> {
    for (const encoded of this.encoded()) yield decodeFact(encoded);
  }

  #remember(fact: ObjectFact): void {
    let keys = this.#recent.get(fact.volume);
    if (keys === undefined) this.#recent.set(fact.volume, (keys = new Map()));
    if (!keys.has(fact.key)) this.#recentCount += 1;
    keys.set(fact.key, fact);
    if (this.#recentCount <= RECENT_MAX) return;
    // Half at once: cheaper per fact than an order that every hit would have to keep.
    for (const [, each] of this.#recent) {
      let left = each.size >> 1;
      for (const key of each.keys()) {
        if (left-- <= 0) break;
        each.delete(key);
        this.#recentCount -= 1;
      }
    }
  }

  #at(place: number): { segment: Segment; offset: number } {
    return { segment: this.#segments.get(Math.floor(place / SEGMENT_BYTES)) as Segment, offset: place % SEGMENT_BYTES };
  }

  #find(key: { volume: Buffer; key: Buffer }, hash = hashOf(key)): number | undefined {
    const mask = this.#places.length - 1;
    for (let slot = hash & mask; ; slot = (slot + 1) & mask) {
      const place = this.#places[slot] as number;
      if (place === EMPTY) return undefined;
      if (place === REMOVED || this.#hashes[slot] !== hash) continue;
      const { segment, offset } = this.#at(place);
      if (isFactOf(segment.bytes, offset, key)) return slot;
    }
  }

  #insert(hash: number, place: number): void {
    if ((this.#count + this.#removed + 1) * 3 > this.#places.length * 2) this.#rehash();
    const mask = this.#places.length - 1;
    let slot = hash & mask;
    while ((this.#places[slot] as number) >= 0) slot = (slot + 1) & mask;
    if (this.#places[slot] === REMOVED) this.#removed -= 1;
    this.#places[slot] = place;
    this.#hashes[slot] = hash;
    this.#count += 1;
  }

  #rehash(): void {
    const places = this.#places;
    const hashes = this.#hashes;
    const length = (this.#count + 1) * 3 > places.length ? places.length * 2 : places.length;
    this.#places = new Float64Array(length).fill(EMPTY);
    this.#hashes = new Uint32Array(length);
    this.#removed = 0;
    const mask = length - 1;
    for (let old = 0; old < places.length; old += 1) {
      if ((places[old] as number) < 0) continue;
      let slot = (hashes[old] as number) & mask;
      while (this.#places[slot] !== EMPTY) slot = (slot + 1) & mask;
      this.#places[slot] = places[old] as number;
      this.#hashes[slot] = hashes[old] as number;
    }
  }

  #append(encoded: Buffer): number {
    let segment = this.#segments.get(this.#tail) as Segment;
    if (segment.used + encoded.length > SEGMENT_BYTES) {
      this.#tail += 1;
      segment = { bytes: Buffer.alloc(SEGMENT_BYTES), used: 0, dead: 0 };
      this.#segments.set(this.#tail, segment);
      this.#grew = true;
    }
    const offset = segment.used;
    encoded.copy(segment.bytes, offset);
    segment.used += encoded.length;
    return this.#tail * SEGMENT_BYTES + offset;
  }

  #bury(place: number): void {
    const { segment, offset } = this.#at(place);
    segment.dead += factLength(segment.bytes, offset);
    const number = Math.floor(place / SEGMENT_BYTES);
    if (number !== this.#tail && segment.dead * 2 > segment.used) this.#emptying.add(number);
  }

  /** A segment was added since the bound was last looked at: only then can it have been passed. */
  #grew = false;
  /** Segments to be emptied at the end of the change that made them mostly dead. */
  readonly #emptying = new Set<number>();

  #bound(): void {
    for (const number of this.#emptying) this.#empty(number, () => true);
    this.#emptying.clear();
    if (!this.#grew) return;
    this.#grew = false;
    while (this.#segments.size > 1 && this.#segments.size * SEGMENT_BYTES > this.#bytesMax) {
      const oldest = Math.min(...this.#segments.keys());
      const before = this.#segments.size;
      this.#empty(oldest, (content) => this.#isHere(content));
      if (this.#segments.size >= before) return;
    }
  }

  #isLive(number: number, segment: Segment, offset: number): boolean {
    const slot = this.#find(factKeyBytes(segment.bytes, offset));
    return slot !== undefined && this.#places[slot] === number * SEGMENT_BYTES + offset;
  }

  #empty(number: number, keep: (content: ContentId) => boolean): void {
    const segment = this.#segments.get(number);
    if (segment === undefined || number === this.#tail) return;
    for (let offset = 0; offset < segment.used; ) {
      const length = factLength(segment.bytes, offset);
      const slot = this.#find(factKeyBytes(segment.bytes, offset));
      if (slot !== undefined && this.#places[slot] === number * SEGMENT_BYTES + offset) {
        if (keep(factContent(segment.bytes, offset))) {
          this.#places[slot] = this.#append(segment.bytes.subarray(offset, offset + length));
        } else {
          const fact = decodeFact(segment.bytes, offset);
          if (this.#recent.get(fact.volume)?.delete(fact.key)) this.#recentCount -= 1;
          this.#places[slot] = REMOVED;
          this.#count -= 1;
          this.#removed += 1;
        }
      }
      offset += length;
    }
    this.#segments.delete(number);
  }
}

function keyBytes(volume: string, key: string): { volume: Buffer; key: Buffer } {
  return { volume: Buffer.from(volume, 'utf8'), key: Buffer.from(key, 'utf8') };
}

function hashOf(key: { volume: Buffer; key: Buffer }): number {
  return Math.imul(crc32(key.key, crc32(key.volume)), 0x9e3779b1) >>> 4;
}
