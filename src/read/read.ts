/**
 * The read path: lookup → coalesce → fill → answer (DESIGN.md section 7).
 *
 * A GET in three steps: which version is current (`versions.ts`), which of its blocks are here (`store/`), and the origin for
 * those that are not, each once (`fills.ts`). What is opened stays the version that it was opened as (S-1).
 */

import { BroadcastDealer } from '../cluster/broadcast-dealer.ts';
import { BroadcastMember } from '../cluster/broadcast-member.ts';
import { ForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { bypassesMax } from '../core/limits.ts';
import type { ObjectFact } from '../core/object.ts';
import { type Clock, DiskError, type Random } from '../io/io.ts';
import type { Budget } from '../mover/budget.ts';
import type { Emit } from '../observe/events.ts';
import type { Store } from '../store/store.ts';
import { Broadcasts } from './broadcasts.ts';
import { ChunkRound } from './chunk-round.ts';
import { CurrentVersions } from './current-versions.ts';
import { Detours } from './detours.ts';
import { explain } from './explain.ts';
import { type FillPeers, Fills } from './fills.ts';
import { Heads } from './heads.ts';
import { ListingRound } from './listing-round.ts';
import { Listings } from './listings.ts';
import { EMPTY, Opened, type OpenedParts } from './opened.ts';
import { OpenedHot } from './opened-hot.ts';
import type {
  ExplainStep,
  Listing,
  ListRequest,
  ObjectState,
  OpenObject,
  Reader,
  Selection,
  WarmOptions,
  WarmProgress,
} from './reader.ts';
import type { RecordedVersions } from './recorded.ts';
import type { Renew } from './replica-blocks.ts';
import { selectedFacts, selectedKeys } from './selection.ts';
import { Sequences } from './sequences.ts';
import { Slots } from './slots.ts';
import { Versions } from './versions.ts';
import type { VolumeSource } from './volume-source.ts';
import { warm } from './warm.ts';
import { WarmNodes } from './warm-nodes.ts';
import { WrittenListings } from './written-listings.ts';

export interface ReaderOptions {
  readonly store: Store;
  readonly volumes: ReadonlyMap<string, VolumeSource>;
  readonly clock: Clock;
  readonly random: Random;
  readonly emit: Emit;
  /** Fills under way at once; each takes up to `fillBuffersMax` MiB and what the origin's client buffers. */
  readonly fillsMax: number;
  /** What may be filled from origins; absent: without bound. */
  readonly originBudget?: Budget;
  /** Absent for a node alone. */
  readonly peers?: FillPeers;
  /** What was written here and is not, or was not lately, in the origin: asked first in volumes with `writes`. */
  readonly records?: RecordedVersions;
}

export function createReader(options: ReaderOptions): ReadThrough {
  return new ReadThrough(options);
}

export class ReadThrough implements Reader {
  readonly #options: ReaderOptions;
  readonly #versions: Versions;
  readonly #current: CurrentVersions;
  readonly #heads: Heads | undefined;
  readonly #listings: Listings;
  readonly #overlaid: WrittenListings;
  readonly #fills: Fills;
  readonly #broadcasts: Broadcasts | undefined;
  readonly #warmNodes: WarmNodes | undefined;
  readonly #parts: OpenedParts;

  constructor(options: ReaderOptions) {
    const { store, clock, emit } = options;
    this.#options = options;
    const { peers } = options;
    const detours = peers && new Detours({ cluster: peers.cluster, random: options.random });
    const source = (volume: string) => this.#source(volume);
    this.#heads =
      peers &&
      detours &&
      new Heads(peers.cluster, {
        head: (volume, key, asked) => this.#versions.headFor(this.#source(volume), key, asked),
        written: (volume, key) => this.#written(volume, key),
        detours,
        source,
      });
    this.#versions = new Versions({ store, clock, emit, heads: this.#heads });
    this.#current = new CurrentVersions({ versions: this.#versions, records: options.records, store, clock, emit });
    const rounds = peers && detours && new ListingRound(peers.cluster, { detours, source });
    this.#listings = new Listings({ clock, peers: rounds });
    this.#overlaid = new WrittenListings({ listings: this.#listings, current: this.#current, store });
    const renew: Renew = (at, fact, signal) => this.#current.renewed(at, fact, signal);
    const { fillsMax: flightsMax, originBudget: budget } = options;
    this.#fills = new Fills({ store, clock, emit, flightsMax, peers, budget, renew });
    if (peers && detours) this.#takeRounds(peers, detours);
    this.#warmNodes = peers && new WarmNodes(peers.cluster, (selection, how) => this.#warmHere(selection, how));
    this.#broadcasts = peers && this.#startBroadcasts(peers, options);
    this.#parts = {
      store,
      fills: this.#fills,
      broadcasts: this.#broadcasts,
      sequences: new Sequences(),
      bypasses: new Slots(bypassesMax),
      clock,
      emit,
      changed: (fact) => this.#versions.refused(fact),
    };
  }

  /** Fills under way. */
  get fillsInFlight(): number {
    return this.#fills.inFlight;
  }

  async open(volume: string, key: string, signal?: AbortSignal): Promise<Opened> {
    const source = this.#source(volume);
    return new Opened(this.#parts, source, await this.#current.current(source, key, signal));
  }

  openHot(volume: string, key: string): OpenObject | undefined {
    const source = this.#options.volumes.get(volume);
    // What is recorded has to be asked for first.
    if (source === undefined || this.#current.isRecorded(source)) return undefined;
    const fact = this.#versions.fresh(source, key);
    if (fact === undefined) return undefined;
    const bytes = fact.sizeBytes === 0 ? EMPTY : this.#options.store.hot(fact.content);
    return bytes && new OpenedHot(this.#options, fact, bytes);
  }

  async list(request: ListRequest, signal?: AbortSignal): Promise<Listing> {
    return this.#overlaid.list(this.#source(request.volume), request, signal);
  }

  /** A write through this node to a key took effect. */
  async written(volume: string, key: string): Promise<void> {
    this.#written(volume, key);
    await this.#heads?.written(volume, key);
  }

  #written(volume: string, key: string): void {
    this.#versions.written(volume, key);
    this.#listings.written(volume);
  }

  /** A peer begins to pull from here; returns what is called at the end. */
  serving(id: ContentId, reader: string, chunk: number): (isWhole: boolean) => void {
    this.#broadcasts?.asked(id, reader, chunk);
    return (isWhole) => this.#broadcasts?.served(id, reader, chunk, isWhole);
  }

  #startBroadcasts({ cluster }: FillPeers, { store, random }: ReaderOptions): Broadcasts {
    const broadcasts = new Broadcasts({
      cluster,
      fills: this.#fills,
      whole: (target) => store.wholeChunksOf(target.id),
      dealer: (content) => new BroadcastDealer({ ...content, random }),
      member: (content) => new BroadcastMember({ ...content, random }),
    });
    this.#fills.listener = broadcasts;
    return broadcasts;
  }

  /** Chunks go round by a peer that cannot reach the origin, or by another where this node cannot. */
  #takeRounds({ cluster }: FillPeers, detours: Detours): void {
    this.#fills.detours = new ChunkRound(cluster, {
      detours,
      fills: this.#fills,
      open: (volume, key, signal) => this.open(volume, key, signal),
    });
  }

  /** For peers that pull from here: a block that is on its way. */
  arriving(id: ContentId, block: number): Promise<void> | undefined {
    return this.#fills.arriving(id, block);
  }

  async *warm(selection: Selection, options: WarmOptions): AsyncGenerator<WarmProgress> {
    const { nodes } = options;
    this.#source(selection.volume);
    if (nodes === undefined) yield* this.#warmHere(selection, options);
    else if (this.#warmNodes !== undefined) yield* this.#warmNodes.warm(selection, { ...options, nodes });
    else throw new ForebayError('invalidArgument', 'this node is in no cluster: it has no other nodes to warm');
  }

  async *#warmHere(selection: Selection, options: { to?: string; signal: AbortSignal }): AsyncGenerator<WarmProgress> {
    const source = this.#source(selection.volume);
    const { store, clock, random } = this.#options;
    const open = (key: string, signal: AbortSignal) => this.open(selection.volume, key, signal);
    yield* warm(
      { store, clock, random, open },
      selectedKeys({ listings: this.#overlaid, store }, source, selection),
      options,
    );
  }

  async *check(selection: Selection, options: { verify: boolean; signal: AbortSignal }): AsyncGenerator<ObjectState> {
    const source = this.#source(selection.volume);
    const { store } = this.#options;
    for await (const { key } of selectedKeys({ listings: this.#overlaid, store }, source, selection)) {
      options.signal.throwIfAborted();
      const state = await this.#checkOne(selection.volume, key, options);
      if (state !== undefined) yield state;
    }
  }

  async evict(selection: Selection): Promise<{ bytes: number; kept: number }> {
    this.#source(selection.volume);
    const { store } = this.#options;
    let bytes = 0;
    let kept = 0;
    for (const fact of selectedFacts(store, selection)) {
      bytes += await store.evict(fact.content);
      kept += store.presentBytes({ id: fact.content, sizeBytes: fact.sizeBytes });
    }
    return { bytes, kept };
  }

  async pin(selection: Selection, pinned: boolean): Promise<{ objects: number }> {
    const source = this.#source(selection.volume);
    const { store } = this.#options;
    let objects = 0;
    if (!pinned) {
      // What is remembered, not what the origin lists: an object that is gone there must not stay pinned here.
      const { chunkSizeBytes } = source.volume;
      for (const { content: id, sizeBytes } of selectedFacts(store, selection)) {
        if (store.isPinned(id)) store.pin({ id, sizeBytes, chunkSizeBytes }, false);
        objects += 1;
      }
      return { objects };
    }
    for await (const { key } of selectedKeys({ listings: this.#overlaid, store }, source, selection)) {
      const opened = await this.open(selection.volume, key);
      if (opened.fact.sizeBytes > 0) store.pin(opened.target, true);
      opened.close();
      objects += 1;
    }
    return { objects };
  }

  async explain(
    volume: string,
    key: string,
  ): Promise<{ steps: readonly ExplainStep[]; state: ObjectState | undefined }> {
    const source = this.#source(volume);
    const parts = { ...this.#options, versions: this.#versions, current: this.#current };
    const open = () => this.open(volume, key);
    return explain(parts, { source, key, open, stateOf: (fact) => this.#stateOf(fact) });
  }

  /** Stops fills; openings that wait for one fail with shuttingDown. */
  async close(): Promise<void> {
    this.#fills.close();
  }

  #source(volume: string): VolumeSource {
    const source = this.#options.volumes.get(volume);
    if (source === undefined) throw new ForebayError('noSuchBucket', `there is no volume ${JSON.stringify(volume)}`);
    return source;
  }

  async #checkOne(volume: string, key: string, options: { verify: boolean }): Promise<ObjectState | undefined> {
    const { store } = this.#options;
    await this.#current.learn(this.#source(volume), key);
    const fact = store.fact(volume, key);
    if (fact === undefined) {
      return { volume, key, sizeBytes: 0, etag: '', content: '', presentBytes: 0, pinned: false, state: 'absent' };
    }
    if (options.verify) {
      await store.verify(fact.content, 'check').catch((error: unknown) => {
        if (!(error instanceof DiskError)) throw error;
        throw new ForebayError('diskUnavailable', `the cache disk failed: ${error.message}`, { cause: error });
      });
    }
    return this.#stateOf(fact);
  }

  #stateOf(fact: ObjectFact): ObjectState {
    const { store } = this.#options;
    const { volume, key, sizeBytes, etag, content } = fact;
    const presentBytes = store.presentBytes({ id: content, sizeBytes });
    const state = presentBytes === sizeBytes ? 'whole' : presentBytes === 0 ? 'absent' : 'partial';
    return { volume, key, sizeBytes, etag, content, presentBytes, pinned: store.isPinned(content), state };
  }
}
