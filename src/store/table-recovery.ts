/**
 * After damage to the journal: tables say what was written here and may not be in the origin. Some of it may be there since,
 * or never have been committed; the records in the coordinator tell, and until then it is kept.
 */
import type { ContentId } from '../core/ids.ts';
import type { Disk } from '../io/io.ts';
import { Layout } from './layout.ts';
import type { StoreIndex } from './store-index.ts';
import { readTable } from './table-file.ts';

export async function recoverTables(disk: Disk, layout: Layout, index: StoreIndex): Promise<ContentId[]> {
  const recovered: ContentId[] = [];
  for (const { name: fan } of await disk.list(layout.objects)) {
    const directory = `${layout.objects}/${fan}`;
    for (const { name } of await disk.list(directory)) {
      const id = Layout.tableOf(name);
      if (id === undefined || (await disk.stat(layout.data(id))) === undefined) continue;
      const row = index.contents.find(id);
      if (row !== undefined && index.dirtyContent(row) !== undefined && index.isWhole(row)) continue;
      const table = await readTable(disk, `${directory}/${name}`);
      if (table === undefined || table.id !== id) continue;
      const { checksums, ...content } = table;
      if (row === undefined || index.dirtyContent(row) === undefined) index.apply({ type: 'dirty', ...content });
      index.apply({ type: 'blocks', ...content, firstBlock: 0, checksums: Array.from(checksums) });
      recovered.push(id);
    }
  }
  return recovered;
}
