/**
 * Where the parts of an upload lie, and what a completion has to move: pure. Parts of one size lie in the content itself, part
 * n at (n − 1) times that size; replicas pull them from there while others still come. Parts that do not fit lie in
 * files of their own.
 */
import type { Range } from '../core/range.ts';

export interface PlacedPart {
  readonly number: number;
  readonly sizeBytes: number;
  /** Its place in the content; `undefined`: it lies in a file of its own. */
  readonly at: number | undefined;
}

/** What a completion does: copies parts into the content where nothing of it was given away yet, or into a new one. */
export type Assembly<P extends PlacedPart> =
  | { readonly kind: 'inPlace'; readonly sizeBytes: number; readonly copies: readonly { part: P; to: number }[] }
  | { readonly kind: 'anew'; readonly sizeBytes: number; readonly copies: readonly { part: P; to: number }[] };

/** `taken`: what of the content was complete at some time, so that replicas may have it. */
export function assemble<P extends PlacedPart>(named: readonly P[], taken: readonly Range[]): Assembly<P> {
  const copies: { part: P; to: number }[] = [];
  let at = 0;
  let fits = true;
  for (const part of named) {
    const to = at;
    at += part.sizeBytes;
    if (part.at === to) continue;
    copies.push({ part, to });
    if (part.at !== undefined || taken.some(({ start, end }) => start < at && to < end)) fits = false;
  }
  if (fits) return { kind: 'inPlace', sizeBytes: at, copies };
  let offset = 0;
  const all = named.map((part) => {
    const to = offset;
    offset += part.sizeBytes;
    return { part, to };
  });
  return { kind: 'anew', sizeBytes: at, copies: all };
}

/** Where a part goes: its place in the content, or `undefined` for a file of its own. */
export function placeOf(
  part: { readonly number: number; readonly sizeBytes: number },
  grid: { readonly partBytes: number; readonly isBusy: (range: Range) => boolean },
): number | undefined {
  const { number, sizeBytes } = part;
  if (sizeBytes > grid.partBytes || sizeBytes === 0) return undefined;
  const start = (number - 1) * grid.partBytes;
  return grid.isBusy({ start, end: start + sizeBytes }) ? undefined : start;
}
