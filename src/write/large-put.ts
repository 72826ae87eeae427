/**
 * A large body on its way to the origin: cut into parts that are held whole, so that each can be sent again, a bounded
 * number of them at once. The upload is finalised only after the body has ended well; after any failure it is aborted,
 * and nothing becomes visible (S-5).
 */
import { MiB, partsInFlightMax, partsMax, putSingleMaxBytes } from '../core/limits.ts';
import { bodyOf } from '../origin/body.ts';
import type { Origin, PutOptions, TakenPart } from '../origin/origin.ts';
import type { BufferBudget } from './buffer-budget.ts';
import { BodyReader } from './buffered-body.ts';
import type { WriteBody } from './writer.ts';

/** Parts of 16 MiB, larger where 10,000 of them would not do. */
function partSizeOf(lengthBytes: number): number {
  return Math.max(putSingleMaxBytes, Math.ceil(lengthBytes / partsMax / MiB) * MiB);
}

export async function putInParts(
  origin: Origin,
  key: string,
  body: WriteBody,
  options: PutOptions & { signal: AbortSignal },
  budget: BufferBudget,
): Promise<{ etag: string }> {
  const { headers, metadata, signal } = options;
  const id = await origin.begin(key, { headers, metadata, signal });
  const upload = { key, id };
  try {
    const parts = await sendParts(origin, upload, body, signal, budget);
    return await origin.finalise(upload, parts, options);
  } catch (error) {
    // the caller learns of the write's own failure; an upload that cannot be aborted either is the origin's to expire
    await origin.abort(upload).catch(() => undefined);
    throw error;
  }
}

async function sendParts(
  origin: Origin,
  upload: { key: string; id: string },
  body: WriteBody,
  signal: AbortSignal,
  budget: BufferBudget,
): Promise<TakenPart[]> {
  const failed = new AbortController();
  const all = AbortSignal.any([signal, failed.signal]);
  const reader = new BodyReader(body);
  const sent: Promise<TakenPart>[] = [];
  const underWay = new Set<Promise<unknown>>();
  /** Settles when the part's bytes are here and on their way. */
  const send = async (number: number, lengthBytes: number): Promise<void> => {
    const held = await budget.take(lengthBytes, all);
    try {
      await reader.fill(held.bytes);
    } catch (error) {
      held.release(true);
      throw error;
    }
    const part = origin.part(upload, number, bodyOf(held.bytes), { signal: all }).then(
      (taken) => {
        held.release(true);
        return taken;
      },
      (error: unknown) => {
        held.release(false);
        failed.abort(error);
        throw error;
      },
    );
    sent.push(part);
    const settled: Promise<unknown> = part.then(
      () => underWay.delete(settled),
      () => underWay.delete(settled),
    );
    underWay.add(settled);
  };
  try {
    const partSize = partSizeOf(body.lengthBytes);
    for (let at = 0; at < body.lengthBytes; at += partSize) {
      all.throwIfAborted();
      await send(sent.length + 1, Math.min(partSize, body.lengthBytes - at));
      if (underWay.size >= partsInFlightMax) await Promise.race(underWay);
    }
    await reader.finish();
    return await Promise.all(sent);
  } catch (error) {
    failed.abort(error);
    await reader.stop();
    await Promise.allSettled(sent);
    throw error;
  }
}
