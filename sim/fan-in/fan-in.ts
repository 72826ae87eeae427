/**
 * Readers gather values that lie on many nodes: the shipped placement and key directory say who is asked, the shipped budget how far ahead of
 * their turn values are brought, links are shared fairly. Sizes instead of bytes, one thread, one seed.
 *
 * As the daemon does it (`kv/key-finder.ts`, `kv/gather.ts`): one message to each owner, then one to each holder, which leases; then pulls
 * in runs of blocks, within the slots of reader and holder. A holder without a slot refuses, and is asked again.
 */
import type { Member } from '../../src/cluster/member.ts';
import { Placement } from '../../src/cluster/placement.ts';
import { BLOCK_SIZE_BYTES, blockCount } from '../../src/core/chunk.ts';
import type { ContentId } from '../../src/core/ids.ts';
import { kvBusyMs, kvPrefetchBlocksMax, kvPullBlocksMax, kvRetryMs } from '../../src/core/kv-limits.ts';
import { peerUploadsMax, pullsMax } from '../../src/core/limits.ts';
import { slotOfKey } from '../../src/kv/entry.ts';
import { PrefetchBudget } from '../../src/kv/gather.ts';
import { KeyDirectory } from '../../src/kv/key-directory.ts';
import { FlowLoop } from '../fan-out-write/flow-loop.ts';
import { SimRandom } from '../sim-random.ts';
import type { FanInParameters } from './parameters.ts';

/** A slow node's bandwidth ÷ another's. */
const SLOW = 0.1;

export interface GatherFigures {
  /** From the question to the answer of the last holder. */
  readonly lookupMs: number;
  /** To the last byte. */
  readonly ms: number;
  readonly messages: number;
  readonly misses: number;
  /** Pulls that found no slot at their holder. */
  readonly refused: number;
}

export interface FanInFigures {
  readonly gathers: readonly GatherFigures[];
  /** All of a reader's values over its link, without anything else. */
  readonly floorMs: number;
  /** The same values on one node, all readers at once. */
  readonly oneNodeMs: number;
}

interface SimNode {
  readonly name: string;
  readonly isDead: boolean;
  readonly held: Map<string, ContentId>;
  readonly directory: KeyDirectory;
  readonly budget: PrefetchBudget;
  pulls: number;
  uploads: number;
  readonly waiting: (() => void)[];
}

class FanInWorld {
  readonly parameters: FanInParameters;
  readonly loop: FlowLoop;
  readonly nodes: readonly SimNode[];
  readonly placement = new Placement();

  constructor(parameters: FanInParameters) {
    const { nodes, slow, dead, linkBytesPerS } = parameters;
    this.parameters = parameters;
    const link = linkBytesPerS / 1000;
    // The last nodes are dead, those before them slow.
    const isSlow = (node: number) => node >= nodes - dead - slow && node < nodes - dead;
    const bandwidth = (node: number) => (isSlow(node) ? link * SLOW : link);
    this.loop = new FlowLoop(Array.from({ length: nodes }, (_, i) => ({ up: bandwidth(i), down: bandwidth(i) })));
    this.nodes = Array.from({ length: nodes }, (_, i) => {
      const held = new Map<string, ContentId>();
      return {
        name: nameOf(i),
        isDead: i >= nodes - dead,
        held,
        directory: new KeyDirectory({ self: nameOf(i), suffixes: [], here: (key) => held.get(key) }),
        budget: new PrefetchBudget(kvPrefetchBlocksMax),
        pulls: 0,
        uploads: 0,
        waiting: [],
      };
    });
    this.placement.update({ epoch: 1, members: this.nodes.map(({ name }) => memberOf(name)) });
    for (const { directory } of this.nodes) directory.members(this.nodes.map(({ name }) => name));
  }

  node(index: number): SimNode {
    return this.nodes[index] as SimNode;
  }

  ownerOf(key: string): number {
    return indexOf(this.placement.owner(slotOfKey(key, []))?.node ?? '');
  }

  /** A holder has a value, and its owner knows. */
  store(key: string, holder: number): void {
    const content = `0000000000000000000000000000${holder.toString(16).padStart(4, '0')}` as ContentId;
    this.node(holder).held.set(key, content);
    const told = { key, content, untilMs: Number.POSITIVE_INFINITY, fresh: true };
    this.node(this.ownerOf(key)).directory.held(0, nameOf(holder), told);
  }
}

