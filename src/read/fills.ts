/**
 * Fills: bytes from the origin or from peers into the store, each block asked for once however many wait for it (S-11).
 *
 * A node alone: a flight fetches consecutive absent blocks of one chunk, beginning with the block that was asked for. In a
 * cluster a flight is for all absent blocks of its chunk, the one asked for first, and the chunk's owner says where they
 * come from. Blocks are stored as they come, so that readers, and peers that pull from here, go on while the rest still
 * arrives. A flight is registered before its first wait: whoever needs one of its blocks from then on waits for it.
 *
 * What the origin does not have yet comes from the nodes that its record names instead (`replica-blocks.ts`).
 *
 * Bounds:  `flightsMax` flights.
 * Errors:  diskFull and diskUnavailable tell the reader to go round the store; the origin's errors are the reader's. A peer's
 *          errors are nobody's but the next source's.
 * Crash:   blocks that were stored are kept, the rest of a flight is as if it had never been.
 */

import type { ChunkRef } from '../cluster/chunk-ref.ts';
import type { Cluster } from '../cluster/cluster.ts';
import type { Locator, Source } from '../cluster/locator.ts';
import { abortable, SETTLED } from '../core/abortable.ts';
import { BLOCK_SIZE_BYTES, blockCount, blockRange, blocksRange } from '../core/chunk.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { detourSilenceMs, detoursPerChunkMax, goingEveryMs, sourcesTriedMax } from '../core/limits.ts';
import { rangeLength } from '../core/range.ts';
import { type Clock, DiskError } from '../io/io.ts';
import type { Budget } from '../mover/budget.ts';
import type { Emit } from '../observe/events.ts';
import type { ContentShape, Store } from '../store/store.ts';
import type { BlockRun, FillTarget, OnStored } from './fill-target.ts';
import { OriginBlocks } from './origin-blocks.ts';
import { blameOf, PeerBlocks } from './peer-blocks.ts';
import { isUndrained } from './recorded.ts';
import { type Renew, ReplicaBlocks, type ReplicaPull } from './replica-blocks.ts';
import { Slots } from './slots.ts';

/** What fills need of the cluster. */
export interface FillPeers {
  readonly cluster: Cluster;
  readonly locator: Locator;
}

/** The way round to an origin that this node cannot reach. */
export interface FillDetours {
  isAway(volume: string): boolean;
  tried(volume: string, reached: boolean): void;
  /** Whether another member brought the chunk to itself. */
  chunk(target: FillTarget, chunk: number, signal: AbortSignal): Promise<boolean>;
}

interface Peers extends FillPeers {
  readonly blocks: PeerBlocks;
}

/** Who wants to know what comes. */
export interface FillListener {
  received(id: ContentId, bytes: number): void;
  /** A chunk is here whole; `from` the peer that had the last of it, or the origin. */
  arrived(id: ContentId, chunk: number, from: string | undefined): void;
}

interface Waiter {
  readonly block: number;
  /** A peer that pulls from here. */
  readonly isPeer: boolean;
  readonly resolve: () => void;
  readonly reject: (error: unknown) => void;
}

type Refill = Extract<Source, { kind: 'fill' }>['refill'];

/** What is fetched for one chunk. */
interface Flight extends BlockRun {
  /** The block asked for: it comes first. */
  readonly urgentBlock: number;
  /** A peer that is known to have the chunk: asked before the chunk's owner is. */
  readonly via: string | undefined;
  waiters: Waiter[];
  /** This node wants it for itself; else only for a peer that cannot reach the origin. */
  wanted: boolean;
  /** Another member is asked to bring the chunk: nothing comes here until it has. */
  isDetoured: boolean;
  /** When the chunk's owner last heard that it goes on. */
  toldMs: number;
  /** The peer that the blocks came from last. */
  from: string | undefined;
  /** Settles when the flight is over. */
  readonly over: PromiseWithResolvers<void>;
}

