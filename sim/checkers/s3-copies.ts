/**
 * S-3 and S-4: who has what the origin does not have yet. It follows the records from outside and keeps, for every
 * content, the nodes that have it: those that a record came to name, less those whose disk was lost since. So it is known
 * exactly what may be lost. Bytes that a record promises on a node must be there whenever that node serves: nothing
 * evicts, punches or forgets them.
 */
import { blockCount } from '../../src/core/chunk.ts';
import type { ContentId } from '../../src/core/ids.ts';
import type { DirtyRecord } from '../../src/write/object-record.ts';
import { dirtyIn, type RecordStep, type RecordWatch } from '../record-watch.ts';
import type { SimNode } from '../sim-node.ts';
import { NUMBER_METADATA } from '../write-history.ts';
import type { Findings } from './checker.ts';

/** A node as the checker sees it: `node` while it serves. */
export interface CopyHolder {
  readonly name: string;
  readonly node: SimNode | undefined;
}

interface Known {
  readonly number: number;
  /** Nodes that have it whole. */
  readonly nodes: Set<string>;
  /** The most that had it at once. */
  most: number;
  isDrained: boolean;
}

export class Copies {
  readonly #findings: Findings;
  readonly #records: RecordWatch;
  readonly #holders: () => readonly CopyHolder[];
  readonly #known = new Map<ContentId, Known>();
  readonly #byNumber = new Map<number, Known[]>();
  /** Contents, and keys with a delete, whose base nobody knew when they were committed. */
  readonly #baseless = new Set<number | string>();
  readonly #troubled = new Set<string>();
  /** Machines whose disks were lost: what they hold is not what records from before say. */
  readonly #lostOn = new Map<string, Set<ContentId>>();
  readonly #lostMs = new Map<string, number>();
  readonly #begunMs: (number: number) => number;

  constructor(places: {
    findings: Findings;
    records: RecordWatch;
    holders: () => readonly CopyHolder[];
    /** When the first byte of a write may have come. */
    begunMs: (number: number) => number;
  }) {
    this.#findings = places.findings;
    this.#records = places.records;
    this.#holders = places.holders;
    this.#begunMs = places.begunMs;
  }

  stepped({ volume, key, before, now }: RecordStep): void {
    const named = new Map((before ? dirtyIn(before) : []).map((each) => [each.content, each.replicas]));
    for (const dirty of now ? dirtyIn(now) : []) {
      const known = this.#of(dirty);
      let goneSince = 0;
      for (const node of dirty.replicas) {
        if (named.get(dirty.content)?.includes(node)) continue;
        if (this.#isGone(node, known.number, dirty)) {
          this.#lostOnOf(node).add(dirty.content);
          // it is one of the losses that the level allows for
          goneSince++;
          continue;
        }
        known.nodes.add(node);
        this.#lostOn.get(node)?.delete(dirty.content);
      }
      known.most = Math.max(known.most, known.nodes.size + goneSince);
      if (dirty.base.origin === 'unknown') this.#baseless.add(known.number);
      if (dirty === now?.current) this.#audit(key, dirty);
    }
    const { current } = now ?? {};
    if (current && 'trouble' in current) this.#troubled.add(`${volume}/${key}`);
    if (current?.kind === 'stub') this.#of(current).isDrained = true;
    if (current?.kind === 'tombstone' && current.base.origin === 'unknown') this.#baseless.add(`${volume}/${key}`);
  }

  #of({ content, metadata }: Pick<DirtyRecord, 'content' | 'metadata'>): Known {
    const known = this.#known.get(content);
    if (known) return known;
    const made: Known = { number: Number(metadata[NUMBER_METADATA]), nodes: new Set(), most: 0, isDrained: false };
    this.#known.set(content, made);
    const same = this.#byNumber.get(made.number);
    if (same) same.push(made);
    else this.#byNumber.set(made.number, [made]);
    return made;
  }

  /** A commit that was on its way when the node's disk was lost names it all the same. */
  #isGone(node: string, number: number, dirty: DirtyRecord): boolean {
    const lostMs = this.#lostMs.get(node);
    if (lostMs === undefined || lostMs < this.#begunMs(number)) return false;
    const holder = this.#holders().find(({ name }) => name === node)?.node;
    return holder === undefined || missingBlock(holder, dirty) !== undefined;
  }

  #lostOnOf(node: string): Set<ContentId> {
    const lost = this.#lostOn.get(node) ?? new Set<ContentId>();
    this.#lostOn.set(node, lost);
    return lost;
  }

  /** A machine's disk, with all that was on it, is gone. */
  lost(node: string, nowMs: number): void {
    this.#lostMs.set(node, nowMs);
    const lost = this.#lostOnOf(node);
    for (const [content, known] of this.#known) if (known.nodes.delete(node)) lost.add(content);
  }

  /** Whether every copy that a record named is gone, and the origin never had it. */
  isLost(number: number): boolean {
    const all = this.#byNumber.get(number) ?? [];
    return all.length > 0 && all.every(({ nodes, isDrained }) => nodes.size === 0 && !isDrained);
  }

  /** Whether a record ever named it. */
  isKnown(content: string): boolean {
    return this.#known.has(content as ContentId);
  }

  /** The same of one content: a copy of it under another id may be there. */
  isContentLost(content: ContentId): boolean {
    const known = this.#known.get(content);
    return known !== undefined && known.nodes.size === 0 && !known.isDrained;
  }

  /** Whether a version of the key was ever shown as in conflict, refused or lost. */
  hadTrouble(volume: string, key: string): boolean {
    return this.#troubled.has(`${volume}/${key}`);
  }

  /** The most nodes that had the content at once, by the records. */
  mostOf(number: number): number {
    return Math.max(0, ...(this.#byNumber.get(number) ?? []).map(({ most }) => most));
  }

  wasDrained(number: number): boolean {
    return (this.#byNumber.get(number) ?? []).some(({ isDrained }) => isDrained);
  }

  /** Whether it was committed without knowing what the origin had. */
  isBaseless(what: number | string): boolean {
    return this.#baseless.has(what);
  }

  /** Every node that a record names has what it says. */
  audit(): void {
    // what an attempt put that ended without a commit may be gone before its record says so
    for (const { key, record } of this.#records.all())
      if (record.current?.kind === 'dirty') this.#audit(key, record.current);
  }

  #audit(key: string, dirty: DirtyRecord): void {
    for (const { name, node } of this.#holders()) {
      if (!node || !dirty.replicas.includes(name) || this.#lostOn.get(name)?.has(dirty.content)) continue;
      const missing = missingBlock(node, dirty);
      if (missing === undefined) continue;
      const number = dirty.metadata[NUMBER_METADATA];
      this.#findings.add(
        'S-4',
        `${name} does not have block ${missing} of ${key}, content ${number} (${dirty.content})`,
      );
    }
  }
}

function missingBlock(node: SimNode, { content, sizeBytes }: DirtyRecord): number | undefined {
  for (let block = 0; block < blockCount(sizeBytes); block++) if (!node.holds(content, block)) return block;
  return undefined;
}
