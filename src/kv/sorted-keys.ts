/** Keys in byte order, a page at a time, from a table that has none. */
import type { ValueRow, ValueTable } from '../store/value-table.ts';

export interface SortedKey {
  readonly key: string;
  readonly row: ValueRow;
}

/** The first `limit` keys after `after` that begin with `prefix`. Looks at all keys. */
export function keysAfter(
  table: ValueTable,
  request: { readonly prefix: string; readonly after?: string; readonly limit: number },
  isWanted: (row: ValueRow) => boolean,
): SortedKey[] {
  const { prefix, after, limit } = request;
  if (limit <= 0) return [];
  let found: SortedKey[] = [];
  let last: string | undefined;
  for (const row of table.rows()) {
    const key = table.key(row);
    if (!key.startsWith(prefix) || (after !== undefined && key <= after)) continue;
    if ((last !== undefined && key >= last) || !isWanted(row)) continue;
    found.push({ key, row });
    if (found.length < 2 * limit) continue;
    found = found.sort(byKey).slice(0, limit);
    last = found.at(-1)?.key;
  }
  return found.sort(byKey).slice(0, limit);
}

/** One character is one byte, so the order of characters is that of bytes. */
function byKey(a: SortedKey, b: SortedKey): number {
  return a.key < b.key ? -1 : 1;
}
