/**
 * How one chunk is spreading at the moment: who gets it from whom, who waits for it. Exists only while somebody does. Those who
 * get it serve others as the blocks come, so that it spreads as a tree; nobody is put below itself.
 */
import type { HolderRow } from './holder-table.ts';

/** A member as the directory sees it. */
export interface DirectoryNode {
  readonly name: string;
  zone: string;
  /** Its number in the holder table. */
  readonly index: number;
  alive: boolean;
  /** Leases in which it is the source. */
  uploads: number;
  /** It refused lately: all its slots are taken, by others than we know of. */
  fullUntilMs: number;
  /** Askers that came before it had begun to get what it was said to have: they are not sent back at once. */
  readonly sparedFor: Map<DirectoryNode, number>;
  readonly leases: Set<Lease>;
}

/** The right to pull or fill a chunk. */
export interface Lease {
  readonly asker: DirectoryNode;
  readonly spread: ChunkSpread;
  /** Undefined: the origin. */
  readonly source: DirectoryNode | undefined;
  /** Steps from who fills it or has it whole. */
  readonly depth: number;
  deadlineMs: number;
}

/** A tree that is deeper than this is not followed; its lower parts get no readers. */
const depthMax = 64;

export class ChunkSpread {
  readonly row: HolderRow;
  readonly leases = new Map<DirectoryNode, Lease>();
  /** In the order in which they asked. */
  readonly waiters = new Map<DirectoryNode, number>();
  /** Who got it whole since this began; the table may have room for fewer. */
  readonly whole = new Set<DirectoryNode>();
  /** Who may have an upload slot left, best first to look at; may be wrong both ways. */
  readonly open: DirectoryNode[] = [];
  /** Who reads it from the origin: one, and another one for those whom it left waiting. */
  readonly fillers = new Set<DirectoryNode>();

  constructor(row: HolderRow) {
    this.row = row;
  }

  get idle(): boolean {
    return this.leases.size === 0 && this.waiters.size === 0;
  }

  begin(lease: Lease): void {
    this.waiters.delete(lease.asker);
    this.leases.set(lease.asker, lease);
    this.open.push(lease.asker);
    if (lease.source === undefined) this.fillers.add(lease.asker);
    else lease.source.uploads += 1;
  }

  end(lease: Lease): void {
    this.leases.delete(lease.asker);
    if (lease.source === undefined) {
      this.fillers.delete(lease.asker);
      return;
    }
    lease.source.uploads -= 1;
    if (!this.open.includes(lease.source)) this.open.unshift(lease.source);
  }

  /**
   * Whether what `node` is getting comes, over however many, from the origin or from somebody who `isSource`, and not from
   * `asker`.
   */
  isRooted(node: DirectoryNode, asker: DirectoryNode, isSource: (node: DirectoryNode) => boolean): boolean {
    let at: DirectoryNode = node;
    for (let depth = 0; depth < depthMax; depth++) {
      if (at === asker || !at.alive) return false;
      const lease = this.leases.get(at);
      if (lease === undefined) return isSource(at);
      if (lease.source === undefined) return true;
      at = lease.source;
    }
    return false;
  }
}
