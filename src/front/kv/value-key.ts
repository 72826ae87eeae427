/**
 * Keys of kv volumes at doors whose keys are text: the UTF-8 of the text, one character a byte. What such doors keep for
 * themselves, parts of uploads, is under keys that begin with `RESERVED`, which clients can neither name nor see there.
 */
import { ForebayError } from '../../core/errors.ts';
import { keyMaxBytes } from '../../core/limits.ts';
import { bytesOfText } from '../http/percent.ts';

export const RESERVED = '\0forebay\0';

/** Throws keyTooLong, invalidArgument. */
export function checkedKey(bytes: string): string {
  if (bytes.length === 0) throw new ForebayError('invalidArgument', 'a key has at least 1 byte');
  if (bytes.length > keyMaxBytes)
    throw new ForebayError('keyTooLong', `the key has ${bytes.length} bytes, at most ${keyMaxBytes} are taken`);
  if (bytes.startsWith(RESERVED))
    throw new ForebayError(
      'invalidArgument',
      'keys that begin with a NUL, "forebay" and a NUL are for parts of uploads',
    );
  return bytes;
}

/** Throws as `checkedKey`. */
export function keyOfText(text: string): string {
  return checkedKey(bytesOfText(text));
}

/** A position after every key that begins with `prefix`. */
export function afterAll(prefix: string): string {
  return prefix.padEnd(keyMaxBytes, '\xff');
}