export class Fills {
  readonly #store: Store;
  readonly #clock: Clock;
  readonly #emit: Emit;
  readonly #origin: OriginBlocks;
  readonly #peers: Peers | undefined;
  readonly replicas: ReplicaBlocks;
  readonly #slots: Slots;
  /** Set before the first fill, where there is one. */
  listener: FillListener | undefined = undefined;
  /** Set before the first fill, where there is one. */
  detours: FillDetours | undefined = undefined;
  readonly #flights = new Map<ContentId, Flight[]>();
  readonly #stop = new AbortController();

  constructor(options: {
    store: Store;
    clock: Clock;
    emit: Emit;
    flightsMax: number;
    peers?: FillPeers | undefined;
    budget?: Budget | undefined;
    /** What became of a version that the origin did not have. */
    renew: Renew;
  }) {
    this.#store = options.store;
    this.#clock = options.clock;
    this.#emit = options.emit;
    this.#origin = new OriginBlocks(options);
    this.#peers = options.peers && {
      ...options.peers,
      blocks: new PeerBlocks({ store: options.store, cluster: options.peers.cluster }),
    };
    this.replicas = new ReplicaBlocks({ ...options, cluster: options.peers?.cluster });
    this.#slots = new Slots(options.flightsMax);
  }

  get inFlight(): number {
    let count = 0;
    for (const flights of this.#flights.values()) count += flights.length;
    return count;
  }

  /** Resolves when the block was stored; it may be gone again. */
  async need(target: FillTarget, block: number, signal: AbortSignal): Promise<void> {
    if (this.#store.hasBlock(target.id, block)) return;
    const flight = this.#find(target.id, block) ?? this.#launch(target, block, { urgent: true });
    flight.wanted = true;
    await abortable(stored(flight, block), signal);
  }

  /** Begins to fill what is absent from `block` to the end of its chunk, unless it is under way or everything is busy. */
  ahead(target: FillTarget, block: number): void {
    const { end } = this.#chunkOf(target, block);
    for (let at = block; at < end; at += 1) {
      if (this.#store.hasBlock(target.id, at) || this.#find(target.id, at) !== undefined) continue;
      if (this.#slots.free === 0) return;
      this.#launch(target, at, { urgent: false });
    }
  }

  /**
   * Brings a chunk here whole: from the peer `via`, or, without it, from where the chunk's owner says. Rejects with what
   * went wrong with `via`, while readers who wait for the chunk get it from elsewhere. `forPeer`: only because a peer asked,
   * which asks another one when this node cannot reach the origin either.
   */
  async chunk(
    target: FillTarget,
    chunk: number,
    options: { via?: string; forPeer?: boolean; signal: AbortSignal },
  ): Promise<void> {
    const span = this.#chunkOf(target, chunk * (target.chunkSizeBytes / BLOCK_SIZE_BYTES));
    for (;;) {
      options.signal.throwIfAborted();
      const [run] = this.#absent(target, { ...span, urgentBlock: span.first });
      if (run === undefined) return;
      const known = this.#find(target.id, run.first);
      const { via, forPeer = false } = options;
      if (forPeer && known?.isDetoured)
        throw new ForebayError('originUnavailable', 'this node asks others for the chunk itself');
      const how = { urgent: false, forPeer, ...(via !== undefined && { via }) };
      const flight = known ?? this.#launch(target, run.first, how);
      flight.wanted ||= !forPeer;
      await abortable(flight.over.promise, options.signal);
    }
  }

  /** The block is on its way here: resolves when it was stored, rejects when it does not come. `undefined`: it is not. */
  arriving(id: ContentId, block: number): Promise<void> | undefined {
    const flight = this.#find(id, block);
    return flight === undefined || flight.isDetoured ? undefined : stored(flight, block, true);
  }

  close(): void {
    this.#stop.abort(new ForebayError('shuttingDown', 'the node is stopping'));
  }

  #chunkOf(target: ContentShape, block: number): BlockRun {
    const blocks = target.chunkSizeBytes / BLOCK_SIZE_BYTES;
    const first = Math.floor(block / blocks) * blocks;
    return { first, end: Math.min(first + blocks, blockCount(target.sizeBytes)) };
  }

  #find(id: ContentId, block: number): Flight | undefined {
    return this.#flights.get(id)?.find((flight) => flight.first <= block && block < flight.end);
  }

  #launch(target: FillTarget, urgentBlock: number, how: { urgent: boolean; via?: string; forPeer?: boolean }): Flight {
    const span = this.#chunkOf(target, urgentBlock);
    let { first, end } = span;
    if (this.#peers === undefined) {
      first = urgentBlock;
      end = first + 1;
      while (end < span.end && !this.#store.hasBlock(target.id, end) && this.#find(target.id, end) === undefined)
        end += 1;
    }
    const over = Promise.withResolvers<void>();
    over.promise.catch(() => undefined);
    const flight: Flight = {
      first,
      end,
      urgentBlock,
      via: how.via,
      waiters: [],
      toldMs: this.#clock.boottimeMs(),
      wanted: how.forPeer !== true,
      isDetoured: false,
      from: undefined,
      over,
    };
    const flights = this.#flights.get(target.id);
    if (flights === undefined) this.#flights.set(target.id, [flight]);
    else flights.push(flight);
    void this.#fly(target, flight, how.urgent);
    return flight;
  }

  /** Runs of absent blocks of a flight, that with the block asked for first, then those after it, then those before. */
  #absent(target: ContentShape, flight: BlockRun & { urgentBlock: number }): BlockRun[] {
    const runs: BlockRun[] = [];
    const collect = (from: number, to: number) => {
      for (let block = from; block < to; block += 1) {
        if (this.#store.hasBlock(target.id, block)) continue;
        const first = block;
        while (block + 1 < to && !this.#store.hasBlock(target.id, block + 1)) block += 1;
        runs.push({ first, end: block + 1 });
      }
    };
    collect(flight.urgentBlock, flight.end);
    collect(flight.first, flight.urgentBlock);
    return runs;
  }

  async #fly(target: FillTarget, flight: Flight, urgent: boolean): Promise<void> {
    let failure: unknown;
    await this.#slots.acquire(urgent);
    const hold = this.#store.hold(target);
    try {
      this.#stop.signal.throwIfAborted();
      if (this.#peers === undefined) await this.#fillAlone(target, flight);
      else {
        failure = await this.#bring(target, flight, this.#peers);
        if (failure === undefined) this.listener?.arrived(target.id, chunkOf(target, flight), flight.from);
      }
    } catch (error) {
      failure = asFillError(error);
      this.#report(target, failure);
    }
    // The version may have been replaced meanwhile and its bytes dropped: what this flight brought would stay for nobody.
    const { volume, key } = target.fact;
    if (this.#store.fact(volume, key)?.content !== target.id) this.#store.drop(target.id, 'stale');
    hold.release();
    this.#slots.release();
    const flights = (this.#flights.get(target.id) as Flight[]).filter((each) => each !== flight);
    if (flights.length > 0) this.#flights.set(target.id, flights);
    else this.#flights.delete(target.id);
    for (const waiter of flight.waiters) {
      if (failure === undefined) waiter.resolve();
      else waiter.reject(failure);
    }
    if (failure === undefined) flight.over.resolve();
    else flight.over.reject(failure);
  }

  async #fillAlone(target: FillTarget, flight: Flight): Promise<void> {
    const { signal } = this.#stop;
    const there = isUndrained(target.fact) ? await this.replicas.atOrigin(target, signal) : target;
    await this.#origin.fill(there, flight, this.#how(target, flight));
  }

  #report(target: FillTarget, failure: unknown): void {
    if (!isForebayError(failure)) throw failure;
    const { volume, key } = target.fact;
    this.#emit({ kind: 'fill.failed', volume, key, code: failure.code, message: failure.message });
  }

  /**
   * Gets a flight's blocks from where the chunk's owner says, from one source after another. Returns the error of `via`
   * when that failed and nobody waits for the chunk.
   */
  async #bring(target: FillTarget, flight: Flight, peers: Peers): Promise<unknown> {
    const { locator } = peers;
    const ref = { content: target.id, chunk: chunkOf(target, flight) };
    if (flight.via !== undefined) {
      const failure = await this.#pull(target, flight, peers, flight.via);
      if (failure === undefined) {
        locator.held(ref);
        return undefined;
      }
      if (flight.waiters.length === 0) return failure;
    }
    let detoursLeft = detoursPerChunkMax;
    let there = target;
    let asked = isUndrained(target.fact) ? locator.locate(ref, this.#stop.signal) : undefined;
    if (
      asked !== undefined &&
      (await this.replicas.unlessSoon(asked, target, this.#replicaPull(target, flight, peers)))
    ) {
      asked.then(
        (source) => locator.failed(ref, 'cancelled', source.kind === 'pull' ? source.from : undefined),
        () => undefined,
      );
      locator.held(ref);
      return undefined;
    }
    for (let tried = 1; this.#absent(target, flight).length > 0; tried += 1) {
      const source: Source = await (asked ?? locator.locate(ref, this.#stop.signal));
      asked = undefined;
      if (source.kind === 'fill' || tried > sourcesTriedMax) {
        const refill = source.kind === 'fill' ? source.refill : 'holders-failed';
        if (isUndrained(there.fact)) {
          const drained = await this.#fromReplicas(target, flight, peers, ref);
          if (drained === undefined) return undefined;
          there = drained;
        }
        const how = await this.#fillOrDetour(there, flight, peers, { ref, refill, mayDetour: detoursLeft > 0 });
        if (how === 'filled') {
          locator.done(ref);
          return undefined;
        }
        detoursLeft = how === 'alone' ? 0 : detoursLeft - 1;
        continue;
      }
      const failure = await this.#pull(target, flight, peers, source.from).catch((error: unknown) => {
        locator.failed(ref, 'cancelled', source.from);
        throw error;
      });
      if (failure === undefined) locator.done(ref);
      else locator.failed(ref, blameOf(failure) ?? 'unreachable', source.from);
    }
    return undefined;
  }

  /** `undefined` when the flight's blocks are here; else what to fill from the origin, which has the version by now. */
  async #fromReplicas(
    target: FillTarget,
    flight: Flight,
    peers: Peers,
    ref: ChunkRef,
  ): Promise<FillTarget | undefined> {
    try {
      const there = await this.replicas.bring(target, this.#replicaPull(target, flight, peers));
      if (there === undefined) peers.locator.done(ref);
      return there;
    } catch (error) {
      peers.locator.failed(ref, this.#stop.signal.aborted ? 'cancelled' : 'origin');
      throw error;
    }
  }

  #replicaPull(target: FillTarget, flight: Flight, peers: Peers): ReplicaPull {
    return {
      signal: this.#stop.signal,
      pull: (node) => this.#pull(target, flight, peers, node),
      isDone: () => this.#absent(target, flight).length === 0,
    };
  }

  /**
   * Fills with the owner's leave. Where this node cannot reach the origin the leave is given back, and another member
   * brings the chunk to itself (`brought`: it is to be located again). `alone`: that was tried first, and nobody could.
   */
  async #fillOrDetour(
    target: FillTarget,
    flight: Flight,
    { locator }: Peers,
    { ref, refill, mayDetour }: { ref: ChunkRef; refill: Refill; mayDetour: boolean },
  ): Promise<'filled' | 'brought' | 'alone'> {
    const { detours } = this;
    const { volume } = target.fact;
    let failure: unknown;
    const silent = new AbortController();
    if (!mayDetour || !flight.wanted || detours?.isAway(volume) !== true) {
      try {
        await this.#fillRuns(target, flight, { refill, ...(detours && mayDetour && { silent }) });
        detours?.tried(volume, true);
        return 'filled';
      } catch (error) {
        failure = error;
      }
    }
    locator.failed(ref, this.#stop.signal.aborted ? 'cancelled' : 'origin');
    if (failure !== undefined) {
      if (this.#stop.signal.aborted || !isForebayError(failure, 'originUnavailable')) throw failure;
      detours?.tried(volume, false);
    }
    if (detours !== undefined && mayDetour && flight.wanted) {
      letPeersGo(flight);
      flight.isDetoured = true;
      const isBrought = await detours.chunk(target, ref.chunk, this.#stop.signal);
      flight.isDetoured = false;
      if (isBrought) return 'brought';
    }
    // An origin that is only slow, and for all, is waited for.
    if (failure !== undefined && !silent.signal.aborted) throw failure;
    return 'alone';
  }

  /** `silent` aborts, and with it the fill, when the origin does not begin to answer for `detourSilenceMs`. */
  async #fillRuns(
    target: FillTarget,
    flight: Flight,
    { refill, silent }: { refill: Refill; silent?: AbortController },
  ): Promise<void> {
    for (const run of this.#absent(target, flight)) {
      const bytes = rangeLength(blocksRange({ first: run.first, count: run.end - run.first }, target.sizeBytes));
      if (refill !== undefined)
        this.#emit({ kind: 'origin.refill', volume: target.fact.volume, reason: refill, bytes });
      await (silent === undefined
        ? this.#origin.fill(target, run, this.#how(target, flight))
        : this.#fillUnlessSilent(target, flight, { run, silent }));
    }
  }

  async #fillUnlessSilent(
    target: FillTarget,
    flight: Flight,
    { run, silent }: { run: BlockRun; silent: AbortController },
  ): Promise<void> {
    const answered = new AbortController();
    const message = `the origin did not begin to answer within ${detourSilenceMs} ms`;
    const onAsked = () =>
      void this.#clock.sleep(detourSilenceMs, answered.signal).then(
        () => silent.abort(new ForebayError('originUnavailable', message)),
        () => undefined,
      );
    try {
      const signal = AbortSignal.any([this.#stop.signal, silent.signal]);
      const onAnswer = () => answered.abort(SETTLED);
      await this.#origin.fill(target, run, { ...this.#how(target, flight), signal, onAsked, onAnswer });
    } catch (error) {
      silent.signal.throwIfAborted();
      throw error;
    } finally {
      answered.abort(SETTLED);
    }
  }

  async #pull(target: FillTarget, flight: Flight, { blocks }: Peers, from: string): Promise<ForebayError | undefined> {
    const failure = await blocks.pull(target, this.#absent(target, flight), { ...this.#how(target, flight), from });
    if (failure === undefined) flight.from = from;
    return failure;
  }

  #how(target: FillTarget, flight: Flight): { signal: AbortSignal; onStored: OnStored } {
    return { signal: this.#stop.signal, onStored: (block) => this.#stored(target, flight, block) };
  }

  #stored(target: FillTarget, flight: Flight, block: number): void {
    this.listener?.received(target.id, rangeLength(blockRange(block, target.sizeBytes)));
    wake(flight, block);
    const nowMs = this.#clock.boottimeMs();
    if (this.#peers === undefined || flight.via !== undefined || nowMs - flight.toldMs < goingEveryMs) return;
    flight.toldMs = nowMs;
    this.#peers.locator.going({ content: target.id, chunk: chunkOf(target, flight) });
  }
}

function chunkOf(target: ContentShape, { first }: BlockRun): number {
  return Math.floor(first / (target.chunkSizeBytes / BLOCK_SIZE_BYTES));
}

function stored(flight: Flight, block: number, isPeer = false): Promise<void> {
  return new Promise<void>((resolve, reject) => flight.waiters.push({ block, isPeer, resolve, reject }));
}

/** Peers that pull from here look elsewhere: among them may be the one that is to bring the chunk. */
function letPeersGo(flight: Flight): void {
  const peers = flight.waiters.filter(({ isPeer }) => isPeer);
  flight.waiters = flight.waiters.filter(({ isPeer }) => !isPeer);
  for (const { reject } of peers) reject(new ForebayError('notHeld', 'this node cannot reach the origin'));
}

/** Lets go those who wait for a block that was stored. */
function wake(flight: Flight, block: number): void {
  const ready = flight.waiters.filter((waiter) => waiter.block === block);
  if (ready.length === 0) return;
  flight.waiters = flight.waiters.filter((waiter) => waiter.block !== block);
  for (const waiter of ready) waiter.resolve();
}

/** What a disk refuses, the reader gets round the store. */
function asFillError(error: unknown): unknown {
  if (error instanceof DiskError)
    return new ForebayError('diskUnavailable', `the cache disk failed: ${error.message}`, { cause: error });
  return error;
}
