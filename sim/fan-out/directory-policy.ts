/**
 * Every node for itself, by the shipped directory: each asks the owners of chunks where to get them, in an order of its own, some
 * at a time. A node that is asked for more than its upload slots allow refuses, as the daemon's does.
 */

import { ChunkSet } from '../../src/cluster/chunk-set.ts';
import { Directory, type FailureReason, type Grant, type Located, type Outcome } from '../../src/cluster/directory.ts';
import { shuffled } from '../../src/cluster/link-deal.ts';
import type { Member } from '../../src/cluster/member.ts';
import { Placement } from '../../src/cluster/placement.ts';
import { type Slot, slotOfChunk } from '../../src/cluster/slot.ts';
import type { ContentId } from '../../src/core/ids.ts';
import { uploadSlotsMax } from '../../src/core/limits.ts';
import { type Delivery, type FanOutPolicy, ORIGIN, type World } from './world.ts';

const content = '81918a5b3c4d7e8f9a0b1c2d3e4f5a6b' as ContentId;
/** Chunks that a node asks for at a time: one more than others serve at once, for some of them wait. */
const askedMax = uploadSlotsMax + 1;
/** Nodes take chunks at random among so many, so that they do not all run after the same. */
const windowChunks = 64;
/** Pulls that a node lets wait for its slots; more are refused. */
const queuedMax = 8;

interface Reader {
  readonly has: ChunkSet;
  readonly order: number[];
  /** Asked for and not here yet → where it comes from, when that is known. */
  readonly asked: Map<number, string | undefined>;
  uploads: number;
  /** Pulls that wait for an upload slot here, and those that wait until a block of the chunk is here. */
  readonly queue: Delivery[];
  readonly early: Delivery[];
}

export class DirectoryPolicy implements FanOutPolicy {
  readonly #world: World;
  readonly #placement = new Placement();
  readonly #directories: (Directory | undefined)[] = [];
  readonly #readers: (Reader | undefined)[] = [];
  #members: { node: string; zone: string }[] = [];
  #epoch = 1;

  constructor(world: World) {
    this.#world = world;
    const { nodes } = world.parameters;
    this.#members = Array.from({ length: nodes }, (_, node) => ({ node: name(node), zone: '' }));
    this.#placement.update({ epoch: this.#epoch, members: this.#members.map(member) });
    for (let node = 0; node < nodes; node++) {
      const directory = new Directory();
      directory.members(0, this.#members);
      this.#directories[node] = directory;
    }
    world.at(tickMs, () => this.#tick());
  }

  arrive(node: number): void {
    const { chunks } = this.#world.parameters;
    const random = this.#world.random.fork(`order ${node}`);
    const order: number[] = [];
    for (let from = 0; from < chunks; from += windowChunks)
      order.unshift(...shuffled([...Array(Math.min(windowChunks, chunks - from)).keys()], random).map((i) => from + i));
    this.#readers[node] = { has: new ChunkSet(chunks), order, asked: new Map(), uploads: 0, queue: [], early: [] };
    this.#askMore(node);
  }

  delivered({ source, reader: node, chunk }: Delivery): void {
    const world = this.#world;
    const reader = this.#reader(node);
    if (source !== ORIGIN) this.#freed(source);
    reader.asked.delete(chunk);
    reader.has.add(chunk);
    if (reader.has.full) world.finished(node);
    this.#report(node, { ref: { content, chunk }, kind: 'done' });
    this.#askMore(node);
  }

  broken({ source, reader, chunk }: Delivery, reason: 'timeout' | 'notHeld'): void {
    if (source !== ORIGIN && this.#world.alive(source)) this.#freed(source);
    this.#failed(reader, chunk, source, reason);
  }

  dead(node: number): void {
    const world = this.#world;
    this.#members = this.#members.filter((other) => other.node !== name(node));
    this.#epoch += 1;
    const moves = this.#placement.update({ epoch: this.#epoch, members: this.#members.map(member) });
    const moved = new Set(moves.map(({ slot }) => slot));
    const names = this.#members.map((other) => other.node);
    for (const other of names) {
      const owner = index(other);
      const directory = this.#directory(owner);
      this.#grant(directory.members(world.nowMs, this.#members));
      const slots = moves.filter(({ to }) => to === other).map(({ slot }) => slot);
      if (slots.length > 0) directory.takeOver(world.nowMs, this.#epoch, slots, names);
    }
    for (const other of names) this.#tellHoldings(index(other), moved);
  }

  #directory(node: number): Directory {
    return this.#directories[node] as Directory;
  }

  #reader(node: number): Reader {
    return this.#readers[node] as Reader;
  }

  #owner(chunk: number): number {
    return index(this.#placement.owner(slotOfChunk({ content, chunk }))?.node ?? '');
  }

  #askMore(node: number): void {
    const { order, asked, has } = this.#reader(node);
    while (asked.size < askedMax) {
      const chunk = order.pop();
      if (chunk === undefined) return;
      if (!has.has(chunk)) this.#ask(node, chunk);
    }
  }

  #ask(node: number, chunk: number): void {
    const world = this.#world;
    this.#reader(node).asked.set(chunk, undefined);
    const owner = this.#owner(chunk);
    const answer = () => {
      const [located] = this.#directory(owner).locate(world.nowMs, { node: name(node), zone: '' }, [
        { content, chunk },
      ]);
      world.post(node, () => this.#take(node, chunk, located as Located));
    };
    world.post(owner, answer, () => world.alive(node) && this.#ask(node, chunk));
  }

