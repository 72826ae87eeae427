/**
 * Whom an asker is sent to for a chunk: of its own zone first, then those with few uploads, near to who has it whole; never somebody who gets it, over however many others, from the asker, never more than `uploadSlotsMax` at a time to
 * one. Work per question is bounded: of many possible sources some are looked at.
 */
import { uploadSlotsMax } from '../core/limits.ts';
import type { Blame } from './blame.ts';
import type { ChunkSpread, DirectoryNode } from './chunk-spread.ts';
import type { DirectoryNodes } from './directory-nodes.ts';
import type { HolderRow, HolderTable } from './holder-table.ts';

/**
 * A second reader halves what each gets, a step further down the tree costs a block's time: chains of this length come before
 * a second reader.
 */
const perUpload = 8;
const otherZone = 1000;
/** Candidates looked at per question. */
const candidatesMax = 32;

export class SourceChoice {
  readonly #table: HolderTable;
  readonly #nodes: DirectoryNodes;
  readonly #blame: Blame;

  constructor({ table, nodes, blame }: { table: HolderTable; nodes: DirectoryNodes; blame: Blame }) {
    this.#table = table;
    this.#nodes = nodes;
    this.#blame = blame;
  }

  /** The best of some sources with a free slot: of the asker's zone, then with few uploads and near to the root. */
  choose(nowMs: number, spread: ChunkSpread, asker: DirectoryNode): DirectoryNode | undefined {
    let best: DirectoryNode | undefined;
    let bestRank = Number.POSITIVE_INFINITY;
    const consider = (node: DirectoryNode) => {
      if (!this.#canServe(nowMs, spread, node, asker)) return;
      const depth = spread.leases.get(node)?.depth ?? 0;
      const rank = (node.zone === asker.zone ? 0 : otherZone) + node.uploads * perUpload + depth;
      if (rank >= bestRank) return;
      best = node;
      bestRank = rank;
    };
    for (const node of this.wholeHolders(spread.row)) consider(node);
    let looked = 0;
    for (let at = 0; at < spread.open.length && looked < candidatesMax; looked++) {
      const node = spread.open[at] as DirectoryNode;
      if (node.alive && node.uploads < uploadSlotsMax) {
        consider(node);
        at += 1;
      } else spread.open.splice(at, 1);
    }
    return best;
  }

  #canServe(nowMs: number, spread: ChunkSpread, node: DirectoryNode, asker: DirectoryNode): boolean {
    if (node.uploads >= uploadSlotsMax || node.fullUntilMs > nowMs) return false;
    if ((node.sparedFor.get(asker) ?? 0) > nowMs) return false;
    return this.#isUsable(nowMs, spread, node, asker);
  }

  /** It has the chunk or is getting it, and the asker may be sent to it, when it has a slot. */
  #isUsable(nowMs: number, spread: ChunkSpread, node: DirectoryNode, asker: DirectoryNode): boolean {
    if (node === asker || !node.alive || this.#blame.avoids(nowMs, asker.name, node.name)) return false;
    return spread.isRooted(node, asker, (root) => this.isWhole(spread, root));
  }

  isWhole(spread: ChunkSpread, node: DirectoryNode): boolean {
    return spread.whole.has(node) || this.#table.holders(spread.row).includes(node.index);
  }

  /** Whether there is a source that the asker will be sent to sooner or later. */
  mayHope(nowMs: number, spread: ChunkSpread, asker: DirectoryNode): boolean {
    for (const filler of spread.fillers) if (!this.#blame.avoids(nowMs, asker.name, filler.name)) return true;
    for (const node of this.wholeHolders(spread.row)) if (this.#isUsable(nowMs, spread, node, asker)) return true;
    let looked = 0;
    for (const nodes of [spread.whole, spread.leases.keys()])
      for (const node of nodes) {
        if (looked++ >= candidatesMax) return true;
        if (this.#isUsable(nowMs, spread, node, asker)) return true;
      }
    return false;
  }

  /** Holders that are members; others are taken out on this occasion. */
  wholeHolders(row: HolderRow): DirectoryNode[] {
    const nodes: DirectoryNode[] = [];
    for (const index of this.#table.holders(row)) {
      const node = this.#nodes.at(index);
      if (node === undefined) this.#table.removeHolder(row, index);
      else nodes.push(node);
    }
    return nodes;
  }
}
