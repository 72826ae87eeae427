/**
 * Deals the links of a broadcast (DESIGN.md section 7): who reads from whom. Exact regularity is what makes it fast
 * (FACTS.md): every node that lacks something gets `degree` sources, and every node's readers are as many as any other's.
 * With all lacking something that is `degree` random permutations without repeats, the first a single ring, so that what
 * is anywhere reaches everyone. Finished nodes only serve: they take load off the others evenly.
 */
import type { Random } from '../io/io.ts';

export interface LinkEnd {
  /** Lacks something. */
  readonly reads: boolean;
  readonly sources: LinkEnd[];
  readonly readers: LinkEnd[];
}

/** Up to this many nodes everyone reads from everyone. */
export const MESH_NODES_MAX = 9;

/** Replaces all links among `ends`, which are distinct. Costs time linear in their number. */
export function dealLinks(ends: readonly LinkEnd[], degree: number, random: Random): void {
  for (const end of ends) {
    end.sources.length = 0;
    end.readers.length = 0;
  }
  if (ends.length <= MESH_NODES_MAX) {
    for (const reader of ends)
      if (reader.reads) for (const source of ends) if (source !== reader) connect(source, reader);
    return;
  }
  const readers = shuffled(
    ends.filter(({ reads }) => reads),
    random,
  );
  if (readers.length > 1)
    for (const [i, end] of readers.entries()) connect(end, readers[(i + 1) % readers.length] as LinkEnd);
  const first = readers.length > 1 ? 1 : 0;
  const sources = evenSources(ends, readers.length, { degree, dealt: first, random });
  for (let round = first; round < degree; round++) matchRound(readers, sources.splice(0, readers.length), random);
}

export function connect(source: LinkEnd, reader: LinkEnd): void {
  source.readers.push(reader);
  reader.sources.push(source);
}

export function disconnect(source: LinkEnd, reader: LinkEnd): void {
  remove(source.readers, reader);
  remove(reader.sources, source);
}

/** Whether a link may be added: not to oneself, and not twice. */
export function mayConnect(source: LinkEnd, reader: LinkEnd): boolean {
  return source !== reader && !reader.sources.includes(source);
}

/**
 * Whose links go to the readers in the rounds that are left: a list of `readers × (degree − dealt)` sources in which everyone stands as
 * often as anyone else, less what the ring gave; who has nothing to read comes first where it does not come out even.
 */
function evenSources(
  ends: readonly LinkEnd[],
  readers: number,
  { degree, dealt, random }: { degree: number; dealt: number; random: Random },
): LinkEnd[] {
  const needed = readers * (degree - dealt);
  const order = shuffled(ends, random).sort((a, b) => Number(a.reads) - Number(b.reads));
  const list: LinkEnd[] = [];
  for (let load = 1; list.length < needed; load++)
    for (const end of order) if (end.readers.length < load && list.length < needed) list.push(end);
  // Each level of load goes into a round of its own as far as possible, so that few repeats need repair.
  return list;
}

/** Gives each reader one of as many sources, at random, then swaps until nobody has itself or one source twice. */
function matchRound(readers: readonly LinkEnd[], given: LinkEnd[], random: Random): void {
  const sources = shuffled(given, random);
  const fits = (i: number, source: LinkEnd) => mayConnect(source, readers[i] as LinkEnd);
  for (let i = 0; i < readers.length; i++) {
    for (let attempt = 0; attempt < swapAttempts && !fits(i, sources[i] as LinkEnd); attempt++) {
      const j = random.integer(readers.length);
      const [a, b] = [sources[i] as LinkEnd, sources[j] as LinkEnd];
      if (!fits(i, b) || !fits(j, a)) continue;
      sources[i] = b;
      sources[j] = a;
    }
  }
  for (const [i, reader] of readers.entries())
    if (fits(i, sources[i] as LinkEnd)) connect(sources[i] as LinkEnd, reader);
}

/** Among ten nodes one swap in three fits; more attempts than this mean that there is nothing to swap with. */
const swapAttempts = 64;

export function shuffled<T>(items: readonly T[], random: Random): T[] {
  const list = [...items];
  for (let i = list.length - 1; i > 0; i--) {
    const j = random.integer(i + 1);
    [list[i], list[j]] = [list[j] as T, list[i] as T];
  }
  return list;
}

function remove<T>(list: T[], item: T): void {
  const at = list.indexOf(item);
  if (at >= 0) list.splice(at, 1);
}
