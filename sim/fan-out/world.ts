/**
 * The world that policies are simulated in: nodes that arrive, links, messages, deaths. Sizes instead of bytes; nothing else
 * is left out: policies decide by the shipped deciders, and know only what messages told them.
 */
import { ChunkSet } from '../../src/cluster/chunk-set.ts';
import { SimRandom } from '../sim-random.ts';
import { FluidLinks, type TransferId } from './fluid-links.ts';
import { TimeHeap } from './time-heap.ts';

export interface FanOutParameters {
  readonly nodes: number;
  readonly chunks: number;
  /** The origin's bandwidth in links of a node. */
  readonly originLinks: number;
  readonly chunkBytes: number;
  /** Bytes per second of a node's link, each way. */
  readonly linkBytesPerS: number;
  /** One way, of a message. */
  readonly latencyMs: number;
  /** Nodes arrive evenly over this share of S/B. */
  readonly spread: number;
  /** This many nodes have a tenth of the bandwidth. */
  readonly slow: number;
  /** This share of the nodes dies midway. */
  readonly kill: number;
  /** How long a dead node's peers wait for it before they give up. */
  readonly detectMs: number;
  /** How long until the cluster knows that a node is dead. */
  readonly leaseMs: number;
  readonly seed: number;
}

/** What a transfer is for. The origin is node −1. */
export interface Delivery {
  readonly source: number;
  readonly reader: number;
  readonly chunk: number;
}

/** One way of bringing the content to everyone. Called with the time at which things happen. */
export interface FanOutPolicy {
  /** A node wants the content from now on. */
  arrive(node: number): void;
  /** A transfer has come whole. */
  delivered(transfer: Delivery): void;
  /** A transfer will not come: its source is dead and the reader has waited long enough to know, or has nothing to send. */
  broken(transfer: Delivery, reason: 'timeout' | 'notHeld'): void;
  /** Bytes of unfinished transfers came to a node. */
  progress?(node: number, bytes: number): void;
  /** The cluster knows now that a node is dead. */
  dead(node: number): void;
  /** Those who were waiting for a dead node notice. */
  silent?(node: number): void;
}

export const ORIGIN = -1;

/** A chunk on its way, segment by segment. */
interface Flow extends Delivery {
  /** Undefined while it waits for its source to get the next segment. */
  id: TransferId | undefined;
  segments: number;
  /** Bytes of the segment on its way that the reader has been told of. */
  told: number;
  followers: Flow[] | undefined;
}

interface Timed {
  readonly atMs: number;
  readonly run: () => void;
}

export class World {
  readonly parameters: FanOutParameters;
  readonly random: SimRandom;
  readonly chunkMs: number;
  /** When each node arrived, had everything, or died; NaN: not yet. */
  readonly arrivedMs: Float64Array;
  readonly finishedMs: Float64Array;
  readonly diedMs: Float64Array;
  readonly slowNodes: ReadonlySet<number>;
  nowMs = 0;
  messages = 0;
  originBytes = 0;
  delivered = 0;
  #policy: FanOutPolicy | undefined;
  readonly #links: FluidLinks;
  readonly #flows: (Flow | undefined)[] = [];
  /** What is on its way, by reader and chunk. */
  readonly #active = new Map<number, Flow>();
  /** What is whole where, by the same. */
  readonly #here: ChunkSet;
  readonly #segments: number;
  readonly #mail: Timed[] = [];
  #mailAt = 0;
  readonly #timers = new TimeHeap();
  readonly #timed = new Map<number, () => void>();
  #timerIds = 0;
  #unfinished: number;
  readonly #samples: [number, number][] = [];

