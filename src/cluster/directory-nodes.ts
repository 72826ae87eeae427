/**
 * The members as a directory sees them: each has a number for the holder table. Numbers are given out in turn and used again
 * only after the table was swept, so that a leave costs nothing.
 */
import type { DirectoryNode } from './chunk-spread.ts';

const NUMBERS = 0xfffe;

export class DirectoryNodes {
  readonly #byName = new Map<string, DirectoryNode>();
  readonly #byIndex = new Map<number, DirectoryNode>();
  #next = 0;
  #left = 0;

  /** Too many numbers of nodes that left may still stand in the table. */
  get mustSweep(): boolean {
    return this.#left > NUMBERS / 2;
  }

  swept(): void {
    this.#left = 0;
  }

  /** These are the members now; returns those who left. */
  set(members: readonly { node: string; zone: string }[]): readonly DirectoryNode[] {
    const names = new Set(members.map(({ node }) => node));
    const left: DirectoryNode[] = [];
    for (const [name, node] of this.#byName) {
      if (names.has(name)) continue;
      node.alive = false;
      this.#byName.delete(name);
      this.#byIndex.delete(node.index);
      this.#left += 1;
      left.push(node);
    }
    for (const member of members) this.get(member);
    return left;
  }

  find(name: string): DirectoryNode | undefined {
    return this.#byName.get(name);
  }

  all(): Iterable<DirectoryNode> {
    return this.#byName.values();
  }

  at(index: number): DirectoryNode | undefined {
    return this.#byIndex.get(index);
  }

  /** Somebody who asks may be known here before the membership says so. */
  get({ node: name, zone }: { node: string; zone: string | undefined }): DirectoryNode {
    const known = this.#byName.get(name);
    if (known !== undefined) {
      known.zone = zone ?? known.zone;
      return known;
    }
    while (this.#byIndex.has(this.#next)) this.#next = (this.#next + 1) % NUMBERS;
    const index = this.#next;
    this.#next = (this.#next + 1) % NUMBERS;
    const node: DirectoryNode = {
      name,
      zone: zone ?? '',
      index,
      alive: true,
      uploads: 0,
      fullUntilMs: 0,
      sparedFor: new Map(),
      leases: new Set(),
    };
    this.#byName.set(name, node);
    this.#byIndex.set(index, node);
    return node;
  }
}
