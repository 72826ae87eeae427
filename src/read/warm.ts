/** Brings the selected objects here whole, a few at a time, and says how far it is. */
import { isForebayError } from '../core/errors.ts';
import { reopenMax, warmObjectsMax, warmProgressMs } from '../core/limits.ts';
import type { Clock, Random } from '../io/io.ts';
import type { Store } from '../store/store.ts';
import { layOut } from './lay-out.ts';
import type { Opened } from './opened.ts';
import type { WarmProgress } from './reader.ts';

export interface WarmParts {
  readonly store: Store;
  readonly clock: Clock;
  readonly random: Random;
  readonly open: (key: string, signal: AbortSignal) => Promise<Opened>;
}

interface Totals {
  objects: number;
  objectsDone: number;
  bytes: number;
  bytesDone: number;
  readonly failed: { key: string; message: string }[];
}

/** A failed object is counted and named; the rest go on. */
export async function* warm(
  parts: WarmParts,
  keys: AsyncIterable<{ key: string; sizeBytes: number | undefined }>,
  options: { to?: string; signal: AbortSignal },
): AsyncGenerator<WarmProgress> {
  const totals: Totals = { objects: 0, objectsDone: 0, bytes: 0, bytesDone: 0, failed: [] };
  const stop = new AbortController();
  const signal = AbortSignal.any([options.signal, stop.signal]);
  let finished = false;
  const work = bringAll(parts, keys, {
    totals,
    signal,
    ...(options.to === undefined ? {} : { to: options.to }),
  }).finally(() => {
    finished = true;
  });
  work.catch(() => undefined);
  try {
    while (!finished) {
      await Promise.race([work, parts.clock.sleep(warmProgressMs)]);
      if (!finished) yield snapshot(totals);
    }
    await work;
    yield snapshot(totals);
  } finally {
    stop.abort();
  }
}

function snapshot(totals: Totals): WarmProgress {
  return { ...totals, failed: [...totals.failed] };
}

async function bringAll(
  parts: WarmParts,
  keys: AsyncIterable<{ key: string; sizeBytes: number | undefined }>,
  options: { totals: Totals; signal: AbortSignal; to?: string },
): Promise<void> {
  const running = new Set<Promise<void>>();
  for await (const { key, sizeBytes } of keys) {
    options.signal.throwIfAborted();
    options.totals.objects += 1;
    options.totals.bytes += sizeBytes ?? 0;
    const one = bringOne(parts, { key, listedBytes: sizeBytes }, options).finally(() => running.delete(one));
    running.add(one);
    if (running.size >= warmObjectsMax) await Promise.race(running);
  }
  await Promise.all(running);
  options.signal.throwIfAborted();
}

async function bringOne(
  parts: WarmParts,
  object: { key: string; listedBytes: number | undefined },
  options: { totals: Totals; signal: AbortSignal; to?: string },
): Promise<void> {
  const { totals, signal, to } = options;
  let counted = 0;
  let listed = object.listedBytes ?? 0;
  /** One version; false when it was replaced at the origin meanwhile. */
  const bring = async (isLast: boolean): Promise<boolean> => {
    const opened = await parts.open(object.key, signal);
    try {
      totals.bytes += opened.fact.sizeBytes - listed;
      listed = opened.fact.sizeBytes;
      for await (const present of opened.fillWhole(signal)) {
        totals.bytesDone += present - counted;
        counted = present;
      }
      if (to !== undefined) await layOut(parts.store, opened, { to, random: parts.random, signal });
      totals.bytesDone += opened.fact.sizeBytes - counted;
      return true;
    } catch (error) {
      if (isLast || !isForebayError(error, 'versionChanged')) throw error;
      // What was brought of the replaced version does not count for the next.
      totals.bytesDone -= counted;
      counted = 0;
      return false;
    } finally {
      opened.close();
    }
  };
  try {
    for (let attempt = 0; !(await bring(attempt === reopenMax)); attempt += 1);
  } catch (error) {
    if (signal.aborted) return;
    totals.failed.push({ key: object.key, message: error instanceof Error ? error.message : String(error) });
  }
  totals.objectsDone += 1;
}
