/**
 * The order of keys: that of their UTF-8 bytes, as S3 lists them. JavaScript compares UTF-16 code units, which differs
 * where a surrogate pair (U+10000 and above) meets U+E000–U+FFFF.
 */

/** A code unit's rank in code point order: surrogates after everything else of the basic plane. */
function rank(unit: number): number {
  if (unit < 0xd800) return unit;
  return unit <= 0xdfff ? unit + 0x2000 : unit - 0x800;
}

/** Negative, zero or positive as `a` comes before, is, or comes after `b` in UTF-8 byte order. Both are well-formed. */
export function compareKeys(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}
