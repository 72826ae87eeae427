/**
 * CRC-32C (Castagnoli, reflected 0x82F63B78), eight bytes per step: "slicing by 8" (Kounavis and Berry, 2005). Node has
 * only the other CRC-32.
 */
const POLYNOMIAL = 0x82f63b78;
/** Eight tables of 256 in a row: table n continues a byte's remainder over n further zero bytes. */
const tables = new Int32Array(8 * 256);
for (let byte = 0; byte < 256; byte++) {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit++) remainder = (remainder >>> 1) ^ (remainder & 1 ? POLYNOMIAL : 0);
  tables[byte] = remainder;
}
for (let index = 256; index < tables.length; index++) {
  const before = tables[index - 256] as number;
  tables[index] = (before >>> 8) ^ (tables[before & 0xff] as number);
}

/** Continues the CRC `value` (0 at the beginning) over `bytes`; an unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array, value = 0): number {
  const t = tables;
  const length = bytes.length;
  const whole = length - (length % 8);
  let crc = ~value;
  let at = 0;
  for (; at < whole; at += 8) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc =
      t[1792 + (crc & 0xff)]! ^
      t[1536 + ((crc >>> 8) & 0xff)]! ^
      t[1280 + ((crc >>> 16) & 0xff)]! ^
      t[1024 + (crc >>> 24)]! ^
      t[768 + bytes[at + 4]!]! ^
      t[512 + bytes[at + 5]!]! ^
      t[256 + bytes[at + 6]!]! ^
      t[bytes[at + 7]!]!;
  }
  for (; at < length; at++) crc = (crc >>> 8) ^ t[(crc ^ bytes[at]!) & 0xff]!;
  return ~crc >>> 0;
}