interface Remote {
  readonly holder: number;
  readonly blocks: number;
  /** Of the budget. */
  taken: number;
  arrived: number;
  /** One after the other. */
  refusals: number;
  isBegun: boolean;
  isPulling: boolean;
  isItsTurn: boolean;
}

/** One reader's gather. */
class Gather {
  readonly #world: FanInWorld;
  readonly #reader: number;
  readonly #keys: readonly string[];
  readonly #values: (Remote | undefined)[] = [];
  #turn = 0;
  #ahead = 0;
  #messages = 0;
  #misses = 0;
  #refused = 0;
  #lookupMs = 0;
  #doneMs: number | undefined;

  constructor(world: FanInWorld, reader: number, keys: readonly string[]) {
    this.#world = world;
    this.#reader = reader;
    this.#keys = keys;
  }

  begin(): void {
    const byOwner = Map.groupBy(this.#keys.keys(), (at) => this.#world.ownerOf(this.#keys[at] as string));
    const located: (number | undefined)[] = this.#keys.map(() => undefined);
    this.#askAll(
      byOwner,
      (owner, indexes) => {
        for (const at of indexes) {
          const holding = this.#world.node(owner).directory.locate(0, this.#keys[at] as string);
          located[at] = holding === undefined ? undefined : indexOf(holding.node);
        }
      },
      () => this.#lease(located),
    );
  }

