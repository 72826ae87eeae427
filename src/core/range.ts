/** A half-open byte interval `[start, end)`; both are non-negative safe integers and `start <= end`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

export function rangeLength(range: Range): number {
  return range.end - range.start;
}
