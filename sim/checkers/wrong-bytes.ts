/** Says what wrong bytes are, for the checkers of S-1 and S-9. */
import { firstWrong } from '../sim-content.ts';
import type { SimOrigin, SimVersion } from '../sim-origin.ts';

export interface WrongBytes {
  readonly at: number;
  /** `zeros` and `version`: bytes of another content (S-1). `flip` and `other`: bytes that nobody wrote (S-9). */
  readonly kind: 'zeros' | 'version' | 'flip' | 'other';
  readonly text: string;
}

/** How many bytes at the first wrong one are looked at to tell where they come from. */
const WINDOW_BYTES = 16;

function wrongAt(version: SimVersion, at: number, bytes: Uint8Array): number {
  if (!version.bytes) return firstWrong(version.number, at, bytes);
  const right = version.bytes.subarray(at, at + bytes.length);
  if (Buffer.compare(right, bytes) === 0) return -1;
  const wrong = bytes.findIndex((byte, i) => byte !== right[i]);
  return at + (wrong < 0 ? bytes.length : wrong);
}

/** Bytes that a client got at `at` of `version`; `undefined` when they are right. */
export function wrongBytes(
  origin: SimOrigin,
  version: SimVersion,
  at: number,
  bytes: Uint8Array,
): WrongBytes | undefined {
  const wrong = wrongAt(version, at, bytes);
  if (wrong < 0) return undefined;
  const window = bytes.subarray(wrong - at, wrong - at + WINDOW_BYTES);
  if (window.every((byte) => byte === 0)) return { at: wrong, kind: 'zeros', text: 'zeros' };
  const other = origin.versions(version.key).find((each) => each !== version && wrongAt(each, wrong, window) < 0);
  if (other) return { at: wrong, kind: 'version', text: `bytes of ${other.etag}` };
  const rest = window.subarray(1);
  if (rest.length > 0 && wrongAt(version, wrong + 1, rest) < 0)
    return { at: wrong, kind: 'flip', text: 'one wrong byte' };
  return { at: wrong, kind: 'other', text: `bytes of no version: ${Buffer.from(window).toString('hex')}` };
}