  /** One message to each, all at once; goes on when all have answered, or had their time. */
  #askAll(
    nodes: ReadonlyMap<number, readonly number[]>,
    onAnswer: (node: number, indexes: readonly number[]) => void,
    onAll: () => void,
  ): void {
    const { latencyMs, peerMs } = this.#world.parameters;
    let left = nodes.size;
    if (left === 0) onAll();
    for (const [node, indexes] of nodes) {
      const { isDead } = this.#world.node(node);
      const isOwn = node === this.#reader;
      if (!isOwn) this.#messages += isDead ? 1 : 2;
      this.#world.loop.after(isOwn ? 0 : isDead ? peerMs : 2 * latencyMs, () => {
        if (!isDead) onAnswer(node, indexes);
        left -= 1;
        if (left === 0) onAll();
      });
    }
  }

  #lease(located: readonly (number | undefined)[]): void {
    const held = Array.from(located.entries()).filter((entry): entry is [number, number] => entry[1] !== undefined);
    const byHolder = new Map<number, number[]>();
    for (const [at, holder] of held) byHolder.set(holder, [...(byHolder.get(holder) ?? []), at]);
    const take = (holder: number, indexes: readonly number[]) => {
      for (const at of indexes)
        this.#values[at] = {
          holder,
          blocks: blockCount(this.#world.parameters.valueBytes),
          taken: 0,
          arrived: 0,
          refusals: 0,
          isBegun: false,
          isPulling: false,
          isItsTurn: false,
        };
    };
    this.#askAll(byHolder, take, () => {
      this.#lookupMs = this.#world.loop.nowMs;
      this.#advance();
    });
  }

  /** As `gather` does it: what has its turn is brought in any case, what comes later while the budget lasts. */
  #advance(): void {
    const { budget } = this.#world.node(this.#reader);
    while (this.#turn < this.#keys.length) {
      const value = this.#values[this.#turn];
      if (value !== undefined && value.arrived < value.blocks) break;
      if (value === undefined) this.#misses += 1;
      else budget.release(value.taken);
      this.#turn += 1;
    }
    if (this.#turn === this.#keys.length) {
      this.#doneMs ??= this.#world.loop.nowMs;
      return;
    }
    const current = this.#values[this.#turn] as Remote;
    current.isItsTurn = true;
    this.#start(current);
    this.#ahead = Math.max(this.#ahead, this.#turn + 1);
    for (; this.#ahead < this.#keys.length; this.#ahead++) {
      const value = this.#values[this.#ahead];
      if (value === undefined || value.isBegun) continue;
      const blocks = Math.min(kvPullBlocksMax, value.blocks);
      if (!budget.tryTake(blocks)) return;
      value.taken = blocks;
      this.#start(value);
    }
  }

  #start(value: Remote): void {
    value.isBegun = true;
    if (value.isPulling || value.arrived === value.blocks) return;
    // Before its turn nobody takes the blocks away.
    const room = value.isItsTurn ? kvPullBlocksMax : kvPullBlocksMax - value.arrived;
    const count = Math.min(room, value.blocks - value.arrived);
    if (count === 0) return;
    value.isPulling = true;
    this.#pull(value, count);
  }

  #pull(value: Remote, count: number): void {
    const { loop, parameters } = this.#world;
    const self = this.#world.node(this.#reader);
    if (self.pulls >= pullsMax) {
      self.waiting.push(() => this.#pull(value, count));
      return;
    }
    self.pulls += 1;
    this.#messages += 1;
    loop.after(parameters.latencyMs, () => this.#serve(value, count));
  }

  #serve(value: Remote, count: number): void {
    const { loop, parameters } = this.#world;
    const holder = this.#world.node(value.holder);
    const { latencyMs, valueBytes } = parameters;
    if (holder.uploads >= peerUploadsMax) {
      this.#refused += 1;
      loop.after(latencyMs, () => this.#freePull());
      value.refusals += 1;
      const waitMs = Math.min(kvRetryMs, kvBusyMs * 2 ** (value.refusals - 1));
      loop.after(latencyMs + waitMs, () => this.#pull(value, count));
      return;
    }
    holder.uploads += 1;
    const from = value.arrived * BLOCK_SIZE_BYTES;
    const bytes = Math.min(valueBytes, from + count * BLOCK_SIZE_BYTES) - from;
    loop.after(latencyMs, () =>
      loop.transfer({ source: value.holder, reader: this.#reader, bytes }, () => {
        holder.uploads -= 1;
        value.arrived += count;
        value.refusals = 0;
        value.isPulling = false;
        this.#freePull();
        this.#start(value);
        this.#advance();
      }),
    );
  }

  #freePull(): void {
    const self = this.#world.node(this.#reader);
    self.pulls -= 1;
    self.waiting.shift()?.();
  }

  get figures(): GatherFigures {
    if (this.#doneMs === undefined) throw new Error(`the gather of ${nameOf(this.#reader)} did not end`);
    return {
      lookupMs: this.#lookupMs,
      ms: this.#doneMs,
      messages: this.#messages,
      misses: this.#misses,
      refused: this.#refused,
    };
  }
}

export function simulateFanIn(parameters: FanInParameters): FanInFigures {
  const { nodes, readers, values, valueBytes, holders, linkBytesPerS, seed, dead, slow } = parameters;
  if (readers > nodes - dead - slow) throw new RangeError('readers are neither dead nor slow');
  const world = new FanInWorld(parameters);
  const random = new SimRandom(seed);
  const gathers = Array.from({ length: readers }, (_, reader) => {
    const others = Array.from({ length: nodes }, (_unused, node) => node).filter((node) => node !== reader);
    const chosen = drawn(others, Math.min(holders, others.length), random.fork(`holders ${reader}`));
    const keys = Array.from({ length: values }, (_unused, i) => `${reader}:${i}`);
    for (const [i, key] of keys.entries()) world.store(key, chosen[i % chosen.length] as number);
    return new Gather(world, reader, keys);
  });
  for (const gather of gathers) gather.begin();
  world.loop.run();
  const floorMs = (1000 * values * valueBytes) / linkBytesPerS;
  return { gathers: gathers.map((gather) => gather.figures), floorMs, oneNodeMs: readers * floorMs };
}

/** So many of them, in an order of their own. */
function drawn(from: number[], count: number, random: SimRandom): number[] {
  for (let i = 0; i < count; i++) {
    const j = i + random.integer(from.length - i);
    [from[i], from[j]] = [from[j] as number, from[i] as number];
  }
  return from.slice(0, count);
}

const nameOf = (node: number) => `n${node}`;
const indexOf = (name: string) => Number(name.slice(1));

function memberOf(node: string): Member {
  return { node, zone: '', session: '', capacityBytes: 1, address: { host: '127.0.0.1', port: 1 }, protocol: 1 };
}
