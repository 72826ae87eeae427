/** Walks over everything that is here, for ever and slowly, and checks it (S-9): rot is found before a reader needs the bytes. */
import { BLOCK_SIZE_BYTES } from '../core/chunk.ts';
import { ForebayError } from '../core/errors.ts';
import { type Clock, DiskError } from '../io/io.ts';
import type { StoreParts } from './store-parts.ts';

/** With nothing here, or a disk in trouble, how long until the next look. */
const idleMs = 60_000;
/** Between two looks at least: chunks that are being filled have nothing to check yet. */
const pauseMinMs = 10;

export async function scrub(
  parts: StoreParts,
  options: { clock: Clock; bytesPerS: number; signal: AbortSignal },
): Promise<void> {
  const { index, verification } = parts;
  let at = 0;
  while (!options.signal.aborted) {
    const chunk = index.chunks.after(at);
    if (chunk === undefined) {
      await options.clock.sleep(idleMs, options.signal);
      continue;
    }
    at = chunk;
    const bytes = bitCount(index.chunks.present(chunk)) * BLOCK_SIZE_BYTES;
    const pauseMs = Math.max(pauseMinMs, (1000 * bytes) / options.bytesPerS);
    try {
      if (bytes > 0) await verification.chunk(chunk, 'scrub');
      await options.clock.sleep(pauseMs, options.signal);
    } catch (error) {
      if (!(error instanceof DiskError) && !(error instanceof ForebayError)) throw error;
      await options.clock.sleep(idleMs, options.signal);
    }
  }
}

function bitCount(word: number): number {
  let bits = 0;
  for (let rest = word; rest !== 0; rest = (rest & (rest - 1)) >>> 0) bits += 1;
  return bits;
}
