/** A half-open byte interval `[start, end)`; both are non-negative safe integers and `start <= end`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

export function rangeLength(range: Range): number {
  return range.end - range.start;
}

/** The part of `a` that also lies in `b`; an empty range at `a.start` when they are disjoint. */
export function intersect(a: Range, b: Range): Range {
  const start = Math.max(a.start, b.start);
  const end = Math.min(a.end, b.end);
  return end > start ? { start, end } : { start: a.start, end: a.start };
}
