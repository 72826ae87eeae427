/** Ranges of keys by their UTF-8 bytes. */

const encoder = new TextEncoder();

/** From where on, and before where, keys begin with a prefix; `after` starts beyond that key. No `end`: to the last key of all. */
export function prefixRange(
  prefix: string,
  after?: string,
): { readonly start: Uint8Array; readonly end: Uint8Array | undefined } {
  const first = encoder.encode(prefix);
  const beyond = after === undefined ? undefined : encoder.encode(`${after}\0`);
  const start = beyond && Buffer.compare(beyond, first) > 0 ? beyond : first;
  if (first.length === 0) return { start, end: undefined };
  // The last byte of UTF-8 text is never 0xff.
  const end = first.slice();
  end[end.length - 1] = (end.at(-1) as number) + 1;
  return { start, end };
}
