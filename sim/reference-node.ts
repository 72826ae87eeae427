/**
 * The simplest reader that keeps its promises, over the real store: one request to the origin per block, no read-ahead,
 * no listing cache. It validates the harness and the store; the product's reader is `src/read/read.ts`.
 */
import { BLOCK_SIZE_BYTES, blockRange } from '../src/core/chunk.ts';
import { ForebayError } from '../src/core/errors.ts';
import { originContentId } from '../src/core/ids.ts';
import { smallContentMaxBytes } from '../src/core/limits.ts';
import type { ObjectFact, ObjectVersion } from '../src/core/object.ts';
import type { Range } from '../src/core/range.ts';
import { DiskError } from '../src/io/io.ts';
import type { ExplainStep, OpenObject, Piece, Reader } from '../src/read/reader.ts';
import { openStore } from '../src/store/open-store.ts';
import { type ContentShape, type Store, smallFootprintBytes } from '../src/store/store.ts';
import type { NodeStart, SimNode } from './sim-node.ts';

export async function startReferenceNode(start: NodeStart): Promise<SimNode> {
  const { disk, clock, random, directory, capacityBytes, hotBytes, emit } = start;
  const { scrubBytesPerS } = start;
  const store = await openStore({
    disk,
    clock,
    random,
    directory,
    capacityBytes,
    hotBytes,
    factBytes: 1 << 20,
    scrubBytesPerS,
    emit,
  });
  return { reader: new ReferenceReader(start, store), status: () => store.status, close: () => store.close() };
}

class ReferenceReader implements Reader {
  readonly #start: NodeStart;
  readonly #store: Store;
  readonly #fills = new Map<string, Promise<Uint8Array>>();
  /** Blocks had before, by content and index: to be had again, they are counted. */
  readonly #had = new Set<string>();
  #writes = 0;

  constructor(start: NodeStart, store: Store) {
    this.#start = start;
    this.#store = store;
  }

