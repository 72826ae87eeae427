/** Tables as typed arrays, one per column: no object per row. */
type Column = Uint8Array | Uint16Array | Uint32Array | Float64Array;

/** A longer copy of a column. */
export function grown<C extends Column>(column: C, length: number): C {
  const longer = new (column.constructor as new (length: number) => C)(length);
  longer.set(column);
  return longer;
}
