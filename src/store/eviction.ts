/**
 * Makes room. Victims come from SIEVE; what is pinned, leased, held open by a fill or being read is passed over. The order
 * is that of DESIGN.md section 4: journal "absent", wait until that is written, then punch, unlink or remove the pack. A
 * victim that is a small content takes its pack with it; what was used lately in that pack moves to the current one.
 *
 * Bounds:  one pass at a time; `victimsMax` chunks per pass.
 * Crash:   after the journal entry the bytes count as absent, whether or not they were removed (`reconcile.ts`).
 */
import { blockCount } from '../core/chunk.ts';
import type { ContentId } from '../core/ids.ts';
import type { Clock, Disk } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import { CHUNK_VISITED, type ChunkRow } from './chunk-table.ts';
import { type ContentRow, FLAG_LENT } from './content-table.ts';
import type { HotCache } from './hot-cache.ts';
import type { Packs } from './packs.ts';
import type { Removal } from './removal.ts';
import { Sieve } from './sieve.ts';
import type { StoreIndex } from './store-index.ts';

const victimsMax = 64;

export interface EvictionOptions {
  readonly index: StoreIndex;
  readonly packs: Packs;
  readonly removal: Removal;
  readonly hot: HotCache<ContentId>;
  readonly disk: Disk;
  readonly clock: Clock;
  readonly emit: Emit;
  /** Writes a small content that stays once more, into the current pack. */
  readonly move: (row: ContentRow, chunk: ChunkRow) => Promise<void>;
}

export class Eviction {
  readonly #options: EvictionOptions;
  readonly #sieve: Sieve;
  #running: Promise<number> | undefined;

  constructor(options: EvictionOptions) {
    this.#options = options;
    this.#sieve = new Sieve(options.index.chunks);
  }

  /** Frees up to about `bytes`; calls that overlap share a pass. Returns the bytes freed, 0 when nothing may be evicted. */
  pass(bytes: number): Promise<number> {
    this.#running ??= this.#pass(bytes).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  /** Whether nothing forbids to evict this chunk. */
  mayEvict(chunk: ChunkRow): boolean {
    const { index, clock, disk } = this.#options;
    const row = index.chunks.content(chunk);
    if (index.chunks.uses(chunk) > 0 || index.chunks.present(chunk) === 0) return false;
    if (index.contents.isKept(row) || index.contents.leaseUntilMs(row) > clock.boottimeMs()) return false;
    if (index.contents.isSmall(row)) {
      const { pack } = index.chunks.place(chunk);
      return !index.isPackWritten(pack) && this.#options.packs.mayRemove(pack);
    }
    const onlyWhole = index.contents.has(row, FLAG_LENT) || !disk.canPunch;
    return !onlyWhole || index.contents.holds(row) === 0;
  }

  async #pass(bytes: number): Promise<number> {
    const { index, removal, hot } = this.#options;
    hot.nextRound();
    const orphans = await removal.dropOrphans();
    if (orphans > 0) return orphans;
    const work: Promise<number>[] = [];
    let planned = 0;
    for (let victims = 0; victims < victimsMax && planned < bytes; victims += 1) {
      const chunk = this.#sieve.next((candidate) => this.mayEvict(candidate));
      if (chunk === undefined) break;
      const row = index.chunks.content(chunk);
      if (index.contents.isSmall(row)) {
        // A pack is read and rewritten as a whole: one at a time, and alone.
        if (work.length === 0) work.push(this.#evictPack(index.chunks.place(chunk).pack));
        break;
      }
      const removed = this.evictChunk(chunk);
      planned += removed.bytes;
      work.push(removed.done);
    }
    return (await Promise.all(work)).reduce((sum, freed) => sum + freed, 0);
  }

  /** Evicts one chunk, or its whole content where only that is allowed. `mayEvict` holds. */
  evictChunk(chunk: ChunkRow): { bytes: number; done: Promise<number> } {
    const { index, disk, removal, emit } = this.#options;
    const row = index.chunks.content(chunk);
    const id = index.contents.id(row);
    const whole = index.contents.has(row, FLAG_LENT) || !disk.canPunch;
    const chunkBlocks = index.contents.chunkBlocks(row);
    const first = whole ? 0 : index.chunks.index(chunk) * chunkBlocks;
    const count = whole ? blockCount(index.contents.sizeBytes(row)) : chunkBlocks;
    const removed = removal.removeBlocks(row, { first, count });
    emit({ kind: 'store.dropped', content: id, bytes: removed.bytes, reason: 'evict' });
    return removed;
  }

  /** Evicts what nothing forbids to evict of a content; returns the bytes freed. */
  async content(row: ContentRow): Promise<number> {
    const { index, removal, emit } = this.#options;
    const id = index.contents.id(row);
    let freed = 0;
    if (index.contents.isSmall(row)) {
      const chunk = index.chunks.find(row, 0);
      if (chunk === undefined || !this.mayEvict(chunk)) return 0;
      freed = removal.removeSmall(row).bytes;
      emit({ kind: 'store.dropped', content: id, bytes: freed, reason: 'caller' });
      return freed;
    }
    const work: Promise<number>[] = [];
    for (const chunk of Array.from(index.chunksOf(row))) {
      if (!index.chunks.isLive(chunk) || !index.contents.isLive(row) || !this.mayEvict(chunk)) continue;
      const removed = this.evictChunk(chunk);
      freed += removed.bytes;
      work.push(removed.done);
    }
    await Promise.all(work);
    return freed;
  }

  async #evictPack(pack: number): Promise<number> {
    const { index, removal, emit } = this.#options;
    const rows = [...index.chunks.rows()].filter((chunk) => {
      const row = index.chunks.content(chunk);
      return (
        index.contents.isSmall(row) && index.chunks.present(chunk) !== 0 && index.chunks.place(chunk).pack === pack
      );
    });
    const spared = new Set(this.#sieve.spared);
    for (const chunk of rows) {
      if (!index.chunks.isLive(chunk)) continue;
      const row = index.chunks.content(chunk);
      // Written meanwhile: its place was synced, and stays.
      if (index.contents.isWritten(row)) continue;
      const stays = spared.has(chunk) || index.chunks.has(chunk, CHUNK_VISITED) || !this.mayEvict(chunk);
      if (stays) {
        index.chunks.set(chunk, CHUNK_VISITED, false);
        await this.#options.move(row, chunk);
      } else {
        const id = index.contents.id(row);
        const { bytes } = removal.removeSmall(row);
        emit({ kind: 'store.dropped', content: id, bytes, reason: 'evict' });
      }
    }
    return (index.packLive.get(pack) ?? 0) === 0 ? removal.removePack(pack) : 0;
  }
}
