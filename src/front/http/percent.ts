/**
 * Percent-encoding, on *byte strings*: one character per byte, so that nothing is lost before it is known to be UTF-8.
 * Loops instead of regular expressions, for this runs on every request.
 */
import { isUtf8 } from 'node:buffer';

const UNRESERVED = 1;
const SLASH = 2;
const classes = new Uint8Array(256);
for (const character of 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~')
  classes[character.charCodeAt(0)] = UNRESERVED;
classes[0x2f] = SLASH;
const ENCODED = Array.from({ length: 256 }, (_, code) => `%${code.toString(16).toUpperCase().padStart(2, '0')}`);

/** Whether every character is unreserved or a slash: then the encoded path, the decoded and the canonical are one. */
export function isPlainPath(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (classes[text.charCodeAt(index)] === 0) return false;
  return true;
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

/** Decodes each `%XX` once into its byte; `undefined` where one is malformed. With `plusIsSpace`, as in queries. */
export function percentDecode(text: string, plusIsSpace = false): string | undefined {
  const plain = plusIsSpace && text.includes('+') ? text.replaceAll('+', ' ') : text;
  let percent = plain.indexOf('%');
  if (percent < 0) return plain;
  let decoded = '';
  let from = 0;
  while (percent >= 0) {
    const high = hexDigit(plain.charCodeAt(percent + 1));
    const low = hexDigit(plain.charCodeAt(percent + 2));
    if (high < 0 || low < 0) return undefined;
    decoded += plain.slice(from, percent) + String.fromCharCode(high * 16 + low);
    from = percent + 3;
    percent = plain.indexOf('%', from);
  }
  return decoded + plain.slice(from);
}

/** Encodes every byte that is not unreserved, as AWS's canonical requests do; the slash stays where `keepSlash`. */
export function percentEncode(bytes: string, keepSlash: boolean): string {
  let encoded = '';
  let from = 0;
  for (let index = 0; index < bytes.length; index++) {
    const code = bytes.charCodeAt(index);
    const kind = classes[code];
    if (kind === UNRESERVED || (kind === SLASH && keepSlash)) continue;
    encoded += bytes.slice(from, index) + ENCODED[code];
    from = index + 1;
  }
  return from === 0 ? bytes : encoded + bytes.slice(from);
}

function isAscii(text: string): boolean {
  for (let index = 0; index < text.length; index++) if (text.charCodeAt(index) > 0x7f) return false;
  return true;
}

/** The text that a byte string spells in UTF-8; `undefined` where it is not UTF-8. */
export function textOfBytes(bytes: string): string | undefined {
  if (isAscii(bytes)) return bytes;
  const buffer = Buffer.from(bytes, 'latin1');
  return isUtf8(buffer) ? buffer.toString('utf8') : undefined;
}

/** The UTF-8 of `text` as a byte string. */
export function bytesOfText(text: string): string {
  return isAscii(text) ? text : Buffer.from(text, 'utf8').toString('latin1');
}
