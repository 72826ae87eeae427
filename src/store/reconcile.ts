/**
 * Brings the files of `objects/` in line with the index after a start, in the background: files without a content move to
 * `orphans/`, where they wait; space that a killed daemon left allocated beyond what the index knows is punched out.
 */
import { BLOCK_SIZE_BYTES, blockCount } from '../core/chunk.ts';
import type { ContentId } from '../core/ids.ts';
import { MiB } from '../core/limits.ts';
import { type Clock, type Disk, DiskError } from '../io/io.ts';
import type { Emit } from '../observe/events.ts';
import { type ContentRow, FLAG_LENT, FLAG_STAGED, FLAG_VALUE } from './content-table.ts';
import { Layout } from './layout.ts';
import type { StoreParts } from './store-parts.ts';

/** File systems allocate a little more than is written: extents, metadata. */
const allocationSlackBytes = MiB / 4;
const orphanCheckMs = 3600_000;

interface Around {
  readonly disk: Disk;
  readonly clock: Clock;
  readonly emit: Emit;
  readonly signal: AbortSignal;
}

export async function reconcile(parts: StoreParts, layout: Layout, around: Around): Promise<void> {
  await ignoringDisk(() => listOrphans(parts, layout, around));
  for (const { name: fan } of (await ignoringDisk(() => around.disk.list(layout.objects))) ?? []) {
    const directory = `${layout.objects}/${fan}`;
    for (const { name } of (await ignoringDisk(() => around.disk.list(directory))) ?? []) {
      if (around.signal.aborted) return;
      await ignoringDisk(() => reconcileFile(parts, layout, { directory, name }, around));
    }
  }
  while (!around.signal.aborted) {
    await ignoringDisk(() => parts.removal.dropOrphans({ expiredOnly: true }));
    await around.clock.sleep(orphanCheckMs, around.signal);
  }
}

async function reconcileFile(
  parts: StoreParts,
  layout: Layout,
  file: { directory: string; name: string },
  around: Around,
): Promise<void> {
  const tabled = Layout.tableOf(file.name);
  if (tabled !== undefined) {
    const row = parts.index.contents.find(tabled);
    if (row === undefined || !parts.index.contents.isWritten(row))
      await around.disk.unlink(`${file.directory}/${file.name}`);
    return;
  }
  const id = Layout.contentOf(file.name);
  const row = id === undefined ? undefined : parts.index.contents.find(id);
  if (id !== undefined && row !== undefined) {
    await punchUnknown(parts, { id, row }, around.disk);
    return;
  }
  if (id !== undefined) await parts.removal.settled(id);
  if (id !== undefined && parts.index.contents.find(id) !== undefined) return;
  const from = `${file.directory}/${file.name}`;
  const to = `${layout.orphans}/${file.name}`;
  const stat = await around.disk.stat(from);
  if (stat === undefined || stat.kind !== 'file') return;
  await around.disk.rename(from, to);
  around.emit({ kind: 'store.orphan', path: to });
  addOrphan(parts, to, { bytes: stat.allocatedBytes, sinceMs: around.clock.wallMs() });
}

async function listOrphans(parts: StoreParts, layout: Layout, around: Around): Promise<void> {
  for (const { name } of await around.disk.list(layout.orphans)) {
    const path = `${layout.orphans}/${name}`;
    const stat = await around.disk.stat(path);
    if (stat !== undefined)
      addOrphan(parts, path, { bytes: stat.allocatedBytes, sinceMs: Number(stat.changedNs / 1_000_000n) });
  }
}

function addOrphan(parts: StoreParts, path: string, orphan: { bytes: number; sinceMs: number }): void {
  parts.removal.orphans.set(path, orphan);
  parts.space.take(orphan.bytes);
}

/** Punches what lies in a content's file beyond its present blocks, chunk by chunk, where nobody fills. */
async function punchUnknown(parts: StoreParts, content: { id: ContentId; row: ContentRow }, disk: Disk): Promise<void> {
  const { index } = parts;
  const { id, row } = content;
  if (!disk.canPunch || index.isWhole(row) || index.contents.has(row, FLAG_STAGED | FLAG_LENT | FLAG_VALUE)) return;
  const stat = await disk.stat(parts.dataPath(id));
  const isStill = () =>
    index.contents.isLive(row) && index.contents.id(row) === id && !index.contents.has(row, FLAG_STAGED);
  if (stat === undefined || !isStill()) return;
  if (stat.allocatedBytes <= index.contents.presentBlocks(row) * BLOCK_SIZE_BYTES + allocationSlackBytes) return;
  const count = blockCount(index.contents.sizeBytes(row));
  const chunkBlocks = index.contents.chunkBlocks(row);
  for (let first = 0; first < count && isStill(); first += chunkBlocks) {
    await parts.removal.punchAbsent(row, { first, count: Math.min(chunkBlocks, count - first) });
  }
}

async function ignoringDisk<T>(step: () => Promise<T>): Promise<T | undefined> {
  try {
    return await step();
  } catch (error) {
    if (error instanceof DiskError) return undefined;
    throw error;
  }
}