  constructor(parameters: FanOutParameters) {
    const { nodes, seed, linkBytesPerS, originLinks, chunkBytes } = parameters;
    this.parameters = parameters;
    this.random = new SimRandom(seed);
    this.chunkMs = (1000 * chunkBytes) / linkBytesPerS;
    this.arrivedMs = new Float64Array(nodes).fill(Number.NaN);
    this.finishedMs = new Float64Array(nodes).fill(Number.NaN);
    this.diedMs = new Float64Array(nodes).fill(Number.NaN);
    this.#unfinished = nodes;
    this.#here = new ChunkSet(nodes * parameters.chunks);
    this.#segments = nodes <= segmentNodesMax ? SEGMENTS : 1;
    this.slowNodes = new Set(this.#draw(parameters.slow));
    const link = linkBytesPerS / 1000;
    const ends = Array.from({ length: nodes }, (_, node) => {
      const speed = this.slowNodes.has(node) ? link / 10 : link;
      return { up: speed, down: speed };
    });
    this.#links = new FluidLinks([...ends, { up: link * originLinks, down: 0 }], followedMax);
  }

  /** S/B. */
  get spanMs(): number {
    return this.parameters.chunks * this.chunkMs;
  }

  alive(node: number): boolean {
    return Number.isNaN(this.diedMs[node] as number);
  }

  /**
   * Sends a message; it is handled after the latency. When the receiver is dead by then, the sender learns it `detectMs` later.
   * `to` undefined: a node that does not die.
   */
  post(to: number | undefined, handle: () => void, lost?: () => void): void {
    this.messages += 1;
    const run =
      to === undefined
        ? handle
        : () => {
            if (this.alive(to)) handle();
            else if (lost !== undefined) this.at(this.nowMs + this.parameters.detectMs, lost);
          };
    this.#mail.push({ atMs: this.nowMs + this.parameters.latencyMs, run });
  }

  /** Runs something at a time; returns what `cancelTimer` takes. */
  at(atMs: number, run: () => void): number {
    const id = this.#timerIds++;
    this.#timed.set(id, run);
    this.#timers.set(id, Math.max(atMs, this.nowMs));
    return id;
  }

  cancelTimer(id: number): void {
    if (this.#timed.delete(id)) this.#timers.remove(id);
  }

  /**
   * A chunk begins to flow; what its source does not have yet follows as it comes there. From a dead source nothing comes. One
   * transfer per reader and chunk at a time.
   */
  transfer(delivery: Delivery): void {
    const { source, reader, chunk } = delivery;
    if (source !== ORIGIN && !this.alive(source)) {
      this.#breakLater(delivery);
      return;
    }
    const flow: Flow = { source, reader, chunk, id: undefined, segments: 0, told: 0, followers: undefined };
    this.#active.set(reader * this.parameters.chunks + chunk, flow);
    this.#advance(flow);
  }

  /** The reader gives up a transfer that is on its way; false when there is none. */
  giveUp(reader: number, chunk: number): boolean {
    const flow = this.#active.get(reader * this.parameters.chunks + chunk);
    if (flow === undefined) return false;
    this.#stop(flow);
    this.#strand(flow);
    return true;
  }

  isFlowing(reader: number, chunk: number): boolean {
    return this.#active.has(reader * this.parameters.chunks + chunk);
  }

  /** A node has everything. */
  finished(node: number): void {
    if (!Number.isNaN(this.finishedMs[node] as number)) return;
    this.finishedMs[node] = this.nowMs;
    this.#unfinished -= 1;
  }

  /** Runs until every node that lives has everything. Throws when it stops coming nearer to that. */
  run(policy: FanOutPolicy): void {
    this.#policy = policy;
    const { nodes, spread, kill, chunks } = this.parameters;
    for (let node = 0; node < nodes; node++)
      this.at((spread * this.spanMs * node) / Math.max(1, nodes - 1), () => this.#arrive(node));
    if (kill > 0) this.at(this.spanMs * (0.5 + spread / 2), () => this.#kill(Math.max(1, Math.round(kill * nodes))));
    if (policy.progress !== undefined && this.#segments === 1) this.at(this.chunkMs, () => this.#progress());
    const limitMs = (this.spanMs * (20 + nodes / Math.max(this.parameters.originLinks, 0.05)) + 600_000) * 2;
    let sampleAt = 0;
    const sampleMs = this.spanMs / 64;
    while (this.#unfinished > 0) {
      if (!this.#step())
        throw new Error(`the simulation stands still at ${this.nowMs} ms: ${this.#unfinished} nodes wait`);
      if (this.nowMs > limitMs) throw new Error(`the simulation does not end: ${this.#unfinished} nodes wait`);
      if (this.nowMs < sampleAt) continue;
      this.#samples.push([this.nowMs, this.delivered / (nodes * chunks)]);
      sampleAt = this.nowMs + sampleMs;
    }
    this.#samples.push([this.nowMs, this.delivered / (nodes * chunks)]);
  }

  /** Share of all deliveries over time. */
  get samples(): readonly (readonly [number, number])[] {
    return this.#samples;
  }

  #step(): boolean {
    const mail = this.#mailAt < this.#mail.length ? (this.#mail[this.#mailAt] as Timed).atMs : Number.POSITIVE_INFINITY;
    const flow = this.#links.nextMs;
    const timer = this.#timers.time;
    if (mail <= flow && mail <= timer) {
      if (mail === Number.POSITIVE_INFINITY) return false;
      const { run } = this.#mail[this.#mailAt] as Timed;
      this.#mailAt += 1;
      if (this.#mailAt > 4096 && this.#mailAt * 2 > this.#mail.length) {
        this.#mail.splice(0, this.#mailAt);
        this.#mailAt = 0;
      }
      this.nowMs = mail;
      run();
    } else if (timer <= flow) {
      const id = this.#timers.item;
      this.#timers.remove(id);
      this.nowMs = timer;
      const run = this.#timed.get(id);
      this.#timed.delete(id);
      run?.();
    } else {
      this.nowMs = flow;
      this.#segmentEnded(this.#flows[this.#links.nextId] as Flow);
    }
    return true;
  }

  /** Starts the next segment, if its source has it. */
  #advance(flow: Flow): void {
    const { source, reader, chunk, segments } = flow;
    const { chunks, nodes, chunkBytes } = this.parameters;
    const upstream = source === ORIGIN ? undefined : this.#active.get(source * chunks + chunk);
    if (upstream !== undefined && upstream.segments <= segments) {
      upstream.followers ??= [];
      upstream.followers.push(flow);
      return;
    }
    if (upstream === undefined && source !== ORIGIN && !this.#here.has(source * chunks + chunk)) {
      this.#refuse(flow);
      return;
    }
    const end = source === ORIGIN ? nodes : source;
    flow.id = this.#links.begin(this.nowMs, { source: end, reader, bytes: chunkBytes / this.#segments });
    flow.told = 0;
    this.#flows[flow.id] = flow;
  }

  #segmentEnded(flow: Flow): void {
    const { reader, chunk, told } = flow;
    const { chunks, chunkBytes } = this.parameters;
    this.#endSegment(flow);
    flow.segments += 1;
    const whole = flow.segments === this.#segments;
    if (whole) {
      this.#active.delete(reader * chunks + chunk);
      this.#here.add(reader * chunks + chunk);
    } else this.#advance(flow);
    const followers = flow.followers;
    flow.followers = undefined;
    for (const follower of followers ?? []) this.#advance(follower);
    this.#policy?.progress?.(reader, chunkBytes / this.#segments - told);
    if (!whole) return;
    this.delivered += 1;
    this.#policy?.delivered({ source: flow.source, reader, chunk });
  }

  #endSegment(flow: Flow): void {
    if (flow.id === undefined) return;
    const bytes = this.#links.end(this.nowMs, flow.id);
    if (flow.source === ORIGIN) this.originBytes += bytes;
    this.#flows[flow.id] = undefined;
    flow.id = undefined;
  }

  /** Takes a flow out; its followers wait for nothing then. */
  #stop(flow: Flow): void {
    this.#endSegment(flow);
    const { chunks } = this.parameters;
    this.#active.delete(flow.reader * chunks + flow.chunk);
    if (flow.source === ORIGIN) return;
    const upstream = this.#active.get(flow.source * chunks + flow.chunk);
    const at = upstream?.followers?.indexOf(flow) ?? -1;
    if (at >= 0) upstream?.followers?.splice(at, 1);
  }

  /** The source of these does not get the rest: they are refused. */
  #strand(flow: Flow): void {
    for (const follower of flow.followers ?? []) this.#refuse(follower);
  }

