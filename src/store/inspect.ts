/** Reads a cache directory without opening it: what `forebay inspect` prints. Changes nothing and needs no lock. */
import { ForebayError } from '../core/errors.ts';
import type { ContentId } from '../core/ids.ts';
import type { ObjectFact } from '../core/object.ts';
import { type Disk, DiskError } from '../io/io.ts';
import type { JournalRecord } from './journal-record.ts';
import { replayJournal } from './journal-replay.ts';
import { Layout } from './layout.ts';
import { StoreIndex } from './store-index.ts';

export interface InspectedContent {
  readonly id: ContentId;
  readonly sizeBytes: number;
  readonly presentBlocks: number;
  readonly kind: 'file' | 'packed';
  readonly fileBytes: number | undefined;
}

export interface Inspection {
  readonly directory: string;
  readonly format: string;
  /** The boot that the last daemon here ran in. */
  readonly bootId: string;
  readonly journal: {
    readonly records: Readonly<Record<JournalRecord['type'], number>>;
    readonly bytes: number;
    readonly lostBytes: number;
  };
  readonly contents: number;
  readonly smallContents: number;
  readonly facts: number;
  /** Keys of each kv volume. */
  readonly values: Readonly<Record<string, number>>;
  readonly presentBytes: number;
  /** Contents that are not in the origin, and contents whose writing had not ended. */
  readonly dirty: readonly {
    readonly id: ContentId;
    readonly volume: string;
    readonly key: string;
    readonly sizeBytes: number;
  }[];
  readonly unsealed: number;
  readonly orphans: readonly string[];
  /** What was asked for, by content id or by key; else nothing. */
  readonly found: readonly { readonly fact: ObjectFact | undefined; readonly content: InspectedContent | undefined }[];
}

class CountedIndex extends StoreIndex {
  readonly seen: Record<JournalRecord['type'], number> = {
    boot: 0,
    blocks: 0,
    absent: 0,
    gone: 0,
    small: 0,
    fact: 0,
    forgotten: 0,
    flags: 0,
    end: 0,
    staged: 0,
    dirty: 0,
    clean: 0,
    value: 0,
    valueGone: 0,
  };

  override apply(record: JournalRecord): void {
    this.seen[record.type] += 1;
    super.apply(record);
  }
}

/** `wanted` is a content id or a key. Throws config when the directory is no cache directory. */
export async function inspectDirectory(disk: Disk, directory: string, wanted?: string): Promise<Inspection> {
  const layout = new Layout(directory);
  const format = await readFormat(disk, layout);
  const newIndex = () => new CountedIndex({ bootId: '', factBytesMax: Number.POSITIVE_INFINITY });
  const replayed = await replayJournal(disk, layout.journal, newIndex, () => undefined);
  const index = replayed.into;
  const unsealed = index.settle({ unverified: false });
  index.values.settle();
  const orphans = (await disk.list(layout.orphans)).map((entry) => entry.name);
  return {
    directory,
    format,
    bootId: index.replayedBootId,
    journal: { records: index.seen, bytes: replayed.bytes, lostBytes: replayed.lostBytes },
    contents: index.contents.count,
    smallContents: index.smallContents,
    facts: index.facts.count,
    values: Object.fromEntries(Array.from(index.values.tables, ([volume, table]) => [volume, table.count])),
    presentBytes: index.presentBytes,
    dirty: dirtyOf(index),
    unsealed: unsealed.length,
    orphans,
    found: wanted === undefined ? [] : await find(disk, layout, index, wanted),
  };
}

function dirtyOf(index: StoreIndex): Inspection['dirty'] {
  const found = Array.from(index.contents.rows(), (row) => index.dirtyContent(row));
  return found
    .filter((content) => content !== undefined)
    .map(({ id, volume, key, sizeBytes }) => ({ id, volume, key, sizeBytes }));
}

async function find(disk: Disk, layout: Layout, index: StoreIndex, wanted: string): Promise<Inspection['found']> {
  const facts = [...index.facts.all()].filter((fact) => fact.key === wanted || fact.content === wanted);
  if (facts.length === 0) {
    const content = await contentOf(disk, layout, index, wanted as ContentId);
    return content === undefined ? [] : [{ fact: undefined, content }];
  }
  return Promise.all(
    facts.map(async (fact) => ({ fact, content: await contentOf(disk, layout, index, fact.content) })),
  );
}

async function contentOf(
  disk: Disk,
  layout: Layout,
  index: StoreIndex,
  id: ContentId,
): Promise<InspectedContent | undefined> {
  const row = index.contents.find(id);
  if (row === undefined) return undefined;
  const small = index.contents.isSmall(row);
  const stat = small ? undefined : await disk.stat(layout.data(id));
  return {
    id,
    sizeBytes: index.contents.sizeBytes(row),
    presentBlocks: index.contents.presentBlocks(row),
    kind: small ? 'packed' : 'file',
    fileBytes: stat?.allocatedBytes,
  };
}

async function readFormat(disk: Disk, layout: Layout): Promise<string> {
  try {
    const file = await disk.open(layout.format);
    return await file
      .read(0, 256)
      .then((bytes) => Buffer.from(bytes).toString('utf8').trim())
      .finally(() => file.close());
  } catch (error) {
    if (error instanceof DiskError && error.code === 'ENOENT') {
      throw new ForebayError('config', `${layout.directory} is not a Forebay cache directory: it has no FORMAT`, {
        cause: error,
      });
    }
    throw error;
  }
}
