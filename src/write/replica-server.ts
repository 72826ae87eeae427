/**
 * This node as a replica: pulls versions that other nodes write, while they write them, and seals them when they are whole.
 * What is not sealed when its writer's life ends was promised to nobody, and is dropped.
 *
 * Bounds: replicasStagedMax.
 */

import type { Cluster } from '../cluster/cluster.ts';
import { assert } from '../core/assert.ts';
import { BLOCK_SIZE_BYTES, blockCount } from '../core/chunk.ts';
import { ForebayError, isForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { replicasStagedMax, smallContentMaxBytes } from '../core/limits.ts';
import type { Json } from '../io/peers.ts';
import type { Staging } from '../store/staging.ts';
import type { DirtyKeeping } from './dirty-keeping.ts';
import {
  dropFromWire,
  fenceToWire,
  pullFromWire,
  type StageDrop,
  type StagedContent,
  type StagePull,
  type StageSeal,
  sealFromWire,
} from './stage-wire.ts';
import type { StagingStore } from './staging-store.ts';

interface Copy {
  readonly writer: string;
  readonly session: string;
  readonly opened: Promise<Staging>;
  readonly over: AbortController;
  /** Pulls under way, which end before the copy is sealed or abandoned. */
  readonly pulls: Set<Promise<void>>;
  /** A seal under way, shared by those who ask again. */
  sealing: Promise<void> | undefined;
  /** When its writer asked for that last, by its clock. */
  atUs: number;
}

export class ReplicaServer {
  readonly #cluster: Cluster;
  readonly #store: StagingStore;
  readonly #keeping: DirtyKeeping;
  readonly #copies = new Map<ContentId, Copy>();

  constructor(options: { cluster: Cluster; store: StagingStore; keeping: DirtyKeeping }) {
    const { cluster } = options;
    this.#cluster = cluster;
    this.#store = options.store;
    this.#keeping = options.keeping;
    cluster.handle('stage.pull', async (from, message) => {
      await this.#pulled(from, pullFromWire(message));
      return null;
    });
    cluster.handle('stage.seal', (from, message) => this.#sealed(from, sealFromWire(message)));
    cluster.handle('stage.drop', async (from, message) => {
      await this.#dropped(from, dropFromWire(message));
      return null;
    });
    cluster.onMembers(() => this.#look());
  }

  /** Copies in the making. */
  get size(): number {
    return this.#copies.size;
  }

  /** Ends what is under way; nothing of it is kept. */
  async close(): Promise<void> {
    await Promise.all(Array.from(this.#copies.keys(), (content) => this.#abandon(content)));
  }

  async #pulled(from: string, want: StagePull): Promise<void> {
    if (this.#store.dirty(want.content) !== undefined) return;
    const copy = this.#copyOf(from, want);
    const staging = await copy.opened;
    await this.#pull(copy, staging, want, want.lengthBytes ?? (want.first + want.count) * BLOCK_SIZE_BYTES);
  }

  /** Idempotent: a writer that did not hear the answer, or that has another life now, asks again. */
  async #sealed(from: string, want: StageSeal): Promise<Json> {
    if (!this.#cluster.mayAct())
      throw new ForebayError('sessionLost', `${this.#cluster.self} has lost its session: it promises nothing`);
    const fence = this.#cluster.fence();
    if (this.#store.dirty(want.content) === undefined) {
      const copy = this.#copyOf(from, want);
      copy.atUs = Math.max(copy.atUs, want.atUs);
      copy.sealing ??= this.#seal(from, copy, want);
      await copy.sealing;
    } else {
      this.#checkLife(from, want.session);
      this.#keeping.promised(want.content, want.note, want.atUs);
    }
    return fenceToWire(fence);
  }

  async #seal(from: string, copy: Copy, want: StageSeal): Promise<void> {
    try {
      const staging = await copy.opened;
      await Promise.allSettled(copy.pulls);
      if (want.bytes !== undefined) await staging.write(0, want.bytes);
      else await this.#pullRest(copy, staging, want);
      const sealed = await staging.sum(want.sizeBytes);
      if (sealed.table !== want.table)
        throw new ForebayError('peerCorrupt', `what was pulled of ${want.content} is not what its writer has`);
      copy.over.signal.throwIfAborted();
      await staging.seal(want.note);
      this.#copies.delete(want.content);
      this.#keeping.sealed(want.content, { writer: from, note: want.note, atUs: copy.atUs });
    } catch (error) {
      await this.#abandon(want.content);
      throw error;
    }
  }

  async #pullRest(copy: Copy, staging: Staging, want: StageSeal): Promise<void> {
    staging.sized(want.sizeBytes);
    const blocks = blockCount(want.sizeBytes);
    const chunkBlocks = want.chunkSizeBytes / BLOCK_SIZE_BYTES;
    for (let first = 0; first < blocks; ) {
      if (staging.hasBlock(first)) {
        first += 1;
        continue;
      }
      const end = Math.min(blocks, (Math.floor(first / chunkBlocks) + 1) * chunkBlocks);
      let count = 1;
      while (first + count < end && !staging.hasBlock(first + count)) count += 1;
      await this.#pull(copy, staging, { ...want, first, count }, want.sizeBytes);
      first += count;
    }
  }

  async #pull(copy: Copy, staging: Staging, want: StagePull, sizeBytes: number): Promise<void> {
    const pulling = this.#pullBlocks(copy, staging, want, sizeBytes);
    copy.pulls.add(pulling);
    await pulling.finally(() => copy.pulls.delete(pulling));
  }

  async #pullBlocks(copy: Copy, staging: Staging, want: StagePull, sizeBytes: number): Promise<void> {
    const { content, first, count } = want;
    const { mover } = this.#cluster;
    const { signal } = copy.over;
    const request = {
      content,
      first,
      count,
      sizeBytes,
      from: this.#cluster.endpoint(copy.writer),
      signal,
      isPatient: true,
    };
    if (sizeBytes < smallContentMaxBytes) {
      const onBlock = async (_block: number, _checksum: number, bytes: Uint8Array | undefined) => {
        assert(bytes !== undefined, 'a pull without a file hands over its bytes');
        await staging.write(0, bytes);
      };
      await mover.pull({ ...request, into: undefined, onBlock });
      return;
    }
    const receiving = await staging.receive(first);
    const onBlock = (block: number, checksum: number) => receiving.stored(block, checksum, staging.reservation);
    await mover.pull({ ...request, into: receiving.file, onBlock }).finally(() => receiving.close());
  }

  #copyOf(from: string, what: StagedContent): Copy {
    this.#checkLife(from, what.session);
    const known = this.#copies.get(what.content);
    if (known !== undefined) {
      if (known.writer !== from || known.session !== what.session)
        throw new ForebayError('conflict', `a copy of ${what.content} is under way for another life of its writer`);
      return known;
    }
    this.#keeping.checkTakesMore();
    if (this.#copies.size >= replicasStagedMax)
      throw new ForebayError('overloaded', `${replicasStagedMax} copies are under way at ${this.#cluster.self}`);
    const over = new AbortController();
    const { content: id, chunkSizeBytes, lengthBytes, session } = what;
    const opened = this.#store.stage({
      id,
      chunkSizeBytes,
      onFull: 'fail',
      isCopy: true,
      signal: over.signal,
      ...(lengthBytes !== undefined && { lengthBytes }),
    });
    opened.catch(() => this.#copies.delete(id));
    const copy: Copy = { writer: from, session, opened, over, pulls: new Set(), sealing: undefined, atUs: 0 };
    this.#copies.set(id, copy);
    return copy;
  }

  /** A life that this node does not know of, or no longer: what it asks for might never be let go again. */
  #checkLife(node: string, session: string): void {
    if (this.#cluster.member(node)?.session !== session)
      throw new ForebayError('sessionLost', `${this.#cluster.self} does not know this life of ${node}`);
  }

  async #dropped(from: string, { content, session, atUs }: StageDrop): Promise<void> {
    const copy = this.#copies.get(content);
    if (copy === undefined) await this.#keeping.unpromised(content, session, atUs);
    // one that was asked for again after this is wanted
    else if (copy.writer === from && copy.atUs < atUs) await this.#abandon(content);
  }

  #look(): void {
    for (const [content, { writer, session }] of this.#copies)
      if (this.#cluster.member(writer)?.session !== session) void this.#abandon(content);
  }

  async #abandon(content: ContentId): Promise<void> {
    const copy = this.#copies.get(content);
    if (copy === undefined) return;
    this.#copies.delete(content);
    copy.over.abort(new ForebayError('shuttingDown', `the copy of ${content} is given up`));
    try {
      const staging = await copy.opened;
      await Promise.allSettled(copy.pulls);
      staging.abandon();
    } catch (error) {
      if (!isForebayError(error)) throw error;
    }
  }
}