  #refuse(flow: Flow): void {
    this.#stop(flow);
    this.post(flow.reader, () => this.#policy?.broken(flow, 'notHeld'));
    this.#strand(flow);
  }

  #breakLater(delivery: Delivery): void {
    const { reader } = delivery;
    this.at(
      this.nowMs + this.parameters.detectMs,
      () => this.alive(reader) && this.#policy?.broken(delivery, 'timeout'),
    );
  }

  #arrive(node: number): void {
    if (!this.alive(node)) return;
    this.arrivedMs[node] = this.nowMs;
    this.#policy?.arrive(node);
  }

  #progress(): void {
    for (let node = 0; node < this.parameters.nodes; node++) {
      let bytes = 0;
      for (const id of this.#links.receivingOf(node)) {
        const flow = this.#flows[id] as Flow;
        const came = this.#links.came(this.nowMs, id);
        bytes += came - flow.told;
        flow.told = came;
      }
      if (bytes > 0) this.#policy?.progress?.(node, bytes);
    }
    this.at(this.nowMs + this.chunkMs, () => this.#progress());
  }

  #kill(count: number): void {
    const { detectMs, leaseMs, nodes } = this.parameters;
    for (const node of this.#draw(count)) {
      this.diedMs[node] = this.nowMs;
      if (Number.isNaN(this.finishedMs[node] as number)) this.#unfinished -= 1;
      for (const flow of this.#active.values()) {
        if (flow.reader === node) this.#stop(flow);
        else if (flow.source === node) {
          this.#stop(flow);
          this.#breakLater(flow);
        }
      }
      this.at(this.nowMs + detectMs, () => this.#policy?.silent?.(node));
      this.at(this.nowMs + leaseMs, () => this.#policy?.dead(node));
    }
    if (count >= nodes) throw new Error('somebody has to live');
  }

  #draw(count: number): number[] {
    const nodes = Array.from({ length: this.parameters.nodes }, (_, node) => node);
    for (let i = 0; i < Math.min(count, nodes.length); i++) {
      const j = i + this.random.integer(nodes.length - i);
      [nodes[i], nodes[j]] = [nodes[j] as number, nodes[i] as number];
    }
    return nodes.slice(0, count);
  }
}

/** Up to this many nodes chunks flow in as many segments as they have blocks; beyond, as a whole: that is a little slower. */
const segmentNodesMax = 128;
const SEGMENTS = 16;

/** Ends that a change of rates is followed to. */
const followedMax = 64;
