/**
 * The CRC32 of two runs of bytes in a row, from the CRC32 of each and the length of the second: zlib's `crc32_combine`, which
 * Node does not offer. Appending zeros is linear over GF(2): a matrix for each power of two of them.
 */
const POLYNOMIAL = 0xedb88320;
type Matrix = Uint32Array;

/** `matrices[n]` appends 2ⁿ zero bytes. */
const matrices: Matrix[] = [];

function times(matrix: Matrix, vector: number): number {
  let sum = 0;
  for (let bit = 0, left = vector; left !== 0; bit++, left >>>= 1) if (left & 1) sum ^= matrix[bit] as number;
  return sum >>> 0;
}

function squared(matrix: Matrix): Matrix {
  return matrix.map((column) => times(matrix, column));
}

function appending(power: number): Matrix {
  const known = matrices[power];
  if (known !== undefined) return known;
  let made: Matrix;
  if (power > 0) made = squared(appending(power - 1));
  else {
    // one zero bit, then two, four, eight
    const bit = Uint32Array.from({ length: 32 }, (_, index) => (index === 0 ? POLYNOMIAL : (1 << (index - 1)) >>> 0));
    made = squared(squared(squared(bit)));
  }
  matrices[power] = made;
  return made;
}

/** `first` and `second` as `zlib.crc32` gives them; an unsigned 32-bit number. */
export function combineCrc32(first: number, second: number, secondBytes: number): number {
  let crc = first;
  // a length may have more than 32 bits
  for (let power = 0, left = secondBytes; left >= 1; power++, left = Math.floor(left / 2))
    if (left % 2 === 1) crc = times(appending(power), crc);
  return (crc ^ second) >>> 0;
}
