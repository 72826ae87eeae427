/** A body on its way to an HTTP store: as one buffer where it is small enough to be sent again, else as a stream. */
import { Readable } from 'node:stream';
import { sendWholeMaxBytes } from '../core/limits.ts';
import { gather, heldBack } from './body.ts';
import type { IdleWatch } from './idle-watch.ts';
import type { Body } from './origin.ts';

/** Whether `outgoing` gives the body in one piece. */
export function isSentWhole(body: Body): boolean {
  return body.lengthBytes === 0 || (body.replayable && body.lengthBytes <= sendWholeMaxBytes);
}

export async function wholeBody(body: Body): Promise<Uint8Array> {
  return await gather(body);
}

/**
 * The body as a stream. A body that fails aborts the request through `watch`, whose `error` is then the body's; the last
 * piece is held back until the body has ended well, so the store never sees all declared bytes of a bad one.
 */
export function streamedBody(body: Body, watch: IdleWatch): Readable {
  const pieces = async function* () {
    try {
      watch.hold();
      for await (const piece of heldBack(body)) {
        watch.touch();
        yield piece;
        watch.hold();
      }
      watch.touch();
    } catch (error) {
      watch.fail(error instanceof Error ? error : new Error('the body failed', { cause: error }));
      throw error;
    }
  };
  const stream = Readable.from(pieces(), { objectMode: false, highWaterMark: 256 * 1024 });
  // the failure has been told to the watch; without a listener the stream would throw it at the process
  stream.on('error', () => undefined);
  return stream;
}
