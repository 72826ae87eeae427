/**
 * Who reads from whom in one broadcast, kept while nodes come, go, finish and turn out slow. `link-deal.ts` deals all
 * links; between two deals this patches: who joins is put into links at random (it reads from their sources and serves
 * their readers, so that nobody's number of links changes), the ends that a lost node leaves behind are joined.
 *
 * Collects whose links changed; `takeChanged` hands them over to be sent.
 */
import type { Random } from '../io/io.ts';
import { LINKS_PER_NODE } from './broadcast.ts';
import { connect, dealLinks, disconnect, type LinkEnd, MESH_NODES_MAX, mayConnect } from './link-deal.ts';

export class LinkPeer implements LinkEnd {
  readonly node: string;
  /** Lacks something. */
  reads: boolean;
  /** Too slow to serve. */
  leaf = false;
  /** Its bytes were wrong: it gets no readers. */
  shut = false;
  readonly sources: LinkEnd[] = [];
  readonly readers: LinkEnd[] = [];

  constructor(node: string, reads: boolean) {
    this.node = node;
    this.reads = reads;
  }

  get serves(): boolean {
    return !this.leaf && !this.shut;
  }
}

/** How many sources a node has among so many nodes. */
export function sourcesAmong(nodes: number): number {
  return nodes <= MESH_NODES_MAX ? Math.max(nodes - 1, 1) : LINKS_PER_NODE;
}

/** How many are looked at to find one with few readers. */
const fewestOf = 8;

export class LinkTable<P extends LinkPeer = LinkPeer> {
  readonly #random: Random;
  readonly #peers: P[] = [];
  readonly #places = new Map<P, number>();
  /** Joined and not in any link yet. */
  readonly #fresh = new Set<P>();
  readonly #changed = new Set<P>();

  constructor(random: Random) {
    this.#random = random;
  }

  get size(): number {
    return this.#peers.length;
  }

  get peers(): readonly P[] {
    return this.#peers;
  }

  /** One at random. */
  draw(): P | undefined {
    return this.#peers[this.#random.integer(Math.max(this.#peers.length, 1))];
  }

  /** Adds a node, without links until `settle`. */
  add(peer: P): void {
    this.#places.set(peer, this.#peers.length);
    this.#peers.push(peer);
    this.#fresh.add(peer);
  }

  /** Takes a node out and joins the ends that it leaves. */
  remove(peer: P): void {
    const place = this.#places.get(peer);
    if (place === undefined) return;
    this.#places.delete(peer);
    const last = this.#peers.pop() as P;
    if (last !== peer) {
      this.#peers[place] = last;
      this.#places.set(last, place);
    }
    const readers = this.#cutReaders(peer);
    const sources = this.#cutSources(peer);
    for (const reader of readers) this.#give(reader, sources);
    this.#fresh.delete(peer);
    this.#changed.delete(peer);
  }

  /** It reads at most from one, and serves nobody; or the other way about. */
  setLeaf(peer: P, leaf: boolean): void {
    if (peer.leaf === leaf) return;
    peer.leaf = leaf;
    if (!leaf) {
      this.#fresh.add(peer);
      return;
    }
    this.#stopServing(peer);
    while (peer.sources.length > 1) this.#cut(peer.sources.at(-1) as P, peer);
  }

  /** Its bytes cannot be trusted: it goes on reading only. */
  shut(peer: P): void {
    if (peer.shut) return;
    peer.shut = true;
    this.#stopServing(peer);
  }

  /** A link that does not work is replaced by one from somebody else. */
  replace(source: P, reader: P): void {
    if (!reader.sources.includes(source)) return;
    this.#cut(source, reader);
    this.#give(reader, [], source);
  }

  /** Puts those who joined into links: alone each, or by dealing all where they are many. True when all were dealt. */
  settle(): boolean {
    const fresh = [...this.#fresh].filter((peer) => this.#places.has(peer));
    this.#fresh.clear();
    if (fresh.length === 0) return false;
    if (fresh.length * 4 >= this.#peers.length || this.#peers.length <= MESH_NODES_MAX) {
      this.deal();
      return true;
    }
    for (const peer of fresh) this.#spliceIn(peer);
    return false;
  }

  /** Deals all links anew. */
  deal(): void {
    this.#fresh.clear();
    for (const peer of this.#peers) {
      peer.sources.length = 0;
      peer.readers.length = 0;
      this.#changed.add(peer);
    }
    dealLinks(
      this.#peers.filter((peer) => peer.serves),
      LINKS_PER_NODE,
      this.#random,
    );
    for (const peer of this.#peers)
      if (!peer.serves && peer.reads) for (let i = 0; i < (peer.leaf ? 1 : LINKS_PER_NODE); i++) this.#give(peer, []);
  }

  /** Whose links changed since the last call. */
  takeChanged(): readonly P[] {
    const changed = [...this.#changed];
    this.#changed.clear();
    return changed;
  }

  #spliceIn(peer: P): void {
    if (!peer.reads) return;
    const links = peer.leaf ? 1 : LINKS_PER_NODE;
    for (let i = peer.sources.length; i < links; i++) {
      const source = this.#few(peer);
      if (source === undefined) return;
      const reader = peer.serves && source.readers.length >= LINKS_PER_NODE ? this.#readerFor(peer, source) : undefined;
      if (reader !== undefined) this.#cut(source, reader);
      this.#link(source, peer);
      if (reader !== undefined) this.#link(peer, reader);
    }
  }

  /** A reader of `source` that may read from `peer` instead. */
  #readerFor(peer: P, source: P): P | undefined {
    const possible = (source.readers as P[]).filter((reader) => mayConnect(peer, reader) && !reader.leaf);
    return possible[this.#random.integer(Math.max(possible.length, 1))];
  }

  /** A source for a reader that lost one: of those whose reader went away, else one with few readers. */
  #give(reader: P, preferred: P[], not?: P): void {
    if (!reader.reads || !this.#places.has(reader)) return;
    const at = preferred.findIndex((source) => source.serves && mayConnect(source, reader));
    const source = at >= 0 ? preferred.splice(at, 1)[0] : this.#few(reader, not);
    if (source !== undefined) this.#link(source, reader);
  }

  /** Somebody who may serve `reader`, with the fewest readers among some drawn at random; all are looked at when they are few. */
  #few(reader: P, not?: P): P | undefined {
    let best: P | undefined;
    const all = this.#peers.length <= 2 * fewestOf;
    for (let i = 0; i < (all ? this.#peers.length : 4 * fewestOf); i++) {
      const peer = all ? (this.#peers[i] as P) : (this.draw() as P);
      if (!peer.serves || peer === not || this.#fresh.has(peer) || !mayConnect(peer, reader)) continue;
      if (best === undefined || peer.readers.length < best.readers.length) best = peer;
      if (!all && i >= fewestOf && best.readers.length <= LINKS_PER_NODE) break;
    }
    return best;
  }

  #stopServing(peer: P): void {
    const readers = this.#cutReaders(peer);
    for (const reader of readers) this.#give(reader, []);
  }

  #cutReaders(peer: P): P[] {
    const readers = [...(peer.readers as P[])];
    for (const reader of readers) this.#cut(peer, reader);
    return readers;
  }

  #cutSources(peer: P): P[] {
    const sources = [...(peer.sources as P[])];
    for (const source of sources) this.#cut(source, peer);
    return sources;
  }

  #link(source: P, reader: P): void {
    connect(source, reader);
    this.#changed.add(source).add(reader);
  }

  #cut(source: P, reader: P): void {
    disconnect(source, reader);
    this.#changed.add(source).add(reader);
  }
}
