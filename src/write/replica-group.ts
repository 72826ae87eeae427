/**
 * Which nodes get copies of what a node writes: other zones first, each zone in turn, and of equally good ones those that this
 * node has given least lately. All decide alike and by themselves, so the whole is even where jobs are: nodes stand in a
 * ring, zone after zone, everybody begins with the one that is a largest zone further on (another one for each), and
 * shares are such that no node gets more than it writes where the zones allow that.
 *
 * Drawing nodes at random instead gave the unluckiest of four nodes 1.7 times its share: all waited for its link.
 */
import type { Member } from '../cluster/member.ts';
import { MiB, replicasMax } from '../core/limits.ts';

type Placed = Pick<Member, 'node' | 'zone' | 'capacityBytes'>;

interface Other {
  readonly node: string;
  readonly zone: string;
  /** Of what this node writes, against the others'. */
  readonly share: number;
  /** Its place in this node's own order. */
  readonly turn: number;
}

/** Enough that shares are within a percent, where there are any: it halves the error. */
const SHARE_ROUNDS = 40;

export class ReplicaRing {
  readonly #zone: string;
  readonly #others: readonly Other[];

  constructor(members: readonly Placed[], self: { readonly node: string; readonly zone: string }) {
    this.#zone = self.zone;
    const ring = members.filter(({ node }) => node !== self.node);
    const capacityBytes = members.find(({ node }) => node === self.node)?.capacityBytes ?? ring[0]?.capacityBytes ?? 1;
    ring.push({ ...self, capacityBytes });
    ring.sort((a, b) => compare(a.zone, b.zone) || compare(a.node, b.node));
    const zones = Map.groupBy(ring, ({ zone }) => zone);
    const shares = sharesOf(zones);
    const largest = Math.max(...Array.from(zones.values(), ({ length }) => length));
    const from = ring.findIndex(({ node }) => node === self.node) + largest;
    this.#others = ring.flatMap(({ node, zone, capacityBytes: bytes }, at) => {
      if (node === self.node) return [];
      const turn = (((at - from) % ring.length) + ring.length) % ring.length;
      return [{ node, zone, share: (shares.get(zone) ?? 1) * bytes, turn }];
    });
  }

  /**
   * The others of a version's replica group, the first to be asked first: those whose zone has the fewest copies by then, the
   * writer's counted, so that no zone's loss takes more copies than it must. `loadOf`: bytes that a node was given.
   */
  group(sizeBytes: number, loadOf: (node: string) => number): string[] {
    const left = this.#others.map((other) => ({ ...other, wait: waitOf(other, sizeBytes, loadOf(other.node)) }));
    const copies = new Map<string, number>([[this.#zone, 1]]);
    const group: string[] = [];
    while (left.length > 0 && group.length < replicasMax - 1) {
      let best = 0;
      for (let index = 1; index < left.length; index += 1) {
        const [one, other] = [left[index]!, left[best]!];
        const order =
          (copies.get(one.zone) ?? 0) - (copies.get(other.zone) ?? 0) || one.wait - other.wait || one.turn - other.turn;
        if (order < 0) best = index;
      }
      const chosen = left.splice(best, 1)[0] as Other;
      copies.set(chosen.zone, (copies.get(chosen.zone) ?? 0) + 1);
      group.push(chosen.node);
    }
    return group;
  }
}

/** Little things turn no order. */
function waitOf({ share }: Other, sizeBytes: number, loadBytes: number): number {
  return (Math.floor(loadBytes / MiB) + Math.max(1, Math.ceil(sizeBytes / MiB))) / share;
}

/**
 * What a node of a zone is given by any node of another one, per byte of capacity: such that everybody gives, and gets, in
 * proportion to its capacity and nothing within its zone (Sinkhorn's iteration of a symmetric matrix). Where one zone has more than half
 * of all, the others give to it alone, and it gives more than it gets.
 */
function sharesOf(zones: ReadonlyMap<string, readonly Placed[]>): ReadonlyMap<string, number> {
  const names = Array.from(zones.keys());
  if (names.length === 1) return new Map();
  const sizes = names.map((name) => (zones.get(name) ?? []).reduce((sum, { capacityBytes }) => sum + capacityBytes, 0));
  const all = sizes.reduce((sum, size) => sum + size, 0);
  let shares = names.map(() => 1);
  for (let round = 0; round < SHARE_ROUNDS; round++) {
    const given = shares.reduce((sum, share, at) => sum + (share * (sizes[at] as number)) / all, 0);
    shares = shares.map((share, at) => Math.sqrt(share / (given - (share * (sizes[at] as number)) / all)));
  }
  // what matters is the order among others: a node's own zone counts only once there is no other
  return new Map(names.map((name, at) => [name, shares[at] as number]));
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