  #take(node: number, chunk: number, answer: Located): void {
    const { asked } = this.#reader(node);
    if (!asked.has(chunk) || asked.get(chunk) !== undefined) return;
    if (answer.kind === 'wait') {
      this.#world.at(this.#world.nowMs + answer.ms, () => {
        if (this.#world.alive(node) && asked.has(chunk) && asked.get(chunk) === undefined) this.#ask(node, chunk);
      });
      return;
    }
    asked.set(chunk, answer.kind === 'pull' ? answer.from : 'origin');
    if (answer.kind === 'fill') this.#begin({ source: ORIGIN, reader: node, chunk });
    else this.#pull(node, chunk, index(answer.from));
  }

  #pull(node: number, chunk: number, source: number): void {
    const world = this.#world;
    const serve = () => {
      if (!world.alive(node)) return;
      const serving = this.#reader(source);
      const delivery = { source, reader: node, chunk };
      // Who waits for blocks holds no slot: else two nodes could wait for each other.
      if (!serving.has.has(chunk) && serving.asked.has(chunk) && !world.isFlowing(source, chunk))
        serving.early.push(delivery);
      else this.#serve(delivery);
    };
    world.post(source, serve, () => world.alive(node) && this.#failed(node, chunk, source, 'unreachable'));
  }

  silent(node: number): void {
    const { queue, early } = this.#reader(node);
    for (const { reader, chunk } of [...queue, ...early])
      if (this.#world.alive(reader)) this.#failed(reader, chunk, node, 'timeout');
  }

  #serve(delivery: Delivery): void {
    const serving = this.#reader(delivery.source);
    if (serving.uploads < uploadSlotsMax) {
      serving.uploads += 1;
      this.#begin(delivery);
    } else if (serving.queue.length < queuedMax) serving.queue.push(delivery);
    else {
      const { reader, chunk, source } = delivery;
      this.#world.post(reader, () => this.#failed(reader, chunk, source, 'overloaded'));
    }
  }

  #freed(source: number): void {
    const serving = this.#reader(source);
    serving.uploads -= 1;
    const next = serving.queue.shift();
    if (next === undefined) return;
    serving.uploads += 1;
    this.#begin(next);
  }

  /** Bytes begin to come; who waited for them gets them too. */
  #begin(delivery: Delivery): void {
    this.#world.transfer(delivery);
    const early = this.#reader(delivery.reader).early;
    for (let at = 0; at < early.length; )
      if ((early[at] as Delivery).chunk === delivery.chunk) this.#serve(early.splice(at, 1)[0] as Delivery);
      else at += 1;
  }

  #failed(node: number, chunk: number, source: number, reason: FailureReason): void {
    this.#report(node, { ref: { content, chunk }, kind: 'failed', reason, source: name(source) });
    this.#ask(node, chunk);
  }

  #report(node: number, outcome: Outcome): void {
    const world = this.#world;
    const owner = this.#owner(outcome.ref.chunk);
    world.post(owner, () => this.#grant(this.#directory(owner).report(world.nowMs, name(node), [outcome])));
  }

  #grant(grants: readonly Grant[]): void {
    for (const { node, ref, answer } of grants)
      this.#world.post(index(node), () => this.#take(index(node), ref.chunk, answer));
  }

  #tellHoldings(node: number, moved: ReadonlySet<Slot>): void {
    const world = this.#world;
    const has = this.#readers[node]?.has;
    const perOwner = new Map<number, { content: ContentId; chunk: number }[]>();
    for (let chunk = 0; chunk < world.parameters.chunks; chunk++) {
      if (!has?.has(chunk) || !moved.has(slotOfChunk({ content, chunk }))) continue;
      const owner = this.#owner(chunk);
      perOwner.set(owner, [...(perOwner.get(owner) ?? []), { content, chunk }]);
    }
    for (const { node: other } of this.#members) {
      const owner = index(other);
      const refs = perOwner.get(owner) ?? [];
      const epoch = this.#epoch;
      world.post(owner, () => this.#grant(this.#directory(owner).held(world.nowMs, name(node), refs, { epoch })));
    }
  }

  #tick(): void {
    for (const { node } of this.#members) this.#grant(this.#directory(index(node)).tick(this.#world.nowMs));
    this.#world.at(this.#world.nowMs + tickMs, () => this.#tick());
  }
}

const tickMs = 250;

const name = (node: number) => `n${node}`;
const index = (node: string) => Number(node.slice(1));

function member({ node, zone }: { node: string; zone: string }): Member {
  return { node, zone, session: '', capacityBytes: 1, address: { host: '127.0.0.1', port: 1 }, protocol: 1 };
}
