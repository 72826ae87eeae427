/**
 * What a member tells its readers about the chunks that it has, with as few messages as possible: nothing that the reader is
 * known to have, and nothing while a chunk is on its way to it; that waits until this chunk has left.
 */
import { type ChunkRange, type ChunkSet, rangesOf } from './chunk-set.ts';

interface Reader {
  readonly node: string;
  requests: number;
  news: number[];
}

export interface Announcement {
  readonly to: string;
  readonly have: readonly ChunkRange[];
  readonly all: boolean;
}

export class ReaderNews {
  readonly #have: ChunkSet;
  readonly #early: ReadonlySet<number>;
  #readers = new Map<string, Reader>();

  /** `have` and `early` are told to new readers: what is here, and what is on its way and may be asked for already. */
  constructor(have: ChunkSet, early: ReadonlySet<number>) {
    this.#have = have;
    this.#early = early;
  }

  /** These are the readers now. New ones are told everything. */
  set(nodes: readonly string[]): Announcement[] {
    const before = this.#readers;
    this.#readers = new Map(nodes.map((node) => [node, before.get(node) ?? { node, requests: 0, news: [] }]));
    const fresh = nodes.filter((node) => !before.has(node));
    const have = fresh.length === 0 ? [] : [...this.#have.ranges(), ...rangesOf([...this.#early])];
    if (have.length === 0) return [];
    return fresh.map((to) => ({ to, have, all: true }));
  }

  /** A chunk is here. `knows`: whether a node is known to have it. */
  arrived(chunk: number, knows: (node: string) => boolean): Announcement[] {
    const told: Announcement[] = [];
    for (const reader of this.#readers.values()) {
      if (knows(reader.node)) continue;
      reader.news.push(chunk);
      if (reader.requests === 0) told.push(tell(reader));
    }
    return told;
  }

  /** Chunks that are gone again: a reader that asks is refused and asks no more; later news must not name them. */
  dropped(chunk: number): void {
    for (const reader of this.#readers.values()) reader.news = reader.news.filter((other) => other !== chunk);
  }

  asked(node: string, chunk: number): void {
    const reader = this.#readers.get(node);
    if (reader === undefined) return;
    reader.requests += 1;
    if (reader.news.length > 0) reader.news = reader.news.filter((other) => other !== chunk);
  }

  served(node: string): Announcement[] {
    const reader = this.#readers.get(node);
    if (reader === undefined || reader.requests === 0) return [];
    reader.requests -= 1;
    return reader.news.length > 0 ? [tell(reader)] : [];
  }
}

function tell(reader: Reader): Announcement {
  const have = rangesOf(reader.news.sort((a, b) => a - b));
  reader.news = [];
  return { to: reader.node, have, all: false };
}
