/** Writes that are over when the kernel has the bytes, so that their buffer may be used again. */
import type { Writable } from 'node:stream';
import { clientGone } from './client-gone.ts';

/** Larger buffers are written in slices, so that a slow client that does read shows progress. */
export const WRITE_MAX_BYTES = 256 * 1024;
export const EMPTY = new Uint8Array(0);

/** Rejects with ClientGone when the connection closes first. */
export function written(stream: Writable, bytes: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    stream.write(bytes, (error) => {
      if (error) reject(clientGone(error));
      else resolve();
    });
  });
}
