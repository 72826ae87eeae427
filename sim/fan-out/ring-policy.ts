/**
 * The simplest that could work, to compare with: each chunk has an owner, who reads it from the origin when it is first asked for
 * and serves everyone. Owners serve `uploadSlotsMax` at a time, readers ask for as many at a time, in an order of their own.
 */
import { ChunkSet } from '../../src/cluster/chunk-set.ts';
import { shuffled } from '../../src/cluster/link-deal.ts';
import { uploadSlotsMax } from '../../src/core/limits.ts';
import { type Delivery, type FanOutPolicy, ORIGIN, type World } from './world.ts';

export class RingPolicy implements FanOutPolicy {
  readonly #world: World;
  readonly #has: ChunkSet[] = [];
  readonly #wanted: number[][] = [];
  /** Per owner: who is to be served with what, in the order asked for; and how many are being served. */
  readonly #queues: Delivery[][];
  readonly #serving: Uint16Array;
  readonly #filling: ChunkSet;

  constructor(world: World) {
    const { nodes, chunks, kill } = world.parameters;
    if (kill > 0) throw new Error('the ring has no answer to dead owners: simulate it without --kill');
    this.#world = world;
    this.#queues = Array.from({ length: nodes }, () => []);
    this.#serving = new Uint16Array(nodes);
    this.#filling = new ChunkSet(chunks);
  }

  arrive(node: number): void {
    const { chunks } = this.#world.parameters;
    this.#has[node] ??= new ChunkSet(chunks);
    this.#wanted[node] = shuffled([...Array(chunks).keys()], this.#world.random.fork(`order ${node}`));
    for (let i = 0; i < uploadSlotsMax; i++) this.#askNext(node);
  }

  delivered({ source, reader, chunk }: Delivery): void {
    const has = this.#has[reader] as ChunkSet;
    has.add(chunk);
    if (has.full) this.#world.finished(reader);
    if (source === ORIGIN) this.#serve(reader);
    else {
      this.#serving[source] = (this.#serving[source] as number) - 1;
      this.#serve(source);
    }
    if (source !== ORIGIN) this.#askNext(reader);
  }

  broken(): void {}

  dead(): void {}

  #owner(chunk: number): number {
    return chunk % this.#world.parameters.nodes;
  }

  #askNext(reader: number): void {
    const wanted = this.#wanted[reader] as number[];
    let chunk = wanted.pop();
    while (chunk !== undefined && this.#has[reader]?.has(chunk)) chunk = wanted.pop();
    if (chunk === undefined) return;
    const asked = chunk;
    const owner = this.#owner(asked);
    this.#world.post(owner, () => this.#asked(owner, reader, asked));
  }

  #asked(owner: number, reader: number, chunk: number): void {
    this.#has[owner] ??= new ChunkSet(this.#world.parameters.chunks);
    if (reader !== owner) this.#queues[owner]?.push({ source: owner, reader, chunk });
    if (!this.#has[owner].has(chunk) && this.#filling.add(chunk))
      this.#world.transfer({ source: ORIGIN, reader: owner, chunk });
    if (reader === owner) this.#askNext(reader);
    else this.#serve(owner);
  }

  /** Serves the first for whom the chunk is here, as long as there are slots. */
  #serve(owner: number): void {
    const queue = this.#queues[owner] as Delivery[];
    for (let at = 0; at < queue.length && (this.#serving[owner] as number) < uploadSlotsMax; ) {
      const next = queue[at] as Delivery;
      if (!this.#has[owner]?.has(next.chunk)) at += 1;
      else {
        queue.splice(at, 1);
        this.#serving[owner] = (this.#serving[owner] as number) + 1;
        this.#world.transfer(next);
      }
    }
  }
}