  async #retry<T>(signal: AbortSignal | undefined, request: (signal: AbortSignal) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      const idle = new AbortController();
      const timer = new AbortController();
      this.#start.clock
        .sleep(30_000, timer.signal)
        .then(() => idle.abort(new ForebayError('originUnavailable', 'no answer')))
        .catch(() => undefined);
      try {
        return await request(signal ? AbortSignal.any([signal, idle.signal]) : idle.signal);
      } catch (error) {
        const again = error instanceof ForebayError && error.row.retry && error.code !== 'versionChanged';
        if (!again || attempt === 6 || signal?.aborted) throw error;
        await this.#start.clock.sleep(100 * attempt, signal);
      } finally {
        timer.abort();
      }
    }
  }

  async #fact(key: string, signal?: AbortSignal): Promise<{ fact: ObjectFact; stale: boolean }> {
    const { volume, origin, clock } = this.#start;
    const known = this.#store.fact(volume.name, key);
    const askedMs = clock.boottimeMs();
    if (known && askedMs - known.checkedMs <= volume.revalidateMs && volume.revalidateMs > 0) {
      return { fact: known, stale: false };
    }
    const writes = this.#writes;
    let version: ObjectVersion | undefined;
    try {
      version = await this.#retry(signal, (each) => origin.head(key, { signal: each }));
    } catch (error) {
      const now = this.#store.fact(volume.name, key);
      if (!now || clock.boottimeMs() - now.checkedMs > volume.staleIfErrorMs) throw error;
      return { fact: now, stale: true };
    }
    if (writes !== this.#writes) return this.#fact(key, signal);
    const before = this.#store.fact(volume.name, key);
    if (before && before.etag !== version?.etag) this.#store.drop(before.content, 'stale');
    if (!version) {
      this.#store.dropFact(volume.name, key);
      throw new ForebayError('noSuchKey', key);
    }
    const content = originContentId({ volume: volume.name, key, etag: version.etag });
    const fact = { ...version, volume: volume.name, content, doorEtag: `"${content}-1"`, checkedMs: askedMs };
    if (before?.etag === fact.etag) this.#store.touchFact(before, askedMs);
    else this.#store.setFact(fact);
    return { fact, stale: false };
  }

  async open(_volume: string, key: string, signal?: AbortSignal): Promise<OpenObject> {
    const { fact, stale } = await this.#fact(key, signal);
    const shape = this.#shape(fact);
    const hold = fact.sizeBytes > 0 ? this.#store.hold(shape) : undefined;
    return {
      fact,
      stale,
      hot: undefined,
      pieces: (range, each) => this.#pieces(fact, shape, range, each),
      close: () => hold?.release(),
    };
  }

  #shape(fact: ObjectFact): ContentShape {
    return { id: fact.content, sizeBytes: fact.sizeBytes, chunkSizeBytes: this.#start.volume.chunkSizeBytes };
  }

  async *#pieces(fact: ObjectFact, shape: ContentShape, range: Range, signal: AbortSignal): AsyncGenerator<Piece> {
    const verify = this.#start.volume.verify === 'always';
    for (let at = range.start; at < range.end; ) {
      signal.throwIfAborted();
      const rest = { start: at, end: range.end };
      const piece = await this.#store.acquire(shape.id, rest, { verify }).catch(ignoringDisk);
      if (piece) {
        at += piece.kind === 'file' ? piece.range.end - piece.range.start : piece.bytes.length;
        yield piece;
        continue;
      }
      const block = Math.floor(at / BLOCK_SIZE_BYTES);
      const bytes = await this.#fill(fact, shape, block);
      const from = at - block * BLOCK_SIZE_BYTES;
      const part = bytes.subarray(from, Math.min(bytes.length, from + range.end - at));
      at += part.length;
      yield { kind: 'bytes', bytes: part, release: () => undefined };
    }
  }

  #fill(fact: ObjectFact, shape: ContentShape, block: number): Promise<Uint8Array> {
    const name = `${shape.id} ${block}`;
    const running = this.#fills.get(name);
    if (running) return running;
    const filling = this.#fillBlock(fact, shape, block).finally(() => this.#fills.delete(name));
    this.#fills.set(name, filling);
    return filling;
  }

  async #fillBlock(fact: ObjectFact, shape: ContentShape, block: number): Promise<Uint8Array> {
    const { origin, emit } = this.#start;
    const range = blockRange(block, shape.sizeBytes);
    const length = range.end - range.start;
    const name = `${shape.id} ${block}`;
    const bytes = await this.#retry(undefined, async (signal) => {
      const pieces: Uint8Array[] = [];
      if (this.#had.has(name)) {
        emit({ kind: 'origin.refill', volume: fact.volume, reason: 'evicted', bytes: length });
      }
      const body = await origin.get(fact.key, { etag: fact.etag, range, signal });
      for await (const piece of body) pieces.push(piece);
      return Buffer.concat(pieces);
    });
    this.#had.add(name);
    const hold = this.#store.hold(shape);
    try {
      const isSmall = shape.sizeBytes < smallContentMaxBytes;
      const reservation = await this.#store.reserve(isSmall ? smallFootprintBytes(length) : length);
      if (!reservation) return bytes;
      try {
        if (isSmall) await this.#store.putSmall(shape, bytes, reservation);
        else await this.#store.putBlock(shape, block, bytes, reservation);
      } finally {
        reservation.release();
      }
    } catch (error) {
      ignoringDisk(error);
    } finally {
      hold.release();
    }
    return bytes;
  }

  openHot(): undefined {
    return undefined;
  }

  written(volume: string, key: string): void {
    this.#writes++;
    const before = this.#store.fact(volume, key);
    if (before) this.#store.drop(before.content, 'stale');
    this.#store.dropFact(volume, key);
  }

  async list(request: Parameters<Reader['list']>[0]): ReturnType<Reader['list']> {
    const { volume: _, ...options } = request;
    const page = await this.#retry(undefined, (signal) => this.#start.origin.list({ ...options, signal }));
    return { ...page, objects: page.objects.map((each) => ({ ...each, doorEtag: each.etag })), stale: false };
  }

  #selected(selection: Parameters<Reader['evict']>[0]): ObjectFact[] {
    const { key, prefix = '' } = selection;
    return [...this.#store.facts()].filter((fact) =>
      key === undefined ? fact.key.startsWith(prefix) : fact.key === key,
    );
  }

  async *warm(selection: Parameters<Reader['warm']>[0]): ReturnType<Reader['warm']> {
    for (const { key } of this.#selected(selection)) {
      const object = await this.open('', key);
      try {
        const range = { start: 0, end: object.fact.sizeBytes };
        for await (const piece of object.pieces(range, new AbortController().signal)) piece.release();
      } finally {
        object.close();
      }
    }
    yield { objects: 0, objectsDone: 0, bytes: 0, bytesDone: 0, failed: [] };
  }

  async *check(selection: Parameters<Reader['check']>[0], options: { verify: boolean }): ReturnType<Reader['check']> {
    for (const fact of this.#selected(selection)) {
      const hold = fact.sizeBytes > 0 ? this.#store.hold(this.#shape(fact)) : undefined;
      try {
        if (options.verify) await this.#store.verify(fact.content, 'check').catch(ignoringDisk);
      } finally {
        hold?.release();
      }
      yield this.#state(fact);
    }
  }

  #state(fact: ObjectFact) {
    const presentBytes = this.#store.presentBytes({ id: fact.content, sizeBytes: fact.sizeBytes });
    const isWhole = presentBytes === fact.sizeBytes;
    const state = isWhole ? ('whole' as const) : presentBytes > 0 ? ('partial' as const) : ('absent' as const);
    return { ...fact, presentBytes, pinned: this.#store.isPinned(fact.content), state };
  }

  async evict(selection: Parameters<Reader['evict']>[0]): ReturnType<Reader['evict']> {
    let [bytes, kept] = [0, 0];
    for (const fact of this.#selected(selection)) {
      bytes += await this.#store.evict(fact.content);
      if (this.#store.presentBytes({ id: fact.content, sizeBytes: fact.sizeBytes }) > 0) kept++;
    }
    return { bytes, kept };
  }

  async pin(selection: Parameters<Reader['pin']>[0], pinned: boolean): ReturnType<Reader['pin']> {
    const facts = this.#selected(selection).filter(({ sizeBytes }) => sizeBytes > 0);
    for (const fact of facts) this.#store.pin(this.#shape(fact), pinned);
    return { objects: facts.length };
  }

  async explain(volume: string, key: string): ReturnType<Reader['explain']> {
    const fact = this.#store.fact(volume, key);
    return { steps: [] as ExplainStep[], state: fact && this.#state(fact) };
  }
}

function ignoringDisk(error: unknown): undefined {
  const isDisk = error instanceof ForebayError && (error.code === 'diskFull' || error.code === 'diskUnavailable');
  if (error instanceof DiskError || isDisk) return undefined;
  throw error;
}
