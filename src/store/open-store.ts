/** Opens a cache directory: lock, layout, replay, then the store over what is there. */
import { crc32 } from 'node:zlib';
import { blockCount } from '../core/chunk.ts';
import { ForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import { MiB, openFilesMax } from '../core/limits.ts';
import { type Disk, DiskError } from '../io/io.ts';
import { CHUNK_VISITED, type ChunkRow } from './chunk-table.ts';
import { type ContentRow, FLAG_LENT, FLAG_VALUE } from './content-table.ts';
import { DiskHealth } from './disk-health.ts';
import { Eviction } from './eviction.ts';
import { HotCache } from './hot-cache.ts';
import { Journal } from './journal.ts';
import { replayJournal } from './journal-replay.ts';
import { checkFormat, Format, Layout, makeLayout } from './layout.ts';
import { OpenFiles } from './open-files.ts';
import { Packs, packNumber } from './packs.ts';
import { reconcile } from './reconcile.ts';
import { Removal } from './removal.ts';
import { scrub } from './scrubber.ts';
import { Space } from './space.ts';
import { Store, type StoreOptions } from './store.ts';
import { StoreIndex, smallFootprintBytes } from './store-index.ts';
import type { StoreParts } from './store-parts.ts';
import { recoverTables } from './table-recovery.ts';
import { ValueBytes } from './value-bytes.ts';
import { Verification } from './verification.ts';

const packMaxBytes = 64 * MiB;
const journalReserveBytes = 2 * MiB;

/**
 * Opens `options.directory`, which is made when missing. Throws locked when another daemon uses it, formatTooNew when a
 * newer Forebay wrote it, DiskError when the disk fails.
 */
export async function openStore(options: StoreOptions): Promise<Store> {
  const { disk, clock, emit } = options;
  const begunMs = clock.boottimeMs();
  const layout = new Layout(options.directory);
  await makeLayout(disk, layout);
  const lock = await disk.lock(layout.lock);
  if (lock === undefined) throw new ForebayError('locked', `another daemon uses ${options.directory}`);
  try {
    const formatVersion = await checkFormat(disk, layout);
    const newIndex = () => new StoreIndex({ bootId: clock.bootId, factBytesMax: options.factBytes });
    const replayed = await replayJournal(disk, layout.journal, newIndex, emit);
    const index = replayed.into;
    const unclean = replayed.lostBytes > 0 || index.replayedBootId !== clock.bootId;
    const recovered = replayed.lostWithin ? await recoverTables(disk, layout, index) : [];
    const unsealed = index.settle({ unverified: replayed.lostBytes > 0 });
    const packLengths = await listPacks(options, layout);
    dropLostPacks(index, packLengths);
    unsealed.push(...index.values.settle());
    index.values.begin(clock);
    const { parts, store } = assemble(options, layout, {
      index,
      lock,
      packLengths,
      segment: replayed.nextSegment,
      formatVersion,
    });
    parts.journal.append({ type: 'boot', bootId: clock.bootId, wallMs: clock.wallMs() });
    journalRecovered(parts, recovered);
    dropUnsealed(parts, disk, unsealed);
    unlinkLost(parts);
    takeSpace(parts, packLengths);
    await fillReserve(options, layout);
    store.start((signal) =>
      Promise.all([
        reconcile(parts, layout, { disk, clock, emit, signal }),
        store.values.removeDeadPacks(),
        options.scrubBytesPerS > 0 ? scrub(parts, { clock, bytesPerS: options.scrubBytesPerS, signal }) : undefined,
      ]),
    );
    emit({
      kind: 'store.opened',
      contents: index.contents.count,
      bytes: index.presentBytes,
      ms: clock.boottimeMs() - begunMs,
      unclean,
    });
    return store;
  } catch (error) {
    await lock.release();
    throw error;
  }
}

async function listPacks(options: StoreOptions, layout: Layout): Promise<Map<number, number>> {
  const lengths = new Map<number, number>();
  for (const { name } of await options.disk.list(layout.small)) {
    const number = packNumber(name);
    const stat = number >= 0 ? await options.disk.stat(`${layout.small}/${name}`) : undefined;
    if (stat !== undefined) lengths.set(number, stat.sizeBytes);
  }
  return lengths;
}

/** Forgets small contents whose pack is not there, or ends before them. */
function dropLostPacks(index: StoreIndex, lengths: ReadonlyMap<number, number>): void {
  for (const chunk of index.chunks.rows()) {
    const row = index.chunks.content(chunk);
    if (!index.contents.isSmall(row)) continue;
    const { pack, offset } = index.chunks.place(chunk);
    if (offset + smallFootprintBytes(index.contents.sizeBytes(row)) <= (lengths.get(pack) ?? 0)) continue;
    index.clearBlock(row, 0);
    // What names it goes with it (`ValueIndex.settle`).
    if (index.contents.has(row, FLAG_VALUE)) continue;
    index.setClean(row);
    index.removeContent(row);
  }
}

/** The damaged journal does not say what the tables did. */
function journalRecovered(parts: StoreParts, recovered: readonly ContentId[]): void {
  const { index, journal } = parts;
  for (const id of recovered) {
    const row = index.contents.find(id);
    const dirty = row === undefined ? undefined : index.dirtyRecord(row);
    if (row === undefined || dirty === undefined) continue;
    for (const record of Array.from(index.presenceRecords(row))) journal.append(record, true);
    journal.append(dirty, true);
  }
}

/** A linked file whose bytes were found wrong, and which was not unlinked any more: it is not ours to write into. */
function unlinkLost({ index, journal, removal }: StoreParts): void {
  for (const row of index.contents.rows()) {
    if (!index.contents.has(row, FLAG_LENT) || !index.contents.isWritten(row)) continue;
    if (index.contents.presentBlocks(row) > 0) continue;
    index.contents.set(row, FLAG_LENT, false);
    const id = index.contents.id(row);
    void removal.removeFile(id).then(() => {
      const now = index.contents.find(id);
      if (now !== undefined) journal.append(index.flagsRecord(now));
    });
  }
}

/** What was being written when the daemon before died: nobody was told that it is safe. */
function dropUnsealed(parts: StoreParts, disk: Disk, unsealed: readonly ContentId[]): void {
  for (const id of unsealed) {
    parts.journal.append({ type: 'gone', id });
    void parts.removal.removeFile(id);
    void disk.unlink(parts.layout.table(id)).catch(() => undefined);
  }
}

function takeSpace(parts: StoreParts, packLengths: ReadonlyMap<number, number>): void {
  const { index, space } = parts;
  let bytes = 0;
  for (const row of index.contents.rows()) {
    if (index.contents.isSmall(row)) continue;
    for (const chunk of index.chunksOf(row)) {
      const first = index.chunks.index(chunk) * index.contents.chunkBlocks(row);
      for (
        let block = 0;
        block < index.contents.chunkBlocks(row) && first + block < blockCount(index.contents.sizeBytes(row));
        block += 1
      ) {
        if (index.chunks.hasBlock(chunk, block)) bytes += index.blockLength(row, first + block);
      }
    }
  }
  for (const length of packLengths.values()) bytes += length;
  space.take(bytes);
}

function assemble(
  options: StoreOptions,
  layout: Layout,
  from: {
    index: StoreIndex;
    lock: StoreParts['lock'];
    packLengths: ReadonlyMap<number, number>;
    segment: number;
    formatVersion: number;
  },
): { parts: StoreParts; store: Store } {
  const { disk, clock, emit } = options;
  const { index } = from;
  const dataPath = layout.data.bind(layout);
  const space = new Space(options.capacityBytes);
  const health = new DiskHealth({ disk, clock, space, directory: options.directory, emit });
  const files = new OpenFiles(disk, openFilesMax);
  const hot = new HotCache<ContentId>(options.hotBytes, (id) => {
    const row = index.contents.find(id);
    const chunk = row === undefined ? undefined : index.chunks.find(row, 0);
    if (chunk !== undefined) index.chunks.set(chunk, CHUNK_VISITED, true);
  });
  const journal = new Journal({
    disk,
    clock,
    directory: layout.journal,
    segment: from.segment,
    onFull: () => disk.unlink(layout.reserve),
  });
  const packs = new Packs({
    disk,
    files,
    directory: layout.small,
    packMaxBytes: Math.min(packMaxBytes, Math.max(MiB, options.capacityBytes / 64)),
    lengths: from.packLengths,
  });
  const valueBytes = new ValueBytes(options.valueHotBytes ?? 0);
  const removal = new Removal({ index, journal, packs, files, space, hot, valueBytes, disk, clock, dataPath });
  const released = (row: ContentRow) => store.released(row);
  const damaged = (row: ContentRow) => store.values.damaged(row);
  const verification = new Verification({
    index,
    files,
    packs,
    removal,
    disk,
    health,
    dataPath,
    released,
    damaged,
    emit,
  });
  const move = (row: ContentRow, chunk: ChunkRow) =>
    moveSmall({ index, packs, space, journal, health, verification }, row, chunk);
  const eviction = new Eviction({ index, packs, removal, hot, disk, clock, emit, move });
  const parts: StoreParts = {
    index,
    journal,
    packs,
    files,
    space,
    hot,
    health,
    removal,
    eviction,
    verification,
    lock: from.lock,
    layout,
    format: new Format(disk, layout, from.formatVersion),
    valueBytes,
    dataPath,
  };
  const store = new Store(parts, options);
  return { parts, store };
}

/** Writes a small content into the current pack, when its bytes are right; where they are not, drops it. */
async function moveSmall(
  parts: Pick<StoreParts, 'index' | 'packs' | 'space' | 'journal' | 'health' | 'verification'>,
  row: ContentRow,
  chunk: ChunkRow,
): Promise<void> {
  const { index, packs, space, journal, health, verification } = parts;
  const from = index.chunks.place(chunk);
  const expected = { sizeBytes: index.contents.sizeBytes(row), checksum: index.chunks.checksum(chunk, 0) };
  const isStill = () => {
    if (!index.chunks.isLive(chunk) || index.chunks.content(chunk) !== row || index.chunks.present(chunk) === 0)
      return false;
    const now = index.chunks.place(chunk);
    return now.pack === from.pack && now.offset === from.offset;
  };
  const bytes = await health.run(() => packs.read(from, expected));
  if (!isStill()) return;
  if (bytes === undefined) {
    verification.dropBlock(row, 0, 'read');
    return;
  }
  const place = await health.run(() => packs.append(index.contents.id(row), bytes, crc32(bytes)));
  try {
    space.take(smallFootprintBytes(bytes.length));
    if (!isStill()) return;
    journal.append(index.smallRecord(row, index.setSmall(row, expected.checksum, place)));
  } finally {
    place.settle();
  }
}

/** Keeps some space back for the journal; without room for it the disk is full already, and it is made another time. */
async function fillReserve(options: StoreOptions, layout: Layout): Promise<void> {
  try {
    const bytes = Math.min(journalReserveBytes, options.capacityBytes / 16);
    const stat = await options.disk.stat(layout.reserve);
    if ((stat?.sizeBytes ?? 0) >= bytes) return;
    const file = await options.disk.open(layout.reserve, { write: true, create: true });
    // Not zeros: some file systems would store those as a hole, which keeps nothing back.
    await file.write(0, Buffer.alloc(bytes, 'forebay')).finally(() => file.close());
  } catch (error) {
    if (!(error instanceof DiskError)) throw error;
  }
}
